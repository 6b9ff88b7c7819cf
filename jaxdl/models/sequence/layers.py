"""Layers that networks over sequences share: the embedding of an input, and pooling over time."""

from typing import Any

import chex
import jax.numpy as jnp

from jaxdl.arrays import widen
from jaxdl.checks import former_dropout
from jaxdl.models.layers import Embed, clear_padding
from jaxdl.nn.recurrent.inputs import valid_steps
from jaxdl.typing import Array, ArrayLike

RENAMED_FIELDS = {"embedding": "embedding_dim", **former_dropout("dropout_rate")}
"""The old names of the fields that networks over sequences share, with the new ones."""


def embed(
    x: ArrayLike, lengths: ArrayLike | None, vocab_size: int | None, embedding_dim: int, dtype: Any = None
) -> tuple[Array, Array]:
    """Embed a sequence: return the vectors ``[..., T, D]``, 0 in the padding, and the mask of valid steps ``[..., T]``.

    Call it within a compact method; the module then has a layer ``embedding``.

    Raises:
        ValueError: x is of the wrong kind, or the lengths do not fit it.
    """
    x = jnp.asarray(x)
    kind, rank = (jnp.floating, 2) if vocab_size is None else (jnp.integer, 1)
    if x.ndim < rank or not jnp.issubdtype(x.dtype, kind):
        expected = "vectors [..., T, D]" if vocab_size is None else "integer tokens [..., T]"
        raise ValueError(
            f"expected {expected} with vocab_size={vocab_size}, got {x.shape} of {x.dtype}; "
            "set vocab_size to the number of tokens, or to None for vectors"
        )
    shape = x.shape[: x.ndim - rank + 1]
    if lengths is not None and jnp.shape(lengths) != shape[:-1]:
        raise ValueError(f"expected lengths {shape[:-1]}, one for each sequence, got {jnp.shape(lengths)}")
    mask = jnp.ones(shape, bool) if lengths is None else valid_steps(lengths, shape[-1])
    if vocab_size is None:
        vectors = x if dtype is None else x.astype(dtype)
    else:
        x = x if lengths is None else clear_padding(x, mask, vocab_size)
        vectors = Embed(vocab_size, embedding_dim, dtype, name="embedding")(x)
    return jnp.where(mask[..., None], vectors, jnp.zeros((), vectors.dtype)), mask


def pool(x: Array, mask: Array, pooling: str) -> Array:
    """Compute the "mean" or the "max" over the valid steps, ``[..., T, D]`` to ``[..., D]``; 0 where there are none.

    >>> pool(jnp.array([[1.0], [4.0], [9.0]]), jnp.array([True, True, False]), "mean").tolist()
    [2.5]
    """
    chex.assert_equal_shape([x[..., 0], mask])
    mask = mask[..., None]
    if pooling == "mean":
        count = jnp.maximum(jnp.sum(mask, axis=-2), 1)
        total = jnp.sum(jnp.where(mask, widen(x), 0), axis=-2)
        return (total / count.astype(total.dtype)).astype(x.dtype)
    largest = jnp.max(jnp.where(mask, x, -jnp.inf), axis=-2)
    return jnp.where(jnp.any(mask, axis=-2), largest, 0)


def last(y: Array, mask: Array, *, both_ends: bool = False) -> Array:
    """Take the output at the last valid step, ``[..., T, H]`` to ``[..., H]``; without any, at the last step.

    With ``both_ends`` the second half of ``H`` is that of a backward run, whose last output is at the first valid step.

    >>> last(jnp.array([[1.0], [4.0], [9.0]]), jnp.array([True, True, False])).tolist()
    [4.0]
    """

    def at(y: Array, step: Array) -> Array:
        return jnp.take_along_axis(y, step[..., None, None], axis=-2)[..., 0, :]

    end = mask.shape[-1] - 1 - jnp.argmax(mask[..., ::-1], axis=-1)
    if not both_ends:
        return at(y, end)
    half = y.shape[-1] // 2
    return jnp.concatenate([at(y[..., :half], end), at(y[..., half:], jnp.argmax(mask, axis=-1))], axis=-1)
