"""Scaled dot-product attention.

Glossary of the dimensions:

    ...  leading dimensions, for example batch and heads
    T    queries
    S    keys and values
    D    width of queries and keys
    E    width of values

`attend` computes the weighted means of values from scores of any kind. A mask is Boolean, True where a query may attend
to a key; the softmax gives all other keys the weight 0.
"""

from typing import Literal, overload

import chex
import jax
import jax.numpy as jnp
from jax.core import Tracer

from jaxdl.arrays import check_boolean, expand_leading, widen
from jaxdl.checks import check_in_range, check_positive_integer, is_zero
from jaxdl.nn.activations import softmax
from jaxdl.nn.attention._implementations import Call, repeat_heads, run
from jaxdl.nn.attention.masking import (
    causal_mask,
    clear_hidden,
    combine_masks,
    fit_scores,
    segment_mask,
    window_mask,
)
from jaxdl.nn.noise import dropout
from jaxdl.typing import Array, ArrayLike, Key

PLAIN_LENGTH = 256
"""Queries or keys up to which `dot_product_attention` computes all scores at once by default."""


@overload
def dot_product_attention(
    q: ArrayLike,
    k: ArrayLike,
    v: ArrayLike,
    mask: ArrayLike | None = ...,
    *,
    causal: bool = ...,
    window: int | None = ...,
    segment_ids: ArrayLike | None = ...,
    scale: float | None = ...,
    key: Key | None = ...,
    dropout_rate: float = ...,
    return_weights: Literal[False] = ...,
    implementation: str | None = ...,
) -> Array: ...


@overload
def dot_product_attention(
    q: ArrayLike,
    k: ArrayLike,
    v: ArrayLike,
    mask: ArrayLike | None = ...,
    *,
    causal: bool = ...,
    window: int | None = ...,
    segment_ids: ArrayLike | None = ...,
    scale: float | None = ...,
    key: Key | None = ...,
    dropout_rate: float = ...,
    return_weights: Literal[True],
    implementation: str | None = ...,
) -> tuple[Array, Array]: ...


def dot_product_attention(
    q: ArrayLike,
    k: ArrayLike,
    v: ArrayLike,
    mask: ArrayLike | None = None,
    *,
    causal: bool = False,
    window: int | None = None,
    segment_ids: ArrayLike | None = None,
    scale: float | None = None,
    key: Key | None = None,
    dropout_rate: float = 0.0,
    return_weights: bool = False,
    implementation: str | None = None,
) -> Array | tuple[Array, Array]:
    """Compute scaled dot-product attention, ``softmax(q k^T / sqrt(D)) v`` (Vaswani et al., 2017).

    Positions are rows. With positions as columns the formula is ``v softmax(k^T q / sqrt(D))``, with the softmax over
    columns: the transpose of this one.

    Grouped keys (Ainslie et al., 2023) are fewer heads of keys than of queries, ``q`` ``[..., H, T, D]`` and ``k``
    ``[..., K, S, D]``: head ``h`` attends to keys ``floor(h K / H)``.

    Without weights to return no implementation but "plain" makes an array of ``T x S``:

    - "plain": all scores at once. It is the default up to 256 queries or keys (`PLAIN_LENGTH`), where the scores need
      no more memory than the keys.
    - "blockwise": blocks of queries and keys with an online softmax; its backward pass computes the scores again. It
      has no forward-mode derivative and no second one, and other random numbers for dropout than "plain".
    - "cudnn": NVIDIA's kernel, in half precision, without ``mask``, ``segment_ids`` and dropout.
    - "flash": the kernel for TPUs, for multiples of 128 positions, without ``mask``, ``window`` and dropout. XLA cannot
      divide it over devices: it is for programs of a single device, or inside of ``jax.shard_map``.

    By default the platform for which the program is compiled decides beyond `PLAIN_LENGTH`, where the kernel supports
    the arguments: "cudnn" on NVIDIA, "flash" on TPU inside of ``jax.shard_map``. Everything else is "blockwise".

    Args:
        q: queries, ``[..., T, D]``; heads are one of the leading dimensions.
        k: keys, ``[..., S, D]``.
        v: values, ``[..., S, E]``.
        mask: Booleans that broadcast to ``[..., T, S]``; a query without any key gets 0, as all do for ``S = 0``.
        causal: mask the keys after each query's own position; for queries and keys of the same positions alone. NaN and
            infinity at a position then change no result before it; gradients need the mask of the padding.
        window: mask the keys ``window`` positions or more away from each query's own, for queries and keys of the same
            positions; with ``causal`` a query attends to the last ``window`` keys up to itself.
        segment_ids: integers that broadcast to ``[..., T]``, for queries and keys of the same positions; a query
            attends to the keys of its own segment, as where several texts share a row.
        scale: in the place of ``1 / sqrt(D)``.
        key: random key for dropout of the weights; None for no dropout.
        dropout_rate: share of the weights dropped, with a ``key``.
        return_weights: return ``(y, weights)``, the weights ``[..., T, S]`` before dropout.
        implementation: see above; None for the default.

    Returns:
        ``[..., T, E]``.

    Raises:
        ValueError: shapes do not match, or the implementation is unknown or does not support the arguments.
        TypeError: the mask is not Boolean, the segments are no integers, or the values are not floating-point numbers.

    >>> positions = jnp.array([[1.0], [3.0], [5.0]])
    >>> dot_product_attention(jnp.zeros((3, 1)), positions, positions, causal=True).ravel().tolist()
    [1.0, 2.0, 3.0]
    >>> dot_product_attention(jnp.zeros((3, 1)), positions, positions, causal=True, window=2).ravel().tolist()
    [1.0, 2.0, 4.0]
    """
    q, k, v = jnp.asarray(q), jnp.asarray(k), jnp.asarray(v)
    groups = _count_groups(q, k)
    shape = (*q.shape[:-1], k.shape[-2])  # [..., T, S]
    if mask is not None:
        seen = _over_groups(check_boolean(mask), groups)
        k, v = clear_hidden(k, seen), clear_hidden(v, seen)
    _check_positions(shape, causal=causal, window=window, segment_ids=segment_ids)
    v, spoiled = _check_values(v, (*k.shape[:-2], *shape[-2:])), None
    if causal or window is not None or segment_ids is not None:
        v, spoiled = _clear_unseen(v, causal, window, segment_ids)
        spoiled = repeat_heads(spoiled, groups)
    dtype, weights = jnp.result_type(q, k, v), None
    traced = any(isinstance(number, Tracer) for number in (scale, dropout_rate))
    if implementation is None and (return_weights or traced or min(shape[-2:]) <= PLAIN_LENGTH):
        implementation = "plain"
    if implementation == "plain":
        own = [
            causal_mask(shape[-2]) if causal else None,
            None if window is None else window_mask(shape[-2], window),
            None if segment_ids is None else segment_mask(segment_ids),
        ]
        mask = combine_masks(mask, *own)
        scores = scaled_dot_product(q, repeat_heads(k, groups), scale)  # [..., T, S]
        v = repeat_heads(v, groups)
        y, weights = attend(scores, v, mask, key=key, dropout_rate=dropout_rate, return_weights=True)
    elif return_weights:
        raise ValueError(f"expected implementation='plain' with return_weights=True, got {implementation!r}")
    else:
        check_in_range("dropout_rate", dropout_rate, 0.0, 1.0, includes_high=False)
        key = None if is_zero(dropout_rate) else key
        factor = float(q.shape[-1] ** -0.5 if scale is None else scale)
        mask = None if mask is None else fit_scores(mask, shape)
        ids = None if segment_ids is None else jnp.asarray(segment_ids)
        call = Call(mask, ids, key, causal, window, factor, float(dropout_rate), groups)
        y = run(q.astype(dtype), k.astype(dtype), v.astype(dtype), call, implementation)
    y = y if spoiled is None else jnp.where(spoiled, jnp.nan, y)
    return y.astype(dtype) if weights is None or not return_weights else (y.astype(dtype), weights.astype(dtype))


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
    _check_keys(q, k)
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
    v = _check_values(v, scores.shape)
    if mask is not None:
        mask = fit_scores(mask, scores.shape)  # rank of the scores
        v = clear_hidden(v, mask)
    weights = softmax(widen(scores), mask=mask)  # [..., T, S]
    dropped = weights if key is None else dropout(key, weights, dropout_rate)
    wide = jnp.promote_types(v.dtype, jnp.float32)
    y = jnp.einsum("...ts,...se->...te", dropped.astype(v.dtype), v, preferred_element_type=wide).astype(v.dtype)
    chex.assert_shape(y, (*scores.shape[:-1], v.shape[-1]))  # [..., T, E]
    return (y, weights) if return_weights else y


def _check_keys(q: Array, k: Array, groups: int = 1) -> None:
    """Check that queries ``[..., T, D]`` and keys ``[..., S, D]`` fit each other."""
    heads = k.shape[:-2] if groups == 1 else (*k.shape[:-3], groups * k.shape[-3])
    if min(q.ndim, k.ndim) < 2 or q.shape[-1] != k.shape[-1] or q.shape[:-2] != heads:
        raise ValueError(
            f"expected q [..., T, D] and k [..., S, D] with equal leading dimensions, got {q.shape} and {k.shape}"
        )


def _count_groups(q: Array, k: Array) -> int:
    """Return the number of heads of queries for each head of keys."""
    groups = q.shape[-3] // max(1, k.shape[-3]) if min(q.ndim, k.ndim) > 2 else 1
    groups = max(1, groups)
    _check_keys(q, k, groups)
    return groups


def _over_groups(mask: Array, groups: int) -> Array:
    """Return which keys of ``[..., K, S, D]`` the queries of each group see, of a mask ``[..., H, T, S]``."""
    if groups == 1 or mask.ndim < 3 or mask.shape[-3] == 1:
        return mask
    return jnp.any(mask.reshape(*mask.shape[:-3], -1, groups, *mask.shape[-2:]), axis=-3)


def _check_positions(
    shape: tuple[int, ...], *, causal: bool, window: int | None, segment_ids: ArrayLike | None
) -> None:
    """Check that queries and keys have the same positions where an option needs them."""
    used = [f"{name}={value}" for name, value in (("causal", causal), ("window", window)) if value]
    if window is not None:
        check_positive_integer("window", window)
    if segment_ids is not None:
        used.append("segment_ids")
        ids = jnp.asarray(segment_ids)
        if not jnp.issubdtype(ids.dtype, jnp.integer):
            raise TypeError(f"expected integers as segment_ids, got {ids.dtype}")
        if ids.ndim >= len(shape) or any(m not in (1, n) for m, n in zip(ids.shape[::-1], shape[-2::-1], strict=False)):
            raise ValueError(f"expected segment_ids that broadcast to {shape[:-1]}, got {ids.shape}")
    if used and shape[-2] != shape[-1]:
        raise ValueError(
            f"expected as many queries as keys with {used[0]}, got {shape[-2]} and {shape[-1]}; "
            "pass mask=causal_mask(queries, keys, first) instead"
        )


def _check_values(v: ArrayLike, shape: tuple[int, ...]) -> Array:
    """Check the values ``[..., S, E]`` for scores of the shape ``[..., T, S]``, and return them as an array."""
    v = jnp.asarray(v)
    if min(len(shape), v.ndim) < 2 or shape[-1] != v.shape[-2] or shape[:-2] != v.shape[:-2]:
        raise ValueError(
            f"expected scores [..., T, S] and v [..., S, E] with equal leading dimensions, got {shape} and {v.shape}"
        )
    if not jnp.issubdtype(v.dtype, jnp.floating):
        raise TypeError(f"expected floating-point values, got {v.dtype}; cast with v.astype(float)")
    return v


def _clear_unseen(v: Array, causal: bool, window: int | None, segment_ids: ArrayLike | None) -> tuple[Array, Array]:
    """Replace NaN and infinity by 0 in values ``[..., T, E]``, which a weight of 0 does not hide.

    Returns:
        The values, and a mask of the results ``[..., T, E]`` that are NaN: those of the queries that see one.
    """
    finite, length = jnp.isfinite(v), v.shape[-2]
    cleared, t = jnp.where(finite, v, jnp.zeros((), v.dtype)), jnp.arange(length)
    if window is None and segment_ids is None:
        position = jax.lax.broadcasted_iota(jnp.int32, v.shape, v.ndim - 2)
        first = jnp.min(jnp.where(finite, length, position), axis=-2, keepdims=True, initial=length)
        return cleared, position >= first
    first, last = jnp.zeros_like(t), t if causal else jnp.full_like(t, length - 1)
    if window is not None:
        first, last = jnp.maximum(first, t - window + 1), jnp.minimum(last, t + window - 1)
    if segment_ids is not None:
        same = segment_mask(segment_ids)  # fused with its reductions
        positions = expand_leading(t, same.ndim)
        first, last = (expand_leading(bound, same.ndim - 1) for bound in (first, last))
        first = jnp.maximum(first, jnp.min(jnp.where(same, positions, length), axis=-1, initial=length))
        last = jnp.minimum(last, jnp.max(jnp.where(same, positions, -1), axis=-1, initial=-1))
    counts = jnp.cumsum(~finite, axis=-2, dtype=jnp.int32)
    counts = jnp.concatenate([jnp.zeros_like(counts[..., :1, :]), counts], axis=-2)  # before each position
    first, last = (expand_leading(bound, v.ndim - 1)[..., None] for bound in (first, last + 1))
    before, until = (jnp.take_along_axis(counts, bound, axis=-2) for bound in (first, last))
    return cleared, until > before
