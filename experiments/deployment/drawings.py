"""Figures of deployment and audit."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from experiments.harness.figures import COLOURS
from experiments.harness.plots import plot_groups, plot_mean


class QuantizedResult(NamedTuple):
    """Networks of integers: accuracies ``[runs]``, bytes, and the share of predictions equal to the simulated ones."""

    accuracy: np.ndarray
    size: int
    agreement: float


def draw_small(
    whole: np.ndarray,
    pruned: Mapping[tuple[str, float], Mapping[str, np.ndarray]],
    quantized: Mapping[int, QuantizedResult],
    students: Mapping[str, np.ndarray],
) -> Figure:
    """Draw the accuracy against sparsity and against bits, and that of the students, with intervals."""
    figure, axes = plt.subplots(1, 3, figsize=(11, 3.4))
    for scope, colour in zip(dict.fromkeys(scope for scope, _ in pruned), COLOURS, strict=False):
        for kind, style in (("pruned", ":"), ("tuned", "-")):
            rates = [rate for name, rate in pruned if name == scope]
            values = [pruned[scope, rate][kind] for rate in rates]
            label = f"{scope}, {'fine-tuned' if kind == 'tuned' else 'pruned'}"
            axes[0].plot(rates, [each.mean() for each in values], style, color=colour, label=label)
            for rate, each in zip(rates, values, strict=True):
                plot_mean(axes[0], rate, each, colour, within=(0, 1))
    axes[0].set(xlabel="share of the weights removed", ylabel="test accuracy", title="pruning")
    for bits, found in quantized.items():
        plot_mean(axes[1], bits, found.accuracy, COLOURS[0], within=(0, 1))
        axes[1].text(bits, found.accuracy.mean(), f"  {found.size / 1000:.0f} kB", fontsize=7, va="top")
    axes[1].set(xlabel="bits of the kernels", title="quantization, inputs of 8 bits")
    for axis in axes[:2]:
        axis.axhline(whole.mean(), color="grey", linewidth=1, label="whole network")
        axis.legend(frameon=False, fontsize=7)
    plot_groups(axes[2], students, COLOURS[: len(students)], within=(0, 1))
    axes[2].set(title="a student of 8 units")
    return figure


def draw_groups(found: Mapping[str, Mapping[str, np.ndarray]], group: str) -> Figure:
    """Draw the rates of both groups under every rule, with intervals over the runs."""
    panels = {
        "selection_rate": "share of approvals",
        "true_positive_rate": "of those approved in the data",
        "false_positive_rate": "of those denied in the data",
    }
    figure, axes = plt.subplots(1, len(panels), figsize=(10.5, 3.2), sharey=True)
    for axis, (measure, title) in zip(axes, panels.items(), strict=True):
        for value, colour in zip((0, 1), COLOURS, strict=False):
            for place, values in enumerate(found.values()):
                label = f"{group} = {value}" if place == 0 else None
                samples = values[f"{measure}_{value}"]
                plot_mean(axis, place + 0.16 * value - 0.08, samples, colour, label=label, within=(0, 1))
        axis.set_xticks(range(len(found)), [name.replace(" ", "\n") for name in found], fontsize=8)
        axis.set(title=title, ylim=(0, 1))
    axes[0].legend(frameon=False)
    return figure


def draw_group_curves(
    scores: tuple[np.ndarray, np.ndarray, np.ndarray], measured: Mapping[str, Mapping[str, float]]
) -> Figure:
    """Draw the ROC of each group, from probabilities, labels and groups ``[N]``, and the points of the rules."""
    from sklearn.metrics import roc_curve

    probabilities, labels, groups = scores
    figure, axis = plt.subplots(figsize=(4.4, 4))
    for value, colour in zip((0, 1), COLOURS, strict=False):
        own = groups == value
        false, true, _ = roc_curve(labels[own], probabilities[own])
        axis.plot(false, true, color=colour, label=f"group {value}")
        for (rule, rows), marker in zip(measured.items(), "osD", strict=False):
            point = rows[f"false_positive_rate_{value}"], rows[f"true_positive_rate_{value}"]
            axis.plot(*point, marker, color=colour, label=rule if value == 0 else None)
    axis.set(xlabel="false approvals", ylabel="true approvals", title="thresholds on the curves of the groups")
    axis.legend(frameon=False, fontsize=8)
    return figure
