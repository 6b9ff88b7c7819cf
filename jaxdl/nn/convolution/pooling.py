"""Pooling: the largest, the smallest or the mean number of every window, channels apart and last; and the way back.

A window that is a number is square and two-dimensional; a tuple has a number for each spatial dimension, one to three.
"""

from collections.abc import Callable, Sequence
from functools import reduce
from itertools import product
from numbers import Integral
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxdl.arrays import widen
from jaxdl.nn.convolution.geometry import SPATIAL, Padding, Window, make_window
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
    return _reduce_window(x, frame, lax.max, _lowest(x))


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
    """Return the largest number of every channel, ``[..., H, W, C]`` to ``[..., C]`` over ``dimensions`` dimensions.

    >>> global_max_pool(jnp.arange(8.0).reshape(2, 2, 2)).tolist()
    [6.0, 7.0]
    """
    return jnp.max(_global(x, dimensions), axis=-2)


def global_average_pool(x: ArrayLike, dimensions: int = 2) -> Array:
    """Return the mean of every channel, ``[..., H, W, C]`` to ``[..., C]`` over ``dimensions`` dimensions.

    >>> global_average_pool(jnp.arange(8.0).reshape(2, 2, 2)).tolist()
    [3.0, 4.0]
    """
    return jnp.mean(_global(x, dimensions), axis=-2)


def max_pool_with_switches(
    x: ArrayLike,
    window: int | Sequence[int],
    *,
    stride: int | Sequence[int] | None = None,
    padding: Padding = 0,
) -> tuple[Array, Array]:
    """Return ``max_pool`` and the switches: where in ``x`` each of its numbers comes from.

    Arguments, shapes and errors are those of `max_pool`. The switch of a number is ``i W + j`` where it is ``x[i, j]``,
    an int32 that counts the places of a channel row by row, the padding left out; of equal numbers it is the first.

    >>> y, switches = max_pool_with_switches(jnp.array([3.0, 1.0, 2.0, 5.0]).reshape(4, 1), (2,))
    >>> y.ravel().tolist(), switches.ravel().tolist()
    ([3.0, 5.0], [0, 3])
    """
    x, frame = _frame(x, window, stride, padding)
    spatial = x.shape[-len(frame.size) - 1 : -1]
    sides = (*((0, 0),) * (x.ndim - len(spatial) - 1), *frame.padding, (0, 0))
    padded = jnp.pad(x, sides, constant_values=_lowest(x))
    places = np.pad(np.arange(np.prod(spatial), dtype=np.int32).reshape(spatial), frame.padding, constant_values=-1)
    places = places.reshape((1,) * (x.ndim - len(spatial) - 1) + (*places.shape, 1))

    def larger(a: tuple[Array, Array], b: tuple[Array, Array]) -> tuple[Array, Array]:
        """Choose number by number; the padding, whose place is -1, gives way even to minus infinity."""
        later = (b[0] > a[0]) | jnp.isnan(b[0]) | (a[1] < 0)
        return jnp.where(later, b[0], a[0]), jnp.where(later, b[1], a[1])

    seen = []
    for tap in product(*map(range, frame.size)):
        past = [u + s * (n - 1) + 1 for u, s, n in zip(tap, frame.stride, frame.output, strict=True)]
        cut = (..., *map(slice, tap, past, frame.stride), slice(None))
        seen.append((padded[cut], jnp.broadcast_to(places[cut], padded[cut].shape)))
    return reduce(larger, seen)


def max_unpool(
    y: ArrayLike, switches: ArrayLike, size: Sequence[int], *, overlap: Literal["last", "sum"] = "last"
) -> Array:
    """Return ``z`` that has every number of ``y`` where its switch says, and 0 elsewhere.

    Args:
        y: ``[..., W2, C]``, ``[..., H2, W2, C]`` or ``[..., D2, H2, W2, C]``, as the size has dimensions.
        switches: of the shape of ``y``, from `max_pool_with_switches`.
        size: the spatial sizes of what was pooled.
        overlap: what happens where windows overlap and share a switch: the ``"last"`` number stays, in the order of
            ``y``, or they ``"sum"`` up, as gradients through `max_pool` do. ``"sum"`` is faster.

    Returns:
        ``z``, ``[..., H, W, C]`` for a size ``(H, W)``.

    Raises:
        ValueError: the shapes do not fit, switches are not integers, or ``overlap`` is another word.

    Source: Zeiler and Fergus, "Visualizing and understanding convolutional networks" (2014).

    >>> y, switches = jnp.array([3.0, 5.0]).reshape(2, 1), jnp.array([0, 3]).reshape(2, 1)
    >>> max_unpool(y, switches, (4,)).ravel().tolist()
    [3.0, 0.0, 0.0, 5.0]
    """
    y, switches = jnp.asarray(y), jnp.asarray(switches)
    rank = len(_sizes(y, tuple(size), "size"))
    if y.shape != switches.shape or not jnp.issubdtype(switches.dtype, jnp.integer):
        raise ValueError(
            f"switches are integers, one for each number of y {y.shape}; came {switches.dtype} {switches.shape}"
        )
    if overlap not in ("last", "sum"):
        raise ValueError(f"overlap is 'last' or 'sum'; came {overlap!r}")
    leading, channels = y.shape[: -rank - 1], y.shape[-1]
    count, batch = int(np.prod(y.shape[-rank - 1 : -1])), int(np.prod(leading))
    values, switches = y.reshape(batch, count, channels), switches.reshape(batch, count, channels)
    target = (np.arange(batch)[:, None, None], switches, np.arange(channels)[None, None])
    shape = (batch, int(np.prod(size)), channels)
    if overlap == "last":
        order = jnp.broadcast_to(np.arange(1, count + 1, dtype=np.int32)[None, :, None], values.shape)
        last = jnp.zeros(shape, order.dtype).at[target].max(order)
        values = jnp.where(last[target] == order, values, 0)
    return jnp.zeros(shape, y.dtype).at[target].add(values).reshape(*leading, *size, channels)


def blind_unpool(y: ArrayLike, window: int | Sequence[int], *, position: int | Sequence[int] = 0) -> Array:
    """Return ``z`` with ``z[.., F i + p, F j + q, c] = y[.., i, j, c]``, and 0 elsewhere: unpooling without switches.

    Every number goes to the same position ``(p, q)`` of its window; `upsample_nearest` puts it at all of them.

    Args:
        y: ``[..., W, C]``, ``[..., H, W, C]`` or ``[..., D, H, W, C]``, as the window has dimensions.
        window: ``F``; windows do not overlap.
        position: one for all dimensions or one for each, from 0 to ``F - 1``.

    Raises:
        ValueError: ranks do not fit, or the position is outside of the window.

    >>> blind_unpool(jnp.array([[3.0], [5.0]]), (2,), position=1).ravel().tolist()
    [0.0, 3.0, 0.0, 5.0]
    """
    y = jnp.asarray(y)
    size = _sizes(y, window, "window")
    position = (position,) * len(size) if isinstance(position, Integral) else tuple(position)
    if len(position) != len(size) or any(not 0 <= p < n for p, n in zip(position, size, strict=True)):
        raise ValueError(f"position needs a number from 0 to size - 1 for each size of {size}; came {position}")
    leading = [(0, 0, 0)] * (y.ndim - len(size) - 1)
    spatial = [(p, n - 1 - p, n - 1) for p, n in zip(position, size, strict=True)]
    return lax.pad(y, np.zeros((), y.dtype), [*leading, *spatial, (0, 0, 0)])


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
    size = _sizes(x, window, "window")
    rank = len(size)
    frame = make_window(x.shape[-rank - 1 : -1], size, size if stride is None else stride, padding, 1)
    for axis, (n, pair) in enumerate(zip(size, frame.padding, strict=True)):
        if max(pair) >= n:
            raise ValueError(
                f"padding {pair} of dimension {SPATIAL[rank][axis]} must be less than the window's {n}, "
                "or a window would see nothing else"
            )
    return x, frame


def _sizes(x: Array, window: int | Sequence[int], name: str) -> tuple[int, ...]:
    """Write a number for every dimension, and refuse what ``x`` has not dimensions enough for."""
    size = (window, window) if isinstance(window, Integral) else tuple(window)
    if len(size) not in SPATIAL or min(size) < 1:
        raise ValueError(f"a {name} has one to three positive sizes; came {window}")
    if x.ndim < len(size) + 1:
        raise ValueError(f"a {name} {size} needs x [..., {', '.join(SPATIAL[len(size)])}, C]; came {x.shape}")
    return size


def _lowest(x: Array) -> float:
    """Return what no number of this type is below."""
    return -np.inf if jnp.issubdtype(x.dtype, jnp.floating) else jnp.iinfo(x.dtype).min


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
