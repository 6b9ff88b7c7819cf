"""Ten optimizers on a saddle, a ravine, Beale's and Rosenbrock's function, and the claims about them.

    python -m experiments run optimizer_race

Each method runs on each surface at its best of 16 learning rates from 1e-4 to 10, by the mean logarithm of the last
loss from 8 initial points; then 128 others are measured. The ravine has another condition number (10 to 100) and axis
for each of them. The claims are measured at one common rate (ravine: 1 / the largest curvature; Beale: 0.01) and at
each method's best: the steps of momentum to a tenth of the distance along the ravine's floor, and its overshoot; the
length of the path, for oscillation; the distance of AdaGrad and RMSProp to Beale's minimum; and the first step of Adam
with and without bias correction.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import jax.numpy as jnp
import numpy as np
import optax
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from experiments.harness import configuration
from experiments.harness.claims import judge
from experiments.harness.curves import PALETTE, animate_paths, plot_path
from experiments.harness.figures import COLOURS
from experiments.harness.run_folder import Run
from experiments.harness.surfaces import (
    SEARCH_STARTS,
    STARTS,
    SURFACES,
    Points,
    Runner,
    best_rates,
    draw_surface,
    drawn_points,
    median_losses,
    path_length,
    starting_points,
)
from jaxdl import optim
from jaxdl.typing import Array

CLAIMS = (1, 2, 3, 4)
COMMON_RATE = {"saddle": 0.01, "ravine": 1.0, "Beale": 0.01, "Rosenbrock": 1e-3}
COMPARED = ("sgd", "momentum", "nesterov", "adagrad", "rmsprop")
OPTIMIZERS: dict[str, Callable[[Array], optax.GradientTransformation]] = {
    "sgd": optim.sgd,
    "momentum": optim.momentum,
    "nesterov": optim.nesterov,
    "adagrad": optim.adagrad,
    "rmsprop": optim.rmsprop,
    "adadelta": optim.adadelta,
    "adam": optim.adam,
    "adamax": optim.adamax,
    "maxprop": optim.maxprop,
    "nadam": optim.nadam,
}


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
    LEAST = {"steps": 2, "frames": 1}

    steps: int = 500
    """Steps of every run."""
    frames: int = 36
    """Frames of the animation."""
    optimizers: tuple[str, ...] = tuple(OPTIMIZERS)
    """Optimizers; those of the claims and adam must be among them."""

    def __post_init__(self) -> None:
        super().__post_init__()
        needed = {*COMPARED, "adam"}
        known = needed <= set(self.optimizers) <= OPTIMIZERS.keys()
        configuration.require(known, "optimizers", f"{', '.join(sorted(needed))} and others", self.optimizers)


def run(config: Config, run: Run) -> dict[str, float]:
    """Search the learning rates, run all optimizers, judge the claims, draw."""
    steps, names = config.steps, config.optimizers
    runners = {name: Runner(OPTIMIZERS[name], steps) for name in names}
    generator = np.random.default_rng(config.seed)
    search, race = starting_points(generator, SEARCH_STARTS), starting_points(generator, STARTS)
    best = {name: best_rates(runner, search) for name, runner in runners.items()}
    own = {name: runner(best[name], race) for name, runner in runners.items()}
    one = {name: runners[name](np.array([*COMMON_RATE.values()], np.float32), race) for name in COMPARED}
    judge_descent(run, one, race, "one rate")
    judge_descent(run, own, race, "own rates")
    adams = [step_lengths(runner, race) for runner in (Runner(uncorrected_adam, steps), runners["adam"])]
    statement, first = "Adam's bias correction prevents a large first step", [lengths[..., 0] for lengths in adams]
    run.claim(judge(4, statement, "times as long without it", first[0] / first[1], above=1.0))
    run.figure("claims", draw_claims(one, own, race, adams))
    drawn = {name: runner(best[name], drawn_points())[:, 0] for name, runner in runners.items()}
    run.figure("race", draw_race(drawn, best))
    panels = [partial(draw_surface, name=surface) for surface in SURFACES]
    animate_paths(run.directory / "race.gif", drawn, panels, frames=config.frames)
    last = {name: np.log10(median_losses(path[:, :, -1], race)) for name, path in own.items()}
    return {f"{name}_{surface}_log10": float(last[name][i]) for name in names for i, surface in enumerate(SURFACES)}


def judge_descent(run: Run, found: dict[str, np.ndarray], race: Points, rate: str) -> None:
    """Judge momentum, Nesterov and AdaGrad by their paths."""
    rows, valley = list(SURFACES).index("ravine"), list(SURFACES).index("Beale")
    floor = {name: along_floor(found[name][rows], race.shapes[rows]) for name in COMPARED}
    crossing = {name: steps_to_cross(floor[name]) for name in COMPARED}
    overshoot = {name: np.maximum(0, -floor[name]).max(axis=1) for name in COMPARED}
    length = {name: path_length(found[name][rows]) for name in COMPARED}
    left = {name: beale_distance(found[name][valley])[:, -1] for name in COMPARED}
    for number, statement, measure, samples in (
        (1, "momentum crosses a gentle slope faster", "steps saved", crossing["sgd"] - crossing["momentum"]),
        (1, "momentum overshoots", "of the start's distance, over sgd's", overshoot["momentum"] - overshoot["sgd"]),
        (
            2,
            "Nesterov oscillates less than momentum",
            "distances of path saved",
            length["momentum"] - length["nesterov"],
        ),
        (3, "AdaGrad stalls where RMSProp goes on", "further from the minimum", left["adagrad"] - left["rmsprop"]),
    ):
        run.claim(judge(number, f"{statement} ({rate})", measure, samples))


def beale_distance(path: np.ndarray) -> np.ndarray:
    """Return the distance from Beale's minimum along paths ``[N, T, 2]``."""
    return np.linalg.norm(path - np.array(SURFACES["Beale"].minimum), axis=-1)


def along_floor(path: np.ndarray, shapes: np.ndarray) -> np.ndarray:
    """Return the place along the ravine's floor, ``[N, T]``, in distances of the start from the minimum."""
    place = np.einsum("nti,ni->nt", path, shapes[:, 1:])
    return place / place[:, :1]


def steps_to_cross(floor: np.ndarray, share: float = 0.1) -> np.ndarray:
    """Return the number of steps until a tenth of the way is left; one more than all steps if that is not reached."""
    near = np.abs(floor) < share
    return np.where(near.any(axis=1), near.argmax(axis=1), floor.shape[1])


def step_lengths(runner: Runner, race: Points) -> np.ndarray:
    """Return the length of every step at the rate 0.001, ``[S, N, T]``."""
    rates = np.full(len(SURFACES), 1e-3, np.float32)
    return np.linalg.norm(np.diff(runner(rates, race), axis=2), axis=-1)


def draw_race(paths: dict[str, np.ndarray], best: dict[str, np.ndarray]) -> Figure:
    """Draw all paths on each surface's contours."""
    figure, axes = plt.subplots(2, 2, figsize=(13, 9))
    for i, (axis, surface) in enumerate(zip(axes.flat, SURFACES, strict=True)):
        draw_surface(axis, surface)
        for colour, (name, path) in zip(PALETTE, paths.items(), strict=False):
            plot_path(axis, path[i], colour, label=f"{name}, {best[name][i]:.2g}")
        axis.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1, 1), title="learning rate", frameon=False)
    figure.suptitle(
        f"{paths['sgd'].shape[1] - 1} steps of each method at its best learning rate; the star is a minimum"
    )
    return figure


def draw_claims(
    one: dict[str, np.ndarray], own: dict[str, np.ndarray], race: Points, adams: list[np.ndarray]
) -> Figure:
    """Draw the quantities of the claims, averaged over the runs, at one rate and at each method's best."""
    figure, axes = plt.subplots(1, 4, figsize=(16, 3.8))
    rows, valley = list(SURFACES).index("ravine"), list(SURFACES).index("Beale")
    for axis, (title, found) in zip(axes, (("one rate", one), ("own rates", own)), strict=False):
        for name in ("sgd", "momentum", "nesterov"):
            axis.plot(along_floor(found[name][rows], race.shapes[rows]).mean(0)[:200], label=name)
        axis.set(title=f"along the ravine, {title}", xlabel="step", ylabel="place, 1 the start, 0 the minimum")
        axis.legend(frameon=False)
    for style, title, found in (("-", "one rate", one), ("--", "own rates", own)):
        for colour, name in zip(COLOURS, ("adagrad", "rmsprop"), strict=False):
            distance = beale_distance(found[name][valley]).mean(0)
            axes[2].plot(distance, style, color=colour, label=f"{name}, {title}")
    axes[2].set(title="Beale", xlabel="step", ylabel="distance to the minimum")
    axes[2].legend(frameon=False)
    for label, lengths in zip(("without correction", "Adam"), adams, strict=True):
        axes[3].plot(range(1, 1 + lengths.shape[-1]), lengths.reshape(-1, lengths.shape[-1]).mean(0), label=label)
    axes[3].set(title="Adam's steps, rate 0.001", xlabel="step", ylabel="length", xscale="log", ylim=(0, None))
    axes[3].legend(frameon=False)
    return figure
