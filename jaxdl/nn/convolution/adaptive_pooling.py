"""Adaptive pooling: as many outputs as are asked for, whatever the size of the input."""

from collections.abc import Sequence
from numbers import Integral

import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxdl.arrays import widen
from jaxdl.nn.convolution.geometry import SPATIAL
from jaxdl.nn.convolution.pooling import average_pool
from jaxdl.typing import Array, ArrayLike


def adaptive_average_pool(x: ArrayLike, output_size: int | Sequence[int]) -> Array:
    """Return ``y[.., i, c]``, the mean of ``x[.., j, c]`` over ``floor(i N / M) <= j < ceil((i + 1) N / M)``.

    And so in each spatial dimension, of ``N`` inputs and ``M`` outputs. The windows overlap where ``M`` does not divide
    ``N``; for ``M > N`` inputs are repeated; for ``M = 1`` it is the global mean.

    Args:
        x: ``[..., W, C]``, ``[..., H, W, C]`` or ``[..., D, H, W, C]``.
        output_size: ``M`` of each spatial dimension; one number is square and two-dimensional.

    Raises:
        ValueError: ranks do not fit, or a size is not positive.

    >>> adaptive_average_pool(jnp.arange(3.0).reshape(3, 1), (2,)).ravel().tolist()
    [0.5, 1.5]
    """
    x = jnp.asarray(x)
    sizes = (output_size, output_size) if isinstance(output_size, Integral) else tuple(output_size)
    rank = len(sizes)
    if rank not in SPATIAL or min(sizes) < 1:
        raise ValueError(f"output_size is one to three positive numbers; came {output_size}")
    if x.ndim < rank + 1 or 0 in x.shape[-rank - 1 : -1]:
        raise ValueError(f"{rank} sizes need x [..., {', '.join(SPATIAL[rank])}, C] that is not empty; came {x.shape}")
    inputs = x.shape[-rank - 1 : -1]
    if not any(n % m for n, m in zip(inputs, sizes, strict=True)):
        return average_pool(x, [n // m for n, m in zip(inputs, sizes, strict=True)])
    x = x if jnp.issubdtype(x.dtype, jnp.floating) else x.astype(jnp.result_type(float))
    y = widen(x)
    for axis, (n, m) in enumerate(zip(inputs, sizes, strict=True), x.ndim - rank - 1):
        means = jnp.asarray(_means(n, m), y.dtype)
        y = jnp.moveaxis(jnp.tensordot(y, means, (axis, 0), precision=lax.Precision.HIGHEST), -1, axis)
    return y.astype(x.dtype)


def _means(inputs: int, outputs: int) -> np.ndarray:
    """Return the matrix ``[N, M]`` whose columns take the mean of each window."""
    i, j = np.arange(outputs)[None], np.arange(inputs)[:, None]
    inside = (j >= i * inputs // outputs) & (j < -(-(i + 1) * inputs // outputs))
    return inside / inside.sum(0, keepdims=True)
