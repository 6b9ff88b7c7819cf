"""Replay of transitions on the device: uniform, and in proportion to their errors.

A `Buffer` is four pure functions of its state, which is part of the state of a run and of its checkpoints.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxdl import tree
from jaxdl.checks import check_in_range, check_positive_integer
from jaxdl.typing import Array, ArrayLike, Batch, Key


class Buffer(NamedTuple):
    """A replay buffer as pure functions.

    Attributes:
        init: ``init(example) -> state``, empty, for transitions with the shapes and types of one example.
        add: ``add(state, transitions) -> state`` writes rows ``[n, ...]`` over the oldest ones.
        sample: ``sample(state, key, batch_size) -> batch``: rows of the transitions, their ``"index"``, and their
            ``"weight"`` in the loss. Only a buffer that is not empty can be sampled.
        prioritize: ``prioritize(state, index, errors) -> state``, after an update with the rows ``index``.
    """

    init: Callable[[Batch], Any]
    add: Callable[[Any, Batch], Any]
    sample: Callable[[Any, Key, int], dict[str, Array]]
    prioritize: Callable[[Any, Array, Array], Any]


class Replay(NamedTuple):
    """The state of `uniform_replay`.

    Attributes:
        transitions: arrays ``[capacity, ...]``.
        position: the row that is written next.
        size: rows that have been written.
    """

    transitions: dict[str, Array]
    position: Array
    size: Array


class PrioritizedReplay(NamedTuple):
    """The state of `prioritized_replay`.

    Attributes:
        replay: the transitions.
        priorities: ``p^a`` of every row, 0 for those not written, float32 ``[capacity]``.
        largest: the largest so far, that of new transitions.
    """

    replay: Replay
    priorities: Array
    largest: Array


def uniform_replay(capacity: int) -> Buffer:
    """Make a buffer of which every transition is drawn with equal probability, with replacement; weights are 1.

    Args:
        capacity: rows kept; then the oldest are overwritten.

    Raises:
        ValueError: the capacity is below 1; when rows are added, they are more than that, or have other arrays or
            shapes than the example.

    Source: Lin, "Self-improving reactive agents", 1992; Mnih et al., 2015.

    >>> buffer = uniform_replay(capacity=2)
    >>> state = buffer.init({"reward": jnp.array(0.0)})
    >>> for reward in (1.0, 2.0, 3.0):
    ...     state = buffer.add(state, {"reward": jnp.array([reward])})
    >>> state.transitions["reward"].tolist(), int(state.size)
    ([3.0, 2.0], 2)
    """
    check_positive_integer("capacity", capacity)

    def sample(state: Replay, key: Key, batch_size: int) -> dict[str, Array]:
        index = jax.random.randint(key, (batch_size,), 0, state.size)
        return {**tree.take(state.transitions, index), "index": index, "weight": jnp.ones(batch_size)}

    def init(example: Batch) -> Replay:
        return _init(example, capacity)

    return Buffer(
        init, lambda state, transitions: _add(state, transitions)[0], sample, lambda state, index, errors: state
    )


def prioritized_replay(capacity: int, *, exponent: float = 0.6, correction: float = 0.4, floor: float = 1e-6) -> Buffer:
    """Make a buffer that draws transitions in proportion to ``p_i^a`` of their errors, ``p_i = |e_i| + floor``.

    ``P(i) = p_i^a / sum_k p_k^a``, and the weight ``w_i = (N P(i))^-b``, divided by the largest of the batch, corrects
    for it. One row is drawn from each of ``B`` equal parts of the cumulative sum. New transitions have the largest
    priority so far.

    Args:
        capacity: rows kept; then the oldest are overwritten.
        exponent: ``a`` in [0, 1]; 0 draws uniformly.
        correction: ``b`` in [0, 1]; 1 corrects fully.
        floor: what is added to an error, above 0.

    Raises:
        ValueError: a number is outside of its range; when rows are added, as for `uniform_replay`.

    Source: Schaul et al., "Prioritized experience replay", 2016. The sum is over blocks first, then within a block,
    instead of a tree.

    >>> buffer = prioritized_replay(capacity=4)
    >>> state = buffer.add(buffer.init({"reward": jnp.array(0.0)}), {"reward": jnp.arange(3.0)})
    >>> state = buffer.prioritize(state, jnp.array([0, 1, 2]), jnp.array([0.0, 5.0, 0.0]))
    >>> buffer.sample(state, jax.random.key(0), 3)["index"].tolist()
    [1, 1, 1]
    """
    check_positive_integer("capacity", capacity)
    check_in_range("exponent", exponent, 0, 1)
    check_in_range("correction", correction, 0, 1)
    check_in_range("floor", floor, 0, includes_low=False)

    def init(example: Batch) -> PrioritizedReplay:
        return PrioritizedReplay(_init(example, capacity), jnp.zeros(capacity), jnp.ones(()))

    def add(state: PrioritizedReplay, transitions: Batch) -> PrioritizedReplay:
        replay, index = _add(state.replay, transitions)
        return PrioritizedReplay(replay, state.priorities.at[index].set(state.largest), state.largest)

    def sample(state: PrioritizedReplay, key: Key, batch_size: int) -> dict[str, Array]:
        index = sample_proportionally(key, state.priorities, batch_size)
        share = state.priorities[index] / jnp.sum(state.priorities)
        weight = (state.replay.size * share) ** -correction
        return {**tree.take(state.replay.transitions, index), "index": index, "weight": weight / jnp.max(weight)}

    def prioritize(state: PrioritizedReplay, index: Array, errors: Array) -> PrioritizedReplay:
        new = (jnp.abs(errors).astype(jnp.float32) + floor) ** exponent
        # An error that is not finite would leave no other row a share: it has the largest priority.
        largest = jnp.maximum(state.largest, jnp.max(new, where=jnp.isfinite(new), initial=0))
        new = jnp.where(jnp.isfinite(new), new, largest)
        return PrioritizedReplay(state.replay, state.priorities.at[index].set(new), largest)

    return Buffer(init, add, sample, prioritize)


def sample_proportionally(key: Key, priorities: ArrayLike, batch_size: int) -> Array:
    """Draw indices with probabilities ``p_i / sum_k p_k``, one from each of ``B`` equal parts of the cumulative sum.

    The sums of about ``sqrt(N)`` blocks are accumulated, then the priorities in the block of each index.

    Args:
        key: of the draw.
        priorities: ``p``, ``[N]``, at least 0 and not all 0.
        batch_size: ``B``.

    Returns:
        int32 ``[B]``, in increasing order.

    Raises:
        ValueError: the priorities are not ``[N]``.

    >>> sample_proportionally(jax.random.key(0), jnp.array([1.0, 0.0, 3.0]), 4).tolist()
    [0, 2, 2, 2]
    """
    priorities = jnp.asarray(priorities)
    if priorities.ndim != 1 or not priorities.size:
        raise ValueError(f"expected priorities [N], got shape {priorities.shape}; map over batches with jax.vmap")
    width = max(1, round(priorities.size**0.5))
    blocks = jnp.pad(priorities, (0, -priorities.size % width)).reshape(-1, width)
    ends = jnp.cumsum(jnp.sum(blocks, axis=1))
    parts = (jnp.arange(batch_size) + jax.random.uniform(key, (batch_size,))) / batch_size
    height = parts.astype(ends.dtype) * ends[-1]
    block = jnp.minimum(jnp.searchsorted(ends, height, side="right"), jnp.argmax(ends))
    inside = jnp.cumsum(blocks[block], axis=1)
    rest = jnp.maximum(height - jnp.where(block > 0, ends[block - 1], 0), 0)
    # A rounded height may reach the end of its block: then its last row that has a priority is taken.
    last = jnp.argmax(inside, axis=1)
    row = jnp.minimum(jnp.sum(inside <= rest[:, None], axis=1), last)
    return (block * width + row).astype(jnp.int32)


def _init(example: Batch, capacity: int) -> Replay:
    zeros = {name: jnp.zeros((capacity, *np.shape(x)), jnp.asarray(x).dtype) for name, x in example.items()}
    return Replay(zeros, jnp.zeros((), jnp.int32), jnp.zeros((), jnp.int32))


def _add(state: Replay, transitions: Batch) -> tuple[Replay, Array]:
    """Write rows over the oldest; return the indices too."""
    shapes = {name: np.shape(rows)[1:] for name, rows in transitions.items()}
    kept = {name: rows.shape[1:] for name, rows in state.transitions.items()}
    if shapes != kept:
        raise ValueError(f"expected transitions with rows of the shapes {kept}, got {shapes}")
    counts = {name: len(rows) for name, rows in transitions.items()}
    if len(set(counts.values())) > 1:
        raise ValueError(f"expected as many rows of every array, got {counts}")
    for name, rows in transitions.items():
        new, old = jnp.asarray(rows).dtype, state.transitions[name].dtype
        if jnp.issubdtype(new, jnp.inexact) and not jnp.issubdtype(old, jnp.inexact):
            raise ValueError(f"expected {name} of {old}, that of the example, got {new}; give an example of {new}")
    capacity = len(next(iter(state.transitions.values())))
    count = len(next(iter(transitions.values())))
    if count > capacity:
        raise ValueError(f"expected at most {capacity} transitions, the capacity, got {count}")
    index = (state.position + jnp.arange(count)) % capacity
    rows = {
        name: kept.at[index].set(jnp.asarray(transitions[name], kept.dtype)) for name, kept in state.transitions.items()
    }
    return Replay(rows, (state.position + count) % capacity, jnp.minimum(state.size + count, capacity)), index
