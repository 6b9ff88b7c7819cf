"""Random restarts: gradient descent from several starts, of which the best is taken.

    python -m experiments run random_restarts

Two sigmoid units learn exclusive or, and twelve tanh units a wave, sin(2 pi x) + cos(5 pi x) / 2; both have poor local
minima and plateaus. Each of 40 seeds starts 16 times from normal weights. The figure shows the final losses of all
runs, and the share of seeds whose best of k runs is good (below 0.01), with the theory 1 - (1 - p)^k for the share p of
single runs.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.harness import configuration
from experiments.harness.learning import check_learned, descend
from experiments.harness.run_folder import Run
from experiments.optimization import drawings
from jaxdl import nn, optim
from jaxdl.optim import trials
from jaxdl.typing import Array, Key

GOOD = 0.01
CORNERS = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)
X = np.linspace(-1, 1, 64, dtype=np.float32)[:, None]


class Problem(NamedTuple):
    """Inputs ``[N, D]``, targets ``[N]``, hidden units and their activation."""

    x: np.ndarray
    y: np.ndarray
    hidden_size: int
    activation: Callable[[Array], Array]


PROBLEMS = {
    "exclusive or": Problem(CORNERS, np.array([0, 1, 1, 0], np.float32), 2, nn.sigmoid),
    "wave": Problem(X, np.sin(2 * np.pi * X[:, 0]) + 0.5 * np.cos(5 * np.pi * X[:, 0]), 12, nn.tanh),
}


@dataclass(frozen=True)
class Config(configuration.Config):
    """Small networks with local minima."""

    SMOKE = {"seeds": 2, "restarts": 2, "steps": 2}

    seeds: int = 40
    """Independent sets of starts."""
    restarts: int = 16
    """Starts in a set."""
    steps: int = 2000
    """Updates of Adam."""
    learning_rate: float = 0.03
    """Learning rate of Adam."""


def run(config: Config, run: Run) -> dict[str, float]:
    """Restart on both problems, compare with the theory, draw."""
    keys = jax.random.split(jax.random.key(config.seed), config.seeds)
    found, result = {}, {}
    for name, problem in PROBLEMS.items():
        learn_one = partial(learn, config, problem)
        learn_all = jax.vmap(partial(trials.restart, run=learn_one, count=config.restarts))
        restarts = jax.device_get(jax.jit(learn_all)(keys))
        check_learned(restarts.losses)
        found[name] = restarts.losses
        word = name.replace(" ", "_")
        result |= {
            f"{word}_good_single": float(np.mean(restarts.losses < GOOD)),
            f"{word}_good_best": float(np.mean(restarts.best_loss < GOOD)),
            f"{word}_median_single_loss": float(np.median(restarts.losses)),
            f"{word}_median_best_loss": float(np.median(restarts.best_loss)),
        }
    run.figure("restarts", drawings.draw_restarts(found, GOOD))
    return result


def learn(config: Config, problem: Problem, key: Key) -> tuple[Array, Array]:
    """Train from one start; return the final loss and the weights."""
    inputs, hidden = problem.x.shape[1], problem.hidden_size
    shapes = ((inputs, hidden), (hidden,), (hidden, 1), (1,))
    ends = np.cumsum([np.prod(shape) for shape in shapes])

    def loss(w: Array) -> Array:
        W, b, V, c = (part.reshape(shape) for part, shape in zip(jnp.split(w, ends[:-1]), shapes, strict=True))
        outputs = nn.linear(problem.activation(nn.linear(problem.x, W, b)), V, c)[:, 0]
        return jnp.mean((outputs - problem.y) ** 2)

    path = descend(loss, optim.adam(config.learning_rate), 2 * jax.random.normal(key, (int(ends[-1]),)), config.steps)
    return loss(path[-1]), path[-1]
