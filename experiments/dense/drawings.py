"""Figures of the experiments on dense prediction."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from PIL import Image

from experiments.harness.dense.cells import Example, overlay
from experiments.harness.figures import COLOURS, show_images
from experiments.harness.plots import plot_groups


def draw_segmentation(examples: Sequence[Example], segmented: Sequence[np.ndarray]) -> Figure:
    """Draw each image, with the borders of the nuclei, and with those of the objects that were found."""
    figure, axes = plt.subplots(len(examples), 3, figsize=(9, 3.1 * len(examples)), squeeze=False)
    for row, example, found in zip(axes, examples, segmented, strict=True):
        image, true = example["image"], example["instances"]
        pictures = [overlay(image, np.zeros_like(true)), overlay(image, true), overlay(image, found)]
        counts = [len(np.unique(each)) - 1 for each in (true, found)]
        show_images(row, pictures, ("image", f"{counts[0]} nuclei", f"{counts[1]} objects found"))
    return figure


def draw_weights(arrays: Mapping[str, np.ndarray]) -> Figure:
    """Draw the first patch, its labels and the weights of its pixels."""
    figure, axes = plt.subplots(1, 3, figsize=(9, 3.1))
    pictures = [arrays["image"][0, ..., 0], arrays["label"][0], arrays["mask"][0]]
    show_images(axes, pictures, ("patch", "labels", "weights of the pixels"), cmap="magma")
    return figure


def draw_prediction(image: np.ndarray, found: np.ndarray) -> Figure:
    """Draw an image with the borders of the objects."""
    figure, axis = plt.subplots(figsize=(7, 7 * image.shape[0] / image.shape[1] + 0.4))
    show_images([axis], [overlay(image, found)], (f"{len(np.unique(found)) - 1} objects",))
    return figure


def write_mask(path: Path, instances: np.ndarray) -> None:
    """Write the numbers of the objects as an image of 16 bits."""
    Image.fromarray(instances.astype(np.uint16)).save(path)


def draw_seams(pictures: Mapping[str, np.ndarray], profiles: Mapping[str, np.ndarray], floor: float) -> Figure:
    """Draw the image and the results of three ways, and the mean difference by the distance to the nearest seam."""
    figure, axes = plt.subplots(1, len(pictures) + 1, figsize=(3.1 * (len(pictures) + 1), 3.2))
    show_images(axes[:-1], list(pictures.values()), list(pictures), cmap="gray", vmin=0, vmax=1)
    for (name, profile), colour in zip(profiles.items(), COLOURS, strict=False):
        axes[-1].plot(np.maximum(profile, floor), color=colour, label=name)
    axes[-1].set(yscale="log", xlabel="pixels to the nearest seam", title="difference from the whole image")
    axes[-1].legend(frameon=False)
    return figure


def draw_readings(images: np.ndarray, masks: np.ndarray, samples: np.ndarray, plain: np.ndarray) -> Figure:
    """Draw images, their masks ``[N, M, H, W]``, samples ``[N, S, H, W]``, and the plain network's probability."""
    count, shown = masks.shape[1], min(5, samples.shape[1])
    figure, axes = plt.subplots(len(images), 2 + count + shown, figsize=(1.2 * (2 + count + shown), 1.35 * len(images)))
    titles = ["image", *(f"mask {i + 1}" for i in range(count)), *["sample"] * shown, "plain U-Net"]
    for i, row in enumerate(np.atleast_2d(axes)):
        pictures = [images[i, ..., 0], *masks[i], *samples[i, :shown], plain[i]]
        show_images(row, pictures, titles if i == 0 else (), cmap="gray", vmin=0, vmax=1)
    return figure


def draw_distances(distances: Mapping[str, np.ndarray]) -> Figure:
    """Draw the distances of every run and way, with the means and their intervals."""
    figure, axis = plt.subplots(figsize=(5, 3.4))
    plot_groups(axis, distances, COLOURS[: len(distances)])
    axis.set(ylabel="generalized energy distance", ylim=(0, None))
    return figure
