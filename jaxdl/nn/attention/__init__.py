"""Attention: scaled dot products, many heads, learned scores, the key-value cache, positions.

Functions: `dot_product_attention`, `attend`, `scaled_dot_product`; over devices `ring_attention`.

Masks: `causal_mask`, `padding_mask`, `window_mask`, `segment_mask`, `combine_masks`, `clear_hidden`, `fit_scores`.

Scores: `additive_scores`, `tanh_scores`, `dot_scores`, `general_scores`, `concat_scores`; with parameters
`AdditiveScore`, `DotScore`, `GeneralScore`, `ConcatScore`, the base class `Score`, and `init_score`.

Local attention: `local_mask`, `gaussian_window`, `predict_centers`. Coverage: `attention_penalty`,
`earlier_attention` and `coverage_loss`.

Pointers: `copy_probabilities` and `mix_copies`.

Modules: `MultiHeadAttention` (and its `split_heads`), `Attention`, `ScoreParameters`.

Key-value cache: `Cache`, `init_cache`, `extend_cache`.

Positions: `sinusoidal_positions`, `rotary_embedding`.
"""

from jaxdl.nn.attention.cache import Cache, extend_cache, init_cache
from jaxdl.nn.attention.coverage import attention_penalty, coverage_loss, earlier_attention
from jaxdl.nn.attention.dot_product import attend, dot_product_attention, scaled_dot_product
from jaxdl.nn.attention.local import gaussian_window, local_mask, predict_centers
from jaxdl.nn.attention.masking import (
    causal_mask,
    clear_hidden,
    combine_masks,
    fit_scores,
    padding_mask,
    segment_mask,
    window_mask,
)
from jaxdl.nn.attention.multi_head import MultiHeadAttention, split_heads
from jaxdl.nn.attention.pointer import copy_probabilities, mix_copies
from jaxdl.nn.attention.position import rotary_embedding, sinusoidal_positions
from jaxdl.nn.attention.ring import ring_attention
from jaxdl.nn.attention.scores import (
    AdditiveScore,
    Attention,
    ConcatScore,
    DotScore,
    GeneralScore,
    Score,
    ScoreParameters,
    additive_scores,
    concat_scores,
    dot_scores,
    general_scores,
    init_score,
    tanh_scores,
)

__all__ = [
    "AdditiveScore",
    "Attention",
    "Cache",
    "ConcatScore",
    "DotScore",
    "GeneralScore",
    "MultiHeadAttention",
    "Score",
    "ScoreParameters",
    "additive_scores",
    "attend",
    "attention_penalty",
    "causal_mask",
    "clear_hidden",
    "combine_masks",
    "concat_scores",
    "copy_probabilities",
    "coverage_loss",
    "dot_product_attention",
    "dot_scores",
    "earlier_attention",
    "extend_cache",
    "fit_scores",
    "gaussian_window",
    "general_scores",
    "init_cache",
    "init_score",
    "local_mask",
    "mix_copies",
    "padding_mask",
    "predict_centers",
    "ring_attention",
    "rotary_embedding",
    "scaled_dot_product",
    "segment_mask",
    "sinusoidal_positions",
    "split_heads",
    "tanh_scores",
    "window_mask",
]
