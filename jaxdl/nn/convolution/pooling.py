"""Pooling, channels last: the maximum, minimum or mean of every window, and unpooling.

A window has one number per spatial dimension, one to three; a single number stands for two.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial, reduce
from itertools import product
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxdl.arrays import expand_leading, to_floating, widen
from jaxdl.checks import check_one_of
from jaxdl.nn.convolution._sizes import SPATIAL, Padding, spatial_tuple, to_tuple
from jaxdl.nn.convolution.geometry import Window, make_window
from jaxdl.typing import Array, ArrayLike


def max_pool(
    x: ArrayLike,
    window: int | Sequence[int],
    *,
    stride: int | Sequence[int] | None = None,
    padding: Padding = 0,
) -> Array:
    """Compute ``y[.., i, j, c] = max_(u, v) x[.., S i + u, S j + v, c]``, without the padding.

    The gradient of equal maxima goes to the first.

    Args:
        x: ``[..., W, C]``, ``[..., H, W, C]`` or ``[..., D, H, W, C]``, by the length of ``window``.
        window: ranges of ``u`` and ``v``.
        stride: ``S``; None for the window's size, so that windows tile the input.
        padding: ``"valid"``, ``"same"``, a number for all sides, or a number or a pair per dimension.

    Returns:
        ``[..., H2, W2, C]``; a remainder that fills no window is dropped.

    Raises:
        ValueError: ranks do not match, the window is larger than the input, or a window could consist of padding alone.

    >>> max_pool(jnp.arange(16.0).reshape(4, 4, 1), 2)[..., 0].tolist()
    [[5.0, 7.0], [13.0, 15.0]]
    """
    x, frame = _frame(x, window, stride, padding)
    if _tiles(frame):
        return _select(x, frame, jnp.greater)
    return _reduce_window(x, frame, lax.max, _lowest(x))


def min_pool(
    x: ArrayLike,
    window: int | Sequence[int],
    *,
    stride: int | Sequence[int] | None = None,
    padding: Padding = 0,
) -> Array:
    """Compute ``y[.., i, j, c] = min_(u, v) x[.., S i + u, S j + v, c]``; see `max_pool`.

    >>> min_pool(jnp.arange(16.0).reshape(4, 4, 1), 2)[..., 0].tolist()
    [[0.0, 2.0], [8.0, 10.0]]
    """
    x, frame = _frame(x, window, stride, padding)
    if _tiles(frame):
        return _select(x, frame, jnp.less)
    highest = np.inf if jnp.issubdtype(x.dtype, jnp.floating) else x.dtype == bool or jnp.iinfo(x.dtype).max
    return _reduce_window(x, frame, lax.min, highest)


def average_pool(
    x: ArrayLike,
    window: int | Sequence[int],
    *,
    stride: int | Sequence[int] | None = None,
    padding: Padding = 0,
    count_include_pad: bool = True,
) -> Array:
    """Compute ``y[.., i, j, c] = sum_(u, v) x[.., S i + u, S j + v, c] / n``; see `max_pool` for the arguments.

    ``n`` is the size of the window, or, without ``count_include_pad``, the number of its elements that are not padding.

    >>> average_pool(jnp.arange(16.0).reshape(4, 4, 1), 2)[..., 0].tolist()
    [[2.5, 4.5], [10.5, 12.5]]
    """
    x, frame = _frame(x, window, stride, padding)
    x = to_floating(x)
    wide = widen(x)
    total = _sum_windows(wide, frame)
    if count_include_pad or not any(map(sum, frame.padding)):
        return (total / np.prod(frame.size)).astype(x.dtype)
    spatial = x.shape[-len(frame.size) - 1 : -1]
    count = _reduce_window(jnp.ones((*spatial, 1), wide.dtype), frame, lax.add, 0.0)
    return (total / jnp.broadcast_to(count, total.shape)).astype(x.dtype)


def global_max_pool(x: ArrayLike, dimensions: int = 2) -> Array:
    """Compute the maximum of every channel, ``[..., H, W, C]`` to ``[..., C]`` over ``dimensions`` dimensions.

    >>> global_max_pool(jnp.arange(8.0).reshape(2, 2, 2)).tolist()
    [6.0, 7.0]
    """
    return jnp.max(_global(x, dimensions), axis=-2)


def global_average_pool(x: ArrayLike, dimensions: int = 2) -> Array:
    """Compute the mean of every channel, ``[..., H, W, C]`` to ``[..., C]`` over ``dimensions`` dimensions.

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
    """Compute ``max_pool`` and the switches, the positions of the maxima in ``x``.

    Arguments, shapes and errors are those of `max_pool`. The switch of the maximum ``x[i, j]`` is ``i W + j``,
    an int32, the row-major index in a channel without padding; of equal maxima it is the first.

    >>> y, switches = max_pool_with_switches(jnp.array([3.0, 1.0, 2.0, 5.0]).reshape(4, 1), (2,))
    >>> y.ravel().tolist(), switches.ravel().tolist()
    ([3.0, 5.0], [0, 3])
    """
    x, frame = _frame(x, window, stride, padding)
    spatial = x.shape[-len(frame.size) - 1 : -1]
    sides = (*((0, 0),) * (x.ndim - len(spatial) - 1), *frame.padding, (0, 0))
    padded = jnp.pad(x, sides, constant_values=_lowest(x))
    positions = np.pad(np.arange(np.prod(spatial), dtype=np.int32).reshape(spatial), frame.padding, constant_values=-1)
    positions = expand_leading(positions[..., None], x.ndim)

    def larger(a: tuple[Array, Array], b: tuple[Array, Array]) -> tuple[Array, Array]:
        """Select elementwise; padding, of position -1, is less than minus infinity."""
        later = (b[0] > a[0]) | jnp.isnan(b[0]) | (a[1] < 0)
        return jnp.where(later, b[0], a[0]), jnp.where(later, b[1], a[1])

    candidates = []
    for tap in product(*map(range, frame.size)):
        past = [u + s * (n - 1) + 1 for u, s, n in zip(tap, frame.stride, frame.output, strict=True)]
        cut = (..., *map(slice, tap, past, frame.stride), slice(None))
        candidates.append((padded[cut], jnp.broadcast_to(positions[cut], padded[cut].shape)))
    return reduce(larger, candidates)


def max_unpool(
    y: ArrayLike, switches: ArrayLike, size: Sequence[int], *, overlap: Literal["last", "sum"] = "last"
) -> Array:
    """Return ``z`` with the elements of ``y`` at their switches, and 0 elsewhere.

    Args:
        y: ``[..., W2, C]``, ``[..., H2, W2, C]`` or ``[..., D2, H2, W2, C]``, by the length of ``size``.
        switches: of the shape of ``y``, from `max_pool_with_switches`.
        size: the spatial sizes of the input of the pooling.
        overlap: for overlapping windows with equal switches, the ``"last"`` element in the order of ``y``, or the
            ``"sum"``, as for gradients through `max_pool`. ``"sum"`` is faster.

    Returns:
        ``z``, ``[..., H, W, C]`` for a size ``(H, W)``.

    Raises:
        ValueError: shapes do not match, switches are not integers, or ``overlap`` is unknown.

    Source: Zeiler and Fergus, "Visualizing and understanding convolutional networks" (2014).

    >>> y, switches = jnp.array([3.0, 5.0]).reshape(2, 1), jnp.array([0, 3]).reshape(2, 1)
    >>> max_unpool(y, switches, (4,)).ravel().tolist()
    [3.0, 0.0, 0.0, 5.0]
    """
    y, switches = jnp.asarray(y), jnp.asarray(switches)
    rank = len(spatial_tuple(y, tuple(size), "size"))
    if y.shape != switches.shape or not jnp.issubdtype(switches.dtype, jnp.integer):
        raise ValueError(
            f"expected integer switches of the shape of y {y.shape}, got {switches.dtype} {switches.shape}"
        )
    check_one_of("overlap", overlap, ("last", "sum"))
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

    Every element goes to the same position ``(p, q)`` of its window; `upsample_nearest` repeats it at all of them.

    Args:
        y: ``[..., W, C]``, ``[..., H, W, C]`` or ``[..., D, H, W, C]``, by the length of ``window``.
        window: ``F``; windows do not overlap.
        position: one for all dimensions or one per dimension, from 0 to ``F - 1``.

    Raises:
        ValueError: ranks do not match, or the position is outside of the window.

    >>> blind_unpool(jnp.array([[3.0], [5.0]]), (2,), position=1).ravel().tolist()
    [0.0, 3.0, 0.0, 5.0]
    """
    y = jnp.asarray(y)
    size = spatial_tuple(y, window, "window")
    positions = to_tuple(position, len(size))
    if len(positions) != len(size) or any(not 0 <= p < n for p, n in zip(positions, size, strict=True)):
        raise ValueError(f"expected position in [0, size) for each size of {size}, got {position}")
    leading = [(0, 0, 0)] * (y.ndim - len(size) - 1)
    spatial = [(p, n - 1 - p, n - 1) for p, n in zip(positions, size, strict=True)]
    return lax.pad(y, np.zeros((), y.dtype), [*leading, *spatial, (0, 0, 0)])


def _global(x: ArrayLike, dimensions: int) -> Array:
    """Merge the spatial dimensions."""
    x = jnp.asarray(x)
    if dimensions < 1 or x.ndim < dimensions + 1:
        raise ValueError(f"expected x with {dimensions} dimensions before the channels, got {x.shape}")
    size = math.prod(x.shape[-dimensions - 1 : -1])  # -1 is no size where another is 0
    return x.reshape(*x.shape[: -dimensions - 1], size, x.shape[-1])


def _frame(
    x: ArrayLike, window: int | Sequence[int], stride: int | Sequence[int] | None, padding: Padding
) -> tuple[Array, Window]:
    """Return the input as an array, and the window of every dimension."""
    x = jnp.asarray(x)
    if jnp.issubdtype(x.dtype, jnp.complexfloating):
        raise TypeError(f"expected real numbers, got {x.dtype}; pool their real and imaginary parts, or their moduli")
    size = spatial_tuple(x, window, "window")
    rank = len(size)
    frame = make_window(x.shape[-rank - 1 : -1], size, size if stride is None else stride, padding, 1)
    for axis, (n, pair) in enumerate(zip(size, frame.padding, strict=True)):
        if max(pair) >= n:
            raise ValueError(
                f"expected padding less than the window's {n} in dimension {SPATIAL[rank][axis]}, got {pair}; "
                "a window would consist of padding alone"
            )
    return x, frame


def _lowest(x: Array) -> float:
    """Return the smallest value of the dtype."""
    if x.dtype == bool:
        return False
    return -np.inf if jnp.issubdtype(x.dtype, jnp.floating) else jnp.iinfo(x.dtype).min


def _tiles(frame: Window) -> bool:
    """Return whether the windows do not overlap, so that tiles of x can be reduced.

    Their gradient needs no scatter, which is slow on a CPU; on a TPU both read and write the same bytes to a twentieth.
    """
    return frame.size == frame.stride and not any(map(sum, frame.padding))


def _sum_windows(x: Array, frame: Window) -> Array:
    """Sum every window; by tiles where the program is lowered for a CPU, elsewhere XLA's own sum is faster."""

    def scattered(x: Array) -> Array:
        return _reduce_window(x, frame, lax.add, 0.0)

    if not _tiles(frame):
        return scattered(x)
    return lax.platform_dependent(x, cpu=lambda x: reduce(jnp.add, _parts(x, frame)), default=scattered)


def _parts(x: Array, frame: Window) -> list[Array]:
    """Return the elements at every position of the window, each ``[..., H2, W2, C]``."""
    tiles = _split(x, frame)
    taps = product(*map(range, frame.size))
    return [tiles[(..., *(i for place in tap for i in (slice(None), place)), slice(None))] for tap in taps]


def _split(x: Array, frame: Window) -> Array:
    """Split ``x`` into tiles, ``[..., H2, F, W2, F, C]``."""
    whole = [slice(n * size) for n, size in zip(frame.output, frame.size, strict=True)]
    sides = [side for pair in zip(frame.output, frame.size, strict=True) for side in pair]
    return x[(..., *whole, slice(None))].reshape(*x.shape[: -len(whole) - 1], *sides, x.shape[-1])


@partial(jax.custom_jvp, nondiff_argnums=(1, 2))
def _select(x: Array, frame: Window, better: Callable[[Array, Array], Array]) -> Array:
    """Select the best element of every tile, a NaN if there is one, and of equal ones the first."""
    return _select_with_place(x, frame, better)[0]


@_select.defjvp
def _select_derivative(
    frame: Window, better: Callable[[Array, Array], Array], primals: tuple[Array], tangents: tuple[Array]
) -> tuple[Array, Array]:
    """Select the tangent at the place of the best: the transpose is one pass over the tiles, without a scatter."""
    y, place = _select_with_place(*primals, frame, better)
    axes = tuple(range(-2 * len(frame.size), -1, 2))
    places = np.arange(math.prod(frame.size), dtype=place.dtype).reshape([n for size in frame.size for n in (1, size)])
    chosen = jnp.expand_dims(place, axes) == expand_leading(places[..., None], place.ndim + len(axes))
    return y, jnp.sum(jnp.where(chosen, _split(*tangents, frame), 0), axes)


def _select_with_place(x: Array, frame: Window, better: Callable[[Array, Array], Array]) -> tuple[Array, Array]:
    best, *others = _parts(x, frame)
    place = jnp.zeros(best.shape, jnp.int8 if len(others) < 128 else jnp.int32)
    for number, other in enumerate(others, 1):
        later = better(other, best) | jnp.isnan(other)
        best, place = jnp.where(later, other, best), jnp.where(later, place.dtype.type(number), place)
    return best, place


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
