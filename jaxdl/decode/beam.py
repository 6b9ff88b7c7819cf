"""Beam search: the most probable sequences, of which so many beginnings are followed at a time."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxdl.decode.generation import StepFunction, check_start, log_softmax
from jaxdl.typing import Array, ArrayLike, PyTree


class Beams(NamedTuple):
    """Hypotheses of every example, the best first: ``tokens [B, K, T]`` with padding after the end, ``lengths [B, K]``
    with the end counted, and ``log_probability`` and ``score``, both ``[B, K]``; -inf where there is none.
    """

    tokens: Array
    lengths: Array
    log_probability: Array
    score: Array


def length_norm(lengths: ArrayLike, alpha: float) -> Array:
    """Return ``((5 + length) / 6)^alpha``, by which the log-probability is divided (Wu et al., 2016).

    >>> length_norm(jnp.array([1, 7]), 1.0).tolist()
    [1.0, 2.0]
    """
    return ((5.0 + jnp.asarray(lengths)) / 6.0) ** alpha


def beam_search(
    step_fn: StepFunction,
    carry: PyTree,
    first: ArrayLike,
    *,
    beams: int,
    length: int,
    end: int | None = None,
    length_penalty: float = 0.6,
    pad: int = 0,
) -> Beams:
    """Follow the ``K`` most probable beginnings; return the best sequences that were met.

    At every time each of the ``K`` beginnings offers to end, and enters the list of the ``K`` best ended sequences if
    its score ``log p / ((5 + length) / 6)^alpha`` is good enough; the ``K`` most probable of all continuations that do
    not end are the next beginnings. It stops at the length, where beginnings count as ended, or as soon as no beginning
    can enter the list any more. A beginning whose logits give no probabilities (nan, as from a cache without room) is
    given up; where all are, what had ended before is left.

    Args:
        step_fn: ``(carry, token [N]) -> (carry, logits [N, V])``, for ``N = B K``.
        carry: what the model starts from; every array has the batch ``[B, ...]`` first, or is a scalar for all.
        first: the token before the first that is generated, ``[B]``.
        beams: ``K``. One is greedy search but for the ways to end.
        length: how many tokens at most, ``T``.
        end: the token that ends a sequence; None for none.
        length_penalty: ``alpha``; 0 compares probabilities, which favours short sequences.
        pad: what stands after the end.

    Raises:
        ValueError: ``beams`` or the length is not positive, or ``first`` is not ``[B]``.
    """
    first = check_start(first, length)
    if beams < 1:
        raise ValueError(f"beams is how many beginnings are followed and must be at least 1; got {beams}")
    search = _Search(first.shape[0], beams, length, end, length_penalty, pad)
    carry = jax.tree.map(lambda leaf: leaf if jnp.ndim(leaf) == 0 else jnp.repeat(leaf, beams, axis=0), carry)

    def body(state):
        t, carry, last, alive, ended = state
        carry, logits = step_fn(carry, last.reshape(-1))
        offered = alive.log_probability[..., None] + log_softmax(logits).reshape(*last.shape, -1)
        offered = jnp.where(jnp.isnan(offered), -jnp.inf, offered)
        if end is not None:
            closed = search.extend(alive, t, jnp.full(last.shape, end), offered[..., end])
            ended = search.best(ended, closed)
            offered = offered.at[..., end].set(-jnp.inf)
        log_probability, place = jax.lax.top_k(offered.reshape(offered.shape[0], -1), beams)
        parent, token = place // offered.shape[-1], place % offered.shape[-1]
        alive = search.extend(_choose(alive, parent), t, token, log_probability)
        return t + 1, search.reorder(carry, parent), token, alive, ended

    alive, ended = search.nothing(), search.nothing()
    # All beams start equal, so that only the first may count, or every hypothesis would be there K times.
    alive = alive._replace(log_probability=alive.log_probability.at[:, 0].set(0))
    last = jnp.broadcast_to(first[:, None], (first.shape[0], beams))
    state = jnp.zeros((), jnp.int32), carry, last, alive, ended
    *_, alive, ended = jax.lax.while_loop(search.unfinished, body, state)
    return search.best(ended, alive)


class _Search(NamedTuple):
    """The sizes of a search, and what it does to hypotheses."""

    batch: int
    beams: int
    length: int
    end: int | None
    alpha: float
    pad: int

    def nothing(self) -> Beams:
        shape = (self.batch, self.beams)
        never = jnp.full(shape, -jnp.inf)
        return Beams(jnp.full((*shape, self.length), self.pad, jnp.int32), jnp.zeros(shape, jnp.int32), never, never)

    def extend(self, beams: Beams, t: Array, token: Array, log_probability: Array) -> Beams:
        """Write one more token."""
        return Beams(
            beams.tokens.at[..., t].set(token.astype(jnp.int32)),
            jnp.full_like(beams.lengths, t + 1),
            log_probability,
            log_probability / length_norm(t + 1, self.alpha),
        )

    def best(self, some: Beams, others: Beams) -> Beams:
        """Keep the hypotheses with the best scores of two lists, in their order."""
        both = jax.tree.map(lambda a, b: jnp.concatenate([a, b], axis=1), some, others)
        return _choose(both, jax.lax.top_k(both.score, self.beams)[1])

    def reorder(self, carry: PyTree, parent: Array) -> PyTree:
        """Give every beam the carry of its parent."""
        rows = (jnp.arange(self.batch)[:, None] * self.beams + parent).reshape(-1)
        return jax.tree.map(lambda leaf: leaf if jnp.ndim(leaf) == 0 else leaf[rows], carry)

    def unfinished(self, state: tuple) -> Array:
        """Say whether any beginning may still enter the list."""
        t, _, _, alive, ended = state
        # A log-probability only falls, and the norm that favours it most is the first or the last still to come.
        norm = jnp.maximum(length_norm(t + 1, self.alpha), length_norm(self.length, self.alpha))
        hope = jnp.max(alive.log_probability, axis=-1) / norm
        return (t < self.length) & jnp.any(hope > jnp.min(ended.score, axis=-1))


def _choose(beams: Beams, places: Array) -> Beams:
    """Pick hypotheses by their places ``[B, K]``."""
    return jax.tree.map(lambda leaf: jax.vmap(lambda row, place: row[place])(leaf, places), beams)
