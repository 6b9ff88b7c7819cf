"""Attention: means of values, weighted by how well keys answer a query; its masks; heads side by side.

Whatever gives the scores, ``attend`` makes weights of them and takes the mean. A mask is Boolean, True where a query
may see a key. It works because the softmax gives a score of minus infinity the weight 0.
"""

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxdl.arrays import widen
from jaxdl.nn.activations import softmax
from jaxdl.nn.attention_cache import Cache, extend
from jaxdl.nn.initializers import xavier_uniform
from jaxdl.nn.noise import dropout
from jaxdl.typing import Array, ArrayLike, Key


def attention(
    q: ArrayLike,
    k: ArrayLike,
    v: ArrayLike,
    mask: ArrayLike | None = None,
    *,
    causal: bool = False,
    scale: float | None = None,
    key: Key | None = None,
    retain_probability: float = 1.0,
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
        retain_probability: the share of weights that are kept where there is a ``key``.
        return_weights: return ``(y, weights)``, the weights ``[..., T, S]`` as before they are dropped.

    Returns:
        ``[..., T, E]``.

    Raises:
        ValueError: the shapes do not fit each other.
        TypeError: the mask is not Boolean, or the values are no floating-point numbers.

    >>> positions = jnp.array([[1.0], [3.0], [5.0]])
    >>> attention(jnp.zeros((3, 1)), positions, positions, causal=True).ravel().tolist()
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
    y = attend(scores, v, mask, key=key, retain_probability=retain_probability, return_weights=return_weights)
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
    retain_probability: float = 1.0,
    return_weights: bool = False,
) -> Array | tuple[Array, Array]:
    """Return ``y_t = sum_s a_ts v_s`` with ``a = softmax(scores)`` over the keys ``s``, whatever gave the scores.

    Args:
        scores: ``[..., T, S]``.
        v: ``[..., S, E]``.
        mask: as in ``attention``.
        key: as in ``attention``.
        retain_probability: as in ``attention``.
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
    used = weights if key is None else dropout(key, weights, retain_probability)
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


class MultiHeadAttention(nn.Module):
    """``y = [head_1, ..., head_H] W_O`` with ``head_h = attention(q W_Q^h, k W_K^h, v W_V^h)``, heads side by side.

    The layers are ``query``, ``key``, ``value`` and ``output``; head ``h`` has the ``h``-th of ``heads`` equal parts of
    the ``features`` of the first three. For self-attention the three may be ``fused`` to one, ``query_key_value``,
    whose kernel has theirs side by side: one larger product, which is faster.

    >>> layer = MultiHeadAttention(heads=2)
    >>> y, variables = jax.eval_shape(layer.init_with_output, jax.random.key(0), jnp.zeros((1, 5, 8)))
    >>> y.shape, variables["params"]["query"]["kernel"].shape
    ((1, 5, 8), (8, 8))
    """

    heads: int
    features: int | None = None
    out_features: int | None = None
    use_bias: bool = True
    retain_probability: float = 1.0
    kernel_init: Callable[..., Array] = xavier_uniform()
    output_init: Callable[..., Array] | None = None
    fused: bool = False
    dtype: Any = None

    @nn.compact
    def __call__(
        self,
        query: Array,
        key: Array | None = None,
        value: Array | None = None,
        mask: ArrayLike | None = None,
        *,
        causal: bool = False,
        train: bool = False,
        return_weights: bool = False,
        cache: Cache | None = None,
    ) -> Array | tuple[Array | Cache, ...]:
        """Let queries ``[..., T, D]`` look at keys ``[..., S, D2]`` and take values ``[..., S, D3]``.

        Without keys the queries look at each other (self-attention); without values the keys are the values.

        Args:
            query: ``[..., T, D]``.
            key: ``[..., S, D2]``.
            value: ``[..., S, D3]``.
            mask: Booleans that broadcast to ``[..., T, S]``, the same for all heads.
            causal: as in ``attention``.
            train: drop weights, with the random numbers of the collection ``"dropout"``.
            return_weights: return ``(y, weights)``, the weights ``[..., heads, T, S]``.
            cache: the ``length`` positions before these: every query sees them, itself and what is between. Masks and
                weights are then over its ``T_max`` places, ``[..., T, T_max]``, and the cache with the new positions is
                returned as the last, ``(y, cache)`` or ``(y, weights, cache)``.

        Returns:
            ``[..., T, out_features]``, by default of the width ``D``.

        Raises:
            ValueError: the heads do not divide the features, the shapes do not fit each other, or there are keys beside
                a cache or fused layers.
            TypeError: the mask is not Boolean.
        """
        if (self.fused or cache is not None) and not (key is None and value is None):
            raise ValueError("fused layers and a cache are for self-attention: give queries alone")
        key = query if key is None else key
        value = key if value is None else value
        features = query.shape[-1] if self.features is None else self.features
        if self.heads < 1 or features % self.heads:
            raise ValueError(f"heads must divide the {features} features; came heads={self.heads}")

        q, k, v = self._project(query, key, value, features)
        if mask is not None and jnp.ndim(mask) > 2:
            mask = jnp.expand_dims(mask, -3)
        if cache is not None:
            first, cache = cache.length, extend(cache, k, v)
            k, v, causal = cache.k, cache.v, False
            mask = combine_masks(mask, causal_mask(q.shape[-2], k.shape[-2], first))
        dropping = train and self.retain_probability != 1
        y, weights = attention(
            q,
            k,
            v,
            mask,
            causal=causal,
            key=self.make_rng("dropout") if dropping else None,
            retain_probability=self.retain_probability,
            return_weights=True,
        )
        y = jnp.swapaxes(y if cache is None else y.astype(q.dtype), -3, -2)
        y = y.reshape(*y.shape[:-2], features)
        width = query.shape[-1] if self.out_features is None else self.out_features
        y = self._dense("output", width, self.output_init or self.kernel_init)(y)
        more = (*((weights,) if return_weights else ()), *(() if cache is None else (cache,)))
        return (y, *more) if more else y

    def _project(self, query: Array, key: Array, value: Array, features: int) -> Sequence[Array]:
        """Return queries, keys and values of every head, ``[..., heads, T, features / heads]``."""
        if self.fused:
            each = jnp.split(self._dense("query_key_value", 3 * features, self.kernel_init)(query), 3, axis=-1)
        else:
            inputs = {"query": query, "key": key, "value": value}
            each = [self._dense(name, features, self.kernel_init)(x) for name, x in inputs.items()]
        return [jnp.swapaxes(x.reshape(*x.shape[:-1], self.heads, features // self.heads), -3, -2) for x in each]

    def _dense(self, name: str, width: int, kernel_init: Callable[..., Array]) -> nn.Dense:
        return nn.Dense(width, self.use_bias, self.dtype, kernel_init=kernel_init, name=name)


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
