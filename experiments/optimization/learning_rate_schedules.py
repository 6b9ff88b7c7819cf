"""Cyclical learning rates against decays at a saddle point, and a figure of every schedule.

    python -m experiments run learning_rate_schedules

The loss is a x^2 / 2 + x^2 y^2 / 2 + c (y^2 - 1)^2 / 4: a valley whose floor, y = 0, leads to a saddle at 0 between two
minima at y = -1 and 1. Gradient descent has left the saddle when |y| > 1/2 with |x| < 1. All schedules fall from 0.1
to 0.001 within 1,000 steps, the cyclical ones in five cycles; there are 256 initial points and curvatures, without
noise. The claim concerns exponential decay; the cosine decay is a control, with the mean rate of the cyclical ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import jax
import numpy as np

from experiments.harness import configuration
from experiments.harness.claims import judge
from experiments.harness.learning import descend, tabulate
from experiments.harness.run_folder import Run
from experiments.optimization import drawings
from jaxdl import optim
from jaxdl.optim import schedules
from jaxdl.typing import Array, Schedule

CLAIMS = (5,)
HIGHEST, LOWEST, CYCLES = 0.1, 0.001, 5
CYCLICAL = ("triangular", "cosine restarts")
DECAYS = ("exponential decay", "step decay", "inverse time decay", "cosine decay")


@dataclass(frozen=True)
class Config(configuration.Config):
    """Schedules at a saddle point."""

    SMOKE = {"steps": 20, "runs": 2}
    LEAST = {"steps": 20, "runs": 2}

    steps: int = 1000
    """Steps of a run."""
    runs: int = 256
    """Initial points and curvatures."""


class Saddles(NamedTuple):
    """The curvatures ``a`` and ``c`` of each loss, and the start ``w = (x, y)``."""

    a: np.ndarray
    c: np.ndarray
    w: np.ndarray


def run(config: Config, run: Run) -> dict[str, float]:
    """Draw the schedules, descend with each from every initial point, judge."""
    run.figure("schedules", drawings.draw_schedules())
    rates = tabulate(compared(config.steps), config.steps)
    saddles = draw_saddles(np.random.default_rng(config.seed), config.runs)
    paths = np.asarray(descend_all(np.stack([*rates.values()]), saddles))
    left = {name: has_left(path) for name, path in zip(rates, paths, strict=True)}
    cyclical = np.mean([left[name][:, -1] for name in CYCLICAL], axis=0)
    for decay in DECAYS:
        statement = f"cyclical rates leave a saddle that {decay} does not"
        run.claim(judge(5, statement, "of the runs more", cyclical - left[decay][:, -1]))
    run.figure("saddle", drawings.draw_saddle(loss, saddles, rates, paths, left))
    return {f"left_{name}".replace(" ", "_"): float(there[:, -1].mean()) for name, there in left.items()}


def compared(steps: int) -> dict[str, Schedule]:
    """Make the schedules that are compared, each from the highest rate to the lowest."""
    fall, period = np.log(HIGHEST / LOWEST), steps // CYCLES
    return {
        "triangular": schedules.triangular(LOWEST, HIGHEST, period // 2),
        "cosine restarts": schedules.cosine_restarts(HIGHEST, period, LOWEST),
        "exponential decay": schedules.exponential_decay(HIGHEST, fall / steps),
        "step decay": schedules.step_decay(HIGHEST, every=max(1, round(steps * np.log(2) / fall))),
        "inverse time decay": schedules.inverse_time_decay(HIGHEST, (HIGHEST / LOWEST - 1) / steps),
        "cosine decay": schedules.cosine_decay(HIGHEST, steps, LOWEST),
    }


def draw_saddles(generator: np.random.Generator, runs: int) -> Saddles:
    """Draw curvatures and starts."""
    size = generator.uniform([1.5, 0.1], [2.5, 1.0], (runs, 2)) * generator.choice([-1, 1], (runs, 2))
    a, c = generator.uniform(0.15, 0.25, runs), generator.uniform(0.4, 0.6, runs)
    return Saddles(*(leaf.astype(np.float32) for leaf in (a, c, size)))


def loss(w: Sequence[Array], a: Array, c: Array) -> Array:
    """Return the loss, whose saddle is at 0 and whose minima are at y = -1 and 1."""
    x, y = w
    return a * x**2 / 2 + x**2 * y**2 / 2 + c * (y**2 - 1) ** 2 / 4


@jax.jit
def descend_all(rates: Array, saddles: Saddles) -> Array:
    """Return the paths ``[S, N, T + 1, 2]`` of ``N`` runs with each of the schedules ``[S, T]``."""

    def one(rates: Array, saddle: Saddles) -> Array:
        optimizer = optim.sgd(lambda step: rates[step])
        return descend(lambda w: loss(w, saddle.a, saddle.c), optimizer, saddle.w, rates.size)

    return jax.vmap(jax.vmap(one, (None, 0)), (0, None))(rates, saddles)


def has_left(path: np.ndarray) -> np.ndarray:
    """Return whether the saddle has been left, at each point of paths ``[..., 2]``."""
    x, y = np.abs(np.moveaxis(path, -1, 0))
    return (y > 0.5) & (x < 1)
