"""Grouped-query attention: several heads of queries for one of keys and values, rotated by their positions.

Dimensions: ``B`` batch, ``T`` queries, ``S`` keys, ``H`` heads of queries, ``K`` of keys and values, ``D`` width.
"""

from functools import partial
from typing import Any

import jax.numpy as jnp
from einops import rearrange
from flax import linen

from jaxdl.nn.attention.cache import Cache, extend_cache
from jaxdl.nn.attention.dot_product import dot_product_attention
from jaxdl.nn.attention.masking import causal_mask, combine_masks
from jaxdl.nn.attention.position import rotary_embedding
from jaxdl.nn.initializers import normal
from jaxdl.typing import Array, ArrayLike


class GroupedQueryAttention(linen.Module):
    """Causal self-attention in which neighbouring heads share keys and values (Ainslie et al., 2023).

    ``K`` heads of keys and values serve ``H`` heads of queries, ``H / K`` each; with ``K = H`` it is multi-head
    attention, with ``K = 1`` multi-query attention. Queries and keys are rotated by their positions, in halves (see
    `jaxdl.nn.rotary_embedding`). A cache holds ``K`` heads.

    Args:
        num_heads: ``H``.
        num_kv_heads: ``K``, which divides ``H``; None for ``H``.
        head_dim: width of a head; None for ``D / H``.
        rope_base: ratio of the longest to the shortest wavelength of the rotation.
        use_bias: whether the four layers have biases.
        dropout_rate: of the weights.
        kernel_init: of all kernels.
        output_init: of the last kernel; None for ``kernel_init``.
        dtype: of the computation.

    >>> import jax
    >>> layer = GroupedQueryAttention(num_heads=4, num_kv_heads=2)
    >>> variables = jax.eval_shape(layer.init, jax.random.key(0), jnp.zeros((1, 5, 16)))
    >>> {name: leaves["kernel"].shape for name, leaves in sorted(variables["params"].items())}
    {'key': (16, 8), 'output': (16, 16), 'query': (16, 16), 'value': (16, 8)}
    """

    num_heads: int
    num_kv_heads: int | None = None
    head_dim: int | None = None
    rope_base: float = 10_000.0
    use_bias: bool = False
    dropout_rate: float = 0.0
    kernel_init: Any = normal(0.02)
    output_init: Any = None
    dtype: Any = None

    @linen.compact
    def __call__(
        self,
        x: Array,
        train: bool = False,
        *,
        mask: ArrayLike | None = None,
        cache: Cache | None = None,
        return_weights: bool = False,
    ) -> tuple[Array, dict[str, Any]]:
        """Compute ``y`` for ``x``, both ``[B, T, D]``.

        Args:
            x: ``[B, T, D]``.
            train: apply dropout, with random numbers from the collection ``"dropout"``.
            mask: Booleans that broadcast to ``[B, T, S]``.
            cache: the earlier positions; masks then cover all of its slots.
            return_weights: whether the weights are among the intermediates.

        Returns:
            ``y``, and the intermediates: the weights ``attention`` ``[B, H, T, S]`` if wanted, and with a cache the
            next ``cache``.

        Raises:
            ValueError: the heads do not divide ``D``, or not each other.
        """
        kv_heads, head_dim = split_heads(x.shape[-1], self.num_heads, self.num_kv_heads, self.head_dim)
        dense = partial(linen.Dense, use_bias=self.use_bias, dtype=self.dtype, kernel_init=self.kernel_init)

        def project(name: str, heads: int) -> Array:
            return rearrange(dense(heads * head_dim, name=name)(x), "b t (h d) -> b h t d", h=heads)

        q, k, v = project("query", self.num_heads), project("key", kv_heads), project("value", kv_heads)
        first = 0 if cache is None else cache.length
        positions = first + jnp.arange(x.shape[1])
        q, k = (rotary_embedding(each, positions, self.rope_base, pairs="halves") for each in (q, k))
        mask = None if mask is None else jnp.asarray(mask)
        if cache is not None:
            cache = extend_cache(cache, k, v)
            k, v = cache.k, cache.v  # [B, K, S, D / H]
            mask = combine_masks(mask, causal_mask(q.shape[-2], k.shape[-2], first))
        if mask is not None and mask.ndim > 2:
            mask = jnp.expand_dims(mask, -3)  # [B, 1, T, S]
        attention = partial(
            dot_product_attention,
            causal=cache is None,
            key=self.make_rng("dropout") if train and self.dropout_rate != 0 else None,
            dropout_rate=self.dropout_rate,
        )
        out: dict[str, Any] = {} if cache is None else {"cache": cache}
        if return_weights:
            y, out["attention"] = attention(q, k, v, mask, return_weights=True)
        else:
            y = attention(q, k, v, mask)
        y = rearrange(y.astype(q.dtype), "b h t d -> b t (h d)")
        return dense(x.shape[-1], kernel_init=self.output_init or self.kernel_init, name="output")(y), out


def split_heads(d_model: int, num_heads: int, num_kv_heads: int | None, head_dim: int | None) -> tuple[int, int]:
    """Return the number of heads of keys and values, and the width of a head.

    Raises:
        ValueError: the heads do not divide ``d_model``, where that determines their width, or not each other.

    >>> split_heads(576, 9, 3, None)
    (3, 64)
    """
    if num_heads < 1 or (head_dim is None and d_model % num_heads):
        raise ValueError(f"expected num_heads to divide d_model = {d_model}, got {num_heads}")
    kv_heads = num_heads if num_kv_heads is None else num_kv_heads
    if kv_heads < 1 or num_heads % kv_heads:
        raise ValueError(f"expected num_kv_heads to divide num_heads = {num_heads}, got {kv_heads}")
    return kv_heads, d_model // num_heads if head_dim is None else head_dim
