"""Tic-tac-toe for two players who take turns."""

from typing import NamedTuple

import jax.numpy as jnp

from jaxdl.checks import check_indices
from jaxdl.rl.environments.environment import Environment, TimeStep
from jaxdl.typing import Array, ArrayLike, Key

LINES = ((0, 1, 2), (3, 4, 5), (6, 7, 8), (0, 3, 6), (1, 4, 7), (2, 5, 8), (0, 4, 8), (2, 4, 6))
"""Fields, counted row by row, of which three of one player win."""


class Board(NamedTuple):
    """The state of tic-tac-toe, as the player to move sees it.

    Attributes:
        own: fields of the player to move, Boolean ``[9]``.
        other: fields of the opponent, Boolean ``[9]``.
    """

    own: Array
    other: Array


def tic_tac_toe() -> Environment:
    """Make the game: an action takes a field, and the board turns to the other player.

    The reward is that of the player who has moved: 1 for three in a line, -1 for a field that is taken, both of which
    end the game, as a full board does; else 0. So the value of a board is that of the player to move, and that of a
    move is minus the value of the next board. The observation is ``[3, 3, 2]``, float32: own fields and those of the
    opponent.

    Raises:
        ValueError: in a step, the action is known to be outside of ``0 .. 8``.

    >>> environment = tic_tac_toe()
    >>> board, _ = environment.reset(None)
    >>> for action in (0, 3, 1, 4, 2):
    ...     board, time_step = environment.step(board, action)
    >>> float(time_step.reward), bool(time_step.terminated), legal_actions(board).tolist()[:6]
    (1.0, True, [False, False, False, False, False, True])
    """
    return Environment(_reset, _step, 9)


def legal_actions(board: Board) -> Array:
    """Return which fields are free, Boolean ``[..., 9]``."""
    return ~(board.own | board.other)


def has_line(fields: Array) -> Array:
    """Return whether a player has three in a line, of fields ``[..., 9]``.

    >>> has_line(jnp.arange(9) < 3).item()
    True
    """
    return jnp.any(jnp.all(fields[..., jnp.array(LINES)], axis=-1), axis=-1)


def _observe(board: Board) -> Array:
    return jnp.stack([board.own, board.other], axis=-1).reshape(3, 3, 2).astype(jnp.float32)


def _reset(key: Key) -> tuple[Board, Array]:
    board = Board(jnp.zeros(9, bool), jnp.zeros(9, bool))
    return board, _observe(board)


def _step(board: Board, action: ArrayLike) -> tuple[Board, TimeStep]:
    check_indices("action", action, 9)
    chosen = jnp.arange(9) == jnp.asarray(action)
    legal = jnp.any(chosen & legal_actions(board))
    moved = board.own | (chosen & legal)
    wins = legal & has_line(moved)
    reward = jnp.where(wins, 1.0, jnp.where(legal, 0.0, -1.0)).astype(jnp.float32)
    terminated = wins | ~legal | jnp.all(moved | board.other)
    board = Board(board.other, moved)
    return board, TimeStep(_observe(board), reward, terminated, jnp.zeros((), bool))
