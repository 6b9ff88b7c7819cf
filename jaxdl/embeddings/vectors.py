"""One-hot vectors, tables of word vectors, and the similarity of vectors."""

import jax
import jax.numpy as jnp

from jaxdl.arrays import square_root, to_floating, widen_floating
from jaxdl.checks import check_indices
from jaxdl.typing import Array, ArrayLike


def one_hot(tokens: ArrayLike, size: int) -> Array:
    """Encode token ids as one-hot vectors, ``[..., V]``.

    Any two words have the distance ``sqrt(2)`` and the cosine similarity 0, whatever their meaning. The vector of a
    traced token outside of ``0 .. V - 1`` is nan.

    Raises:
        ValueError: a token is known to be outside of ``0 .. V - 1``.

    >>> one_hot(jnp.array([1, 0]), 3).tolist()
    [[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]]
    """
    tokens = jnp.asarray(tokens)
    check_indices("tokens", tokens, size)
    return jnp.where(((tokens >= 0) & (tokens < size))[..., None], jax.nn.one_hot(tokens, size), jnp.nan)


def lookup(table: ArrayLike, tokens: ArrayLike) -> Array:
    """Look up rows of a table of word vectors: ``one_hot(tokens, V) @ table`` without the multiplication.

    Args:
        table: ``[V, D]``.
        tokens: token ids ``0 .. V - 1``, ``[...]``; other integers give nan where they are traced.

    Returns:
        ``[..., D]``.

    Raises:
        ValueError: a token is known to be outside of ``0 .. V - 1``.

    >>> lookup(jnp.array([[1.0, 2.0], [3.0, 4.0]]), jnp.array([1, 1, 0])).tolist()
    [[3.0, 4.0], [3.0, 4.0], [1.0, 2.0]]
    """
    table, tokens = to_floating(table), jnp.asarray(tokens)
    check_indices("tokens", tokens, len(table))
    return table.at[tokens].get(mode="fill", fill_value=jnp.nan, wrap_negative_indices=False)


def cosine_similarity(a: ArrayLike, b: ArrayLike) -> Array:
    """Compute ``a . b / (|a| |b|)`` over the last dimension; 0, as its gradient, if one of them is the zero vector.

    >>> round(float(cosine_similarity(jnp.array([1.0, 1.0]), jnp.array([2.0, 0.0]))), 4)
    0.7071
    """
    a, b = widen_floating(a), widen_floating(b)
    norms = _norm(a) * _norm(b)
    return jnp.where(norms == 0, 0, jnp.sum(a * b, axis=-1) / jnp.where(norms == 0, 1, norms))


def euclidean_distance(a: ArrayLike, b: ArrayLike) -> Array:
    """Compute ``|a - b|`` over the last dimension; the gradient of equal vectors is 0.

    >>> float(euclidean_distance(jnp.array([3.0, 0.0]), jnp.array([0.0, 4.0])))
    5.0
    """
    return _norm(widen_floating(a) - widen_floating(b))


def _norm(x: Array) -> Array:
    return square_root(jnp.sum(jnp.square(x), axis=-1))
