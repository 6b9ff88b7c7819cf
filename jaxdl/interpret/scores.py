"""What attribution explains: one score per example, and sums over many evaluations within a bounded memory."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from jaxdl.arrays import to_floating
from jaxdl.checks import check_positive_integer
from jaxdl.typing import Array, ArrayLike, PyTree

Scores = Callable[[Array], Array]
"""Maps a batch ``[B, ...]`` to one score per example, ``[B]``; or one example ``[...]`` to its score, ``[]``."""

Bounds = tuple[float, float] | None
"""The lowest and the highest value of a pixel; None for no limits."""


def target_score(f: Callable[[Array], Array], target: ArrayLike) -> Scores:
    """Return the function of the score of one class: ``f(x)[:, target]``.

    The target may be traced, so that ``jax.vmap`` explains several classes at once.

    Args:
        f: maps ``[B, ...]`` to scores ``[B, K]``, or one example to ``[K]``.
        target: a class, or one per example, ``[B]``.

    Raises:
        ValueError: when called, the target is outside of the classes, or ``f`` returns no such scores.

    >>> float(target_score(lambda x: jnp.stack([x, 2 * x]), 1)(3.0))
    6.0
    """

    def score(x: Array) -> Array:
        scores = f(x)
        if jnp.ndim(scores) not in (1, 2):
            raise ValueError(f"expected scores [B, K] or [K], got {jnp.shape(scores)}")
        classes, chosen = scores.shape[-1], jnp.asarray(target)
        if not jnp.issubdtype(chosen.dtype, jnp.integer) or chosen.shape not in ((), scores.shape[:-1]):
            raise ValueError(f"expected an integer target, or one per example, got {chosen.dtype} of {chosen.shape}")
        if not isinstance(target, Tracer) and np.any((np.asarray(target) < 0) | (np.asarray(target) >= classes)):
            raise ValueError(f"expected a target in 0 .. {classes - 1}, got {target}")
        return jnp.take_along_axis(scores, jnp.broadcast_to(chosen, scores.shape[:-1])[..., None], axis=-1)[..., 0]

    return score


def check_scores(f: Scores, x: ArrayLike) -> tuple[Scores, Array, Callable[[PyTree], PyTree]]:
    """Check that ``f(x)`` is one score per example, and bring a single example into the form of a batch.

    Returns:
        ``f`` and ``x`` with the dimension of examples, and a function that removes it from arrays if ``x`` had none.

    Raises:
        TypeError: ``x`` has no floating dtype.
        ValueError: ``f`` returns something else than one score per example.
    """
    x = jnp.asarray(x)
    if not jnp.issubdtype(x.dtype, jnp.floating):
        raise TypeError(f"expected x of a floating dtype, got {x.dtype}; convert it, or explain an embedding of it")
    scores = jax.eval_shape(f, x)
    if not isinstance(scores, jax.ShapeDtypeStruct) or scores.shape not in ((), x.shape[:1]):
        shape = jax.tree.map(jnp.shape, scores)
        raise ValueError(
            f"expected f(x) to be one score per example, of shape {x.shape[:1]}, got {shape}; "
            "choose a class with interpret.target_score(f, target)"
        )
    if not jnp.issubdtype(scores.dtype, jnp.floating):
        raise ValueError(f"expected f(x) of a floating dtype, got {scores.dtype}")
    if scores.shape:
        return f, x, lambda tree: tree
    return lambda x: f(x[0])[None], x[None], lambda tree: jax.tree.map(lambda leaf: leaf[0], tree)


def check_images(x: ArrayLike, bounds: Bounds) -> Array:
    """Convert examples ``[B, ...]`` to floating-point numbers; a traced array is not compared with the bounds.

    Raises:
        ValueError: the bounds are not increasing, or a value lies outside of them.
    """
    x = to_floating(x)
    if bounds is None:
        return x
    low, high = bounds
    if not low < high:
        raise ValueError(f"expected bounds (low, high) with low < high, got {bounds}")
    if isinstance(x, Tracer):
        return x
    values = np.asarray(x)
    if not np.all((values >= low) & (values <= high)):
        raise ValueError(
            f"expected x within {bounds}, got values from {values.min():g} to {values.max():g}; scale x or give the "
            "range of the pixels as bounds=(low, high)"
        )
    return x


def fill_baseline(baseline: ArrayLike | None, x: Array) -> Array:
    """Broadcast a baseline, zeros for None, to the shape of ``x``.

    Raises:
        ValueError: it does not broadcast.
    """
    baseline = jnp.asarray(0 if baseline is None else baseline, x.dtype)
    shape = (1,) * (x.ndim - baseline.ndim) + baseline.shape
    if len(shape) > x.ndim or any(size not in (1, full) for size, full in zip(shape, x.shape, strict=True)):
        raise ValueError(f"expected a baseline that broadcasts to x of shape {x.shape}, got {baseline.shape}")
    return jnp.broadcast_to(baseline.reshape(shape), x.shape)


def map_chunks(function: Callable[[PyTree], PyTree], items: PyTree, chunk_size: int) -> PyTree:
    """Apply a function to items ``[N, ...]``, vectorized over ``chunk_size`` at a time; return ``[N, ...]``."""
    check_positive_integer("chunk_size", chunk_size)
    chunks, count, _ = _split(items, chunk_size)
    _, results = jax.lax.scan(lambda _, chunk: (None, jax.vmap(function)(chunk)), None, chunks)
    return jax.tree.map(lambda leaf: jnp.concatenate(leaf)[:count], results)


def sum_chunks(function: Callable[[PyTree], Array], items: PyTree, chunk_size: int) -> Array:
    """Sum the arrays that a function maps items ``[N, ...]`` to, vectorized over ``chunk_size`` at a time."""
    check_positive_integer("chunk_size", chunk_size)
    chunks, _, valid = _split(items, chunk_size)

    def add(total: Array, chunk: tuple[PyTree, Array]) -> tuple[Array, None]:
        items, valid = chunk
        terms = jax.vmap(function)(items)
        used = valid.reshape(-1, *(1,) * (terms.ndim - 1))
        return total + jnp.sum(jnp.where(used, terms, 0), axis=0), None

    term = jax.eval_shape(function, jax.tree.map(lambda leaf: leaf[0, 0], chunks))
    return jax.lax.scan(add, jnp.zeros(term.shape, term.dtype), (chunks, valid))[0]


def _split(items: PyTree, chunk_size: int) -> tuple[PyTree, int, Array]:
    """Split items ``[N, ...]`` into equal chunks ``[M, size, ...]``; the last item fills the last chunk."""
    count = len(jax.tree.leaves(items)[0])
    number = -(-count // chunk_size)
    size = -(-count // number)
    places = np.arange(number * size).reshape(number, size)
    chunks = jax.tree.map(lambda leaf: jnp.asarray(leaf)[np.minimum(places, count - 1)], items)
    return chunks, count, jnp.asarray(places < count)


def spatial_sizes(
    name: str, value: int | Sequence[int], x: Array, rest: Sequence[int] | None = None
) -> tuple[int, ...]:
    """Return one size per dimension of an example, of given ones for its positions, the dimensions before channels.

    Args:
        name: of the argument, for errors.
        value: one size for all positions, or one per dimension, with or without channels.
        x: ``[B, ...]``.
        rest: the sizes where none is given, by default the shape of an example.

    Raises:
        ValueError: there are not as many sizes as dimensions, or one is no positive integer.
    """
    shape = x.shape[1:]
    spatial = shape if len(shape) < 2 else shape[:-1]
    sizes: Any = (value,) * len(spatial) if isinstance(value, int | np.integer) else tuple(value)
    if len(sizes) not in (len(spatial), len(shape)):
        raise ValueError(f"expected {name} with {len(spatial)} sizes, one per dimension of {spatial}, got {value}")
    for size in sizes:
        check_positive_integer(name, size)
    return tuple(int(size) for size in sizes) + tuple(shape if rest is None else rest)[len(sizes) :]
