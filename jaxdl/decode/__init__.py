"""Sequences from a model: greedy, sampled and beam search over ``step_fn(carry, token) -> (carry, logits)``."""

from jaxdl.decode import sampling
from jaxdl.decode.beam import Beams, beam_search, length_norm
from jaxdl.decode.forcing import inverse_sigmoid_decay, scheduled_sampling
from jaxdl.decode.generate import Generated, generate, greedy, sample
from jaxdl.decode.sampling import draw, keep_top_k, keep_top_p, most_probable, shape_logits

__all__ = [
    "Beams",
    "Generated",
    "beam_search",
    "draw",
    "generate",
    "greedy",
    "inverse_sigmoid_decay",
    "keep_top_k",
    "keep_top_p",
    "length_norm",
    "most_probable",
    "sample",
    "sampling",
    "scheduled_sampling",
    "shape_logits",
]
