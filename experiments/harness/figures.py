"""Pictures that more than one experiment draws."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

COLOURS = ("#2b6cb0", "#c05621", "#2f855a", "#6b46c1", "#b83280")
plt.rcParams.update(
    {
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "grid.alpha": 0.25,
        "axes.prop_cycle": plt.cycler(color=COLOURS),
        "figure.constrained_layout.use": True,
        "figure.max_open_warning": 0,
    }
)


def curves(history: Sequence[dict[str, Any]], names: Sequence[str] = ("loss", "accuracy")) -> Figure:
    """Draw each metric over the epochs, in training and on held-out examples."""
    figure, axes = plt.subplots(1, len(names), figsize=(4.5 * len(names), 3.2), squeeze=False)
    for axis, name in zip(axes[0], names, strict=True):
        for part, label, style in (("train", "training", "-"), ("evaluation", "held out", "o-")):
            rows = [row for row in history if f"{part}/{name}" in row]
            values = [row[f"{part}/{name}"] for row in rows]
            axis.plot([row["epoch"] for row in rows], values, style, label=label, markersize=3, linewidth=1.4)
        axis.set(xlabel="epoch", title=name)
        if name == "loss":
            axis.set_yscale("log")
        axis.legend(frameon=False)
    return figure


def filters(kernels: np.ndarray) -> Figure:
    """Draw convolution kernels ``[H, W, C, K]`` as pictures, grey for one channel and coloured for three.

    White is the largest weight, black its negative, so that grey is zero.
    """
    kernels = np.moveaxis(np.asarray(kernels), -1, 0)
    kernels = kernels if kernels.shape[-1] == 3 else kernels.mean(axis=-1, keepdims=True)
    pictures = 0.5 + 0.5 * kernels / np.abs(kernels).max()
    return pictures_grid(pictures, [str(i) for i in range(len(pictures))])


def pictures_grid(pictures: np.ndarray, titles: Sequence[str], *, columns: int = 8) -> Figure:
    """Draw images ``[N, H, W, C]`` with values in ``[0, 1]`` side by side, each under its title."""
    columns = max(1, min(columns, len(pictures)))
    rows = max(1, -(-len(pictures) // columns))
    figure, axes = plt.subplots(rows, columns, figsize=(1.1 * columns, 1.3 * rows), squeeze=False)
    for axis in axes.flat:
        axis.set_axis_off()
    for axis, picture, title in zip(axes.flat, pictures, titles, strict=False):
        axis.imshow(picture.squeeze(), cmap="gray", vmin=0, vmax=1)
        axis.set_title(title, fontsize=8)
    return figure


def bars(axis: Axes, values: Mapping[str, float], colours: Sequence[str]) -> None:
    """Draw named numbers as bars from left to right, one under the other, each with its number."""
    axis.barh(list(values), list(values.values()), color=colours)
    for row, value in enumerate(values.values()):
        axis.text(value, row, f" {value:.3f}", va="center", fontsize=8)
    axis.invert_yaxis()


def confusion_matrix(counts: np.ndarray, classes: Sequence[str]) -> Figure:
    """Draw how often each class (row) was taken for each (column), coloured by the share of its row."""
    counts = np.asarray(counts)
    size = max(3.5, 0.4 * len(classes))
    figure, axis = plt.subplots(figsize=(size, size))
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axis.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row, column in zip(*np.nonzero(counts), strict=True):
        colour = "white" if shares[row, column] > 0.5 else "black"
        axis.text(column, row, f"{counts[row, column]:g}", ha="center", va="center", color=colour, fontsize=8)
    axis.set_xticks(range(len(classes)), classes, rotation=90 if max(map(len, classes)) > 2 else 0)
    axis.set_yticks(range(len(classes)), classes)
    axis.set(xlabel="predicted", ylabel="true")
    axis.grid(visible=False)
    return figure
