"""Catch: a game of pixels (Mnih et al., "Recurrent models of visual attention", 2014; Osband et al., bsuite, 2020)."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxdl.checks import check_indices, check_positive_integer
from jaxdl.rl.environments.environment import Environment, TimeStep
from jaxdl.typing import Array, ArrayLike, Key


class CatchState(NamedTuple):
    """The state of `catch`.

    Attributes:
        row: of the ball, from 0 at the top.
        column: of the ball.
        paddle: column of the paddle, in the last row.
    """

    row: Array
    column: Array
    paddle: Array


def catch(rows: int = 10, columns: int = 5) -> Environment:
    """Make the game: a ball falls a row a step, and a paddle in the last row moves left (0), stays (1) or right (2).

    In the last row the episode ends with the reward 1 if the paddle is there, else -1; all other rewards are 0. The
    ball starts in a random column, the paddle in the middle one. The observation is an image ``[rows, columns, 1]``,
    float32, 1 at the ball and at the paddle.

    Raises:
        ValueError: there are fewer than two rows or no columns; in a step, the action is known to be none of the three.

    >>> state, image = catch(rows=3, columns=3).reset(jax.random.key(0))
    >>> image[..., 0].tolist()
    [[0.0, 1.0, 0.0], [0.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
    """
    check_positive_integer("columns", columns)
    check_positive_integer("rows - 1", rows - 1)

    def observe(state: CatchState) -> Array:
        image = jnp.zeros((rows, columns, 1), jnp.float32)
        return image.at[state.row, state.column].set(1).at[rows - 1, state.paddle].set(1)

    def reset(key: Key) -> tuple[CatchState, Array]:
        column = jax.random.randint(key, (), 0, columns, jnp.int32)
        state = CatchState(jnp.zeros((), jnp.int32), column, jnp.full((), columns // 2, jnp.int32))
        return state, observe(state)

    def step(state: CatchState, action: ArrayLike) -> tuple[CatchState, TimeStep]:
        check_indices("action", action, 3)
        paddle = jnp.clip(state.paddle + jnp.asarray(action, jnp.int32) - 1, 0, columns - 1)
        state = CatchState(jnp.minimum(state.row + 1, rows - 1), state.column, paddle)
        terminated = state.row == rows - 1
        reward = jnp.where(terminated, jnp.where(state.paddle == state.column, 1.0, -1.0), 0.0)
        return state, TimeStep(observe(state), reward.astype(jnp.float32), terminated, jnp.zeros((), bool))

    return Environment(reset, step, 3)
