"""Figures of the experiments on attention."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.harness.figures import COLOURS
from experiments.harness.sequences.plots import bars_of_runs, legend, panels, plot_interval, show_weights, write_words
from jaxdl.data.sources.documents import spell

Arrays = Mapping[str, np.ndarray]
"""Arrays by name."""


def draw_found(found: Mapping[str, Mapping[str, np.ndarray]]) -> Figure:
    """Draw the shares of every run."""
    figure, axes = panels(len(found), size=(5, 3.4), sharey=True)
    for axis, (name, shares) in zip(axes[0], found.items(), strict=True):
        bars_of_runs(axis, shares)
        axis.set(title=name, ylim=(0, 1.02))
    axes[0, 0].set_ylabel("share of documents")
    return figure


def draw_looks(shown: Mapping[str, tuple[Arrays, Arrays]]) -> Figure:
    """Draw the attention of the first network in two documents of each task."""
    figure, axes = panels(2, size=(6, 3), rows=len(shown))
    for row, (name, (test, weights)) in zip(axes, shown.items(), strict=True):
        for n, axis in enumerate(row):
            draw_document(axis, test, weights, n)
            axis.set_title(f"{name}, class {test['label'][n]}", fontsize=9)
    return figure


def draw_document(axis: Axes, test: Arrays, attention: Arrays, n: int) -> None:
    """Draw a document, a sentence per row: the weight of the sentence on the left, those of its words behind them."""
    count = int((test["length"][n] > 0).sum())
    weights = np.concatenate([attention["sentence"][0, n, :count, None], attention["word"][0, n, :count]], axis=1)
    show_weights(axis, weights)
    length, token = test["length"][n, :count], test["token"][n]
    write_words(axis, [[spell(t) for t in token[i, :words]] for i, words in enumerate(length)], weights, first=1)
    axis.axvline(0.5, color="black", linewidth=1)
    axis.set_xticks([0], ["sentence"])


def draw_lengths(lengths: Sequence[int], right: Arrays, guess: Sequence[float]) -> Figure:
    """Draw the share of correct words over the length, with intervals over the runs."""
    figure, ((axis,),) = panels(1, size=(6.4, 4))
    for (context, shares), colour in zip(right.items(), COLOURS, strict=False):
        plot_interval(axis, lengths, shares, colour, highest=1, style="o-", label=context.replace("_", " "))
    axis.plot(lengths, guess, color="black", linewidth=0.8, linestyle=":", label="guessed words, correct end")
    axis.set(xlabel="words in the sentence", ylabel="share of correct words", ylim=(0, 1.02), xticks=lengths)
    legend(axis, title="context of the decoder", loc="upper right", bbox_to_anchor=(1, 0.97))
    return figure
