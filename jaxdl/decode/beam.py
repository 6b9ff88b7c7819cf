"""Beam search: approximate the most probable sequences by following a fixed number of hypotheses.

Dimensions: ``B`` batch, ``K`` beams, ``V`` vocabulary, ``T`` maximum length.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import chex
import einops
import jax
import jax.numpy as jnp
import numpy as np

from jaxdl.checks import check_in_range, check_positive_integer
from jaxdl.decode.constraints import Constraint, History, end_tokens
from jaxdl.decode.generation import StepFunction, _check_first, _constrain, _log_softmax
from jaxdl.typing import Array, ArrayLike, PyTree


class Beams(NamedTuple):
    """The ``K`` hypotheses of every example, best score first.

    Attributes:
        tokens: ``[B, K, T]``, padded after the end.
        lengths: ``[B, K]``, with the end token counted.
        log_probability: ``[B, K]``; -inf for a slot without a hypothesis.
        score: ``[B, K]``, the log-probability divided by `length_norm`.
    """

    tokens: Array
    lengths: Array
    log_probability: Array
    score: Array


class _State(NamedTuple):
    """The state of a search after ``step`` tokens."""

    step: Array  # scalar, int32: tokens generated so far
    carry: PyTree  # the model's, for the live hypotheses: leaves [B K, ...], or scalars
    token: Array  # [B, K]: the last token of each live hypothesis, fed to the model next
    live: Beams  # the K most probable hypotheses without an end token
    finished: Beams  # the K best-scored hypotheses with one


def length_norm(lengths: ArrayLike, alpha: float) -> Array:
    """Compute the length normalization ``((5 + length) / 6)^alpha`` of a log-probability (Wu et al., 2016).

    >>> length_norm(jnp.array([1, 7]), 1.0).tolist()
    [1.0, 2.0]
    """
    return ((5.0 + jnp.asarray(lengths)) / 6.0) ** alpha


def beam_search(
    step_fn: StepFunction,
    carry: PyTree,
    first: ArrayLike,
    *,
    num_beams: int,
    max_length: int,
    eos_id: int | Sequence[int] | None = None,
    length_penalty: float = 0.6,
    pad_id: int = 0,
    constraints: Sequence[Constraint] = (),
) -> Beams:
    """Search for the sequences with the best score ``log p / ((5 + length) / 6)^alpha``.

    Each step extends the ``K`` live hypotheses by every token. Their extensions by ``eos_id`` compete for the ``K``
    slots of finished hypotheses; of all other candidates, the ``K`` most probable are the next live hypotheses. The
    search ends at ``max_length``, where live hypotheses count as finished, or once none of them can reach a slot. A
    search that ends before returns hypotheses with an end token alone, and an example's result does not depend on the
    others of its batch. Candidates with a log-probability of nan (from a cache without room) are dropped; where all
    are, the hypotheses finished before remain.

    Args:
        step_fn: ``(carry, token [N]) -> (carry, logits [N, V])``, for ``N = B K``.
        carry: the initial carry; every leaf is ``[B, ...]``, or a scalar common to all examples.
        first: the token before the first that is generated, ``[B]``.
        num_beams: ``K``; 1 is greedy search, except that finished hypotheses compete by score.
        max_length: the maximum number of tokens, ``T``.
        eos_id: the token that ends a sequence, or several; None for none.
        length_penalty: ``alpha``; 0 compares probabilities, which favours short sequences; a negative one favours them
            more.
        pad_id: the token after the end.
        constraints: see `jaxdl.decode.constraints`; they change log-probabilities, which are not normalized again.

    Raises:
        ValueError: ``num_beams`` or ``max_length`` is not positive, ``first`` is not ``[B]``, ``eos_id`` is outside of
            the vocabulary, or ``length_penalty`` is not finite.
    """
    check_in_range("length_penalty", length_penalty, -math.inf, includes_low=False, includes_high=False)
    check_positive_integer("max_length", max_length)
    check_positive_integer("num_beams", num_beams)
    first = _check_first(first, (1,))
    token = einops.repeat(first, "b -> b k", k=num_beams)
    none = _no_hypotheses(token.shape, max_length, pad_id)
    # All beams start equal: only the first slot counts, or every hypothesis would occur K times.
    live = none._replace(log_probability=none.log_probability.at[:, 0].set(0))
    carry = _map_batched(partial(jnp.repeat, repeats=num_beams, axis=0), carry)  # [B, ...] -> [B K, ...]
    initial = _State(jnp.zeros((), jnp.int32), carry, token, live, none)

    def step(state: _State) -> _State:
        return _step(step_fn, state, token, eos_id, length_penalty, constraints)

    def can_improve(state: _State) -> Array:
        return (state.step < max_length) & _can_improve(state, max_length, length_penalty)

    final = jax.lax.while_loop(can_improve, step, initial)
    at_end = final.live._replace(score=jnp.where(final.step == max_length, final.live.score, -jnp.inf))
    return _best(final.finished, at_end)


def _step(
    step_fn: StepFunction,
    state: _State,
    first: Array,
    eos_id: int | Sequence[int] | None,
    alpha: float,
    constraints: Sequence[Constraint],
) -> _State:
    """Extend every live hypothesis by one token; ``first`` ``[B, K]`` is the token before all of them."""
    batch, beams = state.token.shape
    carry, logits = step_fn(state.carry, einops.rearrange(state.token, "b k -> (b k)"))
    chex.assert_rank(logits, 2)
    log_p = _log_softmax(logits)
    if constraints:
        tokens = jnp.concatenate([first[..., None], state.live.tokens], axis=-1)
        tokens = einops.rearrange(tokens, "b k t -> (b k) t")
        log_p = _constrain(log_p, History(tokens, state.step + 1, jnp.ones(len(tokens), jnp.int32)), constraints)
    candidates = state.live.log_probability[..., None] + einops.rearrange(log_p, "(b k) v -> b k v", k=beams)
    candidates = jnp.where(jnp.isnan(candidates), -jnp.inf, candidates)  # [B, K, V]
    finished, size = state.finished, candidates.shape[-1]
    ends = end_tokens(eos_id, size)
    for end in [] if eos_id is None else np.atleast_1d(eos_id):
        ended = _append(state.live, state.step, jnp.full((batch, beams), end), candidates[..., end], alpha)
        finished = _best(finished, ended)
    candidates = jnp.where(ends, -jnp.inf, candidates)  # an ended hypothesis is not live
    log_probability, flat = jax.lax.top_k(einops.rearrange(candidates, "b k v -> b (k v)"), beams)  # [B, K] each
    parent, token = flat // size, flat % size
    live = _append(_take_slots(state.live, parent), state.step, token, log_probability, alpha)
    rows = einops.rearrange(jnp.arange(batch)[:, None] * beams + parent, "b k -> (b k)")
    carry = _map_batched(lambda leaf: leaf[rows], carry)  # every hypothesis goes on from its parent's carry
    return _State(state.step + 1, carry, token, live, finished)


def _can_improve(state: _State, max_length: int, alpha: float) -> Array:
    """Decide whether any live hypothesis can still reach a slot of the finished ones."""
    # A log-probability only falls, so the bound takes the more favourable of the first and the last norm to come.
    norm = jnp.maximum(length_norm(state.step + 1, alpha), length_norm(max_length, alpha))
    bound = jnp.max(state.live.log_probability, axis=-1) / norm  # [B]
    return jnp.any(bound > jnp.min(state.finished.score, axis=-1))


def _no_hypotheses(shape: tuple[int, ...], max_length: int, pad_id: int) -> Beams:
    """Make empty slots ``[B, K]``."""
    impossible = jnp.full(shape, -jnp.inf)
    return Beams(jnp.full((*shape, max_length), pad_id, jnp.int32), jnp.zeros(shape, jnp.int32), impossible, impossible)


def _append(hypotheses: Beams, step: Array, token: Array, log_probability: Array, alpha: float) -> Beams:
    """Append a token ``[B, K]`` to hypotheses of ``step`` tokens."""
    chex.assert_equal_shape([token, log_probability, hypotheses.lengths])
    return Beams(
        hypotheses.tokens.at[..., step].set(token.astype(jnp.int32)),
        jnp.full_like(hypotheses.lengths, step + 1),
        log_probability,
        log_probability / length_norm(step + 1, alpha),
    )


def _best(some: Beams, others: Beams) -> Beams:
    """Keep the ``K`` hypotheses with the best scores of two lists of ``K``, sorted."""
    both = jax.tree.map(lambda a, b: jnp.concatenate([a, b], axis=1), some, others)  # [B, 2 K, ...]
    return _take_slots(both, jax.lax.top_k(both.score, some.score.shape[1])[1])


def _take_slots(hypotheses: Beams, slots: Array) -> Beams:
    """Take the hypotheses in slots ``[B, K]``."""
    return jax.tree.map(lambda leaf: jax.vmap(lambda row, slot: row[slot])(leaf, slots), hypotheses)


def _map_batched(function: Callable[[Array], Array], carry: PyTree) -> PyTree:
    """Apply a function to every leaf of a carry that has a batch dimension."""
    return jax.tree.map(lambda leaf: leaf if jnp.ndim(leaf) == 0 else function(leaf), carry)
