"""Figures of the experiments on vision."""

from collections.abc import Mapping

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from experiments.harness.figures import COLOURS
from experiments.harness.plots import image_rows, plot_groups


def draw_cases(
    accuracies: Mapping[tuple[str, str], Mapping[str, np.ndarray]], advice: Mapping[tuple[str, str], list]
) -> Figure:
    """Draw the accuracy of every run and strategy, and the means, for each case of a transfer."""
    figure, axes = plt.subplots(2, 2, figsize=(8.5, 6))
    for axis, (case, found) in zip(axes.flat, accuracies.items(), strict=True):
        advised = {better for better, _ in advice[case]}
        groups = {f"{name}\n(advised)" if name in advised else name: values for name, values in found.items()}
        plot_groups(axis, groups, COLOURS[: len(groups)])
        axis.set(title=f"{case[0]} target, {case[1]} examples", ylabel="accuracy on the target")
    return figure


def draw_examples(source: Mapping[str, np.ndarray], targets: Mapping[str, Mapping[str, np.ndarray]]) -> Figure:
    """Draw three images of each of five classes of the source and of the targets."""
    rows = {
        name: np.concatenate([part["image"][part["label"] == number][:3, ..., 0] for number in range(5)])
        for name, part in {"source": source, **targets}.items()
    }
    return image_rows(rows, size=0.8)
