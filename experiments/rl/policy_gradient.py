"""REINFORCE with a baseline: a policy learns from whole episodes to balance a pole, or to walk in a grid world.

    python -m experiments run policy_gradient

Each update plays 16 or 32 episodes, and follows the gradient of their return above the value that a second network
predicts, plus a little entropy. On the pole, the most probable actions are judged in 100 episodes of CartPole-v1 for
each seed, played in gymnasium itself. In the grid world every fifth move slips, and all is known: the expected return
of the learned policy is the solution of a linear system, and is compared with the best one, of value iteration.
"""

from dataclasses import dataclass
from typing import Literal

import jax
import numpy as np

from experiments.harness.rl import reinforcement
from experiments.harness.run_folder import Run
from experiments.rl import drawings
from jaxdl import optim, rl, train
from jaxdl.optim import schedules
from jaxdl.rl import environments
from jaxdl.typing import Key

GOAL = {"return": 475.0}
PRESETS = {
    "grid_world": (
        {
            "environment": "grid_world",
            "steps": 400,
            "batch_size": 32,
            "max_steps": 60,
            "discount": 0.95,
            "entropy_weight": 0.01,
        },
        {"share_of_best": 0.95},
    )
}
LAYOUT = ("S..#..", ".#....", "...X..", ".#..#.", ".....G")
SLIP = 0.2


@dataclass(frozen=True)
class Config(reinforcement.Agents):
    """REINFORCE with a baseline."""

    SMOKE = {"seeds": 2, "steps": 2, "batch_size": 2, "hidden_sizes": (4,), "episodes": 2, "max_steps": 10}

    environment: Literal["cart_pole", "grid_world"] = "cart_pole"
    """What is learned."""
    batch_size: int = 16
    """Episodes in an update."""
    max_steps: int = 500
    """Steps after which an episode ends."""
    entropy_weight: float = 0.1
    """Weight of the entropy, in the unit of the returns."""
    hidden_sizes: tuple[int, ...] = (32, 32)
    """Units of the hidden layers, of the policy and of the values."""


def run(config: Config, run: Run) -> dict[str, float]:
    """Train, test, draw."""
    is_pole = config.environment == "cart_pole"
    world = environments.grid_world(LAYOUT, slip=SLIP)
    environment = environments.cart_pole(config.max_steps) if is_pole else world.environment
    unit = 1 / (1 - config.discount) if is_pole else 1.0
    network = reinforcement.PolicyAndValues(config.hidden_sizes, environment.num_actions, unit)
    optimizer = optim.adam(schedules.cosine_decay(config.learning_rate, config.steps))
    loss = rl.reinforce_loss(network.apply, entropy_weight=config.entropy_weight, value_weight=0.5 / unit)
    agent = rl.Reinforce(
        environment,
        network.apply,
        train.make_step(loss, optimizer),
        episodes=config.batch_size,
        max_steps=config.max_steps,
        discount=config.discount,
    )
    example = reinforcement.first_observation(environment)

    def start(key: Key) -> train.TrainState:
        init_key, run_key = jax.random.split(key)
        return train.TrainState.create(network.init(init_key, example), optimizer, run_key)

    states = reinforcement.start_members(start, config.seed, config.seeds)
    frames = config.batch_size * config.max_steps
    states, rows = reinforcement.train_members(
        run, agent.step, states, steps=config.steps, frames=config.seeds * frames
    )
    curves = {name: reinforcement.curve(rows, name, frames) for name in ("return", "entropy")}
    run.figure("learning", drawings.draw_learning(curves, goal=GOAL if is_pole else {}))
    if is_pole:
        policy = reinforcement.act_greedily(lambda variables, x: network.apply(variables, x)[0], states.params)
        return reinforcement.summary(
            reinforcement.play_cart_pole(policy, config.seeds, config.episodes, config.seed + 1)
        )
    observations = np.eye(world.signs.size, dtype=np.float32)
    logits, values = jax.vmap(lambda params: network.apply({"params": params}, observations))(states.params)
    return compare_with_best(config, run, world, np.asarray(jax.nn.softmax(logits)), np.asarray(values))


def compare_with_best(
    config: Config, run: Run, world: environments.GridWorld, policies: np.ndarray, values: np.ndarray
) -> dict[str, float]:
    """Compare policies ``[seeds, S, A]`` and predicted values ``[seeds, S]`` with the best ones."""
    best, q = environments.value_iteration(world, config.discount)
    exact = np.stack([environments.evaluate_policy(world, policy, config.discount) for policy in policies])
    start = int(np.flatnonzero(world.signs.ravel() == "S")[0])
    maps = {
        "value iteration": best,
        "the learned policy's": exact[0],
        "predicted": np.where(world.terminal, 0, values[0]),
    }
    arrows = {"value iteration": q, "the learned policy's": policies[0], "predicted": policies[0]}
    run.figure("values", drawings.draw_values(world, maps, arrows))
    shares = exact[:, start] / best[start]
    return {
        "share_of_best": float(shares.mean()),
        "share_of_best_worst_seed": float(shares.min()),
        "return_from_start": float(exact[:, start].mean()),
        "best_return_from_start": float(best[start]),
    }
