"""Figures of the experiments on regularization."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from experiments.harness.figures import COLOURS, plot_runs
from experiments.harness.optimization.curves import plot_distribution, plot_gaps
from experiments.harness.plots import plot_groups
from jaxdl.train import ensemble


def draw_gaps(measured: Mapping[str, Mapping[str, np.ndarray]], names: Sequence[str]) -> Figure:
    """Draw error and loss on the training and the test digits, with intervals over the seeds."""
    figure, axes = plt.subplots(1, 2, figsize=(12, 4), sharey=True)
    for axis, kind in zip(axes, ("error", "loss"), strict=True):
        samples = {part: [measured[name][f"{part}_{kind}"] for name in names] for part in ("train", "test")}
        plot_gaps(axis, names, samples, within=(0, 1 if kind == "error" else np.inf))
        axis.set_title(f"{kind}: the grey line is the gap")
    axes[0].legend(frameon=False)
    return figure


def draw_weights(weights: Mapping[str, np.ndarray]) -> Figure:
    """Draw how the weights are distributed under each penalty."""
    figure, axes = plt.subplots(1, len(weights), figsize=(13, 3.2), sharey=True)
    edges = np.linspace(-0.4, 0.4, 82)
    for axis, (name, w) in zip(axes, weights.items(), strict=True):
        plot_distribution(axis, w, edges, COLOURS[0])
        seen = f"{np.mean(w == 0):.0%} are zero, norm {np.linalg.norm(w, axis=1).mean():.1f}"
        axis.set(title=f"{name}\n{seen}", yscale="log")
        axis.set_xlabel("weight")
    axes[0].set_ylabel("share")
    return figure


def draw_history(history: Sequence[dict[str, Any]], splits: Sequence[str]) -> Figure:
    """Draw the losses of a network on every split over the epochs, averaged over the seeds."""
    figure, axis = plt.subplots(figsize=(6, 3.6))
    rows = [row for row in history if "evaluation/train_loss" in row]
    for split in splits:
        axis.plot([row["epoch"] for row in rows], [row[f"evaluation/{split}_loss"].mean() for row in rows], label=split)
    axis.set(xlabel="epoch", ylabel="cross-entropy", yscale="log", title="Without regularization")
    axis.legend(frameon=False)
    return figure


def draw_bagging(found: Mapping[str, Mapping[str, np.ndarray]], simulated: Mapping[float, np.ndarray]) -> Figure:
    """Draw the formula for drawn numbers and for networks, and the gain over the correlation."""
    figure, axes = plt.subplots(1, 3, figsize=(15, 4.2))
    sizes = np.arange(1, 31)
    for colour, (correlation, measured) in zip(COLOURS, simulated.items(), strict=False):
        line = ensemble.squared_error_of_average(1.0, correlation, sizes)
        axes[0].plot(sizes, line, color=colour, label=f"correlation {correlation:g}")
        axes[0].plot(sizes[::3], measured[::3], "o", color=colour, markersize=4)
    axes[0].set(title="numbers: points measured, lines V/k + (k-1)C/k", xlabel="members k", ylabel="squared error")
    sizes = np.arange(1, 1 + next(iter(found.values()))["squared"].shape[1])
    for colour, (name, values) in zip(COLOURS, found.items(), strict=False):
        axes[1].plot(sizes, values["formula"].mean(0), color=colour, label=name)
        axes[1].plot(sizes, values["squared"].mean(0), "o", color=colour, markersize=4)
        axes[2].plot(
            values["correlation"], values["wrong_gain"], "o", color=colour, markersize=5, label=name, alpha=0.7
        )
    axes[1].set(title="networks: points measured, lines the formula", xlabel="members k", ylabel="squared error")
    axes[2].axhline(0, color="grey", linewidth=1)
    axes[2].set(
        title="an ensemble of ten each", xlabel="correlation of errors, C / V", ylabel="fewer wrong digits, share"
    )
    for axis in axes:
        axis.legend(frameon=False)
    return figure


def draw_parts(parts: Any, total: np.ndarray) -> Figure:
    """Draw the parts on top of each other, and the error that was measured."""
    figure, axis = plt.subplots(figsize=(6.5, 4.2))
    degrees, below = np.arange(len(total)), np.zeros(len(total))
    shares = ((np.full(len(total), parts.noise), "noise", "#a0aec0"), (parts.squared_bias, "bias$^2$", COLOURS[0]))
    for values, label, colour in (*shares, (parts.variance, "variance", COLOURS[2])):
        axis.bar(degrees, values, bottom=below, label=label, color=colour, width=0.7)
        below = below + values
    settings = {"fmt": "o", "color": "black", "capsize": 4, "label": "expected error, measured apart"}
    axis.errorbar(degrees, parts.error, yerr=parts.half_interval, **settings)
    axis.set(xlabel="degree of the polynomial", ylabel="squared error", xticks=degrees, ylim=(0, 1.15 * total.max()))
    axis.set_title("Expected error = bias$^2$ + variance + noise")
    axis.legend(frameon=False)
    return figure


def draw_fits(x: np.ndarray, truth: np.ndarray, predictions: np.ndarray, degrees: Sequence[int]) -> Figure:
    """Draw fifty fits of three degrees, their mean, and the truth."""
    figure, axes = plt.subplots(1, len(degrees), figsize=(12, 3.6), sharey=True)
    for axis, degree in zip(axes, degrees, strict=True):
        axis.plot(x, predictions[:50, degree].T, color=COLOURS[2], linewidth=0.6, alpha=0.5)
        axis.plot(x, predictions[:, degree].mean(0), color=COLOURS[1], linewidth=2, label="mean of all fits")
        axis.plot(x, truth, "--", color="black", linewidth=1.5, label="truth")
        axis.set(title=f"degree {degree}", xlabel="x", ylim=(-2.2, 2.2))
    axes[0].plot([], [], color=COLOURS[2], label="a fit")
    axes[0].legend(frameon=False, loc="upper left")
    return figure


def draw_ridge(
    s: np.ndarray,
    seen: np.ndarray,
    expected: np.ndarray,
    learned: np.ndarray,
    ridge: Callable[[np.ndarray], np.ndarray],
) -> Figure:
    """Draw losses and weights over the size of the noise: measured points, lines of the formula."""
    figure, axes = plt.subplots(1, 2, figsize=(10, 4))
    axes[0].plot(s**2, expected, color=COLOURS[0], label="error without noise $+ s^2 ||w||^2$")
    axes[0].plot(s**2, seen, "o", color=COLOURS[1], label="mean error with noise")
    axes[0].set(xlabel="variance of the noise, $s^2$", ylabel="loss of random weights")
    axes[0].legend(frameon=False)
    sizes = np.linspace(0, s[-1], 100)
    axes[1].plot(sizes, ridge(sizes), color=COLOURS[0], linewidth=1.2)
    axes[1].plot(s, learned, "o", color=COLOURS[1], markersize=4)
    axes[1].plot([], [], color=COLOURS[0], label="ridge regression of strength $N s^2$")
    axes[1].plot([], [], "o", color=COLOURS[1], label="learned with noise")
    axes[1].set(xlabel="standard deviation of the noise, $s$", ylabel="each of the ten weights")
    axes[1].legend(frameon=False)
    figure.suptitle("Noise at the input of a linear model is an L2 penalty")
    return figure


def draw_augmented(images: np.ndarray, changed: Mapping[str, Any]) -> Figure:
    """Draw the image and, in each row, one augmentation with different keys."""
    rows, columns = len(changed), 1 + len(images)
    figure, axes = plt.subplots(rows, columns, figsize=(1.25 * columns, 1.25 * rows + 0.3), squeeze=False)
    for row, (name, pictures) in zip(axes, changed.items(), strict=True):
        row[0].set_ylabel(name, rotation=0, ha="right", va="center", fontsize=11)
        for axis, picture in zip(row, [images[0], *np.asarray(pictures)], strict=True):
            axis.imshow(np.clip(picture, 0, 1).squeeze(), cmap="gray", vmin=0, vmax=1)
            axis.set(xticks=[], yticks=[])
            axis.grid(visible=False)
    axes[0, 0].set_title("as it is", fontsize=10)
    axes[0, 1].set_title("changed", fontsize=10)
    return figure


def draw_ensembles(errors: Mapping[str, np.ndarray], by_count: Mapping[str, np.ndarray]) -> Figure:
    """Draw the errors ``[seeds]`` of networks and ensembles, and those ``[seeds, members]`` by number of members."""
    figure, axes = plt.subplots(1, 2, figsize=(11, 3.6))
    plot_groups(axes[0], errors, COLOURS[: len(errors)], within=(0, 1))
    axes[0].set(ylabel="error in the test")
    for (name, values), colour in zip(by_count.items(), COLOURS[2:], strict=False):
        plot_runs(axes[1], values, colour, x=1 + np.arange(values.shape[1]), label=name)
    axes[1].set(xlabel="members", ylabel="error in the test")
    axes[1].legend(frameon=False)
    return figure
