"""Attention: scaled dot products, many heads, scores, the key-value cache, positions."""

from jaxdl.nn.attention import cache, scores
from jaxdl.nn.attention.dot_product import (
    attend,
    causal_mask,
    combine_masks,
    dot_product_attention,
    padding_mask,
    scaled_dot_product,
)
from jaxdl.nn.attention.multi_head import MultiHeadAttention
from jaxdl.nn.attention.position import rotary, sinusoidal

__all__ = [
    "MultiHeadAttention",
    "attend",
    "cache",
    "causal_mask",
    "combine_masks",
    "dot_product_attention",
    "padding_mask",
    "rotary",
    "scaled_dot_product",
    "scores",
    "sinusoidal",
]
