"""Grid worlds, whose transitions are known, and their exact values."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxdl.checks import check_in_range, check_indices
from jaxdl.rl.environments.environment import Environment, TimeStep
from jaxdl.typing import Array, ArrayLike, Key

MOVES = ((0, -1), (1, 0), (0, 1), (-1, 0))
"""Rows and columns of the actions left, down, right and up."""
SIGNS = "S.#GX"
"""Start, free field, wall, goal and pit."""


class GridWorld(NamedTuple):
    """A grid world and all that is known of it, in ``S`` fields, counted row by row, and 4 actions.

    Attributes:
        environment: its pure functions; the observation is the field as a one-hot vector ``[S]``, float32.
        transitions: probability of the field reached, ``[S, A, S]``.
        rewards: expected reward, ``[S, A]``.
        terminal: which fields end an episode, ``[S]``.
        signs: the map, ``[rows, columns]``.
    """

    environment: Environment
    transitions: np.ndarray
    rewards: np.ndarray
    terminal: np.ndarray
    signs: np.ndarray


class Position(NamedTuple):
    """The state of a grid world: a ``field``, and the random ``key`` of its slips."""

    field: Array
    key: Key


def grid_world(
    layout: Sequence[str], *, slip: float = 0.0, pit_reward: float = -1.0, step_reward: float = 0.0
) -> GridWorld:
    """Make a grid world from lines of signs: start ``S``, free ``.``, wall ``#``, goal ``G``, pit ``X``.

    The actions are left, down, right and up; a move against a wall or the border stays. With probability ``slip`` the
    move is one of the two at right angles instead. A goal has the reward 1 and a pit ``pit_reward``; both end the
    episode. Every other step has ``step_reward``. The map and rules are those of gymnasium's FrozenLake for
    ``slip=2/3`` and ``pit_reward=0``.

    Raises:
        ValueError: the lines differ in length, have an unknown sign, not one start or no goal; ``slip`` is outside of
            [0, 1].

    >>> world = grid_world(["S.", ".G"])
    >>> world.transitions.shape, world.rewards[1].tolist()
    ((4, 4, 4), [0.0, 1.0, 0.0, 0.0])
    """
    check_in_range("slip", slip, 0, 1)
    signs = _read(layout)
    fields, flat = signs.size, signs.ravel()
    reached = np.array([[_move(signs, field, move) for move in MOVES] for field in range(fields)])
    terminal = np.isin(flat, ["G", "X"])
    gained = np.select([flat == "G", flat == "X"], [1.0, pit_reward], step_reward)
    turned = np.array([[1 - slip if b == a else slip / 2 if (a - b) % 2 else 0.0 for b in range(4)] for a in range(4)])
    transitions = np.einsum("ab,sbt->sat", turned, np.eye(fields)[reached])
    transitions[terminal] = np.eye(fields)[terminal][:, None]
    rewards = np.where(terminal[:, None], 0.0, transitions @ gained)

    start = int(np.flatnonzero(flat == "S")[0])
    table, ends, gains = jnp.asarray(reached, jnp.int32), jnp.asarray(terminal), jnp.asarray(gained, jnp.float32)
    chances = jnp.asarray(turned, jnp.float32)

    def observe(field: Array) -> Array:
        return jax.nn.one_hot(field, fields, dtype=jnp.float32)

    def reset(key: Key) -> tuple[Position, Array]:
        field = jnp.full((), start, jnp.int32)
        return Position(field, key), observe(field)

    def step(position: Position, action: ArrayLike) -> tuple[Position, TimeStep]:
        check_indices("action", action, len(MOVES))
        key, slip_key = jax.random.split(position.key)
        moved = jax.random.choice(slip_key, len(MOVES), p=chances[jnp.asarray(action)])
        field = jnp.where(ends[position.field], position.field, table[position.field, moved])
        reward = jnp.where(ends[position.field], 0, gains[field])
        return Position(field, key), TimeStep(observe(field), reward, ends[field], jnp.zeros((), bool))

    return GridWorld(Environment(reset, step, len(MOVES)), transitions, rewards, terminal, signs)


def value_iteration(world: GridWorld, discount: float, *, tolerance: float = 1e-12) -> tuple[np.ndarray, np.ndarray]:
    """Compute the values of the best policy, by ``q(s, a) = r(s, a) + d sum_t p(t | s, a) max_b q(t, b)``.

    Args:
        world: has ``transitions``, ``rewards`` and ``terminal``.
        discount: ``d``, in [0, 1).
        tolerance: the largest change of a value in the last sweep.

    Returns:
        ``v [S]`` and ``q [S, A]`` in float64; both are 0 in terminal fields.

    Raises:
        ValueError: the discount is outside of its range.

    >>> value_iteration(grid_world(["S.G"]), discount=0.5)[0].tolist()
    [0.5, 1.0, 0.0]
    """
    check_in_range("discount", discount, 0, 1, includes_high=False)
    v = np.zeros(len(world.transitions))
    while True:
        q = np.where(world.terminal[:, None], 0.0, world.rewards + discount * world.transitions @ v)
        v, before = q.max(axis=1), v
        if np.max(np.abs(v - before)) <= tolerance:
            return v, q


def evaluate_policy(world: GridWorld, policy: ArrayLike, discount: float) -> np.ndarray:
    """Compute the values of a policy, the solution of ``v(s) = sum_a p(a | s) (r(s, a) + d sum_t p(t | s, a) v(t))``.

    Args:
        world: has ``transitions``, ``rewards`` and ``terminal``.
        policy: probabilities of the actions, ``[S, A]``.
        discount: ``d``, in [0, 1).

    Returns:
        ``v [S]`` in float64, 0 in terminal fields.

    Raises:
        ValueError: the policy has another shape, or the discount is outside of its range.

    >>> right = np.eye(4)[[2, 2, 2]]
    >>> evaluate_policy(grid_world(["S.G"]), right, discount=0.5).tolist()
    [0.5, 1.0, 0.0]
    """
    check_in_range("discount", discount, 0, 1, includes_high=False)
    p = np.asarray(policy, np.float64)
    if p.shape != world.rewards.shape:
        raise ValueError(f"expected a policy [S, A] = {list(world.rewards.shape)}, got shape {p.shape}")
    p = np.where(world.terminal[:, None], 0.0, p)
    transitions = np.einsum("sa,sat->st", p, world.transitions)
    return np.linalg.solve(np.eye(len(p)) - discount * transitions, np.sum(p * world.rewards, axis=1))


def _read(layout: Sequence[str]) -> np.ndarray:
    """Read the signs of a map, ``[rows, columns]``."""
    lines = [list(line) for line in layout]
    widths = sorted({len(line) for line in lines})
    if len(widths) != 1 or not widths[0]:
        raise ValueError(f"expected lines of one length, got lengths {widths}")
    signs = np.array(lines)
    unknown = sorted(set(signs.ravel()) - set(SIGNS))
    if unknown:
        raise ValueError(f"expected the signs {SIGNS}, got {''.join(unknown)!r}")
    if (signs == "S").sum() != 1 or not (signs == "G").any():
        raise ValueError(f"expected one S and at least one G, got {(signs == 'S').sum()} and {(signs == 'G').sum()}")
    return signs


def _move(signs: np.ndarray, field: int, move: tuple[int, int]) -> int:
    """Return the field that a move reaches."""
    rows, columns = signs.shape
    row, column = divmod(field, columns)
    to = row + move[0], column + move[1]
    inside = 0 <= to[0] < rows and 0 <= to[1] < columns
    return to[0] * columns + to[1] if inside and signs[to] != "#" else field
