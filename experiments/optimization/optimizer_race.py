"""Ten optimizers on a saddle, a ravine, Beale's and Rosenbrock's function, and the claims about them.

    python -m experiments run optimizer_race

Each method runs on each surface at its best of 16 learning rates from 1e-4 to 10, by the mean logarithm of the last
loss from 8 initial points; then 128 others are measured. The ravine has another condition number (10 to 100) and axis
for each of them. The claims are measured at one common rate (ravine: 1 / the largest curvature; Beale: 0.01) and at
each method's best: the steps of momentum to a tenth of the distance along the ravine's floor, and its overshoot; the
length of the path, for oscillation; the distance of AdaGrad and RMSProp to Beale's minimum; and the first step of Adam
with and without bias correction.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import jax.numpy as jnp
import numpy as np
import optax

from experiments.harness import configuration
from experiments.harness.claims import Statement, judge_all
from experiments.harness.optimization import surfaces
from experiments.harness.optimization.curves import animate_paths
from experiments.harness.optimization.surfaces import SURFACES, Runner
from experiments.harness.run_folder import Run
from experiments.optimization import drawings
from jaxdl import optim
from jaxdl.typing import Array

CLAIMS = (1, 2, 3, 4)
COMMON_RATE = {"saddle": 0.01, "ravine": 1.0, "Beale": 0.01, "Rosenbrock": 1e-3}
COMPARED = ("sgd", "momentum", "nesterov", "adagrad", "rmsprop")
OTHERS = ("adadelta", "adam", "adamax", "maxprop", "nadam")
OPTIMIZERS = {name: getattr(optim, name) for name in (*COMPARED, *OTHERS)}


def uncorrected_adam(rate: Array) -> optax.GradientTransformation:
    """Build Adam without bias correction: ``m_t / (sqrt(v_t) + eps)``."""
    mean, mean_square = optax.ema(0.9, debias=False), optax.ema(0.999, debias=False)

    def init(params: Array) -> tuple:
        return mean.init(params), mean_square.init(params)

    def update(gradient: Array, state: tuple, params: Array | None = None) -> tuple:
        m, first = mean.update(gradient, state[0])
        v, second = mean_square.update(gradient**2, state[1])
        return m / (jnp.sqrt(v) + 1e-8), (first, second)

    return optax.chain(optax.GradientTransformation(init, update), optim.scale_by_learning_rate(rate))


@dataclass(frozen=True)
class Config(configuration.Config):
    """Optimizers on surfaces."""

    SMOKE = {"steps": 4, "frames": 2, "optimizers": (*COMPARED, "adam")}
    LEAST = {"steps": 2}
    CHOICES = {"optimizers": (OPTIMIZERS, (*COMPARED, "adam"))}

    steps: int = 500
    """Steps of every run."""
    frames: int = 36
    """Frames of the animation."""
    optimizers: tuple[str, ...] = tuple(OPTIMIZERS)
    """Optimizers; those of the claims and adam must be among them."""


def run(config: Config, run: Run) -> dict[str, float]:
    """Search the learning rates, run all optimizers, judge the claims, draw."""
    steps, names = config.steps, config.optimizers
    runners = {name: Runner(OPTIMIZERS[name], steps) for name in names}
    generator = np.random.default_rng(config.seed)
    counts = surfaces.SEARCH_STARTS, surfaces.STARTS
    search, race = (surfaces.starting_points(generator, count) for count in counts)
    best = {name: surfaces.best_rates(runner, search) for name, runner in runners.items()}
    own = {name: runner(best[name], race) for name, runner in runners.items()}
    one = {name: runners[name](np.array([*COMMON_RATE.values()], np.float32), race) for name in COMPARED}
    adams = [surfaces.step_lengths(runner, race) for runner in (Runner(uncorrected_adam, steps), runners["adam"])]
    judge_all(run, [*statements(one, race, "one rate"), *statements(own, race, "own rates"), first_step(*adams)])
    run.figure("claims", drawings.draw_descent(one, own, race, adams))
    drawn = {name: runner(best[name], surfaces.drawn_points())[:, 0] for name, runner in runners.items()}
    run.figure("race", drawings.draw_race(drawn, best))
    panels = [partial(surfaces.draw_surface, name=surface) for surface in SURFACES]
    animate_paths(run.directory / "race.gif", drawn, panels, frames=config.frames)
    last = {name: np.log10(surfaces.median_losses(path[:, :, -1], race)) for name, path in own.items()}
    return {f"{name}_{surface}_log10": float(last[name][i]) for name in names for i, surface in enumerate(SURFACES)}


def statements(found: dict[str, np.ndarray], race: surfaces.Points, rate: str) -> Iterator[Statement]:
    """State the claims about momentum, Nesterov and AdaGrad, by their paths."""
    rows, valley = list(SURFACES).index("ravine"), list(SURFACES).index("Beale")
    floor = {name: surfaces.along_floor(found[name][rows], race.shapes[rows]) for name in COMPARED}
    crossing = {name: surfaces.steps_to_cross(floor[name]) for name in COMPARED}
    overshoot = {name: np.maximum(0, -floor[name]).max(axis=1) for name in COMPARED}
    length = {name: surfaces.path_length(found[name][rows]) for name in COMPARED}
    left = {name: surfaces.distance_to_minimum(found[name][valley], "Beale")[:, -1] for name in COMPARED}
    statement = f"momentum crosses a gentle slope faster ({rate})"
    yield Statement(1, statement, "steps saved", crossing["sgd"] - crossing["momentum"])
    further = overshoot["momentum"] - overshoot["sgd"]
    yield Statement(1, f"momentum overshoots ({rate})", "of the start's distance, over sgd's", further)
    statement = f"Nesterov oscillates less than momentum ({rate})"
    yield Statement(2, statement, "distances of path saved", length["momentum"] - length["nesterov"])
    statement = f"AdaGrad stalls where RMSProp goes on ({rate})"
    yield Statement(3, statement, "further from the minimum", left["adagrad"] - left["rmsprop"])


def first_step(uncorrected: np.ndarray, corrected: np.ndarray) -> Statement:
    """State the effect of bias correction on the first of the lengths ``[S, N, T]``."""
    statement, times = "Adam's bias correction prevents a large first step", uncorrected[..., 0] / corrected[..., 0]
    return Statement(4, statement, "times as long without it", times, above=1.0)
