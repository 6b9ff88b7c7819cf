"""Adaptive pooling, to an output of a given size."""

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxdl.arrays import to_floating, widen
from jaxdl.nn.convolution._sizes import spatial_tuple
from jaxdl.nn.convolution.pooling import average_pool
from jaxdl.typing import Array, ArrayLike


def adaptive_average_pool(x: ArrayLike, output_size: int | Sequence[int]) -> Array:
    """Compute ``y[.., i, c]``, the mean of ``x[.., j, c]`` over ``floor(i N / M) <= j < ceil((i + 1) N / M)``.

    Likewise in each spatial dimension, of ``N`` inputs and ``M`` outputs. The windows overlap where ``M`` does not
    divide ``N``; for ``M > N`` inputs are repeated; for ``M = 1`` it is the global mean.

    Args:
        x: ``[..., W, C]``, ``[..., H, W, C]`` or ``[..., D, H, W, C]``.
        output_size: ``M`` of each spatial dimension; a single number stands for two.

    Raises:
        ValueError: ranks do not match, a size is not positive, or the input is empty.

    >>> adaptive_average_pool(jnp.arange(3.0).reshape(3, 1), (2,)).ravel().tolist()
    [0.5, 1.5]
    """
    x = jnp.asarray(x)
    sizes = spatial_tuple(x, output_size, "output_size")
    rank = len(sizes)
    inputs = x.shape[-rank - 1 : -1]
    if 0 in inputs:
        raise ValueError(f"expected x that is not empty, got {x.shape}")
    if not any(n % m for n, m in zip(inputs, sizes, strict=True)):
        return average_pool(x, [n // m for n, m in zip(inputs, sizes, strict=True)])
    x = to_floating(x)
    y = widen(x)
    for axis, (n, m) in enumerate(zip(inputs, sizes, strict=True), x.ndim - rank - 1):
        means = jnp.asarray(_means(n, m), y.dtype)
        y = jnp.moveaxis(jnp.tensordot(y, means, (axis, 0), precision=lax.Precision.HIGHEST), -1, axis)
    return y.astype(x.dtype)


def _means(inputs: int, outputs: int) -> np.ndarray:
    """Return the matrix ``[N, M]`` of the means over each window."""
    i, j = np.arange(outputs)[None], np.arange(inputs)[:, None]
    inside = (j >= i * inputs // outputs) & (j < -(-(i + 1) * inputs // outputs))
    return inside / inside.sum(0, keepdims=True)
