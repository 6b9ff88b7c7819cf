"""The one protocol of models that generate tokens: an initial carry, and a step.

- ``init_carry`` makes the carry before the first token. A language model (`RecurrentLanguageModel`, `GPT`, `Llama`,
  `WaveNet`) takes the batch shape, ``model.init_carry((B,))``; an encoder-decoder (`EncoderDecoder`, `Transformer`,
  `HierarchicalEncoderDecoder`) encodes the source,
  ``model.apply(variables, source, source_lengths, method="init_carry")``.
- ``model.apply(variables, carry, token, method="step")`` maps the carry and one token ``[B]`` to the next carry and the
  logits ``[B, V]`` of the token that follows.
"""

from collections.abc import Callable
from typing import cast

from flax import linen

from jaxdl.typing import Array, PyTree


def step_function(model: linen.Module, variables: PyTree) -> Callable[[PyTree, Array], tuple[PyTree, Array]]:
    """Make the step function that `jaxdl.decode` takes, ``(carry, token [B]) -> (carry, logits [B, V])``.

    A language model continues a prompt from the carry after it:

    >>> import jax, jax.numpy as jnp
    >>> from jaxdl import decode, models
    >>> model = models.RecurrentLanguageModel(vocab_size=5, embedding_dim=3)
    >>> prompt = jnp.array([[1, 2, 3]])
    >>> def complete(variables):
    ...     _, intermediates = model.apply(variables, prompt[:, :-1], return_intermediates=True)
    ...     step_fn = models.step_function(model, variables)
    ...     return decode.greedy(step_fn, intermediates["carry"], prompt[:, -1], max_length=4).tokens
    >>> jax.eval_shape(complete, jax.eval_shape(model.init, jax.random.key(0), prompt)).shape
    (1, 4)

    An encoder-decoder starts from its source, and a token ``bos_id``:

    >>> model = models.EncoderDecoder(source_vocab_size=9, target_vocab_size=7, embedding_dim=4)
    >>> source = jnp.ones((2, 6), int)
    >>> def translate(variables):
    ...     carry = model.apply(variables, source, method="init_carry")
    ...     step_fn = models.step_function(model, variables)
    ...     return decode.greedy(step_fn, carry, jnp.array([2, 2]), max_length=8, eos_id=3).tokens
    >>> jax.eval_shape(translate, jax.eval_shape(model.init, jax.random.key(0), source, source)).shape
    (2, 8)
    """

    def step(carry: PyTree, token: Array) -> tuple[PyTree, Array]:
        return cast(tuple[PyTree, Array], model.apply(variables, carry, token, method="step"))

    return step
