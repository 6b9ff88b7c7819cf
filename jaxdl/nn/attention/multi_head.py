"""Multi-head attention."""

from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from jaxdl.nn.attention.cache import Cache, extend
from jaxdl.nn.attention.dot_product import causal_mask, combine_masks, dot_product_attention
from jaxdl.nn.initializers import xavier_uniform
from jaxdl.typing import Array, ArrayLike


class MultiHeadAttention(nn.Module):
    """``y = [head_1, ..., head_H] W_O`` with ``head_h = attention(q W_Q^h, k W_K^h, v W_V^h)``, heads side by side.

    The layers are ``query``, ``key``, ``value`` and ``output``; head ``h`` has the ``h``-th of ``num_heads`` equal
    parts of the ``qkv_features`` of the first three. For self-attention the three may be ``fused`` to one,
    ``query_key_value``, whose kernel has theirs side by side: one larger product, which is faster.

    >>> layer = MultiHeadAttention(num_heads=2)
    >>> y, variables = jax.eval_shape(layer.init_with_output, jax.random.key(0), jnp.zeros((1, 5, 8)))
    >>> y.shape, variables["params"]["query"]["kernel"].shape
    ((1, 5, 8), (8, 8))
    """

    num_heads: int
    qkv_features: int | None = None
    out_features: int | None = None
    use_bias: bool = True
    dropout_rate: float = 0.0
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
        features = query.shape[-1] if self.qkv_features is None else self.qkv_features
        if self.num_heads < 1 or features % self.num_heads:
            raise ValueError(f"heads must divide the {features} features; got num_heads={self.num_heads}")

        q, k, v = self._project(query, key, value, features)
        if mask is not None and jnp.ndim(mask) > 2:
            mask = jnp.expand_dims(mask, -3)
        if cache is not None:
            first, cache = cache.length, extend(cache, k, v)
            k, v, causal = cache.k, cache.v, False
            mask = combine_masks(mask, causal_mask(q.shape[-2], k.shape[-2], first))
        dropping = train and self.dropout_rate != 0
        y, weights = dot_product_attention(
            q,
            k,
            v,
            mask,
            causal=causal,
            key=self.make_rng("dropout") if dropping else None,
            dropout_rate=self.dropout_rate,
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
        return [
            jnp.swapaxes(x.reshape(*x.shape[:-1], self.num_heads, features // self.num_heads), -3, -2) for x in each
        ]

    def _dense(self, name: str, width: int, kernel_init: Callable[..., Array]) -> nn.Dense:
        return nn.Dense(width, self.use_bias, self.dtype, kernel_init=kernel_init, name=name)
