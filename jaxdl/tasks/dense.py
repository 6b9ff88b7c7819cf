"""Segmentation: a label for every pixel, for images of any size."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen

from jaxdl import losses, metrics
from jaxdl.checks import check_positive_integer
from jaxdl.models.dense.unet import crop
from jaxdl.tasks.task import (
    CountedLoss,
    Task,
    Variables,
    apply_in_evaluation,
    apply_in_training,
    check_names,
    init_model,
    masked_labels,
)
from jaxdl.typing import Array, ArrayLike, Batch, Key

Loss = Callable[..., Array]
"""``loss(logits [..., K], labels [...], mask=mask [...])``, the mean over the pixels in the mask."""


def segmentation(
    model: linen.Module,
    *,
    inputs: str = "image",
    loss: Loss = losses.cross_entropy,
    augment: Callable[[Key, Batch], Batch] | None = None,
) -> Task:
    """Learn the label of every pixel.

    Batches have ``inputs`` (``[B, H, W, C]``), ``"label"`` (``[B, H2, W2]`` integers) and may have ``"mask"``: ``[B]``
    for rows of padding, or ``[B, H2, W2]``, 0 for ignored pixels, whose labels have no influence, or positive weights.
    Labels that are larger than the model's result are cut to its centre, as for a U-Net without padding. Training
    reports ``accuracy``, the share of pixels that are right; evaluation reports ``loss``, the cross-entropy,
    ``accuracy``, and ``mean_iou`` over all pixels of the data.

    A model with auxiliary heads, such as `FCN`, has a dict of their weights ``model.auxiliary``; the training loss
    includes the weighted loss of each.

    Args:
        model: ``model.apply(variables, x, train=...)`` returns logits ``[B, H2, W2, K]``.
        inputs: the name of the model's input in a batch.
        loss: ``loss(logits, labels, mask=mask)``, such as `jaxdl.losses.cross_entropy` or `jaxdl.losses.dice`, or a
            sum of them.
        augment: ``augment(key, batch)``, applied to every training batch.
    """
    heads: dict[str, float] = getattr(model, "auxiliary", None) or {}
    options = {"return_intermediates": True} if heads else {}

    def init(key: Key, batch: Batch) -> Variables:
        return init_model(model, key, batch[inputs])

    def compute_loss(variables: Variables, batch: Batch, key: Key) -> tuple[Array, tuple[Variables, dict[str, Array]]]:
        augment_key, model_key = jax.random.split(key)
        batch = augment(augment_key, batch) if augment else batch
        check_names(batch, [inputs, "label"])
        rows = batch.get("mask")
        output, collections = apply_in_training(model, variables, batch[inputs], model_key, rows=rows, **options)
        logits, intermediates = output if heads else (output, {})
        labels, mask = fit_labels(batch, logits.shape[1:3])
        value = loss(logits, labels, mask=mask)
        value += sum(weight * loss(intermediates[name], labels, mask=mask) for name, weight in heads.items())
        accuracy = metrics.mean(metrics.correct(logits, labels), mask).value
        return value, (collections, {"accuracy": accuracy})

    def measure(variables: Variables, batch: Batch) -> dict[str, Any]:
        check_names(batch, [inputs, "label"])
        return measure_pixels(apply_in_evaluation(model, variables, batch[inputs]), batch)

    def count(batch: Batch) -> Array:
        mask = jnp.asarray(batch.get("mask", jnp.ones(len(batch["label"]))))
        margin = getattr(model, "margin", 0)
        height, width = (size - 2 * margin for size in batch["label"].shape[1:])
        return jnp.sum(crop(mask, (height, width)) if mask.ndim == 3 else mask * height * width)

    return Task(init, CountedLoss(compute_loss, count), measure)


def fit_labels(batch: Batch, size: Sequence[int]) -> tuple[Array, Array]:
    """Cut the labels and the mask of a batch to the centre, of the size of a model's result.

    Returns:
        Labels, class 0 where they are ignored, and the mask, ``[B, *size]`` each.
    """
    labels, mask = crop(batch["label"], size), jnp.asarray(batch.get("mask", np.ones(1, np.float32)))
    if mask.ndim == 3:
        mask = crop(mask, size)
    mask = jnp.broadcast_to(mask.reshape(*mask.shape, *(1,) * (3 - mask.ndim)), labels.shape)
    return masked_labels(labels, mask), mask


def measure_pixels(logits: Array, batch: Batch) -> dict[str, Any]:
    """Compute the metrics of an evaluation: ``loss``, ``accuracy`` and ``mean_iou``."""
    labels, mask = fit_labels(batch, logits.shape[1:3])
    predictions = metrics.predict(logits)
    return {
        "loss": metrics.mean(losses.cross_entropy(logits, labels, reduction="none"), mask),
        "accuracy": metrics.mean(metrics.correct(logits, labels), mask),
        "mean_iou": metrics.running_mean_iou(predictions, labels, logits.shape[-1], mask=mask),
    }


def predict_tiles(
    apply: Callable[[Array], Array], image: ArrayLike, tile: int, margin: int, *, batch_size: int = 1
) -> np.ndarray:
    """Compute the result for an image of any size from overlapping tiles (Ronneberger et al., 2015).

    The image is continued by mirroring by ``margin`` pixels, and cut into squares of ``tile`` pixels that overlap by
    ``2 margin``, so that their results lie side by side. Every tile has the same shape: the function compiles once.
    Away from the edges the result is that for the whole image, without seams.

    Args:
        apply: from images ``[N, tile, tile, C]`` to results ``[N, tile - 2 margin, tile - 2 margin, K]``.
        image: ``[H, W, C]``.
        tile: side of the squares given to the function, 572 for the published U-Net.
        margin: pixels on every side for which the function has no result, ``UNet(...).margin``.
        batch_size: ``N``, tiles per call.

    Returns:
        ``[H, W, K]``.

    Raises:
        ValueError: the image has another rank, nothing remains of a tile, or the function returns another shape.

    >>> blur = lambda x: (x[:, :-2, 1:-1] + x[:, 1:-1, 1:-1] + x[:, 2:, 1:-1]) / 3
    >>> print(predict_tiles(blur, np.arange(5.0)[:, None, None], tile=4, margin=1).ravel().round(2))
    [0.67 1.   2.   3.   3.33]
    """
    image = np.asarray(image)
    for name, value in (("tile", tile), ("batch_size", batch_size)):
        check_positive_integer(name, value)
    step = tile - 2 * margin
    if image.ndim != 3 or 0 in image.shape or margin < 0 or step < 1:
        raise ValueError(
            "expected an image [H, W, C] and a tile of more than two margins, "
            f"got shape {image.shape}, tile {tile} and margin {margin}"
        )
    height, width = image.shape[:2]
    rows, columns = -(-height // step), -(-width // step)
    ends = [(margin, count * step - size + margin) for count, size in ((rows, height), (columns, width))]
    padded = image
    for axis, end in enumerate(ends):  # a single row has nothing to mirror
        widths = [end if axis == other else (0, 0) for other in range(3)]
        padded = np.pad(padded, widths, mode="reflect" if image.shape[axis] > 1 else "edge")
    corners = [(step * i, step * j) for i in range(rows) for j in range(columns)]
    corners += corners[-1:] * (-len(corners) % batch_size)
    results = []
    for first in range(0, len(corners), batch_size):
        tiles = [padded[i : i + tile, j : j + tile] for i, j in corners[first : first + batch_size]]
        result = np.asarray(apply(jnp.asarray(np.stack(tiles))))
        if result.shape[:3] != (batch_size, step, step):
            raise ValueError(
                f"expected results [{batch_size}, {step}, {step}, K] for tiles of {tile} with margin {margin}, got "
                f"{result.shape}; use the margin of the network"
            )
        results.append(result)
    squares = np.concatenate(results)[: rows * columns].reshape(rows, columns, step, step, -1)
    return np.concatenate([np.concatenate(list(row), axis=1) for row in squares])[:height, :width]
