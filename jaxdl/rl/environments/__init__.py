"""Environments as pure functions: ``reset(key) -> (state, observation)``, ``step(state, action) -> (state, TimeStep)``.

- ``environment``: `Environment`, `TimeStep`; `auto_reset` with its `Episode`, `limit_time` with its state `Limited`.
- ``poles``: `cart_pole`, equal to gymnasium's CartPole-v1. ``pixels``: `catch`, a game of pixels, a `CatchState`.
- ``grids``: `grid_world`, a `GridWorld` with its `Position`, and its exact values by
  `value_iteration` and `evaluate_policy`.
- ``boards``: `tic_tac_toe` on a `Board`, with `legal_actions` and `has_line`.
- ``host``: `from_gymnasium` adapts an environment of gymnasium, `play_gymnasium` plays episodes there; `seed_of`.
"""

from jaxdl.rl.environments.boards import Board, has_line, legal_actions, tic_tac_toe
from jaxdl.rl.environments.environment import Environment, Episode, Limited, TimeStep, auto_reset, limit_time
from jaxdl.rl.environments.grids import GridWorld, Position, evaluate_policy, grid_world, value_iteration
from jaxdl.rl.environments.host import from_gymnasium, play_gymnasium, seed_of
from jaxdl.rl.environments.pixels import CatchState, catch
from jaxdl.rl.environments.poles import cart_pole

__all__ = [
    "Board",
    "CatchState",
    "Environment",
    "Episode",
    "GridWorld",
    "Limited",
    "Position",
    "TimeStep",
    "auto_reset",
    "cart_pole",
    "catch",
    "evaluate_policy",
    "from_gymnasium",
    "grid_world",
    "has_line",
    "legal_actions",
    "limit_time",
    "play_gymnasium",
    "seed_of",
    "tic_tac_toe",
    "value_iteration",
]
