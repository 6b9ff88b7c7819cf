"""Figures of the experiments on two players."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from scipy.stats import norm

from experiments.harness.figures import COLOURS, plot_runs, show_images
from experiments.harness.plots import plot_groups


def draw_optima(
    grid: np.ndarray,
    found: Mapping[str, tuple[np.ndarray, np.ndarray]],
    densities: Mapping[str, tuple[float, float]],
) -> Figure:
    """Draw the best discriminator and those of all runs, for each label, above the densities."""
    figure, axes = plt.subplots(1, len(found), figsize=(4.5 * len(found), 3.2), squeeze=False)
    for axis, (name, (best, runs)) in zip(axes[0], found.items(), strict=True):
        axis.plot(grid, runs.T, color=COLOURS[1], linewidth=0.7)
        axis.plot(grid, best, "--", color="black", label="r p_d / (p_d + p_g)")
        for colour, (density, moments) in zip(COLOURS[::2], densities.items(), strict=False):
            axis.fill_between(grid, norm.pdf(grid, *moments), alpha=0.25, color=colour, label=density)
        axis.set(title=name, ylim=(0, 1.05), ylabel="D(x)")
        axis.legend(frameon=False, fontsize=8)
    return figure


def draw_line(grid: np.ndarray, played: Mapping[str, np.ndarray], density: np.ndarray, steps: int) -> Figure:
    """Draw what the first run generates, and its discriminator, at several times."""
    times = np.linspace(0, steps, played["x"].shape[1])
    figure, axes = plt.subplots(1, len(times), figsize=(3 * len(times), 2.8), sharey=True)
    for axis, time, x, probability in zip(axes, times, played["x"][0], played["probability"][0], strict=True):
        axis.hist(x, bins=grid[::2], density=True, color=COLOURS[1], alpha=0.4, label="generated")
        axis.plot(grid, density, color=COLOURS[0], label="data")
        axis.plot(grid, probability, color=COLOURS[2], label="D(x)")
        axis.set(title=f"{time:,.0f} updates", ylim=(0, 1.2))
    axes[0].legend(frameon=False, fontsize=8)
    return figure


def draw_ring(samples: Mapping[str, np.ndarray], steps: int) -> Figure:
    """Draw the points of the first run of each objective at several times, ``[runs, times, N, 2]``."""
    count = next(iter(samples.values())).shape[1]
    figure, axes = plt.subplots(len(samples), count, figsize=(2 * count, 2 * len(samples)), squeeze=False)
    for row, (name, points) in zip(axes, samples.items(), strict=True):
        for axis, time, x in zip(row, np.linspace(0, steps, count), points[0], strict=True):
            axis.scatter(*x[:500].T, s=2, color=COLOURS[0])
            axis.set(xlim=(-3, 3), ylim=(-3, 3), aspect="equal", xticks=(), yticks=())
            if row is axes[0]:
                axis.set_title(f"{time:,.0f} updates", fontsize=9)
        row[0].set_ylabel(name.replace("_", " "))
    return figure


def draw_coverage(curves: Mapping[str, np.ndarray], last: Mapping[str, Mapping[str, np.ndarray]]) -> Figure:
    """Draw the covered modes over time, and those and the share of near points at the end, of all runs."""
    figure, axes = plt.subplots(1, 3, figsize=(12, 3.2))
    for colour, (name, curve) in zip(COLOURS, curves.items(), strict=False):
        plot_runs(axes[0], np.asarray(curve, float), colour, label=name.replace("_", " "))
    axes[0].set(xlabel="quarter of the run", ylabel="modes covered, of 8", ylim=(0, 8.3))
    axes[0].legend(frameon=False, fontsize=8)
    for axis, (part, values) in zip(axes[1:], last.items(), strict=True):
        named = {name.replace("_", " "): np.asarray(x, float) for name, x in values.items()}
        plot_groups(axis, named, COLOURS[: len(named)])
        axis.tick_params(axis="x", labelsize=7)
        axis.set(title=part, ylim=(0, None))
    return figure


def draw_gradients(curves: Mapping[str, np.ndarray], steps: int) -> Figure:
    """Draw the logarithm of the generator's gradient over the updates of the discriminator."""
    figure, axis = plt.subplots(figsize=(5.5, 3.6))
    for colour, (name, curve) in zip(COLOURS, curves.items(), strict=False):
        times = np.linspace(0, steps, curve.shape[1], endpoint=False)
        plot_runs(axis, curve, colour, x=times, label=name.replace("_", " "))
    axis.set(xlabel="updates of the discriminator", ylabel="log10 |generator's gradient|")
    axis.legend(frameon=False)
    return figure


def draw_groups(values: Mapping[str, np.ndarray], label: str) -> Figure:
    """Draw the values of all runs of each group."""
    figure, axis = plt.subplots(figsize=(1.4 * len(values) + 1, 3.4))
    named = {name.replace("_", " "): each for name, each in values.items()}
    plot_groups(axis, named, COLOURS[: len(named)])
    axis.set(ylabel=label)
    return figure


def draw_points(pairs: Mapping[str, np.ndarray]) -> Figure:
    """Draw points ``[2, N, 2]`` before and after their translation, coloured by their angle before it."""
    figure, axes = plt.subplots(1, 2 * len(pairs), figsize=(3 * 2 * len(pairs), 3), squeeze=False)
    for place, (name, (before, after)) in enumerate(pairs.items()):
        angle = np.arctan2(before[:, 1], before[:, 0])
        for axis, x, title in zip(axes[0, 2 * place :], (before, after), (name, "translated"), strict=False):
            axis.scatter(*x.T, c=angle, cmap="hsv", s=5)
            axis.set(xlim=(-2.8, 2.8), ylim=(-2.8, 2.8), aspect="equal", xticks=(), yticks=(), title=title)
    return figure


def draw_progress(snapshots: Mapping[int | str, np.ndarray]) -> Figure:
    """Draw images ``[N, H, W, C]`` from -1 to 1 that are made of the same inputs, a row for each step or name."""
    count = min(12, len(next(iter(snapshots.values()))))
    figure, axes = plt.subplots(
        len(snapshots), count, figsize=(0.9 * count, 0.95 * len(snapshots)), squeeze=False, layout="constrained"
    )
    for row, (step, images) in zip(axes, snapshots.items(), strict=True):
        show_images(row, [to_picture(image) for image in images[:count]], cmap="gray", vmin=0, vmax=1)
        name = step if isinstance(step, str) else f"{step:,}"
        row[0].text(-0.1, 0.5, name, transform=row[0].transAxes, ha="right", va="center", fontsize=8)
    return figure


def draw_samples(images: np.ndarray, columns: int = 8) -> Figure:
    """Draw images ``[N, H, W, C]`` from -1 to 1 in a grid."""
    rows = max(1, len(images) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(0.9 * columns, 0.9 * rows), squeeze=False)
    for axis in axes.flat:
        axis.set_axis_off()
    show_images(axes.flat[: len(images)], [to_picture(image) for image in images], cmap="gray", vmin=0, vmax=1)
    return figure


def draw_translations(columns: Mapping[str, np.ndarray]) -> Figure:
    """Draw images ``[N, H, W, C]`` from -1 to 1, a row for each example and a column for each kind."""
    count = min(8, len(next(iter(columns.values()))))
    figure, axes = plt.subplots(count, len(columns), figsize=(1.5 * len(columns), 1.5 * count), squeeze=False)
    for number, row in enumerate(axes):
        pictures = [to_picture(images[number]) for images in columns.values()]
        titles: Sequence[str] = list(columns) if number == 0 else ()
        show_images(row, pictures, titles, cmap="gray", vmin=0, vmax=1)
    return figure


def to_picture(image: np.ndarray) -> np.ndarray:
    """Convert an image ``[H, W, C]`` from -1 to 1 to one from 0 to 1, of ``[H, W]`` if it is grey."""
    return np.clip(np.asarray(image, np.float32) / 2 + 0.5, 0, 1).squeeze()
