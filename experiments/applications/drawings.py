"""Figures of the applications."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from experiments.harness.sequence_plots import panels


def draw_looks(images: np.ndarray, words: Sequence[Sequence[str]], weights: Sequence[np.ndarray]) -> Figure:
    """Draw where each word of a caption looked: weights ``[T, S]`` of a square grid, bright, over each image."""
    columns = 1 + max(map(len, words))
    figure, axes = panels(columns, size=(1.35, 1.55), rows=len(images))
    for axis in axes.flat:
        axis.axis("off")
    for row, image, caption, looks in zip(axes, images, words, weights, strict=True):
        row[0].imshow(image)
        side = round(looks.shape[1] ** 0.5)
        factor = image.shape[0] // side
        for axis, word, look in zip(row[1:], caption, looks, strict=False):
            bright = np.kron(look.reshape(side, side) / max(look.max(), 1e-9), np.ones((factor, factor)))
            axis.imshow(image * (0.25 + 0.75 * bright[..., None]))
            axis.set_title(word, fontsize=8)
    return figure


def draw_scores(scores: Mapping[str, Mapping[str, float]], label: str) -> Figure:
    """Draw a bar of every model for each measure."""
    figure, axes = panels(len(scores), size=(3.4, 3))
    for axis, (name, values) in zip(axes[0], scores.items(), strict=True):
        axis.bar(list(values), list(values.values()), color="tab:blue")
        axis.set_title(name, fontsize=9)
        axis.tick_params(axis="x", labelsize=8)
    axes[0, 0].set_ylabel(label)
    return figure


def draw_likelihood(likelihood: np.ndarray) -> Figure:
    """Draw the log-likelihood of a word before every step of expectation-maximization."""
    figure, ((axis,),) = panels(1, size=(5.5, 3.2))
    axis.plot(likelihood, "o-", markersize=3)
    axis.set(xlabel="step", ylabel="log-likelihood of a target word")
    return figure
