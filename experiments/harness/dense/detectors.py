"""Small detectors: their networks, detections of a test set, and overlays."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
import optax
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from experiments.harness.dense.stamps import Stamped
from experiments.harness.figures import COLOURS, show_images
from jaxdl import nn, optim, train
from jaxdl.models import FCOS, ResNet
from jaxdl.optim import schedules

SHOWN = 0.4
"""Least score of a detection that is drawn."""


def small_detector(num_classes: int) -> FCOS:
    """Return a detector with a residual network of 10 layers and a pyramid of three levels with 64 channels."""
    backbone = ResNet(None, depths=(1, 1, 1, 1), widths=(16, 32, 64, 128))
    return FCOS(num_classes, backbone, features=64, depth=1, groups=8, extra_levels=0)


def select(predictions: nn.DensePredictions, image_size: Sequence[int], strides: Sequence[int]) -> nn.Detections:
    """Select at most 20 detections of every picture, also those of low scores, as average precision counts them."""
    settings = {"score_threshold": 0.05, "iou_threshold": 0.5, "candidates": 200, "max_detections": 20}
    return nn.select_detections(predictions, image_size, strides=strides, **settings)


def small_optimizer(config: Stamped, steps_per_epoch: int) -> optax.GradientTransformation:
    """Return Adam with a warmup, a cosine decay and clipped gradients."""
    steps = train.count_steps(config.epochs, steps_per_epoch)
    rising = min(steps // 10, 200)
    rate = schedules.cosine_decay(config.learning_rate, max(1, steps - rising))
    rate = schedules.warmup(rate, rising) if rising else rate
    return optax.chain(optim.clip_by_global_norm(10.0), optim.adam(rate))


def detect_all(
    detect: Callable[[jax.Array], Mapping[str, Any]], images: np.ndarray, batch_size: int
) -> list[dict[str, np.ndarray]]:
    """Apply a detector to all images in batches of one shape; return the arrays of each image."""
    detect, found = jax.jit(detect), []
    for first in range(0, len(images), batch_size):
        part = images[first : first + batch_size]
        padded = np.concatenate([part, np.zeros((batch_size - len(part), *part.shape[1:]), part.dtype)])
        arrays = jax.device_get(detect(padded))
        found += [{name: array[i] for name, array in arrays.items()} for i in range(len(part))]
    return found


def as_truth(arrays: Mapping[str, np.ndarray]) -> list[dict[str, np.ndarray]]:
    """Separate the objects of every picture from the padding."""
    names = ("boxes", "label", "masks")
    return [{name: arrays[name][i][mask != 0] for name in names} for i, mask in enumerate(arrays["box_mask"])]


def draw_overlays(
    images: np.ndarray,
    truth: Sequence[Mapping[str, np.ndarray]],
    found: Sequence[Mapping[str, np.ndarray]],
    classes: Sequence[str],
) -> Figure:
    """Draw the objects of each picture above, and below the detections with boxes, scores and masks."""
    figure, axes = plt.subplots(2, len(images), figsize=(2.6 * len(images), 5.4), squeeze=False)
    for row in axes:
        show_images(row, np.clip(images, 0, 1))
    axes[0, 0].set_ylabel("objects")
    axes[1, 0].set_ylabel("detections")
    for above, below, real, detected in zip(*axes, truth, found, strict=True):
        _draw(above, real["boxes"], real["label"], [classes[k] for k in real["label"]], real["masks"])
        seen = np.asarray(detected["mask"]) & (detected["scores"] >= SHOWN)
        labels, scores = detected["labels"][seen], detected["scores"][seen]
        titles = [f"{classes[k]} {score:.2f}" for k, score in zip(labels, scores, strict=True)]
        _draw(below, detected["boxes"][seen], labels, titles, detected.get("masks", np.zeros((len(seen), 0, 0)))[seen])
    return figure


def _draw(axis: Any, boxes: np.ndarray, labels: np.ndarray, titles: Sequence[str], masks: np.ndarray) -> None:
    for box, label, title, mask in zip(boxes, labels, titles, masks, strict=True):
        colour = COLOURS[label % len(COLOURS)]
        (x1, y1, x2, y2), outline = box - 0.5, {"fill": False, "edgecolor": colour, "linewidth": 1.4}
        axis.add_patch(Rectangle((x1, y1), x2 - x1, y2 - y1, **outline))
        axis.text(x1, y1, title, fontsize=6, color="white", backgroundcolor=colour, va="bottom")
        if mask.any():
            layer = np.zeros((*mask.shape, 4))
            layer[mask] = *(int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)), 0.45
            axis.imshow(layer)


def overall(precision: Mapping[str, float], prefix: str = "") -> dict[str, float]:
    """Return the average precisions of objects of all sizes, by names with a prefix."""
    return {f"{prefix}{name}": precision[name] for name in ("ap", "ap50", "ap75")}
