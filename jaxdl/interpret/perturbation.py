"""Attribution by perturbation: occlusion, RISE, and curves of deletion and insertion.

Each evaluates the function on many changed copies of the input, vectorized over ``chunk_size`` copies at a time, which
bounds the memory. The function needs no gradient.
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxdl.arrays import flatten_examples, to_floating
from jaxdl.checks import check_in_range, check_positive_integer
from jaxdl.interpret.scores import Scores, check_scores, fill_baseline, map_chunks, spatial_sizes, sum_chunks
from jaxdl.typing import Array, ArrayLike, Key


def occlusion(
    f: Scores,
    x: ArrayLike,
    window: int | Sequence[int],
    stride: int | Sequence[int],
    baseline: ArrayLike = 0.0,
    *,
    chunk_size: int = 16,
) -> Array:
    """Compute by how much the score falls where a window hides the input (Zeiler and Fergus, 2014).

    The attribution of an element is the mean of ``f(x) - f(x with window w hidden)`` over the windows ``w`` that cover
    it. Windows start at multiples of the stride; the last of a row may reach over the edge, so that all is covered.

    Args:
        f: maps ``[B, ...]`` to scores ``[B]``.
        x: ``[B, ...]``; for images ``[B, H, W, C]``, for vectors ``[B, T, D]`` or ``[B, D]``.
        window: height and width, or one number for both; a window hides all channels. With one more size it hides as
            many channels.
        stride: between windows, like ``window`` and at most as large; between channels it is the window's by default.
        baseline: what a window shows; broadcasts to ``x``.
        chunk_size: number of windows that are evaluated at a time.

    Returns:
        The shape of ``x``.

    Raises:
        TypeError: ``x`` has no floating dtype.
        ValueError: ``f`` does not return one score per example, a window is larger than the input, a stride larger than
            its window, or the baseline does not broadcast to ``x``.

    >>> occlusion(lambda x: jnp.sum(x, axis=1), jnp.array([[1.0, 2.0, 3.0]]), window=1, stride=1).tolist()
    [[1.0, 2.0, 3.0]]
    """
    check_positive_integer("chunk_size", chunk_size)
    f, x, restore = check_scores(f, x)
    hidden, shape = fill_baseline(baseline, x), x.shape[1:]
    sizes = spatial_sizes("window", window, x)
    steps = spatial_sizes("stride", stride, x, sizes)
    if any(size > full for size, full in zip(sizes, shape, strict=True)):
        raise ValueError(f"expected windows of at most {shape}, got {sizes}")
    if any(step > size < full for step, size, full in zip(steps, sizes, shape, strict=True)):
        raise ValueError(f"expected strides of at most the window {sizes}, got {steps}; else elements are left out")
    counts = [-(-(full - size) // step) + 1 for full, size, step in zip(shape, sizes, steps, strict=True)]
    starts = np.stack(np.unravel_index(np.arange(np.prod(counts)), counts), axis=-1) * np.array(steps)
    score = f(x)

    def fall(start: Array) -> Array:
        mask = _window(start, sizes, shape)[None]
        difference = score - f(jnp.where(mask, hidden, x))
        return _align(difference, x) * mask

    covered = sum_chunks(lambda start: _window(start, sizes, shape).astype(x.dtype), starts, chunk_size)
    return restore(sum_chunks(fall, starts, chunk_size) / covered[None])


def rise(
    f: Scores,
    x: ArrayLike,
    key: Key,
    *,
    samples: int = 1000,
    grid: int | Sequence[int] = 7,
    rate: float = 0.5,
    baseline: ArrayLike = 0.0,
    chunk_size: int = 16,
) -> Array:
    """Compute the mean score where an element is visible through random masks, RISE (Petsiuk et al., 2018).

        1 / (S (1 - rate)) sum_s f(m_s x + (1 - m_s) x') m_s

    A mask is a coarse grid of Bernoulli numbers, shifted at random by up to a cell and interpolated bilinearly.

    Args:
        f: maps ``[B, ...]`` to scores ``[B]``, such as probabilities.
        x: ``[B, H, W, C]``, or with any number of dimensions before the channels.
        key: a random key; mask ``s`` uses ``jax.random.split(key, samples)[s]``.
        samples: number of masks, which all examples share.
        grid: cells of a mask in each dimension.
        rate: share of the cells that are hidden.
        baseline: ``x'``, what is seen where the mask is 0; broadcasts to ``x``.
        chunk_size: number of masks that are evaluated at a time.

    Returns:
        The shape of ``x``, equal in all channels.

    Raises:
        TypeError: ``x`` has no floating dtype.
        ValueError: ``f`` does not return one score per example, or a number is out of range.
    """
    check_positive_integer("samples", samples)
    check_in_range("rate", rate, 0, 1, includes_high=False)
    f, x, restore = check_scores(f, x)
    hidden, cells = fill_baseline(baseline, x), spatial_sizes("grid", grid, x)

    def visible(key: Key) -> Array:
        mask = _random_mask(key, cells, x.shape[1:], rate, x.dtype)[None]
        return _align(f(mask * x + (1 - mask) * hidden), x) * mask

    total = sum_chunks(visible, jax.random.split(key, samples), chunk_size)
    return restore(jnp.broadcast_to(total / (samples * (1 - rate)), x.shape))


def deletion_curve(
    f: Scores, x: ArrayLike, attributions: ArrayLike, *, steps: int = 20, baseline: ArrayLike = 0.0, chunk_size: int = 8
) -> Array:
    """Compute the scores while the most important positions are replaced by the baseline (Petsiuk et al., 2018).

    Args:
        f: maps ``[B, ...]`` to scores ``[B]``.
        x: ``[B, ...]``; the channels of a position, its last dimension of several, are replaced together.
        attributions: importance, of the shape of ``x``; that of a position is the sum over its channels.
        steps: number of equal shares in which all positions are replaced.
        baseline: broadcasts to ``x``; zeros, the mean, or a blurred image.
        chunk_size: number of points of the curve that are evaluated at a time.

    Returns:
        ``[steps + 1, B]``, from the input to the baseline. Good attributions make the curve fall early.

    Raises:
        TypeError: ``x`` has no floating dtype.
        ValueError: ``f`` does not return one score per example, or the attributions have another shape than ``x``.

    >>> x = jnp.array([[1.0, 4.0, 2.0]])
    >>> deletion_curve(lambda x: jnp.sum(x, axis=1), x, x, steps=3)[:, 0].tolist()
    [7.0, 3.0, 1.0, 0.0]
    """
    return _curve(f, x, attributions, steps, baseline, chunk_size, deletes=True)


def insertion_curve(
    f: Scores, x: ArrayLike, attributions: ArrayLike, *, steps: int = 20, baseline: ArrayLike = 0.0, chunk_size: int = 8
) -> Array:
    """Compute the scores while the most important positions are put into the baseline (Petsiuk et al., 2018).

    Args:
        f: as in `deletion_curve`.
        x: as in `deletion_curve`.
        attributions: as in `deletion_curve`.
        steps: as in `deletion_curve`.
        baseline: as in `deletion_curve`.
        chunk_size: as in `deletion_curve`.

    Returns:
        ``[steps + 1, B]``, from the baseline to the input. Good attributions make the curve rise early.

    Raises:
        TypeError: ``x`` has no floating dtype.
        ValueError: ``f`` does not return one score per example, or the attributions have another shape than ``x``.

    >>> x = jnp.array([[1.0, 4.0, 2.0]])
    >>> insertion_curve(lambda x: jnp.sum(x, axis=1), x, x, steps=3)[:, 0].tolist()
    [0.0, 4.0, 6.0, 7.0]
    """
    return _curve(f, x, attributions, steps, baseline, chunk_size, deletes=False)


def _curve(
    f: Scores, x: ArrayLike, attributions: ArrayLike, steps: int, baseline: ArrayLike, chunk_size: int, deletes: bool
) -> Array:
    check_positive_integer("steps", steps)
    if jnp.shape(attributions) != jnp.shape(x):
        raise ValueError(f"expected attributions of the shape of x, {jnp.shape(x)}, got {jnp.shape(attributions)}")
    single = jnp.asarray(x)
    f, x, _ = check_scores(f, x)
    importance = to_floating(attributions).reshape(x.shape)
    importance = jnp.sum(importance, axis=-1, keepdims=True) if x.ndim > 2 else importance
    flat = flatten_examples(importance)
    ranks = jnp.argsort(jnp.argsort(-flat, axis=1), axis=1).reshape(importance.shape)
    before, after = (x, fill_baseline(baseline, x)) if deletes else (fill_baseline(baseline, x), x)
    counts = np.rint(np.linspace(0, flat.shape[1], steps + 1)).astype(np.int32)
    scores = map_chunks(lambda count: f(jnp.where(ranks < count, after, before)), counts, chunk_size)
    return scores if single.shape == x.shape else scores[:, 0]


def _align(scores: Array, x: Array) -> Array:
    """Add dimensions of 1 to scores ``[B]``, as many as an example has."""
    return scores.reshape(-1, *(1,) * (x.ndim - 1))


def _window(start: Array, sizes: Sequence[int], shape: Sequence[int]) -> Array:
    """Make the mask of a window that starts at a place: Booleans of a shape."""
    mask = jnp.ones(shape, bool)
    for axis, size in enumerate(sizes):
        place = jax.lax.broadcasted_iota(jnp.int32, shape, axis)
        mask &= (place >= start[axis]) & (place < start[axis] + size)
    return mask


def _random_mask(key: Key, cells: Sequence[int], shape: Sequence[int], rate: float, dtype: Any) -> Array:
    """Draw a mask of RISE: ``shape`` with 1 in place of the channels."""
    spatial = len(shape) if len(shape) == 1 else len(shape) - 1
    keys = jax.random.split(key)
    corners = tuple(count + 2 for count in cells[:spatial])
    mask = jax.random.bernoulli(keys[0], 1 - rate, corners).astype(dtype)
    shifts = jax.random.uniform(keys[1], (spatial,), dtype)
    for axis in range(spatial):
        place = jnp.arange(shape[axis], dtype=dtype) * (cells[axis] / shape[axis]) + shifts[axis]
        weights = jnp.maximum(0, 1 - jnp.abs(place[:, None] - jnp.arange(corners[axis], dtype=dtype)[None]))
        mask = jnp.moveaxis(jnp.tensordot(weights, mask, axes=(1, axis)), 0, axis)
    return mask if spatial == len(shape) else mask[..., None]
