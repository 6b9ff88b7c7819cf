"""Figures of what a network does: ROC curves, maps of embeddings, attribution maps over images."""

from collections.abc import Mapping, Sequence

import jax
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.harness.figures import COLOURS, show_images
from jaxdl import metrics
from jaxdl.data.files.downloads import require
from jaxdl.typing import Array


def plot_roc(axis: Axes, scores: Mapping[str, np.ndarray], labels: np.ndarray) -> None:
    """Plot the ROC curve of each named score ``[N]`` of binary labels ``[N]``, with the area below it."""
    for (name, values), colour in zip(scores.items(), COLOURS, strict=False):
        curve, area = _measure_roc(values, labels)
        axis.plot(*map(np.asarray, curve[:2]), color=colour, label=f"{name}, area {area:.3f}")
    axis.plot([0, 1], [0, 1], ":", color="gray")
    axis.set(xlabel="false positive rate", ylabel="true positive rate", xlim=(0, 1), ylim=(0, 1.01), aspect="equal")
    axis.legend(frameon=False, loc="lower right", fontsize=8)


@jax.jit
def _measure_roc(scores: Array, labels: Array) -> tuple[metrics.RocCurve, Array]:
    return metrics.roc_curve(scores, labels), metrics.auc(scores, labels)


def pca(vectors: np.ndarray) -> np.ndarray:
    """Project vectors ``[N, D]`` on their two principal components, ``[N, 2]``."""
    centred = np.asarray(vectors, float) - np.mean(vectors, axis=0)
    return centred @ np.linalg.svd(centred, full_matrices=False)[2][:2].T


def t_sne(vectors: np.ndarray, *, perplexity: float = 30.0, seed: int = 0) -> np.ndarray:
    """Embed vectors ``[N, D]`` in the plane by scikit-learn's t-SNE (van der Maaten and Hinton, 2008), ``[N, 2]``."""
    TSNE = require("sklearn.manifold", "a map by t-SNE").TSNE
    perplexity = min(perplexity, (len(vectors) - 1) / 3)
    return TSNE(perplexity=perplexity, init="pca", random_state=seed).fit_transform(np.asarray(vectors, float))


def plot_embedding(axis: Axes, points: np.ndarray, labels: np.ndarray, classes: Sequence[str]) -> None:
    """Plot points ``[N, 2]`` coloured by their class, with the name of each class at its median."""
    axis.scatter(*points.T, c=labels, cmap="tab10" if len(classes) <= 10 else "nipy_spectral", s=6, alpha=0.7)
    for label in np.unique(labels):
        x, y = np.median(points[labels == label], axis=0)
        axis.text(x, y, classes[label], ha="center", va="center", bbox={"facecolor": "white", "alpha": 0.7, "pad": 1})
    axis.set(xticks=[], yticks=[])
    axis.grid(visible=False)


def attribution_grid(images: np.ndarray, maps: Mapping[str, np.ndarray], *, size: float = 1.3) -> Figure:
    """Draw images ``[N, H, W, C]`` and, in a row for each method, their attribution maps over them in grey.

    Maps ``[N, H, W, C]`` or ``[N, H, W]`` are summed over the channels; red is positive and blue negative, up to the
    99th percentile of each map's magnitude.
    """
    rows, columns = 1 + len(maps), len(images)
    figure, axes = plt.subplots(rows, columns, figsize=(size * columns + 0.6, size * rows), squeeze=False)
    grey = np.clip(np.asarray(images, float), 0, 1).mean(axis=-1)
    coloured = np.clip(images, 0, 1) if np.shape(images)[-1] == 3 else grey
    show_images(axes[0], list(coloured), cmap="gray", vmin=0, vmax=1)
    for line, (name, values) in zip(axes[1:], maps.items(), strict=True):
        flat = np.asarray(values, float).reshape(*grey.shape, -1).sum(axis=-1)
        show_images(line, list(0.35 * grey), cmap="gray_r", vmin=0, vmax=1)
        for axis, each in zip(line, flat, strict=True):
            limit = max(np.quantile(np.abs(each), 0.99), 1e-12)
            axis.imshow(each, cmap="seismic", vmin=-limit, vmax=limit, alpha=np.clip(np.abs(each) / limit, 0, 1))
        line[0].set_ylabel(name, fontsize=8)
    return figure
