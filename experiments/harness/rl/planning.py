"""Search in the tree of a game whose rules are known: tic-tac-toe by mctx, and its exact values."""

from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.harness.errors import UsageError
from jaxdl.rl import environments
from jaxdl.rl.environments.boards import LINES, Board
from jaxdl.typing import Array, Key

GAME = environments.tic_tac_toe()
NEVER = -1e9
"""The logit of a field that is taken."""
Fields = tuple[int, ...]
"""A board: 1 for the player to move, -1 for the other, 0 where it is free."""


def import_mctx() -> Any:
    """Import mctx.

    Raises:
        UsageError: it is not installed.
    """
    try:
        import mctx
    except ImportError:
        raise UsageError("expected mctx to be installed, for the search; pip install mctx") from None
    return mctx


@partial(jax.jit, static_argnames="simulations")
def search(key: Key, boards: Board, simulations: int) -> tuple[Array, Array]:
    """Search from boards ``[B, 9]`` by MuZero's rule, with the game itself in the place of a learned model.

    The policy before the search is uniform over the free fields, the value of a new leaf that of one random game from
    there. A discount of -1 exchanges the players.

    Returns:
        The moves with most visits, int32 ``[B]``, and the shares of the visits, ``[B, 9]``.

    Raises:
        UsageError: mctx is not installed.
    """
    mctx = import_mctx()

    def expand(params: None, key: Key, actions: Array, boards: Board) -> tuple[Any, Board]:
        boards, time_step = jax.vmap(GAME.step)(boards, actions)
        over = time_step.terminated
        values = jnp.where(over, 0, play_on(key, boards))
        discount = jnp.where(over, 0.0, -1.0)
        return mctx.RecurrentFnOutput(
            reward=time_step.reward, discount=discount, prior_logits=prior(boards), value=values
        ), boards

    root_key, key = jax.random.split(key)
    root = mctx.RootFnOutput(prior_logits=prior(boards), value=play_on(root_key, boards), embedding=boards)
    found = mctx.muzero_policy(
        None,
        key,
        root,
        expand,
        num_simulations=simulations,
        invalid_actions=~environments.legal_actions(boards),
        dirichlet_fraction=0.0,
        temperature=0.0,
        # The values of this game: mctx would stretch those of few tried moves, and leave the others untried for long.
        qtransform=partial(mctx.qtransform_by_min_max, min_value=-1, max_value=1),
    )
    return found.action, found.action_weights


def prior(boards: Board) -> Array:
    """Return the logits of the uniform policy over free fields, ``[B, 9]``."""
    return jnp.where(environments.legal_actions(boards), 0.0, NEVER)


def random_moves(key: Key, boards: Board) -> Array:
    """Draw a free field of every board, int32 ``[B]``; any field of a full one."""
    return jax.random.categorical(key, prior(boards))


@jax.jit
def play_on(key: Key, boards: Board) -> Array:
    """Play a random game to its end from every board; return the rewards of the players to move, ``[B]``."""

    def one(carry: tuple[Board, Array, Array], key: Key) -> tuple[tuple[Board, Array, Array], None]:
        boards, sign, value = carry
        boards, time_step = jax.vmap(GAME.step)(boards, random_moves(key, boards))
        value = value + sign * time_step.reward
        return (boards, jnp.where(time_step.terminated, 0.0, -sign), value), None

    count = len(boards.own)
    start = (boards, jnp.ones(count), jnp.zeros(count))
    return jax.lax.scan(one, start, jax.random.split(key, 9))[0][2]


@partial(jax.jit, static_argnames=("games", "simulations"))
def play_against_random(key: Key, games: int, simulations: int) -> Array:
    """Play games of the search against random moves, it begins every other one; return its rewards, ``[games]``."""
    searcher_begins = jnp.arange(games) % 2 == 0

    def ply(carry: tuple, inputs: tuple[Key, Array]) -> tuple[tuple, None]:
        boards, result, running = carry
        key, number = inputs
        search_key, random_key = jax.random.split(key)
        mine = searcher_begins == (number % 2 == 0)
        actions = jnp.where(mine, search(search_key, boards, simulations)[0], random_moves(random_key, boards))
        after, time_step = jax.vmap(GAME.step)(boards, actions)
        gained = jnp.where(mine, time_step.reward, -time_step.reward)
        boards = jax.tree.map(lambda new, old: jnp.where(running[:, None], new, old), after, boards)
        return (boards, result + jnp.where(running, gained, 0), running & ~time_step.terminated), None

    empty = jnp.zeros((games, 9), bool)
    start = (Board(empty, empty), jnp.zeros(games), jnp.ones(games, bool))
    return jax.lax.scan(ply, start, (jax.random.split(key, 9), jnp.arange(9)))[0][1]


def solve(fields: Fields = (0,) * 9) -> dict[Fields, dict[int, int]]:
    """Return the exact value of every move, for the player to move, of all boards that can follow and are not over.

    >>> table = solve()
    >>> len(table), set(table[(0,) * 9].values())
    (4520, {0})
    """
    table: dict[Fields, dict[int, int]] = {}

    @cache
    def value(fields: Fields) -> int:
        if any(sum(fields[place] for place in line) == -3 for line in LINES):
            return -1
        if 0 not in fields:
            return 0
        moves = {}
        for place in range(9):
            if not fields[place]:
                following = tuple(-1 if other == place else -sign for other, sign in enumerate(fields))
                moves[place] = -value(following)
        table[fields] = moves
        return max(moves.values())

    value(fields)
    return table


def as_boards(fields: list[Fields]) -> Board:
    """Convert boards to one of arrays ``[B, 9]``."""
    array = np.array(fields)
    return Board(jnp.asarray(array > 0), jnp.asarray(array < 0))


def is_best(table: dict[Fields, dict[int, int]], fields: list[Fields], moves: np.ndarray) -> np.ndarray:
    """Return whether each move is as good as the best one, Boolean ``[B]``."""
    pairs = zip(fields, moves.tolist(), strict=True)
    return np.array([table[board].get(move, -2) == max(table[board].values()) for board, move in pairs])
