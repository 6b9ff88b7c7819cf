"""Figures and parts of figures that several experiments draw."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from cycler import cycler
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
        "axes.prop_cycle": cycler(color=COLOURS),
        "figure.constrained_layout.use": True,
        "figure.max_open_warning": 0,
    }
)


def curves(history: Sequence[dict[str, Any]], names: Sequence[str] = ("loss", "accuracy")) -> Figure:
    """Plot metrics over the epochs, in training and on held-out examples."""
    figure, axes = plt.subplots(1, len(names), figsize=(4.5 * len(names), 3.2), squeeze=False)
    for axis, name in zip(axes[0], names, strict=True):
        for part, label, style in (("train", "training", "-"), ("evaluation", "held out", "o-")):
            rows = [row for row in history if {"epoch", f"{part}/{name}"} <= row.keys()]
            values = [row[f"{part}/{name}"] for row in rows]
            axis.plot([row["epoch"] for row in rows], values, style, label=label, markersize=3, linewidth=1.4)
        axis.set(xlabel="epoch", title=name)
        if name == "loss":
            axis.set_yscale("log")
        axis.legend(frameon=False)
    return figure


def filters(kernels: np.ndarray) -> Figure:
    """Draw convolution kernels ``[H, W, C, K]`` as images, grey for one channel and coloured for three.

    White is the largest absolute weight, black its negative, grey zero.
    """
    kernels = np.moveaxis(np.asarray(kernels), -1, 0)
    kernels = kernels if kernels.shape[-1] == 3 else kernels.mean(axis=-1, keepdims=True)
    pictures = 0.5 + 0.5 * kernels / np.abs(kernels).max()
    return pictures_grid(pictures, [str(i) for i in range(len(pictures))])


def pictures_grid(pictures: np.ndarray, titles: Sequence[str], *, columns: int = 8) -> Figure:
    """Draw images ``[N, H, W, C]`` with values in ``[0, 1]`` in a grid, with titles."""
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
    """Draw named values as horizontal bars with labels."""
    axis.barh(list(values), list(values.values()), color=colours)
    for row, value in enumerate(values.values()):
        axis.text(value, row, f" {value:.3f}", va="center", fontsize=8)
    axis.invert_yaxis()


def confusion_matrix(counts: np.ndarray, classes: Sequence[str]) -> Figure:
    """Draw counts of true classes (rows) and predictions (columns), coloured by the share of the row."""
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


def smooth(values: np.ndarray, width: int) -> np.ndarray:
    """Return the running mean over ``width`` values in the last dimension of curves ``[runs, T]``.

    >>> smooth(np.array([[0.0, 2.0, 4.0]]), 2)
    array([[1., 3.]])
    """
    width = min(width, values.shape[1])
    return np.apply_along_axis(np.convolve, 1, values, np.ones(width) / width, "valid")


def plot_runs(
    axis: Axes, values: np.ndarray, colour: str, *, x: np.ndarray | None = None, style: str = "-", label: str = ""
) -> None:
    """Plot curves ``[runs, T]``: a thin line per run, a thick one for the mean."""
    x = np.arange(values.shape[1]) if x is None else x
    axis.plot(x, values.T, color=colour, linewidth=0.4, alpha=0.35)
    axis.plot(x, values.mean(axis=0), style, color=colour, linewidth=1.8, label=label or None)


def plot_by_rate(axis: Axes, rates: np.ndarray, values: np.ndarray, colour: str, label: str) -> None:
    """Plot the mean and the deviation of values ``[rates, runs]`` over the learning rate."""
    mean, deviation = values.mean(axis=1), values.std(axis=1)
    axis.errorbar(rates, mean, deviation, color=colour, marker="o", markersize=4, capsize=2, label=label)
    axis.set(xscale="log", xlabel="learning rate")


def plot_samples(axis: Axes, x: float, values: np.ndarray, colour: str, *, width: float = 0.3, **style: Any) -> None:
    """Plot the values of all runs ``[runs]`` as points around ``x``."""
    axis.plot(x + np.linspace(-width / 2, width / 2, len(values)), values, color=colour, **style)


def plot_band(
    axis: Axes,
    x: Sequence[float] | np.ndarray,
    middle: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    colour: str,
    *,
    style: str = "-",
    label: str | None = None,
    alpha: float = 0.15,
) -> None:
    """Plot a curve and the band from ``low`` to ``high`` around it."""
    axis.plot(x, middle, style, color=colour, label=label)
    axis.fill_between(x, low, high, color=colour, alpha=alpha, linewidth=0)


def show_images(axes: Any, images: Sequence[np.ndarray], titles: Sequence[str] = (), **style: Any) -> None:
    """Show images on axes without ticks and grid."""
    for axis in np.ravel(axes):
        axis.set(xticks=[], yticks=[])
        axis.grid(visible=False)
    for axis, image in zip(np.ravel(axes), images, strict=False):
        axis.imshow(image, **style)
    for axis, title in zip(np.ravel(axes), titles, strict=False):
        axis.set_title(title, fontsize=9)
