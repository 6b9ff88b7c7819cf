"""Constraints on the next token: functions ``(logits [B, V], history) -> logits`` of the tokens so far.

They apply to the logits of a model before a token is chosen from them, in the order in which they are listed::

    constraints = (partial(penalize_repetition, penalty=1.3), partial(forbid_repeated_ngrams, n=3))
    decode.greedy(step_fn, carry, first, max_length=50, constraints=constraints)
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxdl.arrays import widen_floating
from jaxdl.checks import check_in_range, check_indices, check_positive_integer
from jaxdl.typing import Array, ArrayLike


class History(NamedTuple):
    """The tokens before the one to choose.

    Attributes:
        tokens: prompt and generated tokens, ``[B, L]``; only the first ``length`` count.
        length: the number of tokens so far, the same for all rows: a scalar.
        prompt_lengths: how many of a row's tokens belong to its prompt, ``[B]``.
    """

    tokens: Array
    length: Array
    prompt_lengths: Array


Constraint = Callable[[Array, History], Array]
"""A change of logits ``[B, V]`` that depends on a `History`; a token that it rules out has the logit -inf."""


def forbid_end(logits: ArrayLike, history: History, *, eos_id: int | Sequence[int], min_length: int) -> Array:
    """Rule out the end tokens until a row has ``min_length`` generated tokens before its end.

    Raises:
        ValueError: ``min_length`` is not positive, or an end token is outside of the vocabulary.

    >>> history = History(jnp.array([[3, 1, 0]]), 2, jnp.array([1]))
    >>> forbid_end(jnp.zeros((1, 4)), history, eos_id=2, min_length=2).tolist()
    [[0.0, 0.0, -inf, 0.0]]
    """
    logits = widen_floating(logits)
    check_positive_integer("min_length", min_length)
    ends = end_tokens(eos_id, logits.shape[-1])
    too_short = history.length - history.prompt_lengths < min_length  # [B]
    return jnp.where(too_short[:, None] & ends[None], -jnp.inf, logits)


def penalize_repetition(logits: ArrayLike, history: History, *, penalty: ArrayLike) -> Array:
    """Divide the positive logits of tokens that have occurred by a penalty, multiply the negative ones (CTRL).

    (Keskar et al., 2019.) The tokens of the prompt count.

    Args:
        logits: ``[B, V]``.
        history: the tokens so far.
        penalty: above 1 for fewer repetitions, from 0 to 1 for more.

    Raises:
        ValueError: the penalty is not positive.

    >>> history = History(jnp.array([[0, 1, 2]]), 2, jnp.array([1]))
    >>> penalize_repetition(jnp.array([[3.0, -3.0, 3.0]]), history, penalty=1.5).tolist()
    [[2.0, -4.5, 3.0]]
    """
    check_in_range("penalty", penalty, includes_low=False)
    logits = widen_floating(logits)
    counts = jnp.arange(history.tokens.shape[1]) < history.length  # [L]
    seen = _mark(history.tokens, jnp.broadcast_to(counts, history.tokens.shape), logits.shape[-1])
    return jnp.where(seen, jnp.where(logits < 0, logits * penalty, logits / penalty), logits)


def forbid_repeated_ngrams(logits: ArrayLike, history: History, *, n: int) -> Array:
    """Rule out tokens that would repeat ``n`` successive tokens (Paulus et al., 2018); those of the prompt count.

    Raises:
        ValueError: ``n`` is not positive.

    >>> history = History(jnp.array([[2, 1, 2, 0]]), 3, jnp.array([1]))
    >>> forbid_repeated_ngrams(jnp.zeros((1, 3)), history, n=2).tolist()
    [[0.0, -inf, 0.0]]
    """
    check_positive_integer("n", n)
    logits, tokens = widen_floating(logits), history.tokens
    starts = tokens.shape[1] - n + 1
    if starts < 1:
        return logits
    last = jax.lax.dynamic_slice_in_dim(tokens, history.length - n + 1, n - 1, axis=1)  # [B, n - 1]
    repeats = jnp.broadcast_to(jnp.arange(starts) + n <= history.length, (len(tokens), starts))
    for i in range(n - 1):
        repeats &= tokens[:, i : i + starts] == last[:, i : i + 1]
    return jnp.where(_mark(tokens[:, n - 1 :], repeats, logits.shape[-1]), -jnp.inf, logits)


def end_tokens(eos_id: int | Sequence[int] | None, vocab_size: int) -> Array:
    """Mark the end tokens of a vocabulary, ``[V]`` Booleans.

    Raises:
        ValueError: an end token is outside of the vocabulary, or no integer.

    >>> end_tokens((0, 2), 3).tolist()
    [True, False, True]
    """
    ids = np.atleast_1d(np.asarray([] if eos_id is None else eos_id))
    if ids.size and not np.issubdtype(ids.dtype, np.integer):
        raise ValueError(f"expected eos_id to be integers, got {eos_id!r}")
    ids = ids.astype(int)
    check_indices("eos_id", ids, vocab_size)
    marks = np.zeros(vocab_size, bool)
    marks[ids] = True
    return jnp.asarray(marks)


def _mark(tokens: Array, where: Array, vocab_size: int) -> Array:
    """Mark the tokens ``[B, L]`` that are ``where``, ``[B, V]`` Booleans."""
    rows = jnp.arange(len(tokens))[:, None]
    return jnp.zeros((len(tokens), vocab_size), bool).at[rows, tokens].max(where)
