"""Panels of figures: groups of independent runs, smoothed curves, rows of images, heat maps."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from experiments.harness.claims import interval
from experiments.harness.figures import COLOURS, plot_runs, plot_samples, show_images, smooth

Range = tuple[float, float]


def plot_mean(
    axis: Axes,
    x: float,
    samples: np.ndarray,
    colour: str,
    *,
    label: str | None = None,
    within: Range = (-np.inf, np.inf),
) -> None:
    """Plot the mean of independent samples ``[runs]`` and its confidence interval, cut at the possible values."""
    mean, low, high = interval(samples, within)
    axis.errorbar(x, mean, yerr=[[mean - low], [high - mean]], fmt="o", color=colour, capsize=3, label=label)


def plot_groups(
    axis: Axes, groups: Mapping[str, np.ndarray], colours: Sequence[str], *, within: Range = (-np.inf, np.inf)
) -> None:
    """Plot groups of runs ``[runs]`` side by side: a point per run, the mean and its confidence interval."""
    for place, (samples, colour) in enumerate(zip(groups.values(), colours, strict=True)):
        plot_samples(axis, place, samples, colour, marker=".", linestyle="", alpha=0.4)
        plot_mean(axis, place + 0.28, samples, colour, within=within)
    axis.set_xticks(range(len(groups)), list(groups))


def plot_smooth_runs(
    axis: Axes, curves: Mapping[Hashable, np.ndarray], width: int, *, styles: Sequence[str] = ("-",) * len(COLOURS)
) -> None:
    """Plot the running mean over ``width`` steps of named curves ``[runs, steps]``, in the middle of its window."""
    for (name, values), colour, style in zip(curves.items(), COLOURS, styles, strict=False):
        smoothed = smooth(values, width)
        steps = np.arange(smoothed.shape[1]) + (values.shape[1] - smoothed.shape[1] + 1) / 2
        plot_runs(axis, smoothed, colour, x=steps, style=style, label=str(name))
    axis.set_xlabel("step")


def image_rows(
    rows: Mapping[str, Sequence[np.ndarray]],
    titles: Sequence[str] = (),
    *,
    size: float = 1.1,
    kind: Literal["unit", "scaled", "signed"] = "unit",
) -> Figure:
    """Draw images ``[H, W]`` in a row for every name, with titles above the first row.

    Grey is from 0 to 1 for ``unit``, and from the least to the largest value of each image for ``scaled``; for
    ``signed``, blue is positive and red negative, up to the largest magnitude of the row.
    """
    columns = max(map(len, rows.values()))
    height = size * max(image.shape[0] / image.shape[1] for images in rows.values() for image in images)
    width = max(6, size * columns) + 0.08 * max(map(len, rows))
    figure, axes = plt.subplots(len(rows), columns, figsize=(width, height * len(rows) + 0.4), squeeze=False)
    for line, (name, images) in zip(axes, rows.items(), strict=True):
        limit = np.max(np.abs(images))
        styles = {
            "unit": {"cmap": "gray", "vmin": 0, "vmax": 1},
            "scaled": {"cmap": "gray"},
            "signed": {"cmap": "RdBu", "vmin": -limit, "vmax": limit},
        }
        show_images(line, images, **styles[kind])
        line[0].set_ylabel(name, rotation=0, ha="right", va="center")
        for axis in line[len(images) :]:
            axis.set_axis_off()
    for axis, title in zip(axes[0], titles, strict=True) if titles else ():
        axis.set_title(title, fontsize=9)
    return figure


def heat_maps(axes: Any, maps: Mapping[str, np.ndarray], *, numbers: bool = False, **style: Any) -> AxesImage:
    """Draw named maps ``[H, W]`` on the axes, on request with the number in every cell; return the last image."""
    for axis, (name, values) in zip(np.ravel(axes), maps.items(), strict=True):
        image = axis.imshow(values, **style)
        for (row, column), number in np.ndenumerate(values) if numbers else ():
            axis.text(column, row, f"{number:.0f}", ha="center", va="center", fontsize=8)
        axis.set(title=name)
        axis.grid(visible=False)
    return image
