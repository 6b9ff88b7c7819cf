"""Parts of figures: paths on contours, distributions, rows with intervals."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from PIL import Image

from experiments.harness.claims import interval
from experiments.harness.figures import COLOURS

PALETTE = (*COLOURS, "#1a202c", "#718096", "#d69e2e", "#319795", "#e53e3e")


def draw_contours(
    axis: Axes, loss: Callable[[np.ndarray], Any], view: tuple[float, float, float, float], *, offset: float = 1e-3
) -> None:
    """Draw grey contours of ``log10(loss(w) + offset)`` for ``w [2, ...]`` in the view, left, right, bottom and top."""
    left, right, bottom, top = view
    places = np.stack(np.meshgrid(np.linspace(left, right, 160), np.linspace(bottom, top, 160)))
    height = np.log10(loss(places) + offset)
    greys = plt.get_cmap("Greys")(np.linspace(0.0, 0.45, 14))
    axis.contourf(*places, height, levels=np.linspace(height.min(), height.max(), 15), colors=greys)
    axis.set(xlim=(left, right), ylim=(bottom, top))
    axis.grid(visible=False)


def plot_path(axis: Axes, path: np.ndarray, colour: str, *, label: str | None = None) -> None:
    """Plot a path ``[T, 2]`` with a point at its end."""
    axis.plot(*path.T, color=colour, linewidth=1.3, alpha=0.9, label=label)
    axis.plot(*path[-1], "o", color=colour, markersize=5, markeredgecolor="white", zorder=4)


def animate_paths(
    file: Path, paths: Mapping[str, np.ndarray], draw_panels: Sequence[Callable[[Axes], None]], *, frames: int
) -> None:
    """Write an animated GIF of named paths ``[panels, T, 2]``.

    ``draw_panels`` draw the backgrounds, once; each frame adds the paths up to a step, on a logarithmic scale.
    """
    count, names = len(draw_panels), list(paths)
    figure, axes = plt.subplots(1, count, figsize=(3 * count, 3.2), dpi=60)
    lines = {}
    for i, (axis, draw_panel) in enumerate(zip(axes, draw_panels, strict=True)):
        draw_panel(axis)
        axis.set(xticks=[], yticks=[])
        for colour, name in zip(PALETTE, names, strict=False):
            lines[i, name] = axis.plot([], [], "-o", color=colour, label=name, linewidth=1.4, markersize=5)[0]
            lines[i, name].set_markevery([-1])
    figure.legend(handles=[lines[0, name] for name in names], loc="outside lower center", ncols=len(names), fontsize=8)
    figure.canvas.draw()
    background = figure.canvas.copy_from_bbox(figure.bbox)
    pictures = []
    for step in np.unique(np.geomspace(2, paths[names[0]].shape[1], frames).astype(int)):
        figure.canvas.restore_region(background)
        for (i, name), line in lines.items():
            line.set_data(*paths[name][i, :step].T)
            axes[i].draw_artist(line)
        pictures.append(Image.fromarray(np.array(figure.canvas.buffer_rgba())).convert("RGB"))
    palette = pictures[-1].quantize(255, method=Image.Quantize.MAXCOVERAGE)
    pictures = [picture.quantize(palette=palette, dither=Image.Dither.NONE) for picture in pictures]
    pictures[0].save(file, save_all=True, append_images=pictures[1:], duration=120, loop=0, optimize=True)


def plot_gaps(
    axis: Axes,
    names: Sequence[str],
    measured: Mapping[str, Sequence[np.ndarray]],
    *,
    within: tuple[float, float] = (-np.inf, np.inf),
) -> None:
    """Plot a row for each name: the means of two measurements with their intervals, and the gap between them.

    ``measured`` has the samples ``[seeds]`` of every row under the labels of both measurements. Rows run downwards.
    """
    rows = np.arange(len(names))[::-1]
    for (label, samples), colour, offset in zip(measured.items(), COLOURS, (0.12, -0.12), strict=False):
        mean, low, high = np.transpose([interval(values, within) for values in samples])
        error = [mean - low, high - mean]
        axis.errorbar(mean, rows + offset, xerr=error, fmt="o", color=colour, capsize=3, label=label)
    ends = [[values.mean() for values in samples] for samples in measured.values()]
    axis.hlines(rows, *ends, color="grey", linewidth=1, zorder=0)
    axis.set(yticks=rows, yticklabels=names)
    axis.set_xlim(left=min(0, axis.get_xlim()[0]))


def plot_distribution(axis: Axes, values: np.ndarray, edges: np.ndarray, colour: str, **style: Any) -> None:
    """Plot the share of all values in each bin."""
    axis.hist(values.ravel(), edges, weights=np.full(values.size, 1 / values.size), color=colour, **style)
