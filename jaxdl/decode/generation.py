"""Generate sequences token by token, in one loop on the device.

A model is ``step_fn(carry, token) -> (carry, logits)`` with ``token [B]`` and ``logits [B, V]``; the carry is any tree
of arrays, the state of a recurrent network or a cache of keys and values. Call these functions within ``jax.jit``.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxdl.arrays import widen
from jaxdl.checks import check_indices, check_positive_integer
from jaxdl.decode.sampling import greedy_token, sample_token
from jaxdl.typing import Array, ArrayLike, Key, PyTree

StepFunction = Callable[[PyTree, Array], tuple[PyTree, Array]]
"""One step of a model: ``step_fn(carry, token) -> (carry, logits)``."""

Choice = Callable[[Any, Array], Array]
"""The choice of a token: ``choose(key, logits [B, V]) -> token [B]``, with a key of None for a certain choice.

A token outside of the vocabulary, such as the -1 of `greedy_token` for logits of NaN, ends its sequence.
"""


class Generated(NamedTuple):
    """Generated sequences.

    Attributes:
        tokens: ``[B, T]``, padded after the end.
        lengths: ``[B]``, with the end token counted.
        log_probability: the log-probability of the tokens under the model, ``[B]``.
    """

    tokens: Array
    lengths: Array
    log_probability: Array


class _State(NamedTuple):
    """The state of the loop after ``step`` tokens."""

    step: Array  # scalar, int32
    carry: PyTree
    token: Array  # [B]: the last token, fed to the model next
    generated: Generated
    finished: Array  # [B], Boolean


def generate(
    step_fn: StepFunction,
    carry: PyTree,
    first: ArrayLike,
    choose: Choice,
    *,
    max_length: int,
    key: Key | None = None,
    eos_id: int | None = None,
    pad_id: int = 0,
) -> Generated:
    """Feed a model's tokens back to it: ``token_(t+1) = choose(key_t, logits_t)``.

    The loop ends at ``max_length``, or once every sequence has ended. A sequence also ends where its logits are nan
    (from a cache without room): padding follows, and its log-probability is nan.

    Args:
        step_fn: the model.
        carry: the initial carry.
        first: the token before the first that is generated, ``[B]``: ``bos_id``, or the last of a prompt.
        choose: ``(key, logits [B, V]) -> token [B]``.
        max_length: the maximum number of tokens, ``T``.
        key: for ``choose``; None for a deterministic choice.
        eos_id: the token that ends a sequence; None for none.
        pad_id: the token after the end.

    Raises:
        ValueError: ``max_length`` is not positive, ``first`` is not ``[B]``, or ``eos_id`` is not in the vocabulary.
    """
    first = _check_start(first, max_length)
    (size,) = first.shape

    def body(state: _State) -> _State:
        carry, logits = step_fn(state.carry, state.token)
        if eos_id is not None:
            check_indices("eos_id", eos_id, logits.shape[-1])
        step_key = None if key is None else jax.random.fold_in(key, state.step)
        token = choose(step_key, logits).astype(jnp.int32)
        exists = (token >= 0) & (token < logits.shape[-1])
        log_p = jnp.take_along_axis(_log_softmax(logits), token[:, None], axis=-1)[:, 0]
        log_p = jnp.where(exists, log_p, jnp.nan)
        finished = state.finished | jnp.isnan(log_p)
        token = jnp.where(finished, pad_id, token)
        tokens, lengths, log_probability = state.generated
        generated = Generated(
            tokens.at[:, state.step].set(token),
            lengths + ~finished,
            log_probability + jnp.where(state.finished, 0, log_p).astype(log_probability.dtype),
        )
        finished = finished if eos_id is None else finished | (token == eos_id)
        return _State(state.step + 1, carry, token, generated, finished)

    empty = Generated(jnp.full((size, max_length), pad_id, jnp.int32), jnp.zeros(size, jnp.int32), jnp.zeros(size))
    initial = _State(jnp.zeros((), jnp.int32), carry, first, empty, jnp.zeros(size, bool))
    return jax.lax.while_loop(lambda s: (s.step < max_length) & ~jnp.all(s.finished), body, initial).generated


def greedy(
    step_fn: StepFunction,
    carry: PyTree,
    first: ArrayLike,
    *,
    max_length: int,
    eos_id: int | None = None,
    pad_id: int = 0,
) -> Generated:
    """Generate with the most probable token at every step; for the arguments see `generate`.

    >>> def count_up(carry, token):
    ...     return carry, 9.0 * jax.nn.one_hot((token + 1) % 5, 5)
    >>> jax.jit(lambda first: greedy(count_up, None, first, max_length=6, eos_id=4))(jnp.array([1, 3])).tokens.tolist()
    [[2, 3, 4, 0, 0, 0], [4, 0, 0, 0, 0, 0]]
    """
    return generate(step_fn, carry, first, greedy_token, max_length=max_length, eos_id=eos_id, pad_id=pad_id)


def sample(
    key: Key,
    step_fn: StepFunction,
    carry: PyTree,
    first: ArrayLike,
    *,
    max_length: int,
    temperature: ArrayLike = 1.0,
    top_k: int | None = None,
    top_p: ArrayLike | None = None,
    eos_id: int | None = None,
    pad_id: int = 0,
) -> Generated:
    """Generate with tokens sampled by `sample_token`; for the other arguments see `generate`."""
    choose = partial(sample_token, temperature=temperature, top_k=top_k, top_p=top_p)
    return generate(step_fn, carry, first, choose, max_length=max_length, key=key, eos_id=eos_id, pad_id=pad_id)


def _log_softmax(logits: Array) -> Array:
    """Compute log-probabilities in at least float32."""
    return jax.nn.log_softmax(widen(logits), axis=-1)


def _check_start(first: ArrayLike, max_length: int) -> Array:
    """Return the first tokens as int32.

    Raises:
        ValueError: ``max_length`` is not positive, or ``first`` is not ``[B]`` or known to be negative.
    """
    first = jnp.asarray(first)
    if first.ndim != 1 or not jnp.issubdtype(first.dtype, jnp.integer):
        raise ValueError(f"expected first to be integer tokens [B], got {first.shape} of {first.dtype}")
    check_positive_integer("max_length", max_length)
    check_indices("first", first, 2**31)
    return first.astype(jnp.int32)
