"""Sequences from a model: greedy, sampled and beam search over ``step_fn(carry, token) -> (carry, logits)``."""

from jaxdl.decode import sampling
from jaxdl.decode.beam import Beams, beam_search, length_norm
from jaxdl.decode.forcing import inverse_sigmoid_decay, scheduled_sampling
from jaxdl.decode.generation import Generated, generate, greedy, sample
from jaxdl.decode.sampling import draw, greedy_token, keep_top_k, keep_top_p, shape_logits

__all__ = [
    "Beams",
    "Generated",
    "beam_search",
    "draw",
    "generate",
    "greedy",
    "greedy_token",
    "inverse_sigmoid_decay",
    "keep_top_k",
    "keep_top_p",
    "length_norm",
    "sample",
    "sampling",
    "scheduled_sampling",
    "shape_logits",
]
