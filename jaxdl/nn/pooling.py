"""Pooling: the largest, the smallest or the mean number of every window, channels apart and last.

A window that is a number is square and two-dimensional; a tuple has a number for each spatial dimension, one to three.
"""

from collections.abc import Callable, Sequence
from functools import reduce
from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxdl.arrays import widen
from jaxdl.nn.convolution import SPATIAL, Padding, Window, make_window
from jaxdl.typing import Array, ArrayLike


def max_pool(
    x: ArrayLike,
    window: int | Sequence[int],
    *,
    stride: int | Sequence[int] | None = None,
    padding: Padding = 0,
) -> Array:
    """Return ``y[.., i, j, c] = max_(u, v) x[.., S i + u, S j + v, c]``; what is padded never is the largest.

    Where several are the largest, the first has the gradient.

    Args:
        x: ``[..., W, C]``, ``[..., H, W, C]`` or ``[..., D, H, W, C]``, as the window has dimensions.
        window: sizes over which ``u`` and ``v`` run.
        stride: ``S``; the window's size if None, so that windows neither overlap nor leave gaps.
        padding: ``"valid"``, ``"same"``, a number for all sides, or for each dimension a number or a pair.

    Returns:
        ``[..., H2, W2, C]``, where a rest that fills no window is dropped.

    Raises:
        ValueError: ranks do not fit, no window fits, or a window could lie in the padding alone.

    >>> max_pool(jnp.arange(16.0).reshape(4, 4, 1), 2)[..., 0].tolist()
    [[5.0, 7.0], [13.0, 15.0]]
    """
    x, frame = _frame(x, window, stride, padding)
    if _tiles(frame):
        return reduce(lambda a, b: jnp.where((b > a) | jnp.isnan(b), b, a), _parts(x, frame))
    lowest = -np.inf if jnp.issubdtype(x.dtype, jnp.floating) else jnp.iinfo(x.dtype).min
    return _reduce_window(x, frame, lax.max, lowest)


def min_pool(
    x: ArrayLike,
    window: int | Sequence[int],
    *,
    stride: int | Sequence[int] | None = None,
    padding: Padding = 0,
) -> Array:
    """Return ``y[.., i, j, c] = min_(u, v) x[.., S i + u, S j + v, c]``; see `max_pool`.

    >>> min_pool(jnp.arange(16.0).reshape(4, 4, 1), 2)[..., 0].tolist()
    [[0.0, 2.0], [8.0, 10.0]]
    """
    x, frame = _frame(x, window, stride, padding)
    if _tiles(frame):
        return reduce(lambda a, b: jnp.where((b < a) | jnp.isnan(b), b, a), _parts(x, frame))
    highest = np.inf if jnp.issubdtype(x.dtype, jnp.floating) else jnp.iinfo(x.dtype).max
    return _reduce_window(x, frame, lax.min, highest)


def average_pool(
    x: ArrayLike,
    window: int | Sequence[int],
    *,
    stride: int | Sequence[int] | None = None,
    padding: Padding = 0,
    count_include_pad: bool = True,
) -> Array:
    """Return ``y[.., i, j, c] = sum_(u, v) x[.., S i + u, S j + v, c] / n``; see `max_pool` for the arguments.

    ``n`` is the size of the window, or, without ``count_include_pad``, how many numbers of ``x`` are in it.

    >>> average_pool(jnp.arange(16.0).reshape(4, 4, 1), 2)[..., 0].tolist()
    [[2.5, 4.5], [10.5, 12.5]]
    """
    x, frame = _frame(x, window, stride, padding)
    if not jnp.issubdtype(x.dtype, jnp.floating):
        x = x.astype(jnp.result_type(float))
    wide = widen(x)
    total = sum(_parts(wide, frame)) if _tiles(frame) else _reduce_window(wide, frame, lax.add, 0.0)
    if count_include_pad or not any(map(sum, frame.padding)):
        return (total / np.prod(frame.size)).astype(x.dtype)
    spatial = x.shape[-len(frame.size) - 1 : -1]
    count = _reduce_window(jnp.ones((*spatial, 1), wide.dtype), frame, lax.add, 0.0)
    return (total / jnp.broadcast_to(count, total.shape)).astype(x.dtype)


def global_max_pool(x: ArrayLike, dimensions: int = 2) -> Array:
    """Return the largest number of every channel, ``[..., H, W, C]`` to ``[..., C]`` over ``dimensions`` dimensions."""
    return jnp.max(_global(x, dimensions), axis=-2)


def global_average_pool(x: ArrayLike, dimensions: int = 2) -> Array:
    """Return the mean of every channel, ``[..., H, W, C]`` to ``[..., C]`` over ``dimensions`` dimensions.

    >>> global_average_pool(jnp.arange(8.0).reshape(2, 2, 2)).tolist()
    [3.0, 4.0]
    """
    return jnp.mean(_global(x, dimensions), axis=-2)


def _global(x: ArrayLike, dimensions: int) -> Array:
    """Join the spatial dimensions into one."""
    x = jnp.asarray(x)
    if dimensions < 1 or x.ndim < dimensions + 1:
        raise ValueError(f"pooling {dimensions} dimensions needs as many before the channels; came {x.shape}")
    return x.reshape(*x.shape[: -dimensions - 1], -1, x.shape[-1])


def _frame(
    x: ArrayLike, window: int | Sequence[int], stride: int | Sequence[int] | None, padding: Padding
) -> tuple[Array, Window]:
    """Write the window out, and refuse what does not fit."""
    x = jnp.asarray(x)
    size = (window, window) if isinstance(window, int) else tuple(window)
    rank = len(size)
    if rank not in SPATIAL or min(size) < 1:
        raise ValueError(f"a window has one to three positive sizes; came {window}")
    if x.ndim < rank + 1:
        raise ValueError(f"a window {size} needs x [..., {', '.join(SPATIAL[rank])}, C]; came {x.shape}")
    frame = make_window(x.shape[-rank - 1 : -1], size, size if stride is None else stride, padding, 1)
    for axis, (n, pair) in enumerate(zip(size, frame.padding, strict=True)):
        if max(pair) >= n:
            raise ValueError(
                f"padding {pair} of dimension {SPATIAL[rank][axis]} must be less than the window's {n}, "
                "or a window would see nothing else"
            )
    return x, frame


def _tiles(frame: Window) -> bool:
    """Say whether to cut x into tiles: the windows do not overlap, and on the CPU a scatter would be slow."""
    return jax.default_backend() == "cpu" and frame.size == frame.stride and not any(map(sum, frame.padding))


def _parts(x: Array, frame: Window) -> list[Array]:
    """List, for every place in the window, the numbers there: each ``[..., H2, W2, C]``."""
    rank = len(frame.size)
    leading, channels = x.shape[: -rank - 1], x.shape[-1]
    whole = [slice(n * size) for n, size in zip(frame.output, frame.size, strict=True)]
    sides = [side for pair in zip(frame.output, frame.size, strict=True) for side in pair]
    tiles = x[(..., *whole, slice(None))].reshape(*leading, *sides, channels)
    places = product(*map(range, frame.size))
    return [tiles[(..., *(i for place in tap for i in (slice(None), place)), slice(None))] for tap in places]


def _reduce_window(x: Array, frame: Window, reducer: Callable[..., Array], initial: float) -> Array:
    leading = x.ndim - len(frame.size) - 1
    return lax.reduce_window(
        x,
        np.asarray(initial, x.dtype),
        reducer,
        (*(1,) * leading, *frame.size, 1),
        (*(1,) * leading, *frame.stride, 1),
        (*((0, 0),) * leading, *frame.padding, (0, 0)),
    )
