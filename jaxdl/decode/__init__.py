"""Generate sequences from any model that is a step function ``step_fn(carry, token) -> (carry, logits)``.

- `generation`: `greedy`, `sample` and the loop under both, `generate`; the result is `Generated`.
- `constraints`: `forbid_end` before a minimum length, `penalize_repetition` and `forbid_repeated_ngrams`, each a
  `Constraint` on what follows a `History`; `end_tokens`.
- `prompts`: `align_left` for prompts of different lengths, `window_step` beyond the context of a model (`Window`,
  `init_window`).
- `beam`: `beam_search`, whose result is `Beams`, and its `length_norm`.
- `sampling`: `greedy_token` and `sample_token` from logits; `shape_logits` by temperature, `keep_top_k`, `keep_top_p`.
- `forcing`: `scheduled_sampling` from teacher forcing to free running, `continue_prompt` after given elements, and the
  schedule `inverse_sigmoid_decay`.

``jaxdl.models.step_function(model, variables)`` makes the step function of a model.
"""

from jaxdl.decode.beam import Beams, beam_search, length_norm
from jaxdl.decode.constraints import (
    Constraint,
    History,
    end_tokens,
    forbid_end,
    forbid_repeated_ngrams,
    penalize_repetition,
)
from jaxdl.decode.forcing import continue_prompt, inverse_sigmoid_decay, scheduled_sampling
from jaxdl.decode.generation import Choice, Generated, OnToken, StepFunction, generate, greedy, sample
from jaxdl.decode.prompts import Window, align_left, init_window, window_step
from jaxdl.decode.sampling import greedy_token, keep_top_k, keep_top_p, sample_token, shape_logits

__all__ = [
    "Beams",
    "Choice",
    "Constraint",
    "Generated",
    "History",
    "OnToken",
    "StepFunction",
    "Window",
    "align_left",
    "beam_search",
    "continue_prompt",
    "end_tokens",
    "forbid_end",
    "forbid_repeated_ngrams",
    "generate",
    "greedy",
    "greedy_token",
    "init_window",
    "inverse_sigmoid_decay",
    "keep_top_k",
    "keep_top_p",
    "length_norm",
    "penalize_repetition",
    "sample",
    "sample_token",
    "scheduled_sampling",
    "shape_logits",
    "window_step",
]
