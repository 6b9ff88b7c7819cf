"""Beam search: approximate the most probable sequences by following a fixed number of hypotheses.

Dimensions: ``B`` batch, ``K`` beams, ``V`` vocabulary, ``P`` longest prompt, ``T`` maximum length.
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
from jaxdl.decode.generation import StepFunction, _check_prompts, _constrain, _log_softmax
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
    """The state of a search after ``step`` tokens were read.

    Sequences are prompts and what follows, ``[B, K, P + T]``; token ``step`` is fed to the model next.
    """

    step: Array  # scalar, int32
    carry: PyTree  # the model's, for the live hypotheses: leaves [B K, ...], or scalars
    token: Array  # [B, K]: the last token of each live hypothesis, or the next one of its prompt
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
    prompt_lengths: ArrayLike | None = None,
    constraints: Sequence[Constraint] = (),
) -> Beams:
    """Search for the sequences with the best score ``log p / ((5 + length) / 6)^alpha``.

    Each step extends the ``K`` live hypotheses by every token. Their extensions by ``eos_id`` compete for the ``K``
    slots of finished hypotheses; of all other candidates, the ``K`` most probable are the next live hypotheses. The
    search ends at ``max_length``, where live hypotheses count as finished, or once none of them can reach a slot. A
    search that ends before returns hypotheses with an end token alone, and an example's result does not depend on the
    others of its batch. Candidates with a log-probability of nan (from a cache without room) are dropped; where all
    are, the hypotheses finished before remain.

    Prompts of different lengths are one batch, as for `generate`: all rows read them together, token by token, and each
    search begins at the end of its own. Only what follows counts in lengths and log-probabilities.

    Args:
        step_fn: ``(carry, token [N]) -> (carry, logits [N, V])``, for ``N = B K``.
        carry: the initial carry; every leaf is ``[B, ...]``, or a scalar common to all examples.
        first: the token before the first that is generated, ``[B]``; or whole prompts, ``[B, P]``, padded at the right.
        num_beams: ``K``; 1 is greedy search, except that finished hypotheses compete by score.
        max_length: the maximum number of tokens, ``T``.
        eos_id: the token that ends a sequence, or several; None for none.
        length_penalty: ``alpha``; 0 compares probabilities, which favours short sequences; a negative one favours them
            more.
        pad_id: the token after the end.
        prompt_lengths: ``[B]``, from 1 to ``P``; None for ``P``.
        constraints: see `jaxdl.decode.constraints`; they change log-probabilities, which are not normalized again.

    Raises:
        ValueError: ``num_beams`` or ``max_length`` is not positive, ``first`` is neither ``[B]`` nor ``[B, P]``,
            ``prompt_lengths`` do not fit it, ``eos_id`` is outside of the vocabulary, or ``length_penalty`` is not
            finite.
    """
    check_in_range("length_penalty", length_penalty, -math.inf, includes_low=False, includes_high=False)
    check_positive_integer("max_length", max_length)
    check_positive_integer("num_beams", num_beams)
    prompts, prompt_lengths = _check_prompts(first, prompt_lengths)
    prompts = einops.repeat(prompts, "b p -> b k p", k=num_beams)
    none = _no_hypotheses(prompts.shape[:2], prompts.shape[2] + max_length, pad_id)
    # All beams start equal: only the first slot counts, or every hypothesis would occur K times.
    live = none._replace(
        tokens=none.tokens.at[..., : prompts.shape[2]].set(prompts),
        log_probability=none.log_probability.at[:, 0].set(0),
    )
    carry = _map_batched(partial(jnp.repeat, repeats=num_beams, axis=0), carry)  # [B, ...] -> [B K, ...]
    initial = _State(jnp.zeros((), jnp.int32), carry, prompts[..., 0], live, none)

    def step(state: _State) -> _State:
        return _step(step_fn, state, prompt_lengths, max_length, eos_id, length_penalty, constraints)

    def can_improve(state: _State) -> Array:
        return _can_improve(state, _generated(state, prompt_lengths), max_length, length_penalty)

    final = jax.lax.while_loop(can_improve, step, initial)
    is_full = _generated(final, prompt_lengths)[:, None] >= max_length
    best = _best(final.finished, final.live._replace(score=jnp.where(is_full, final.live.score, -jnp.inf)))
    slots = jnp.arange(max_length)[None, None]  # [1, 1, T]
    tokens = jnp.take_along_axis(best.tokens, prompt_lengths[:, None, None] + slots, axis=2)
    return best._replace(tokens=jnp.where(slots < best.lengths[..., None], tokens, pad_id))


def _generated(state: _State, prompt_lengths: Array) -> Array:
    """Count the tokens after the prompts, ``[B]``; negative within a prompt."""
    return state.step + 1 - prompt_lengths


def _step(
    step_fn: StepFunction,
    state: _State,
    prompt_lengths: Array,
    max_length: int,
    eos_id: int | Sequence[int] | None,
    alpha: float,
    constraints: Sequence[Constraint],
) -> _State:
    """Read a token in every row, and extend the live hypotheses of the rows whose prompts have ended."""
    batch, beams = state.token.shape
    carry, logits = step_fn(state.carry, einops.rearrange(state.token, "b k -> (b k)"))
    chex.assert_rank(logits, 2)
    log_p = _log_softmax(logits)
    if constraints:
        tokens = einops.rearrange(state.live.tokens, "b k t -> (b k) t")
        history = History(tokens, state.step + 1, jnp.repeat(prompt_lengths, beams))
        log_p = _constrain(log_p, history, constraints)
    candidates = state.live.log_probability[..., None] + einops.rearrange(log_p, "(b k) v -> b k v", k=beams)
    candidates = jnp.where(jnp.isnan(candidates), -jnp.inf, candidates)  # [B, K, V]
    size, count = candidates.shape[-1], _generated(state, prompt_lengths)
    append = partial(_append, place=state.step + 1, count=jnp.maximum(count, 0)[:, None] + 1, alpha=alpha)
    finished, ends = state.finished, end_tokens(eos_id, size)
    for end in [] if eos_id is None else np.atleast_1d(eos_id):
        finished = _best(finished, append(state.live, jnp.full((batch, beams), end), candidates[..., end]))
    candidates = jnp.where(ends, -jnp.inf, candidates)  # an ended hypothesis is not live
    log_probability, flat = jax.lax.top_k(einops.rearrange(candidates, "b k v -> b (k v)"), beams)  # [B, K] each
    parent, token = flat // size, flat % size
    live = append(_take_slots(state.live, parent), token, log_probability)
    extends = (count >= 0) & (count < max_length)  # [B]
    live, finished = (_where(extends, a, b) for a, b in ((live, state.live), (finished, state.finished)))
    parent = jnp.where(extends[:, None], parent, jnp.arange(beams)[None])
    rows = einops.rearrange(jnp.arange(batch)[:, None] * beams + parent, "b k -> (b k)")
    carry = _map_batched(lambda leaf: leaf[rows], carry)  # every hypothesis goes on from its parent's carry
    return _State(state.step + 1, carry, live.tokens[..., state.step + 1], live, finished)


def _can_improve(state: _State, count: Array, max_length: int, alpha: float) -> Array:
    """Decide whether a live hypothesis can reach a slot of the finished ones, after ``count`` ``[B]`` tokens."""
    # A log-probability only falls, so the bound takes the more favourable of the first and the last norm to come.
    norm = jnp.maximum(length_norm(jnp.maximum(count, 0) + 1, alpha), length_norm(max_length, alpha))
    bound = jnp.max(state.live.log_probability, axis=-1) / norm  # [B]
    return jnp.any((count < max_length) & (bound > jnp.min(state.finished.score, axis=-1)))


def _no_hypotheses(shape: tuple[int, ...], max_length: int, pad_id: int) -> Beams:
    """Make empty slots ``[B, K]``."""
    impossible = jnp.full(shape, -jnp.inf)
    return Beams(jnp.full((*shape, max_length), pad_id, jnp.int32), jnp.zeros(shape, jnp.int32), impossible, impossible)


def _append(
    hypotheses: Beams, token: Array, log_probability: Array, *, place: Array, count: Array, alpha: float
) -> Beams:
    """Put a token ``[B, K]`` in the ``place``; hypotheses then have ``count`` ``[B, 1]`` tokens after the prompt."""
    chex.assert_equal_shape([token, log_probability, hypotheses.lengths])
    return Beams(
        hypotheses.tokens.at[..., place].set(token.astype(jnp.int32)),
        jnp.broadcast_to(count, token.shape).astype(jnp.int32),
        log_probability,
        log_probability / length_norm(count, alpha),
    )


def _where(rows: Array, some: Beams, others: Beams) -> Beams:
    """Select the hypotheses of ``some`` in the given rows, Booleans ``[B]``, and of ``others`` elsewhere."""
    return jax.tree.map(lambda a, b: jax.vmap(jnp.where)(rows, a, b), some, others)


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
