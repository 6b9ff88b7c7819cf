"""Gradient clipping lets a network with exploding gradients learn at a rate at which it diverges without.

    python -m experiments run gradient_clipping

Vanilla networks of 32 ReLU units with a recurrent kernel of spectral radius 1.5 learn the adding problem over 40 steps
by gradient descent, at eight learning rates, with gradients clipped to norm 1 and without; the control has radius 0.75
and no clipping. A run diverges if its last loss is NaN or above its first. It is judged at the rate that is best with
clipping and at the first one at which most runs without clipping diverge, both chosen by other runs.
"""

from collections.abc import Callable
from dataclasses import dataclass

import jax
import numpy as np
import optax
from matplotlib.figure import Figure

from experiments.harness import configuration
from experiments.harness.claims import judge
from experiments.harness.figures import COLOURS
from experiments.harness.learning import fit_samples
from experiments.harness.recurrent import as_batch, readout_loss
from experiments.harness.run_folder import Run, slug
from experiments.harness.sequence_plots import legend, panels, plot_medians
from jaxdl import losses, optim
from jaxdl.data.sources import sequences
from jaxdl.nn.recurrent import cells
from jaxdl.typing import Array, Batch, Key, PyTree

CLAIMS = (21,)
HIDDEN, SEARCH, WINDOW, LARGEST = 32, 4, 20, 1e6
CELL = cells.Vanilla(HIDDEN, "relu")
RATES = tuple((10 ** np.arange(-4, -0.4, 0.5)).tolist())
VARIANTS = {"without clipping": COLOURS[1], "clipped": COLOURS[0], "small radius, without clipping": COLOURS[2]}
SMALL = 0.75
Found = dict[str, np.ndarray]


@dataclass(frozen=True)
class Config(configuration.Config):
    """Vanilla networks on the adding problem, trained by stochastic gradient descent."""

    SMOKE = {"seeds": 2, "steps": 2, "lag": 4, "batch_size": 2, "rates": RATES[::6]}
    LEAST = {"seeds": 2, "lag": 2, "steps": 1, "batch_size": 1}
    POSITIVE = ("radius", "max_norm")

    seeds: int = 16
    """Independent runs at each rate that are measured; four others choose the rate."""
    rates: tuple[float, ...] = RATES
    """Learning rates."""
    radius: float = 1.5
    """Spectral radius of the initial recurrent kernel."""
    lag: int = 40
    """Steps of a sequence."""
    max_norm: float = 1.0
    """Norm to which gradients are clipped."""
    steps: int = 400
    """Updates."""
    batch_size: int = 20
    """Sequences in a batch, always new."""


def run(config: Config, run: Run) -> dict[str, float]:
    """Train with and without clipping at every rate, judge at two rates, draw."""
    rates, runs = np.array(config.rates, np.float32), SEARCH + config.seeds
    keys = jax.random.split(jax.random.key(config.seed), runs)
    start = initialize(np.random.default_rng(config.seed), runs)
    radii, norms = np.float32([config.radius, config.radius, SMALL]), np.float32([np.inf, config.max_norm, np.inf])
    over_variants = jax.vmap(make_learn(config), (None, None, None, 0, 0))
    over_runs = jax.vmap(over_variants, (0, 0, None, None, None), out_axes=1)
    learn = jax.jit(jax.vmap(over_runs, (None, None, 0, None, None), out_axes=1))
    found = jax.device_get(learn(keys, start, rates, radii, norms))
    first, last = found["loss"][..., 0], final_loss(found["loss"][..., -WINDOW:])
    best = int(np.argmin(np.median(last[1, :, :SEARCH], axis=-1)))
    share = np.mean(diverged(first[0, :, :SEARCH], last[0, :, :SEARCH]), axis=-1)
    chosen = {"best": best, "exploding": int(np.argmax(share > 0.5)) if np.any(share > 0.5) else len(rates) - 1}
    found = {name: values[:, :, SEARCH:] for name, values in found.items()}
    first, last = first[..., SEARCH:], last[..., SEARCH:]
    assess(run, {name: (first[:, i], last[:, i]) for name, i in chosen.items()})
    run.figure("rates", draw_rates(rates, last, chosen))
    run.figure("norms", draw_norms(found, rates, chosen))
    return {f"rate_{name}": float(rates[i]) for name, i in chosen.items()} | {
        slug(f"{measure}_{name}_{variant}"): float(value)
        for name, i in chosen.items()
        for k, variant in enumerate(VARIANTS)
        for measure, value in (
            ("last_loss", np.median(np.minimum(last[k, i], LARGEST))),
            ("diverged", np.mean(diverged(first[k, i], last[k, i]))),
        )
    }


def initialize(random: np.random.Generator, runs: int) -> PyTree:
    """Draw normal kernels, the recurrent one with spectral radius 1, with NumPy; biases are 0."""
    U = random.normal(size=(runs, HIDDEN, HIDDEN))
    U /= np.abs(np.linalg.eigvals(U)).max(axis=-1)[:, None, None]
    drawn = {
        "cell": {
            "kernel": random.normal(0, 0.5**0.5, (runs, 2, HIDDEN)),
            "recurrent_kernel": U,
            "bias": np.zeros((runs, HIDDEN)),
        },
        "output": {"kernel": random.normal(size=(runs, HIDDEN, 1)), "bias": np.zeros((runs, 1))},
    }
    return jax.tree.map(np.float32, drawn)


def make_learn(config: Config) -> Callable[..., dict[str, Array]]:
    """Make the function that trains a network and returns losses and norms before and after clipping."""
    loss = readout_loss(
        CELL, lambda y, target: (losses.mean_squared_error(y, target), {}), lambda h: h[:, -1] / HIDDEN**0.5
    )

    def learn(key: Key, params: PyTree, rate: Array, radius: Array, max_norm: Array) -> dict[str, Array]:
        cell = {**params["cell"], "recurrent_kernel": radius * params["cell"]["recurrent_kernel"]}
        optimizer = optax.chain(optim.clip_by_global_norm(max_norm), optim.sgd(rate))

        def sample(key: Key) -> Batch:
            return as_batch(sequences.adding(key, config.batch_size, config.lag))

        variables, keys = {"params": {**params, "cell": cell}}, jax.random.split(key, config.steps)
        _, metrics = fit_samples(loss, optimizer, variables, sample, keys, key)
        after = metrics["update_norm"] / rate
        return {"loss": metrics["loss"], "before": metrics["gradient_norm"], "after": after}

    return learn


def final_loss(loss: np.ndarray) -> np.ndarray:
    """Return the mean over the last dimension, infinite where it is NaN."""
    with np.errstate(over="ignore"):
        return np.nan_to_num(np.mean(loss, axis=-1), nan=np.inf)


def diverged(first: np.ndarray, last: np.ndarray) -> np.ndarray:
    """Return which runs end with NaN or with a higher loss than the first."""
    return ~(last <= np.minimum(first, LARGEST))


def assess(run: Run, losses: dict[str, tuple[np.ndarray, np.ndarray]]) -> None:
    """Judge the parts of the claim by first and last losses ``[variants, seeds]`` at two rates."""
    at = {"best": "the best rate with clipping", "exploding": "the first rate that explodes without clipping"}
    for name, (first, last) in losses.items():
        without, clipped, small = diverged(first, last)
        statement = f"with clipping the loss stays finite and falls at {at[name]}"
        run.claim(judge(21, statement, "share of runs", ~clipped, above=0.5))
        statement = f"without clipping training diverges at {at[name]}"
        run.claim(judge(21, statement, "share of runs", without, above=0.5))
        statement = f"without exploding gradients it needs no clipping at {at[name]}"
        run.claim(judge(21, statement, "share of runs with a small radius that do not diverge", ~small, above=0.5))
        measure = "log10 of the last loss, without minus with clipping"
        worse = np.log10(np.minimum(last[0], LARGEST)) - np.log10(np.minimum(last[1], LARGEST))
        run.claim(judge(21, f"clipping leads to a lower loss at {at[name]}", measure, worse))


def draw_rates(rates: np.ndarray, last: np.ndarray, chosen: dict[str, int]) -> Figure:
    """Draw the last loss by rate, every run and the median."""
    figure, ((axis,),) = panels(1, size=(6.5, 3.8))
    shown = {variant: np.minimum(values, 1e3).T for variant, values in zip(VARIANTS, last, strict=True)}
    plot_medians(axis, rates, shown, spacing=1.05, colours=VARIANTS.values())
    axis.axhline(1 / 6, color="black", linewidth=0.8, linestyle=":", label="loss without memory")
    for (name, i), style in zip(chosen.items(), ("--", "-."), strict=True):
        axis.axvline(rates[i], color="black", linewidth=0.8, linestyle=style, label=f"{name} rate")
    axis.set(xscale="log", yscale="log", xlabel="learning rate", title="Last loss; at the top: beyond, or NaN")
    legend(axis, fontsize=8, loc="center left")
    return figure


def draw_norms(found: Found, rates: np.ndarray, chosen: dict[str, int]) -> Figure:
    """Draw the losses of all runs at both rates, and the norms of one run's gradient before and after clipping."""
    figure, (axes,) = panels(3, size=(14 / 3, 3.8))
    for axis, (name, i) in zip(axes, chosen.items(), strict=False):
        for k, (variant, colour) in enumerate(VARIANTS.items()):
            loss = np.minimum(np.nan_to_num(found["loss"][k, i], nan=np.inf), LARGEST)
            axis.plot(loss.T, color=colour, linewidth=0.5, alpha=0.5)
            axis.plot(np.median(loss, axis=0), color=colour, label=variant)
        axis.set(yscale="log", xlabel="step", title=f"Loss at the {name} rate, {rates[i]:.2g}")
    legend(axes[0])
    for part, colour in (("before", COLOURS[1]), ("after", COLOURS[0])):
        axes[2].plot(found[part][1, chosen["exploding"], 0], ".", color=colour, markersize=3, label=part)
    axes[2].set(yscale="log", xlabel="step", title="Norm of one run's gradient, before and after clipping")
    legend(axes[2])
    return figure
