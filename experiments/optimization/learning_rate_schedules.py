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
import jax.numpy as jnp
import numpy as np
import optax
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from experiments.harness import configuration
from experiments.harness.claims import judge
from experiments.harness.curves import PALETTE, draw_contours, plot_path
from experiments.harness.learning import descend
from experiments.harness.run_folder import Run
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
    run.figure("schedules", draw_schedules())
    rates = table(compared(config.steps), config.steps)
    saddles = draw_saddles(np.random.default_rng(config.seed), config.runs)
    paths = np.asarray(descend_all(np.stack([*rates.values()]), saddles))
    left = {name: has_left(path) for name, path in zip(rates, paths, strict=True)}
    cyclical = np.mean([left[name][:, -1] for name in CYCLICAL], axis=0)
    for decay in DECAYS:
        statement = f"cyclical rates leave a saddle that {decay} does not"
        run.claim(judge(5, statement, "of the runs more", cyclical - left[decay][:, -1]))
    run.figure("saddle", draw_saddle(saddles, rates, paths, left))
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


def table(made: dict[str, Schedule], steps: int) -> dict[str, np.ndarray]:
    """Evaluate schedules at every step."""
    values = jax.device_get(jax.jit(lambda t: [make(t) for make in made.values()])(np.arange(steps)))
    return dict(zip(made, values, strict=True))


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


def draw_schedules(steps: int = 100) -> Figure:
    """Draw every schedule of the library over 100 steps."""
    shown = {
        "constant": schedules.constant(1.0),
        "linear": schedules.linear(1.0, 0.0, steps),
        "step_decay, halved every 20": schedules.step_decay(1.0, 20),
        "exponential_decay": schedules.exponential_decay(1.0, 0.04),
        "inverse_time_decay": schedules.inverse_time_decay(1.0, 0.1),
        "piecewise_constant": schedules.piecewise_constant([1.0, 0.3, 0.6], [30, 60]),
        "triangular": schedules.triangular(0.1, 1.0, 20),
        "cosine_decay": schedules.cosine_decay(1.0, steps),
        "cosine_restarts": schedules.cosine_restarts(1.0, 25),
        "cosine_restarts_inclusive": schedules.cosine_restarts_inclusive(1.0, 25),
        "cosine_restarts, multiplier 2": schedules.cosine_restarts(1.0, 14, multiplier=2),
        "warmup, then cosine": schedules.warmup(schedules.cosine_decay(1.0, 80), 20),
        "join": schedules.join([schedules.constant(0.4), schedules.exponential_decay(1.0, 0.03)], [40]),
        "sutskever_momentum": schedules.sutskever_momentum(every=10),
    }
    values = table(shown, steps)
    values["reduce_on_plateau"] = plateau(steps)
    figure, axes = plt.subplots(3, 5, figsize=(14, 6.6), sharex=True, sharey=True)
    for axis, (name, value) in zip(axes.flat, values.items(), strict=True):
        axis.plot(value, linewidth=1.6)
        axis.set_title(name, fontsize=10)
        axis.set_ylim(-0.05, 1.05)
    figure.supxlabel("step")
    figure.supylabel("value")
    return figure


def plateau(steps: int) -> np.ndarray:
    """Return the scale of a loss that falls in three stages, halved after eight steps without a decrease."""
    transform = optim.reduce_on_plateau(patience=8)
    stage = np.arange(steps) % 33
    losses = np.repeat([4.0, 2.0, 1.0, 0.5], 33)[:steps] * np.maximum(1 - stage / 20, 0.55)

    def step(state: optax.OptState, value: Array) -> tuple:
        state = transform.update(jnp.zeros(1), state, value=value)[1]
        return state, state.scale

    return np.asarray(jax.jit(lambda losses: jax.lax.scan(step, transform.init(None), losses)[1])(losses))


def draw_saddle(saddles: Saddles, rates: dict, paths: np.ndarray, left: dict[str, np.ndarray]) -> Figure:
    """Draw the rates, the share of runs that have left the saddle over steps and over the sum of rates, and one run."""
    figure, axes = plt.subplots(1, 4, figsize=(19, 3.9))
    steps = rates["triangular"].size
    needed = np.where(left["triangular"].any(axis=1), left["triangular"].argmax(axis=1), steps)
    travelled = np.cumsum(rates["triangular"])[np.sort(needed) - 1]
    example = int(np.argmax(np.abs(saddles.w[:, 0])))
    a, c = saddles.a[example], saddles.c[example]
    draw_contours(axes[3], lambda w: loss(w, a, c), (-0.3, 2.6, -1.3, 1.3), offset=0.02)
    for colour, (name, rate), path in zip(PALETTE, rates.items(), paths, strict=False):
        axes[0].plot(rate, color=colour, label=f"{name}, sum {rate.sum():.0f}", linewidth=1.3)
        axes[1].plot(left[name].mean(0), color=colour)
        axes[2].plot(rate.sum(), left[name][:, -1].mean(), "o", color=colour)
        plot_path(axes[3], path[example] * np.sign(saddles.w[example]), colour)
    every = np.arange(1, 1 + travelled.size) / travelled.size
    axes[2].plot(travelled, every, color="grey", linewidth=1, zorder=0, label="triangular, as it goes")
    axes[0].set(title="learning rate", xlabel="step", yscale="log")
    axes[1].set(title="runs that have left the saddle", xlabel="step", ylabel="share", ylim=(-0.03, 1.03))
    axes[2].set(title="runs that have left at the end", xlabel="sum of the rates", ylim=(-0.03, 1.03))
    axes[3].set(title="one run", xlabel="x", ylabel="y")
    axes[2].legend(fontsize=8, loc="lower right")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right center", frameon=False)
    return figure
