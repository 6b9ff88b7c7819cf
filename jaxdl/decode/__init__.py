"""Generate sequences from any model that is a step function ``step_fn(carry, token) -> (carry, logits)``.

- `generation`: `greedy`, `sample` and the loop under both, `generate`; the result is `Generated`.
- `beam`: `beam_search`, whose result is `Beams`, and its `length_norm`.
- `sampling`: `greedy_token` and `sample_token` from logits; `shape_logits` by temperature, `keep_top_k`, `keep_top_p`.
- `forcing`: `scheduled_sampling` from teacher forcing to free running, `continue_prompt` after given elements, and the
  schedule `inverse_sigmoid_decay`.

``jaxdl.models.step_function(model, variables)`` makes the step function of a model.
"""

from jaxdl.decode.beam import Beams, beam_search, length_norm
from jaxdl.decode.forcing import continue_prompt, inverse_sigmoid_decay, scheduled_sampling
from jaxdl.decode.generation import Choice, Generated, StepFunction, generate, greedy, sample
from jaxdl.decode.sampling import greedy_token, keep_top_k, keep_top_p, sample_token, shape_logits

__all__ = [
    "Beams",
    "Choice",
    "Generated",
    "StepFunction",
    "beam_search",
    "continue_prompt",
    "generate",
    "greedy",
    "greedy_token",
    "inverse_sigmoid_decay",
    "keep_top_k",
    "keep_top_p",
    "length_norm",
    "sample",
    "sample_token",
    "scheduled_sampling",
    "shape_logits",
]
