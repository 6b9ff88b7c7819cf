"""Scaled dot-product attention, and masks.

Glossary of the dimensions:

    ...  leading dimensions, for example batch and heads
    T    queries
    S    keys and values
    D    width of queries and keys
    E    width of values

`attend` computes the weighted means of values from scores of any kind. A mask is Boolean, True where a query may attend
to a key; the softmax gives all other keys the weight 0.
"""

from functools import reduce
from typing import Literal, overload

import chex
import jax
import jax.numpy as jnp

from jaxdl.arrays import check_boolean, check_weights, expand_leading, widen
from jaxdl.nn.activations import softmax
from jaxdl.nn.noise import dropout
from jaxdl.typing import Array, ArrayLike, Key


@overload
def dot_product_attention(
    q: ArrayLike,
    k: ArrayLike,
    v: ArrayLike,
    mask: ArrayLike | None = ...,
    *,
    causal: bool = ...,
    scale: float | None = ...,
    key: Key | None = ...,
    dropout_rate: float = ...,
    return_weights: Literal[False] = ...,
) -> Array: ...


@overload
def dot_product_attention(
    q: ArrayLike,
    k: ArrayLike,
    v: ArrayLike,
    mask: ArrayLike | None = ...,
    *,
    causal: bool = ...,
    scale: float | None = ...,
    key: Key | None = ...,
    dropout_rate: float = ...,
    return_weights: Literal[True],
) -> tuple[Array, Array]: ...


def dot_product_attention(
    q: ArrayLike,
    k: ArrayLike,
    v: ArrayLike,
    mask: ArrayLike | None = None,
    *,
    causal: bool = False,
    scale: float | None = None,
    key: Key | None = None,
    dropout_rate: float = 0.0,
    return_weights: bool = False,
) -> Array | tuple[Array, Array]:
    """Compute scaled dot-product attention, ``softmax(q k^T / sqrt(D)) v`` (Vaswani et al., 2017).

    Positions are rows. With positions as columns the formula is ``v softmax(k^T q / sqrt(D))``, with the softmax over
    columns: the transpose of this one.

    Args:
        q: queries, ``[..., T, D]``; heads are one of the leading dimensions.
        k: keys, ``[..., S, D]``.
        v: values, ``[..., S, E]``.
        mask: Booleans that broadcast to ``[..., T, S]``; a query without any key gets 0, as all do for ``S = 0``.
        causal: mask the keys after each query's own position; for queries and keys of the same positions alone. NaN and
            infinity at a position then change no result before it; gradients need the mask of the padding.
        scale: in the place of ``1 / sqrt(D)``.
        key: random key for dropout of the weights; None for no dropout.
        dropout_rate: share of the weights dropped, with a ``key``.
        return_weights: return ``(y, weights)``, the weights ``[..., T, S]`` before dropout.

    Returns:
        ``[..., T, E]``.

    Raises:
        ValueError: shapes do not match.
        TypeError: the mask is not Boolean, or the values are not floating-point numbers.

    >>> positions = jnp.array([[1.0], [3.0], [5.0]])
    >>> dot_product_attention(jnp.zeros((3, 1)), positions, positions, causal=True).ravel().tolist()
    [1.0, 2.0, 3.0]
    """
    if mask is not None:
        k = clear_hidden(k, mask)
    scores, spoiled = scaled_dot_product(q, k, scale), None  # [..., T, S]
    if causal:
        queries, keys = scores.shape[-2:]
        if queries != keys:
            raise ValueError(
                f"expected as many queries as keys with causal=True, got {queries} and {keys}; "
                "pass mask=causal_mask(queries, keys, first) instead"
            )
        v = _check_values(v, scores)
        v, spoiled = _clear_later(v if mask is None else clear_hidden(v, mask))
        mask = combine_masks(mask, causal_mask(queries))
    y, weights = attend(scores, v, mask, key=key, dropout_rate=dropout_rate, return_weights=True)
    y = y if spoiled is None else jnp.where(spoiled, jnp.nan, y)
    dtype = jnp.result_type(*map(jnp.asarray, (q, k, v)))
    return (y.astype(dtype), weights.astype(dtype)) if return_weights else y.astype(dtype)


def scaled_dot_product(q: ArrayLike, k: ArrayLike, scale: float | None = None) -> Array:
    """Compute the scores ``q k^T / sqrt(D)``, accumulated in at least float32.

    Args:
        q: ``[..., T, D]``.
        k: ``[..., S, D]``.
        scale: in the place of ``1 / sqrt(D)``, with which entries of variance 1 give scores of variance 1.

    Returns:
        ``[..., T, S]``.

    Raises:
        ValueError: shapes do not match.
    """
    q, k = jnp.asarray(q), jnp.asarray(k)
    if min(q.ndim, k.ndim) < 2 or q.shape[-1] != k.shape[-1] or q.shape[:-2] != k.shape[:-2]:
        raise ValueError(
            f"expected q [..., T, D] and k [..., S, D] with equal leading dimensions, got {q.shape} and {k.shape}"
        )
    dtype = jnp.result_type(q, k, jnp.float32)
    products = jnp.einsum("...td,...sd->...ts", q, k, preferred_element_type=dtype)
    return products * (q.shape[-1] ** -0.5 if scale is None else scale)


@overload
def attend(
    scores: ArrayLike,
    v: ArrayLike,
    mask: ArrayLike | None = ...,
    *,
    key: Key | None = ...,
    dropout_rate: float = ...,
    return_weights: Literal[False] = ...,
) -> Array: ...


@overload
def attend(
    scores: ArrayLike,
    v: ArrayLike,
    mask: ArrayLike | None = ...,
    *,
    key: Key | None = ...,
    dropout_rate: float = ...,
    return_weights: Literal[True],
) -> tuple[Array, Array]: ...


def attend(
    scores: ArrayLike,
    v: ArrayLike,
    mask: ArrayLike | None = None,
    *,
    key: Key | None = None,
    dropout_rate: float = 0.0,
    return_weights: bool = False,
) -> Array | tuple[Array, Array]:
    """Compute ``y_t = sum_s a_ts v_s`` with ``a = softmax(scores)`` over the keys ``s``.

    Args:
        scores: ``[..., T, S]``.
        v: ``[..., S, E]``.
        mask: see `dot_product_attention`.
        key: see `dot_product_attention`.
        dropout_rate: see `dot_product_attention`.
        return_weights: see `dot_product_attention`.

    Returns:
        ``[..., T, E]`` in the dtype of ``v``.

    Raises:
        ValueError: shapes do not match.
        TypeError: the mask is not Boolean, or the values are not floating-point numbers.

    >>> no_key = jnp.array([[False, False]])
    >>> attend(jnp.zeros((2, 2)), jnp.array([[2.0], [4.0]]), no_key).tolist()
    [[0.0], [0.0]]
    """
    scores = jnp.asarray(scores)
    v = _check_values(v, scores)
    if mask is not None:
        mask = _fit_mask(mask, scores.shape)  # rank of the scores
        v = clear_hidden(v, mask)
    weights = softmax(widen(scores), mask=mask)  # [..., T, S]
    dropped = weights if key is None else dropout(key, weights, dropout_rate)
    wide = jnp.promote_types(v.dtype, jnp.float32)
    y = jnp.einsum("...ts,...se->...te", dropped.astype(v.dtype), v, preferred_element_type=wide).astype(v.dtype)
    chex.assert_shape(y, (*scores.shape[:-1], v.shape[-1]))  # [..., T, E]
    return (y, weights) if return_weights else y


def _check_values(v: ArrayLike, scores: Array) -> Array:
    """Check the values ``[..., S, E]`` for scores ``[..., T, S]``, and return them as an array."""
    v = jnp.asarray(v)
    if min(scores.ndim, v.ndim) < 2 or scores.shape[-1] != v.shape[-2] or scores.shape[:-2] != v.shape[:-2]:
        raise ValueError(
            "expected scores [..., T, S] and v [..., S, E] with equal leading dimensions, "
            f"got {scores.shape} and {v.shape}"
        )
    if not jnp.issubdtype(v.dtype, jnp.floating):
        raise TypeError(f"expected floating-point values, got {v.dtype}; cast with v.astype(float)")
    return v


def _clear_later(v: Array) -> tuple[Array, Array]:
    """Replace NaN and infinity by 0 in values ``[..., T, E]`` of causal attention.

    Returns:
        The values, and a mask of the results ``[..., T, E]`` that are NaN: at the position of one and all later ones.
    """
    finite, position = jnp.isfinite(v), jax.lax.broadcasted_iota(jnp.int32, v.shape, v.ndim - 2)
    first = jnp.min(jnp.where(finite, v.shape[-2], position), axis=-2, keepdims=True, initial=v.shape[-2])
    return jnp.where(finite, v, jnp.zeros((), v.dtype)), position >= first


def clear_hidden(x: ArrayLike, mask: ArrayLike) -> Array:
    """Replace NaN and infinity by 0 in keys or values ``[..., S, D]`` that are hidden from every query.

    A weight of 0 alone does not hide them, ``0 NaN = NaN``, neither in a mean nor in its gradient. Finite entries stay.

    Args:
        x: ``[..., S, D]``.
        mask: Booleans that broadcast to ``[..., T, S]``.

    Raises:
        TypeError: the mask is not Boolean.

    >>> clear_hidden(jnp.array([[1.0], [jnp.nan], [2.0]]), jnp.array([[True, False, False]])).ravel().tolist()
    [1.0, 0.0, 2.0]
    """
    x = jnp.asarray(x)
    hidden = ~jnp.any(jnp.atleast_2d(check_boolean(mask)), axis=-2)  # [..., S]
    if hidden.ndim > x.ndim - 1 or hidden.shape[-1] not in (1, x.shape[-2]):
        return x  # no mask of these keys: an error elsewhere
    hidden = expand_leading(hidden, x.ndim - 1)[..., None]
    return jnp.where(hidden & ~jnp.isfinite(x), jnp.zeros((), x.dtype), x)


def causal_mask(queries: int, keys: int | None = None, first: ArrayLike = 0) -> Array:
    """Return the mask ``[T, S]`` in which every query attends to the keys up to its own position.

    Args:
        queries: ``T``.
        keys: ``S``; None for ``T``.
        first: the position of the first query among the keys; may be traced.

    >>> causal_mask(2, 4, first=1).astype(int).tolist()
    [[1, 1, 0, 0], [1, 1, 1, 0]]
    """
    keys = queries if keys is None else keys
    return jnp.arange(keys)[None] <= first + jnp.arange(queries)[:, None]


def padding_mask(valid: ArrayLike) -> Array:
    """Return the mask ``[..., 1, S]`` in which every query attends to the valid keys, of ``valid`` ``[..., S]``.

    Args:
        valid: Booleans, or numbers greater than 0 for valid keys.

    Raises:
        ValueError: a number is known to be negative, as in masks that are added to scores.

    >>> padding_mask(jnp.array([[1.0, 0.0]])).tolist()
    [[[True, False]]]
    """
    valid = jnp.asarray(valid)
    check_weights(valid)
    return jnp.expand_dims(valid > 0, -2)


def combine_masks(*masks: ArrayLike | None) -> Array | None:
    """Compute the logical and of masks ``[..., T, S]``, of which some may lack leading dimensions or be None.

    Raises:
        ValueError: the masks do not broadcast to each other.
        TypeError: a mask is not Boolean.

    >>> combine_masks(padding_mask(jnp.array([[1, 1], [1, 0]])), causal_mask(2), None).astype(int).tolist()
    [[[1, 0], [1, 1]], [[1, 0], [1, 0]]]
    """
    given = [check_boolean(mask) for mask in masks if mask is not None]
    shapes = [mask.shape for mask in given]
    try:
        rank = len(jnp.broadcast_shapes(*shapes))
    except ValueError:
        raise ValueError(
            f"expected masks [..., T, S] that broadcast to each other, got {' and '.join(map(str, shapes))}; "
            "with a cache, S counts all of its slots, filled or not"
        ) from None
    return reduce(jnp.logical_and, [expand_leading(mask, rank) for mask in given]) if given else None


def _fit_mask(mask: ArrayLike, shape: tuple[int, ...]) -> Array:
    """Align a Boolean mask with the trailing dimensions of the scores."""
    mask = check_boolean(mask)
    fits = mask.ndim <= len(shape) and all(m in (1, n) for m, n in zip(mask.shape[::-1], shape[::-1], strict=False))
    if not fits:
        raise ValueError(f"expected a mask that broadcasts to [..., T, S] of shape {shape}, got {mask.shape}")
    return expand_leading(mask, len(shape))
