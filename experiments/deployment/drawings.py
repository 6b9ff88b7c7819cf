"""Figures of deployment and audit."""

from collections.abc import Mapping

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from experiments.harness.figures import COLOURS
from experiments.harness.plots import plot_groups, plot_mean


def draw_small(
    whole: np.ndarray,
    pruned: Mapping[tuple[str, float], Mapping[str, np.ndarray]],
    quantized: Mapping[int, tuple[np.ndarray, float, float]],
    students: Mapping[str, np.ndarray],
) -> Figure:
    """Draw the accuracy against sparsity and against bits, and that of the students, with intervals."""
    figure, axes = plt.subplots(1, 3, figsize=(11, 3.4))
    for scope, colour in zip(dict.fromkeys(scope for scope, _ in pruned), COLOURS, strict=False):
        for kind, style in (("pruned", ":"), ("tuned", "-")):
            rates = [rate for found, rate in pruned if found == scope]
            values = [pruned[scope, rate][kind] for rate in rates]
            label = f"{scope}, {'fine-tuned' if kind == 'tuned' else 'pruned'}"
            axes[0].plot(rates, [each.mean() for each in values], style, color=colour, label=label)
            for rate, each in zip(rates, values, strict=True):
                plot_mean(axes[0], rate, each, colour, within=(0, 1))
    axes[0].set(xlabel="share of the weights removed", ylabel="test accuracy", title="pruning")
    for bits, (values, _, _) in quantized.items():
        plot_mean(axes[1], bits, values, COLOURS[0], within=(0, 1))
        axes[1].text(bits, values.mean(), f"  {quantized[bits][1] / 1000:.0f} kB", fontsize=7, va="top")
    axes[1].set(xlabel="bits of the kernels", title="quantization, inputs of 8 bits")
    for axis in axes[:2]:
        axis.axhline(whole.mean(), color="grey", linewidth=1, label="whole network")
        axis.legend(frameon=False, fontsize=7)
    plot_groups(axes[2], students, COLOURS[: len(students)], within=(0, 1))
    axes[2].set(title="a student of 8 units")
    return figure
