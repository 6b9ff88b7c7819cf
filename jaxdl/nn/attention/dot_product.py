"""Attention: means of values, weighted by how well keys answer a query; its masks; heads side by side.

Whatever gives the scores, ``attend`` makes weights of them and takes the mean. A mask is Boolean, True where a query
may see a key. It works because the softmax gives a score of minus infinity the weight 0.
"""

from functools import reduce

import jax
import jax.numpy as jnp

from jaxdl.arrays import widen
from jaxdl.nn.activations import softmax
from jaxdl.nn.noise import dropout
from jaxdl.typing import Array, ArrayLike, Key


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
    """Return ``softmax(q k^T / sqrt(D)) v``, the scaled dot-product attention of Vaswani et al. (2017).

    Positions are rows. With positions as columns the same is ``v softmax(k^T q / sqrt(D))``, the softmax over columns:
    the transpose of this.

    Args:
        q: queries, ``[..., T, D]``; heads are one of the leading dimensions.
        k: keys, ``[..., S, D]``.
        v: values, ``[..., S, E]``.
        mask: Booleans that broadcast to ``[..., T, S]``; a query that may see none gets 0, as all if ``S = 0``.
        causal: let a query see its own position and those before; only where queries and keys are the same positions.
        scale: what stands for ``1 / sqrt(D)``.
        key: a random key to drop weights with; None drops nothing.
        dropout_rate: share of the weights dropped where there is a ``key``.
        return_weights: return ``(y, weights)``, the weights ``[..., T, S]`` as before they are dropped.

    Returns:
        ``[..., T, E]``.

    Raises:
        ValueError: the shapes do not fit each other.
        TypeError: the mask is not Boolean, or the values are no floating-point numbers.

    >>> positions = jnp.array([[1.0], [3.0], [5.0]])
    >>> dot_product_attention(jnp.zeros((3, 1)), positions, positions, causal=True).ravel().tolist()
    [1.0, 2.0, 3.0]
    """
    scores = scaled_dot_product(q, k, scale)
    if causal:
        queries, keys = scores.shape[-2:]
        if queries != keys:
            raise ValueError(
                f"causal=True is for queries and keys of the same positions; came {queries} and {keys}: "
                "say where the queries stand, with mask=causal_mask(queries, keys, first)"
            )
        mask = combine_masks(mask, causal_mask(queries))
    y = attend(scores, v, mask, key=key, dropout_rate=dropout_rate, return_weights=return_weights)
    dtype = jnp.result_type(*map(jnp.asarray, (q, k, v)))
    return jax.tree.map(lambda leaf: leaf.astype(dtype), y)


def scaled_dot_product(q: ArrayLike, k: ArrayLike, scale: float | None = None) -> Array:
    """Return the scores ``q k^T / sqrt(D)``, summed in at least float32.

    Args:
        q: ``[..., T, D]``.
        k: ``[..., S, D]``.
        scale: what stands for ``1 / sqrt(D)``, which keeps the scores of independent entries of variance 1 at that.

    Returns:
        ``[..., T, S]``.

    Raises:
        ValueError: the shapes do not fit each other.
    """
    q, k = jnp.asarray(q), jnp.asarray(k)
    if min(q.ndim, k.ndim) < 2 or q.shape[-1] != k.shape[-1] or q.shape[:-2] != k.shape[:-2]:
        raise ValueError(
            f"attention needs q [..., T, D] and k [..., S, D] of equal leading dimensions; came {q.shape} and {k.shape}"
        )
    dtype = jnp.result_type(q, k, jnp.float32)
    scale = q.shape[-1] ** -0.5 if scale is None else scale
    return jnp.einsum("...td,...sd->...ts", q, k, preferred_element_type=dtype) * scale


def attend(
    scores: ArrayLike,
    v: ArrayLike,
    mask: ArrayLike | None = None,
    *,
    key: Key | None = None,
    dropout_rate: float = 0.0,
    return_weights: bool = False,
) -> Array | tuple[Array, Array]:
    """Return ``y_t = sum_s a_ts v_s`` with ``a = softmax(scores)`` over the keys ``s``, whatever gave the scores.

    Args:
        scores: ``[..., T, S]``.
        v: ``[..., S, E]``.
        mask: as in ``attention``.
        key: as in ``attention``.
        dropout_rate: as in ``attention``.
        return_weights: as in ``attention``.

    Returns:
        ``[..., T, E]`` in the dtype of ``v``.

    Raises:
        ValueError: the shapes do not fit each other.
        TypeError: the mask is not Boolean, or the values are no floating-point numbers.

    >>> nothing = jnp.array([[False, False]])
    >>> attend(jnp.zeros((2, 2)), jnp.array([[2.0], [4.0]]), nothing).tolist()
    [[0.0], [0.0]]
    """
    scores, v = jnp.asarray(scores), jnp.asarray(v)
    if min(scores.ndim, v.ndim) < 2 or scores.shape[-1] != v.shape[-2] or scores.shape[:-2] != v.shape[:-2]:
        raise ValueError(
            f"attention needs v [..., S, E] for scores [..., T, S] of equal leading dimensions; "
            f"came {v.shape} and {scores.shape}"
        )
    if not jnp.issubdtype(v.dtype, jnp.floating):
        raise TypeError(f"a mean of values needs floating-point numbers; came {v.dtype}: say v.astype(float)")
    weights = softmax(widen(scores), mask=None if mask is None else _fit(mask, scores.shape))
    used = weights if key is None else dropout(key, weights, dropout_rate)
    wide = jnp.promote_types(v.dtype, jnp.float32)
    y = jnp.einsum("...ts,...se->...te", used.astype(v.dtype), v, preferred_element_type=wide).astype(v.dtype)
    return (y, weights) if return_weights else y


def causal_mask(queries: int, keys: int | None = None, first: ArrayLike = 0) -> Array:
    """Let every query see the keys up to its own position, Booleans ``[queries, keys]``.

    Args:
        queries: how many queries, ``T``.
        keys: how many keys, ``S``; None for as many as queries.
        first: the position of the first query among the keys; may be traced.

    >>> causal_mask(2, 4, first=1).astype(int).tolist()
    [[1, 1, 0, 0], [1, 1, 1, 0]]
    """
    keys = queries if keys is None else keys
    return jnp.arange(keys)[None] <= first + jnp.arange(queries)[:, None]


def padding_mask(keep: ArrayLike) -> Array:
    """Let every query see the keys that are no padding: ``[..., S]``, 0 for padding, to Booleans ``[..., 1, S]``.

    >>> padding_mask(jnp.array([[1.0, 0.0]])).tolist()
    [[[True, False]]]
    """
    return jnp.expand_dims(jnp.asarray(keep) != 0, -2)


def combine_masks(*masks: ArrayLike | None) -> Array | None:
    """Let a query see a key where all masks do; masks of ``[..., T, S]`` may lack leading dimensions. None is no mask.

    Raises:
        ValueError: the masks do not broadcast to each other.
        TypeError: a mask is not Boolean.

    >>> combine_masks(padding_mask(jnp.array([[1, 1], [1, 0]])), causal_mask(2), None).astype(int).tolist()
    [[[1, 0], [1, 1]], [[1, 0], [1, 0]]]
    """
    given = [_boolean(mask) for mask in masks if mask is not None]
    shapes = [mask.shape for mask in given]
    try:
        rank = len(jnp.broadcast_shapes(*shapes))
    except ValueError:
        raise ValueError(
            f"masks [..., T, S] must broadcast to each other; came {' and '.join(map(str, shapes))}: with a cache, S "
            "counts all of its places, those that are not filled yet too"
        ) from None
    return reduce(jnp.logical_and, [_of_rank(mask, rank) for mask in given]) if given else None


def _of_rank(mask: Array, rank: int) -> Array:
    return jnp.expand_dims(mask, tuple(range(rank - mask.ndim)))


def _boolean(mask: ArrayLike) -> Array:
    mask = jnp.asarray(mask)
    if mask.dtype != bool:
        raise TypeError(f"a mask is Boolean, True where a query may see a key; came {mask.dtype}: say mask != 0")
    return mask


def _fit(mask: ArrayLike, shape: tuple[int, ...]) -> Array:
    """Give a mask the dimensions of the scores."""
    mask = _boolean(mask)
    fits = mask.ndim <= len(shape) and all(m in (1, n) for m, n in zip(mask.shape[::-1], shape[::-1], strict=False))
    if not fits:
        raise ValueError(f"mask of shape {mask.shape} does not broadcast to the scores [..., T, S] of {shape}")
    return _of_rank(mask, len(shape))
