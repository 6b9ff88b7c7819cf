"""Monte Carlo tree search plays tic-tac-toe, with the rules as its model, and never loses to random moves.

    python -m experiments run tree_search

MuZero's search (Schrittwieser et al., 2020) by mctx, with the game itself instead of a learned model, a uniform policy,
and one random game as the value of a leaf. It plays against random moves, first in every other game, and chooses a move
in every board that can be reached and is not over; whether that is a best one, the exact values say. Both are repeated
for several numbers of simulations. Needs mctx.
"""

from dataclasses import dataclass

import jax
import numpy as np

from experiments.harness import configuration
from experiments.harness.rl import planning
from experiments.harness.run_folder import Run
from experiments.rl import drawings

GOAL = {"not_lost": 1.0, "best_moves": 0.95}
SHOWN = (
    (0, 0, 0, 0, 0, 0, 0, 0, 0),
    (0, 0, 0, 0, -1, 0, 0, 0, 0),
    (1, 0, 0, 0, -1, 0, 0, 0, -1),
    (1, 1, 0, -1, -1, 0, 0, 0, 0),
    (-1, 0, 0, 0, 1, 0, 0, 0, -1),
)
"""Boards in the figure, of the player to move (1)."""


@dataclass(frozen=True)
class Config(configuration.Config):
    """Tree search."""

    SMOKE = {"games": 10, "simulations": (3,), "boards": 5}
    LEAST = {"games": 2, "boards": 5}

    simulations: tuple[int, ...] = (10, 25, 50, 100, 200)
    """Numbers of simulations a move; the last one is judged."""
    games: int = 1000
    """Games against random moves, for each number."""
    boards: int = 4520
    """Boards in which a move is compared with the best ones; there are 4520."""


def run(config: Config, run: Run) -> dict[str, float]:
    """Play, compare with the exact values, draw."""
    planning.import_mctx()
    table = planning.solve()
    order = np.random.default_rng(config.seed).permutation(len(table))[: config.boards]
    every = list(table)
    fields = [*SHOWN, *(every[place] for place in order)]
    boards = planning.as_boards(fields)
    game_key, move_key = jax.random.split(jax.random.key(config.seed))
    shares: dict[str, list[float]] = {"not lost": [], "won": [], "best moves": []}
    for count in config.simulations:
        rewards = np.asarray(planning.play_against_random(game_key, config.games, count))
        moves, weights = jax.device_get(planning.search(move_key, boards, count))
        right = planning.is_best(table, fields, moves)[len(SHOWN) :]
        for name, values in {"not lost": rewards >= 0, "won": rewards > 0, "best moves": right}.items():
            shares[name].append(float(values.mean()))
    found = {name: np.array(values) for name, values in shares.items()}
    run.figure("simulations", drawings.draw_search(config.simulations, found))
    shown = np.array(SHOWN).reshape(-1, 3, 3), weights[: len(SHOWN)].reshape(-1, 3, 3)
    run.figure("boards", drawings.draw_boards(*shown))
    return {name.replace(" ", "_"): float(values[-1]) for name, values in found.items()} | {"games": config.games}
