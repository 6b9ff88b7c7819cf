"""Larger maps from smaller ones without parameters: nearest and (bi)linear upsampling, channels last."""

from collections.abc import Sequence
from numbers import Integral

import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxdl.arrays import widen
from jaxdl.nn.convolution.geometry import SPATIAL
from jaxdl.typing import Array, ArrayLike


def upsample_nearest(x: ArrayLike, factor: int | Sequence[int]) -> Array:
    """Return ``y[.., p, q, c] = x[.., p // f, q // f, c]``: every number ``f`` times in a row.

    Args:
        x: ``[..., W, C]``, ``[..., H, W, C]`` or ``[..., D, H, W, C]``, as the factor has dimensions.
        factor: ``f``; a number is for two dimensions, a tuple has a number for each.

    Raises:
        ValueError: a factor is not positive, or ranks do not fit.

    >>> upsample_nearest(jnp.array([[1.0], [2.0]]), (3,)).ravel().tolist()
    [1.0, 1.0, 1.0, 2.0, 2.0, 2.0]
    """
    x = jnp.asarray(x)
    factors = (factor, factor) if isinstance(factor, Integral) else tuple(factor)
    sizes = _spatial(x, factors, "factor")
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
    """Return each number of a new grid by straight lines between its neighbours, along every dimension in turn.

    With ``W`` numbers given and ``W2`` wanted, the place ``p`` looks at ``s``, between the numbers ``i = floor(s)``
    and ``i + 1``: ``y[p] = (1 - (s - i)) x[i] + (s - i) x[i + 1]``, where

        ``s = (p + 1/2) W / W2 - 1/2``, cut to ``0 .. W - 1``: numbers are areas, and the borders of the grids meet;
        ``s = p (W - 1) / (W2 - 1)`` with ``align_corners``: numbers are points, and the first and last meet.

    It is linear in one dimension and trilinear in three. A smaller size is possible, but looks at neighbours alone.

    Args:
        x: ``[..., W, C]``, ``[..., H, W, C]`` or ``[..., D, H, W, C]``, as factor or size have dimensions.
        factor: how many times as large; a number is for two dimensions, a tuple has a number for each.
        size: the new sizes, in place of a factor.
        align_corners: which of the two.

    Raises:
        ValueError: neither or both of factor and size are given, one is not positive, or ranks do not fit.

    >>> x = jnp.array([[0.0], [3.0]])
    >>> [upsample_bilinear(x, (2,), align_corners=a).ravel().tolist() for a in (False, True)]
    [[0.0, 0.75, 2.25, 3.0], [0.0, 1.0, 2.0, 3.0]]
    """
    x = jnp.asarray(x)
    if (factor is None) == (size is None):
        raise ValueError(f"give either a factor or a size; came factor={factor}, size={size}")
    if size is None:
        factors = (factor, factor) if isinstance(factor, Integral) else tuple(factor)
        size = [n * f for n, f in zip(_spatial(x, factors, "factor"), factors, strict=True)]
    sizes = _spatial(x, tuple(size), "size")
    dtype = x.dtype if jnp.issubdtype(x.dtype, jnp.inexact) else jnp.result_type(float)
    y = widen(x.astype(dtype))
    for axis, (old, new) in enumerate(zip(sizes, size, strict=True), start=x.ndim - 1 - len(sizes)):
        if old != new:
            matrix = jnp.asarray(_lines(old, new, align_corners), y.dtype)
            y = jnp.moveaxis(jnp.tensordot(matrix, y, (1, axis), precision=lax.Precision.HIGHEST), 0, axis)
    return y.astype(dtype)


def _lines(old: int, new: int, align_corners: bool) -> np.ndarray:
    """Write interpolation along one dimension as a matrix ``[new, old]``: two weights in every row, together 1."""
    places = np.arange(new)
    if align_corners:
        source = places * ((old - 1) / max(new - 1, 1))
    else:
        source = np.clip((places + 0.5) * (old / new) - 0.5, 0, old - 1)
    first = np.minimum(source.astype(int), old - 1)
    matrix = np.zeros((new, old))
    matrix[places, first] += 1 - (source - first)
    matrix[places, np.minimum(first + 1, old - 1)] += source - first
    return matrix


def _spatial(x: Array, numbers: tuple[int, ...], name: str) -> tuple[int, ...]:
    """Return the sizes of as many spatial dimensions as there are numbers."""
    rank = len(numbers)
    if rank not in SPATIAL or min(numbers) < 1:
        raise ValueError(f"a {name} has one to three positive numbers; came {numbers}")
    if x.ndim < rank + 1:
        raise ValueError(f"a {name} {numbers} needs x [..., {', '.join(SPATIAL[rank])}, C]; came {x.shape}")
    return x.shape[-rank - 1 : -1]
