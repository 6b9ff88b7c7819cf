"""Multi-head attention."""

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any

import jax.numpy as jnp
from einops import rearrange
from flax import linen

from jaxdl.checks import former_dropout, renamed_fields
from jaxdl.nn.attention.cache import Cache, extend_cache
from jaxdl.nn.attention.dot_product import dot_product_attention
from jaxdl.nn.attention.masking import causal_mask, clear_hidden, combine_masks
from jaxdl.nn.attention.position import rotary_embedding
from jaxdl.nn.initializers import xavier_uniform
from jaxdl.typing import Array, ArrayLike


@renamed_fields(
    heads="num_heads",
    features="qkv_features",
    **former_dropout("dropout_rate"),
)
class MultiHeadAttention(linen.Module):
    """``y = [head_1, ..., head_H] W_O`` with ``head_h = attention(q W_Q^h, k W_K^h, v W_V^h)`` (Vaswani et al., 2017).

    The layers are ``query``, ``key``, ``value`` and ``output``; head ``h`` takes the ``h``-th of ``num_heads`` equal
    parts of the ``qkv_features`` of the first three. For self-attention these may be ``fused`` to one layer,
    ``query_key_value``, with the three kernels side by side: one larger product, which is faster. With
    ``num_kv_heads`` fewer heads of keys and values are shared by groups of queries' heads (Ainslie et al., 2023); a
    cache holds these. With ``rope_base``, the ``base`` of `jaxdl.nn.rotary_embedding`, queries and keys of
    self-attention are rotated by their positions, in halves (Su et al., 2021).

    >>> import jax
    >>> layer = MultiHeadAttention(num_heads=2)
    >>> y, variables = jax.eval_shape(layer.init_with_output, jax.random.key(0), jnp.zeros((1, 5, 8)))
    >>> y.shape, variables["params"]["query"]["kernel"].shape
    ((1, 5, 8), (8, 8))
    """

    num_heads: int
    num_kv_heads: int | None = dataclasses.field(default=None, kw_only=True)
    rope_base: float | None = dataclasses.field(default=None, kw_only=True)
    qkv_features: int | None = None
    out_features: int | None = None
    use_bias: bool = True
    dropout_rate: float = 0.0
    kernel_init: Callable[..., Array] = xavier_uniform()
    output_init: Callable[..., Array] | None = None
    fused: bool = False
    dtype: Any = None

    @linen.compact
    def __call__(
        self,
        query: Array,
        key: Array | None = None,
        value: Array | None = None,
        mask: ArrayLike | None = None,
        *,
        causal: bool = False,
        window: int | None = None,
        segment_ids: ArrayLike | None = None,
        train: bool = False,
        return_weights: bool = False,
        cache: Cache | None = None,
    ) -> Any:
        """Attend from queries ``[..., T, D]`` to keys ``[..., S, D2]`` with values ``[..., S, D3]``.

        Without keys it is self-attention; without values the keys are the values.

        Args:
            query: ``[..., T, D]``.
            key: ``[..., S, D2]``.
            value: ``[..., S, D3]``.
            mask: Booleans that broadcast to ``[..., T, S]``, the same for all heads.
            causal: see `dot_product_attention`.
            window: see `dot_product_attention`.
            segment_ids: see `dot_product_attention`; ``[..., T]``, the same for all heads.
            train: apply dropout to the weights, with the random numbers of the collection ``"dropout"``.
            return_weights: return ``(y, weights)``, the weights ``[..., H, T, S]``.
            cache: of the ``length`` positions before these: every query attends to them, to itself and to the positions
                between. Masks and weights then cover all of its ``S`` slots, and the cache with the new positions is
                returned last, ``(y, cache)`` or ``(y, weights, cache)``.

        Returns:
            ``[..., T, out_features]``, by default ``D``.

        Raises:
            ValueError: the heads do not divide the features, shapes do not match, or there are keys beside a cache,
                fused layers or rotary positions.
            TypeError: the mask is not Boolean.
        """
        if (self.fused or self.rope_base is not None or cache is not None) and not (key is None and value is None):
            raise ValueError(
                "expected queries alone with fused layers, rotary positions or a cache, got keys or values; leave them "
                "out"
            )
        if mask is not None and cache is None:
            # Before the layers, whose gradients are products with them.
            query = clear_hidden(query, mask) if key is None else query
            key, value = (x if x is None else clear_hidden(x, mask) for x in (key, value))
        key = query if key is None else key
        value = key if value is None else value
        kv_heads, head_dim = split_heads(query.shape[-1], self.num_heads, self.num_kv_heads, self.qkv_features)

        q, k, v = self._project(query, key, value, kv_heads, head_dim)  # each [..., heads, T or S, features / H]
        if self.rope_base is not None:
            positions = (0 if cache is None else cache.length) + jnp.arange(q.shape[-2])
            q, k = (rotary_embedding(x, positions, self.rope_base, pairs="halves") for x in (q, k))
        if mask is not None and jnp.ndim(mask) > 2:
            mask = jnp.expand_dims(mask, -3)  # [..., 1, T, S]
        if segment_ids is not None:
            segment_ids = jnp.expand_dims(jnp.asarray(segment_ids), -2)  # [..., 1, T]
        if cache is not None:
            first, cache = cache.length, extend_cache(cache, k, v)
            k, v, causal = cache.k, cache.v, False
            sizes = q.shape[-2], k.shape[-2]
            beyond = None if window is None else ~causal_mask(*sizes, first - window)
            mask, window = combine_masks(mask, causal_mask(*sizes, first), beyond), None
        attend = partial(
            dot_product_attention,
            causal=causal,
            window=window,
            segment_ids=segment_ids,
            key=self.make_rng("dropout") if train and self.dropout_rate != 0 else None,
            dropout_rate=self.dropout_rate,
        )
        if return_weights:
            y, weights = attend(q, k, v, mask, return_weights=True)
        else:
            y, weights = attend(q, k, v, mask), None
        y = y if cache is None else y.astype(q.dtype)
        y = rearrange(y, "... h t d -> ... t (h d)")
        out_features = query.shape[-1] if self.out_features is None else self.out_features
        y = self._dense("output", out_features, self.output_init or self.kernel_init)(y)
        extra = (*((weights,) if return_weights else ()), *(() if cache is None else (cache,)))
        return (y, *extra) if extra else y

    def _project(self, query: Array, key: Array, value: Array, kv_heads: int, head_dim: int) -> list[Array]:
        """Compute queries ``[..., H, T, features / H]``, and as wide keys and values of ``kv_heads`` heads."""
        inputs, heads = {"query": query, "key": key, "value": value}, (self.num_heads, kv_heads, kv_heads)
        sizes = [number * head_dim for number in heads]
        if self.fused:
            qkv = self._dense("query_key_value", sum(sizes), self.kernel_init)(query)
            parts = jnp.split(qkv, [sizes[0], sizes[0] + sizes[1]], axis=-1)
        else:
            given = zip(inputs.items(), sizes, strict=True)
            parts = [self._dense(name, size, self.kernel_init)(x) for (name, x), size in given]
        return [rearrange(x, "... t (h d) -> ... h t d", h=h) for x, h in zip(parts, heads, strict=True)]

    def _dense(self, name: str, features: int, kernel_init: Callable[..., Array]) -> linen.Dense:
        return linen.Dense(features, self.use_bias, self.dtype, kernel_init=kernel_init, name=name)


def split_heads(
    d_model: int, num_heads: int, num_kv_heads: int | None = None, qkv_features: int | None = None
) -> tuple[int, int]:
    """Return the number of heads of keys and values, and the width of a head, of `MultiHeadAttention`.

    Args:
        d_model: width of the queries.
        num_heads: of queries.
        num_kv_heads: of keys and values; None for ``num_heads``.
        qkv_features: width of all heads together; None for ``d_model``.

    Raises:
        ValueError: the heads do not divide the width, or not each other.

    >>> split_heads(576, 9, 3)
    (3, 64)
    """
    name, features = ("d_model", d_model) if qkv_features is None else ("qkv_features", qkv_features)
    if num_heads < 1 or features % num_heads:
        raise ValueError(f"expected num_heads to divide {name} = {features}, got {num_heads}")
    kv_heads = num_heads if num_kv_heads is None else num_kv_heads
    if kv_heads < 1 or num_heads % kv_heads:
        raise ValueError(f"expected num_kv_heads to divide num_heads = {num_heads}, got {kv_heads}")
    return kv_heads, features // num_heads
