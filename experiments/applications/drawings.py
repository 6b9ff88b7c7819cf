"""Figures of the applications."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from experiments.harness.sequences.plots import grouped_bars, legend, panels, show_weights


def draw_looks(images: np.ndarray, words: Sequence[Sequence[str]], weights: Sequence[np.ndarray]) -> Figure:
    """Draw where each word of a caption looked: weights ``[T, S]`` of a square grid, bright, over each image."""
    columns = 1 + max(map(len, words))
    figure, axes = panels(columns, size=(1.35, 1.55), rows=len(images))
    for axis in axes.flat:
        axis.axis("off")
    for row, image, caption, looks in zip(axes, images, words, weights, strict=True):
        row[0].imshow(image)
        for axis, word, look in zip(row[1:], caption, looks, strict=False):
            axis.imshow(brighten(image, look))
            axis.set_title(word, fontsize=8)
    return figure


def draw_scores(scores: Mapping[str, Mapping[str, float]], label: str) -> Figure:
    """Draw a bar of every model for each measure."""
    most = max(map(len, scores.values()))
    figure, axes = panels(len(scores), size=(max(3.4, 0.95 * most), 3))
    for axis, (name, values) in zip(axes[0], scores.items(), strict=True):
        axis.bar([model.strip("_").replace("_", "\n") for model in values], list(values.values()), color="tab:blue")
        axis.set_title(name.replace("_", " "), fontsize=9)
        axis.tick_params(axis="x", labelsize=8)
    axes[0, 0].set_ylabel(label)
    return figure


def draw_likelihood(likelihood: np.ndarray) -> Figure:
    """Draw the log-likelihood of a word before every step of expectation-maximization."""
    figure, ((axis,),) = panels(1, size=(5.5, 3.2))
    axis.plot(likelihood, "o-", markersize=3)
    axis.set(xlabel="step", ylabel="log-likelihood of a target word")
    return figure


def draw_hops(images: np.ndarray, titles: Sequence[str], weights: np.ndarray) -> Figure:
    """Draw where a question looked: each image with its title, and the weights ``[hops, S]`` bright over it."""
    hops = weights.shape[1]
    columns = 2 * (1 + hops)
    figure, axes = panels(columns, size=(1.5, 1.9), rows=-(-len(images) // 2))
    for axis in axes.flat:
        axis.axis("off")
    for number, (image, title, looks) in enumerate(zip(images, titles, weights, strict=True)):
        row = axes[number // 2, (number % 2) * (1 + hops) :][: 1 + hops]
        row[0].imshow(image)
        row[0].set_title(title, fontsize=7, loc="left")
        for axis, look in zip(row[1:], looks, strict=True):
            axis.imshow(brighten(image, look))
    return figure


def draw_long_alignments(shown: Sequence[tuple[np.ndarray, Sequence[str], Sequence[str]]]) -> Figure:
    """Draw weights over long sources, one above the other, each with the names of its columns and of its rows."""
    figure, axes = panels(1, size=(14, 4.5), rows=len(shown))
    for axis, (weights, source, target) in zip(axes[:, 0], shown, strict=True):
        show_weights(axis, weights, source, target)
        axis.tick_params(axis="x", labelrotation=90, labelsize=6)
    return figure


def draw_types(scores: Mapping[str, Mapping[str, float]]) -> Figure:
    """Draw the accuracy of every type of questions, side by side for the models."""
    figure, axes = panels(1, size=(6, 3))
    groups = list(next(iter(scores.values())))
    by_model = {name: np.array([own[group] for group in groups]) for name, own in scores.items()}
    grouped_bars(axes[0, 0], by_model, groups)
    axes[0, 0].set(ylabel="accuracy of the test", ylim=(0, 1.02))
    legend(axes[0, 0], fontsize=8)
    return figure


def draw_frames(videos: np.ndarray, titles: Sequence[str]) -> Figure:
    """Draw the frames ``[T, H, W]`` of videos ``[N, T, H, W]`` in rows, with a title each."""
    figure, axes = panels(1, size=(1.0 * videos.shape[1], 1.25), rows=len(videos))
    for axis, video, title in zip(axes[:, 0], videos, titles, strict=True):
        edges = np.pad(video, ((0, 0), (0, 0), (0, 1)), constant_values=1.0)
        axis.imshow(np.concatenate(list(edges), axis=1), cmap="gray", vmin=0, vmax=1)
        axis.set_title(title, fontsize=8, loc="left")
        axis.axis("off")
    return figure


def brighten(image: np.ndarray, look: np.ndarray) -> np.ndarray:
    """Darken an image ``[H, W, 3]`` where the weights ``[S]`` of a square grid are small."""
    side = round(look.size**0.5)
    factor = image.shape[0] // side
    bright = np.kron(look.reshape(side, side) / max(look.max(), 1e-9), np.ones((factor, factor)))
    return image * (0.25 + 0.75 * bright[..., None])
