"""Figures of the experiments on optimization."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from experiments.harness.figures import COLOURS, plot_by_rate, plot_runs, smooth
from experiments.harness.learning import tabulate
from experiments.harness.optimization.curves import PALETTE, draw_contours, plot_path
from experiments.harness.optimization.surfaces import SURFACES, Points, along_floor, distance_to_minimum, draw_surface
from jaxdl import optim
from jaxdl.optim import schedules
from jaxdl.typing import Array

Arrays = Mapping[str, np.ndarray]
Found = Mapping[str, Arrays]
"""Arrays by the name of a variant and of a measure."""


def draw_race(paths: Arrays, best: Arrays) -> Figure:
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


def draw_descent(one: Arrays, own: Arrays, race: Points, adams: Sequence[np.ndarray]) -> Figure:
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
            distance = distance_to_minimum(found[name][valley], "Beale").mean(0)
            axes[2].plot(distance, style, color=colour, label=f"{name}, {title}")
    axes[2].set(title="Beale", xlabel="step", ylabel="distance to the minimum")
    axes[2].legend(frameon=False)
    for label, lengths in zip(("without correction", "Adam"), adams, strict=True):
        axes[3].plot(range(1, 1 + lengths.shape[-1]), lengths.reshape(-1, lengths.shape[-1]).mean(0), label=label)
    axes[3].set(title="Adam's steps, rate 0.001", xlabel="step", ylabel="length", xscale="log", ylim=(0, None))
    axes[3].legend(frameon=False)
    return figure


def draw_activations(rates: np.ndarray, found: Found, best: Mapping[str, int], high: int) -> Figure:
    """Draw the loss at the best rates, and the accuracy and the dead units by rate."""
    figure, axes = plt.subplots(1, 3, figsize=(12.5, 3.6))
    for (name, values), colour in zip(found.items(), COLOURS, strict=False):
        label = f"{name}, {rates[best[name]]:.2g}"
        plot_runs(axes[0], smooth(values["loss"][best[name]], 20), colour, label=label)
        plot_by_rate(axes[1], rates, values["accuracy"], colour, name)
        if name in ("relu", "leaky"):
            plot_by_rate(axes[2], rates, values["dead"], colour, name)
    axes[0].set(yscale="log", xlabel="step", title="Training loss at the best rate")
    axes[0].legend(frameon=False, title="activation, learning rate")
    axes[1].set(ylim=(0, 1.05), title="Final accuracy, mean and deviation")
    axes[1].legend(frameon=False)
    axes[2].axvline(rates[high], color="black", linewidth=0.8, linestyle=":", label="ten times ReLU's best")
    axes[2].set(ylim=(-0.03, 1.05), title="Dead share of the hidden units")
    axes[2].legend(frameon=False)
    return figure


def draw_saturation(values: Arrays, best: int) -> Figure:
    """Draw the distribution of the slopes of the sigmoids before and after training, by layer."""
    figure, axes = plt.subplots(1, 3, figsize=(10, 3), sharex=True, sharey=True)
    before, after = np.moveaxis(values["slopes"][best], 1, 0)
    for layer, axis in enumerate(axes):
        for slopes, label, colour in ((before, "before", COLOURS[2]), (after, "after", COLOURS[0])):
            axis.hist(
                slopes[:, layer].ravel(), np.linspace(0, 1, 41), density=True, alpha=0.6, color=colour, label=label
            )
        axis.axvspan(0, 0.05, color=COLOURS[1], alpha=0.2, label="saturated")
        axis.set(title=f"hidden layer {layer + 1}", xlabel="slope, as a share of 1/4")
    axes[0].set_ylabel("density of the activations")
    axes[0].legend(frameon=False)
    figure.suptitle("Sigmoid units before and after training at their best rate", fontsize=11)
    return figure


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
    values = tabulate(shown, steps)
    values["reduce_on_plateau"] = plateau(steps)
    figure, axes = plt.subplots(3, 5, figsize=(14, 6.6), sharex=True, sharey=True)
    for axis, (name, value) in zip(axes.flat, values.items(), strict=True):
        axis.plot(value, linewidth=1.6)
        axis.set_title(name, fontsize=10)
        axis.set_ylim(-0.05, 1.05)
    figure.supxlabel("step")
    figure.supylabel("value")
    return figure


def draw_saddle(loss: Callable[..., Array], saddles: Any, rates: Arrays, paths: np.ndarray, left: Arrays) -> Figure:
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


def draw_batch_norm(rates: np.ndarray, found: Found, best: Mapping[str, int], trained: float) -> Figure:
    """Draw accuracy and loss by rate, and the loss over the steps at the best rates."""
    figure, axes = plt.subplots(1, 3, figsize=(12.5, 3.6))
    for (name, values), colour in zip(found.items(), COLOURS, strict=False):
        for axis, measure in zip(axes, ("accuracy", "mean_loss"), strict=False):
            axis.plot(rates, values[measure], "o", color=colour, markersize=3, alpha=0.4)
            axis.plot(rates, values[measure].mean(axis=1), color=colour, label=name)
        label = f"{name}, {rates[best[name]]:.2g}"
        plot_runs(axes[2], smooth(values["loss"][best[name]], 10), colour, label=label)
    axes[0].axhline(trained, color="black", linewidth=0.8, linestyle=":")
    axes[0].set(xscale="log", xlabel="learning rate", ylim=(0, 1.05), title="Final accuracy")
    axes[1].set(xscale="log", xlabel="learning rate", title="Mean loss over the run")
    axes[2].set(xlabel="step", title="Loss at the best rates")
    axes[1].legend(frameon=False)
    axes[2].legend(frameon=False, title="network, learning rate")
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


def draw_budget(curves: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> Figure:
    """Draw the losses ``[splits, trials]`` of validation and test of the best trial so far, for every search."""
    figure, axes = plt.subplots(1, 2, figsize=(10, 3.6))
    for (name, (validation, test)), colour in zip(curves.items(), COLOURS, strict=False):
        x = 1 + np.arange(test.shape[1])
        plot_runs(axes[0], test, colour, x=x, label=name)
        plot_runs(axes[1], test - validation, colour, x=x, label=name)
    axes[0].set(xlabel="trials", yscale="log", title="Loss in the test of the best of validation")
    axes[1].axhline(0, color="grey", linewidth=0.8)
    axes[1].set(xlabel="trials", title="Loss in the test minus that of validation")
    axes[0].legend(frameon=False)
    return figure


def draw_restarts(found: Mapping[str, np.ndarray], good: float) -> Figure:
    """Draw the losses ``[seeds, restarts]`` of all runs, and the share of good ones among the best of k."""
    figure, axes = plt.subplots(2, len(found), figsize=(5 * len(found), 6), squeeze=False)
    for (above, below), (name, losses) in zip(axes.T, found.items(), strict=True):
        above.hist(np.log10(np.maximum(losses.ravel(), 1e-12)), 40, color=COLOURS[0])
        above.axvline(np.log10(good), color="black", linewidth=0.8, linestyle=":")
        above.set(title=name, xlabel="log10 of the final loss", ylabel="runs")
        k = 1 + np.arange(losses.shape[1])
        below.plot(k, np.mean(np.minimum.accumulate(losses, axis=1) < good, axis=0), "o", label="measured")
        below.plot(k, 1 - (1 - np.mean(losses < good)) ** k, label="$1 - (1 - p)^k$")
        below.set(xlabel="restarts k", ylabel="good", ylim=(0, 1.05))
        below.legend(frameon=False)
    return figure
