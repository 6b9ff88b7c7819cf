"""Generate sequences token by token, in one loop on the device.

A model is ``step_fn(carry, token) -> (carry, logits)`` with ``token [B]`` and ``logits [B, V]``; the carry is any tree
of arrays, the state of a recurrent network or a cache of keys and values. Call these functions within ``jax.jit``.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxdl.arrays import widen
from jaxdl.checks import check_indices, check_positive_integer, known_value
from jaxdl.decode.constraints import Constraint, History, end_tokens
from jaxdl.decode.sampling import greedy_token, sample_token
from jaxdl.typing import Array, ArrayLike, Key, PyTree

StepFunction = Callable[[PyTree, Array], tuple[PyTree, Array]]
"""One step of a model: ``step_fn(carry, token) -> (carry, logits)``."""

Choice = Callable[[Any, Array], Array]
"""The choice of a token: ``choose(key, logits [B, V]) -> token [B]``, with a key of None for a certain choice.

A token outside of the vocabulary, such as the -1 of `greedy_token` for logits of NaN, ends its sequence.
"""

OnToken = Callable[[np.ndarray, np.ndarray], Any]
"""A callback of the host: ``on_token(tokens [B], is_new [B])``, with padding where no token was generated."""


class Generated(NamedTuple):
    """Generated sequences, without their prompts.

    Attributes:
        tokens: ``[B, T]``, padded after the end.
        lengths: ``[B]``, with the end token counted.
        log_probability: the log-probability of the tokens under the model, ``[B]``.
    """

    tokens: Array
    lengths: Array
    log_probability: Array


class _State(NamedTuple):
    """The state of the loop after ``step`` tokens were read."""

    step: Array  # scalar, int32
    carry: PyTree
    tokens: Array  # [B, P + T]: prompts and generated tokens; token ``step`` is fed to the model next
    lengths: Array  # [B]: generated tokens
    log_probability: Array  # [B]
    finished: Array  # [B], Boolean


def generate(
    step_fn: StepFunction,
    carry: PyTree,
    first: ArrayLike,
    choose: Choice,
    *,
    max_length: int,
    key: Key | None = None,
    eos_id: int | Sequence[int] | None = None,
    pad_id: int = 0,
    prompt_lengths: ArrayLike | None = None,
    constraints: Sequence[Constraint] = (),
    on_token: OnToken | None = None,
) -> Generated:
    """Feed a model's tokens back to it: ``token_(t+1) = choose(key_t, logits_t)``.

    The loop ends once every sequence has ``max_length`` tokens or has ended. A sequence also ends where its logits are
    nan (from a cache without room): padding follows, and its log-probability is nan.

    Prompts of different lengths are one batch: all rows read their first token together, and each generates from the
    end of its own prompt on, as if it were alone. Prompts have room and time in common with what is generated: a cache
    needs ``P + T - 1`` slots, and tokens that all prompts share in number are read faster by one pass of the model
    before (``first`` then holds the rest).

    Args:
        step_fn: the model.
        carry: the initial carry.
        first: the token before the first that is generated, ``[B]``: ``bos_id``, or the last of a prompt; or whole
            prompts, ``[B, P]``, padded at the right (see `align_left` for padding at the left).
        choose: ``(key, logits [B, V]) -> token [B]``.
        max_length: the maximum number of tokens to generate, ``T``.
        key: for ``choose``; None for a deterministic choice.
        eos_id: the token that ends a sequence, or several; None for none.
        pad_id: the token after the end.
        prompt_lengths: ``[B]``, from 1 to ``P``; None for ``P``.
        constraints: see `jaxdl.decode.constraints`; they change the choice, and not ``log_probability``.
        on_token: called on the host with every token as it is generated.

    Raises:
        ValueError: ``max_length`` is not positive, ``first`` is neither ``[B]`` nor ``[B, P]``, ``prompt_lengths`` do
            not fit it, or ``eos_id`` is not in the vocabulary.

    >>> def count_up(carry, token):
    ...     return carry, 9.0 * jax.nn.one_hot((token + 1) % 9, 9)
    >>> prompts, lengths = jnp.array([[1, 2, 3], [5, 0, 0]]), jnp.array([3, 1])
    >>> generate(count_up, None, prompts, greedy_token, max_length=2, prompt_lengths=lengths).tokens.tolist()
    [[4, 5], [6, 7]]
    """
    check_positive_integer("max_length", max_length)
    prompts, prompt_lengths = _check_prompts(first, prompt_lengths)
    size, longest = prompts.shape
    room = jnp.full((size, max_length), pad_id, jnp.int32)

    def body(state: _State) -> _State:
        carry, logits = step_fn(state.carry, state.tokens[:, state.step])
        history = History(state.tokens, state.step + 1, prompt_lengths)
        step_key = None if key is None else jax.random.fold_in(key, state.step)
        token = choose(step_key, _constrain(logits, history, constraints)).astype(jnp.int32)
        log_p = _log_probability(logits, token)
        generates = ~state.finished & (history.length >= prompt_lengths)
        is_new = generates & ~jnp.isnan(log_p)
        token = jnp.where(is_new, token, pad_id)
        if on_token is not None:
            jax.debug.callback(on_token, token, is_new, ordered=True)
        lengths = state.lengths + is_new
        is_end = end_tokens(eos_id, logits.shape[-1])[token]
        given = history.length < prompt_lengths
        following = jnp.where(given, state.tokens[:, state.step + 1], token)
        return _State(
            state.step + 1,
            carry,
            state.tokens.at[:, state.step + 1].set(following),
            lengths,
            state.log_probability + jnp.where(generates, log_p, 0).astype(state.log_probability.dtype),
            state.finished | (generates & (~is_new | is_end | (lengths == max_length))),
        )

    initial = _State(
        jnp.zeros((), jnp.int32),
        carry,
        jnp.concatenate([prompts, room], axis=1),
        jnp.zeros(size, jnp.int32),
        jnp.zeros(size),
        jnp.zeros(size, bool),
    )
    final = jax.lax.while_loop(lambda s: (s.step < longest + max_length - 1) & ~jnp.all(s.finished), body, initial)
    slots = jnp.arange(max_length)[None]  # [1, T]
    tokens = jnp.take_along_axis(final.tokens, prompt_lengths[:, None] + slots, axis=1)
    tokens = jnp.where(slots < final.lengths[:, None], tokens, pad_id)
    return Generated(tokens, final.lengths, final.log_probability)


def greedy(
    step_fn: StepFunction,
    carry: PyTree,
    first: ArrayLike,
    *,
    max_length: int,
    eos_id: int | Sequence[int] | None = None,
    pad_id: int = 0,
    prompt_lengths: ArrayLike | None = None,
    constraints: Sequence[Constraint] = (),
    on_token: OnToken | None = None,
) -> Generated:
    """Generate with the most probable token at every step; for the arguments see `generate`.

    >>> def count_up(carry, token):
    ...     return carry, 9.0 * jax.nn.one_hot((token + 1) % 5, 5)
    >>> jax.jit(lambda first: greedy(count_up, None, first, max_length=6, eos_id=4))(jnp.array([1, 3])).tokens.tolist()
    [[2, 3, 4, 0, 0, 0], [4, 0, 0, 0, 0, 0]]
    """
    return generate(
        step_fn,
        carry,
        first,
        greedy_token,
        max_length=max_length,
        eos_id=eos_id,
        pad_id=pad_id,
        prompt_lengths=prompt_lengths,
        constraints=constraints,
        on_token=on_token,
    )


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
    eos_id: int | Sequence[int] | None = None,
    pad_id: int = 0,
    prompt_lengths: ArrayLike | None = None,
    constraints: Sequence[Constraint] = (),
    on_token: OnToken | None = None,
) -> Generated:
    """Generate with tokens sampled by `sample_token`; for the other arguments see `generate`."""
    return generate(
        step_fn,
        carry,
        first,
        partial(sample_token, temperature=temperature, top_k=top_k, top_p=top_p),
        max_length=max_length,
        key=key,
        eos_id=eos_id,
        pad_id=pad_id,
        prompt_lengths=prompt_lengths,
        constraints=constraints,
        on_token=on_token,
    )


def _constrain(logits: Array, history: History, constraints: Sequence[Constraint]) -> Array:
    """Apply constraints in their order."""
    for constraint in constraints:
        logits = constraint(logits, history)
    return logits


def _log_probability(logits: Array, token: Array) -> Array:
    """Compute the log-probability of a token, ``[B]``; nan for one outside of the vocabulary."""
    exists = (token >= 0) & (token < logits.shape[-1])
    log_p = jnp.take_along_axis(_log_softmax(logits), token[:, None], axis=-1)[:, 0]
    return jnp.where(exists, log_p, jnp.nan)


def _log_softmax(logits: Array) -> Array:
    """Compute log-probabilities in at least float32."""
    return jax.nn.log_softmax(widen(logits), axis=-1)


def _check_first(first: ArrayLike) -> Array:
    """Return the first tokens as int32.

    Raises:
        ValueError: they are no integers ``[B]`` or ``[B, P]``, or known to be negative.
    """
    first = jnp.asarray(first)
    if first.ndim not in (1, 2) or 0 in first.shape[1:] or not jnp.issubdtype(first.dtype, jnp.integer):
        raise ValueError(
            f"expected first to be integer tokens [B] or prompts [B, P], got {first.shape} of {first.dtype}"
        )
    check_indices("first", first, 2**31)
    return first.astype(jnp.int32)


def _check_prompts(first: ArrayLike, prompt_lengths: ArrayLike | None) -> tuple[Array, Array]:
    """Return prompts ``[B, P]`` and their lengths ``[B]``.

    Raises:
        ValueError: the lengths do not fit the prompts, or as for `_check_first`.
    """
    first = _check_first(first)
    prompts = first[:, None] if first.ndim == 1 else first
    size, longest = prompts.shape
    lengths = jnp.full(size, longest) if prompt_lengths is None else jnp.asarray(prompt_lengths)
    known = known_value(lengths)
    in_range = known is None or not known.size or (known.min() >= 1 and known.max() <= longest)
    if lengths.shape != (size,) or not jnp.issubdtype(lengths.dtype, jnp.integer) or not in_range:
        raise ValueError(f"expected prompt_lengths [B] = ({size},) of integers in 1 .. {longest}, got {prompt_lengths}")
    return prompts, lengths.astype(jnp.int32)
