"""Figures and parts of figures of the experiments on sequences and attention."""

import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import font_manager
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.harness import figures
from experiments.harness.claims import interval
from experiments.harness.figures import COLOURS, plot_band, plot_runs

Curves = Mapping[str, np.ndarray]
"""Values ``[runs, T]`` by the name of a variant."""


def panels(count: int, *, size: tuple[float, float], rows: int = 1, **options: Any) -> tuple[Figure, np.ndarray]:
    """Make a figure of ``rows * count`` axes, each of ``size``; return it and the axes ``[rows, count]``."""
    return plt.subplots(rows, count, figsize=(size[0] * count, size[1] * rows), squeeze=False, **options)


def legend(axis: Axes, **options: Any) -> None:
    """Add a legend without a frame."""
    axis.legend(frameon=False, **options)


def plot_variants(
    axis: Axes, curves: Curves, x: np.ndarray | Mapping[str, np.ndarray], *, styles: Mapping[str, str] | None = None
) -> None:
    """Plot every run and the mean of each variant over ``x``, common or by name."""
    for (name, values), colour in zip(curves.items(), COLOURS, strict=False):
        at = x[name] if isinstance(x, Mapping) else x
        plot_runs(axis, values, colour, x=at, style=(styles or {}).get(name, "-"), label=name)


def plot_medians(
    axis: Axes, x: np.ndarray, curves: Curves, *, spacing: float, colours: Iterable[str] = COLOURS
) -> None:
    """Plot the median over runs of each variant, with the values of all runs as points.

    The points of successive variants are displaced by the factor ``spacing``, for a logarithmic axis.
    """
    for i, ((name, values), colour) in enumerate(zip(curves.items(), colours, strict=False)):
        place = x * spacing ** (i - (len(curves) - 1) / 2)
        axis.plot(x, np.median(values, axis=0), color=colour, linewidth=1.8, label=name)
        axis.plot(place, values.T, ".", color=colour, markersize=5, alpha=0.6)


def plot_interval(
    axis: Axes,
    x: Sequence[float] | np.ndarray,
    values: np.ndarray,
    colour: str,
    *,
    lowest: Callable[[np.ndarray], np.ndarray] = np.zeros_like,
    highest: float = np.inf,
    **style: Any,
) -> None:
    """Plot the mean over runs of values ``[runs, T]`` and its confidence interval, cut at ``lowest(mean)``."""
    mean, low, high = np.transpose([interval(at) for at in values.T])
    plot_band(axis, x, mean, np.maximum(low, lowest(mean)), np.minimum(high, highest), colour, **style)


def plot_ranges(axis: Axes, x: np.ndarray, curves: Curves) -> None:
    """Plot the median over runs and the range of each variant."""
    for (name, values), colour in zip(curves.items(), COLOURS, strict=False):
        plot_band(axis, x, np.median(values, axis=0), values.min(axis=0), values.max(axis=0), colour, label=name)


def drawable(text: str) -> str:
    """Replace the characters that the font of fixed width does not have by the last words of their names.

    >>> drawable("da ダ")
    'da DA'
    """
    font = font_manager.get_font(font_manager.findfont("monospace"))
    has = font.get_charmap().keys()
    kept = [ord(each) in has or not each.isprintable() for each in text]
    return "".join(
        each if keep else unicodedata.name(each, "?").split()[-1] for each, keep in zip(text, kept, strict=True)
    )


def show_weights(axis: Axes, weights: np.ndarray, columns: Sequence[str] = (), rows: Sequence[str] = ()) -> None:
    """Show attention weights ``[rows, columns]``, between 0 and 1, with names of both."""
    axis.imshow(np.asarray(weights), cmap="Blues", vmin=0, vmax=1, aspect="auto")
    upright = any(len(name) > 2 for name in columns)  # words need more room than characters
    axis.set_xticks(range(len(columns)), [drawable(name) for name in columns], fontfamily="monospace", fontsize=8)
    axis.tick_params(axis="x", rotation=90 if upright else 0)
    axis.set_yticks(range(len(rows)), [drawable(name) for name in rows], fontfamily="monospace", fontsize=8)
    axis.tick_params(length=0)
    axis.grid(visible=False)


def write_words(axis: Axes, words: Sequence[Sequence[str]], weights: np.ndarray, *, first: int = 0) -> None:
    """Write the words of rows, from the column ``first``, onto weights ``[rows, columns]``."""
    for row, sentence in enumerate(words):
        for column, word in enumerate(sentence, first):
            colour = "white" if weights[row, column] > 0.5 else "black"
            axis.text(column, row, word, ha="center", va="center", fontsize=8, color=colour)


def accuracy_bars(
    axis: Axes,
    result: Mapping[str, float],
    colour: Callable[[int, str], str],
    *,
    prefix: str = "",
    xlim: tuple[float, float] = (0, 1.1),
) -> None:
    """Draw the results ``{prefix}..._accuracy`` as horizontal bars, coloured by number and name."""
    found = {name: value for name, value in result.items() if name.endswith("_accuracy")}
    names = [name.removeprefix(prefix).removesuffix("_accuracy").replace("_", " ") for name in found]
    bars = dict(zip(names, found.values(), strict=True))
    figures.bars(axis, bars, [colour(i, name) for i, name in enumerate(names)])
    axis.set(xlim=xlim, xlabel="accuracy in the test")


def grouped_bars(axis: Axes, scores: Mapping[str, np.ndarray], groups: Sequence[str]) -> None:
    """Draw the scores ``[groups]`` of several methods side by side."""
    for number, ((name, score), colour) in enumerate(zip(scores.items(), COLOURS, strict=False)):
        places = np.arange(len(groups)) + (number - (len(scores) - 1) / 2) / (len(scores) + 1)
        axis.bar(places, score, width=0.8 / len(scores), color=colour, label=name.replace("_", " "))
    axis.set_xticks(range(len(groups)), groups, rotation=30, ha="right")


def bars_of_runs(axis: Axes, values: Mapping[str, np.ndarray]) -> None:
    """Draw the mean over runs of named values ``[runs]`` as bars, and every run as a point."""
    for i, (each, colour) in enumerate(zip(values.values(), COLOURS, strict=False)):
        axis.bar(i, each.mean(), color=colour, alpha=0.4)
        axis.plot(np.full(len(each), i), each, ".", color=colour)
    axis.set_xticks(range(len(values)), [name.replace("_", " ") for name in values])


def draw_alignments(
    shown: Sequence[tuple[np.ndarray, Sequence[str], Sequence[str]]], labels: tuple[str, str] = ("source", "target")
) -> Figure:
    """Draw attention weights, each with the names of its columns and of its rows, and what both are."""
    columns = -(-len(shown) // 2)
    figure, axes = panels(columns, size=(11 / columns, 3.5), rows=2)
    for axis in axes.flat[len(shown) :]:
        axis.axis("off")
    for axis, (weights, source, target) in zip(axes.flat, shown, strict=False):
        show_weights(axis, weights, source, target)
    figure.supxlabel(labels[0], fontsize=10)
    figure.supylabel(labels[1], fontsize=10)
    return figure
