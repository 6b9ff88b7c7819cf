"""Upsampling without parameters, nearest and (bi)linear, channels last."""

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxdl.arrays import widen
from jaxdl.nn.convolution._sizes import spatial_tuple
from jaxdl.typing import Array, ArrayLike


def upsample_nearest(x: ArrayLike, factor: int | Sequence[int]) -> Array:
    """Compute ``y[.., p, q, c] = x[.., p // f, q // f, c]``: repeat every element ``f`` times.

    Args:
        x: ``[..., W, C]``, ``[..., H, W, C]`` or ``[..., D, H, W, C]``, by the length of ``factor``.
        factor: ``f``, one number per dimension; a single number stands for two.

    Raises:
        ValueError: a factor is not positive, or ranks do not match.

    >>> upsample_nearest(jnp.array([[1.0], [2.0]]), (3,)).ravel().tolist()
    [1.0, 1.0, 1.0, 2.0, 2.0, 2.0]
    """
    x = jnp.asarray(x)
    factors = spatial_tuple(x, factor, "factor")
    sizes = x.shape[-len(factors) - 1 : -1]
    leading, channels = x.shape[: -len(factors) - 1], x.shape[-1]
    apart = (*leading, *(side for size in sizes for side in (size, 1)), channels)
    beside = (*leading, *(side for pair in zip(sizes, factors, strict=True) for side in pair), channels)
    output = [size * f for size, f in zip(sizes, factors, strict=True)]
    return jnp.broadcast_to(x.reshape(apart), beside).reshape(*leading, *output, channels)


def upsample_bilinear(
    x: ArrayLike,
    factor: int | Sequence[int] | None = None,
    *,
    size: Sequence[int] | None = None,
    align_corners: bool = False,
) -> Array:
    """Interpolate linearly between neighbours, along every dimension in turn.

    For an input of ``W`` and an output of ``W2`` elements, the output ``p`` has the source position ``s``, between
    ``i = floor(s)`` and ``i + 1``: ``y[p] = (1 - (s - i)) x[i] + (s - i) x[i + 1]``, where

        ``s = (p + 1/2) W / W2 - 1/2``, clipped to ``0 .. W - 1``: elements are areas, and the borders coincide;
        ``s = p (W - 1) / (W2 - 1)`` with ``align_corners``: elements are points, and the first and last coincide.

    It is linear in one dimension and trilinear in three. For a smaller size there is no antialiasing.

    Args:
        x: ``[..., W, C]``, ``[..., H, W, C]`` or ``[..., D, H, W, C]``, by the length of ``factor`` or
            ``size``.
        factor: ratio of the sizes, one number per dimension; a single number stands for two.
        size: the output sizes, in the place of a factor.
        align_corners: see above.

    Raises:
        ValueError: neither or both of factor and size are given, one is not positive, or ranks do not match.

    >>> x = jnp.array([[0.0], [3.0]])
    >>> [upsample_bilinear(x, (2,), align_corners=a).ravel().tolist() for a in (False, True)]
    [[0.0, 0.75, 2.25, 3.0], [0.0, 1.0, 2.0, 3.0]]
    """
    x = jnp.asarray(x)
    if factor is not None and size is None:
        factors = spatial_tuple(x, factor, "factor")
        new_sizes = tuple(n * f for n, f in zip(x.shape[-len(factors) - 1 : -1], factors, strict=True))
    elif size is not None and factor is None:
        new_sizes = spatial_tuple(x, size, "size")
    else:
        raise ValueError(f"expected either a factor or a size, got factor={factor} and size={size}")
    sizes = x.shape[-len(new_sizes) - 1 : -1]
    dtype = x.dtype if jnp.issubdtype(x.dtype, jnp.inexact) else jnp.result_type(float)
    y = widen(x.astype(dtype))
    for axis, (old, new) in enumerate(zip(sizes, new_sizes, strict=True), start=x.ndim - 1 - len(sizes)):
        if old != new:
            matrix = jnp.asarray(_interpolation_matrix(old, new, align_corners), y.dtype)
            y = jnp.moveaxis(jnp.tensordot(matrix, y, (1, axis), precision=lax.Precision.HIGHEST), 0, axis)
    return y.astype(dtype)


def _interpolation_matrix(old: int, new: int, align_corners: bool) -> np.ndarray:
    """Return the matrix ``[new, old]`` of interpolation along one dimension, with two weights per row."""
    positions = np.arange(new)
    if align_corners:
        source = positions * ((old - 1) / max(new - 1, 1))
    else:
        source = np.clip((positions + 0.5) * (old / new) - 0.5, 0, old - 1)
    first = np.minimum(source.astype(int), old - 1)
    matrix = np.zeros((new, old))
    matrix[positions, first] += 1 - (source - first)
    matrix[positions, np.minimum(first + 1, old - 1)] += source - first
    return matrix
