"""Detection of objects without anchors, and their masks (Tian et al., 2019; He et al., 2017).

Glossary of the dimensions:

    B    images
    P    points of all levels of the feature pyramid
    N    objects of an image, padding included
    K    classes
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxdl import losses, nn
from jaxdl.checks import check_in_range
from jaxdl.metrics import Mean
from jaxdl.models.dense.fcos import FCOS
from jaxdl.models.dense.mask_head import MaskFCOS
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

RADIUS = 1.5


class DetectionLosses(NamedTuple):
    """The parts of the loss of FCOS, sums over the points of all images.

    Attributes:
        classification: focal loss of every class at every point.
        box: ``1 - GIoU`` at the points of objects.
        centerness: binary cross-entropy at the points of objects.
        count: number of points of objects.
    """

    classification: Array
    box: Array
    centerness: Array
    count: Array

    def means(self) -> dict[str, Mean]:
        """Return every part, and their sum ``loss``, per point of an object."""
        parts = {name: Mean(getattr(self, name), self.count) for name in ("classification", "box", "centerness")}
        return {"loss": Mean(self.classification + self.box + self.centerness, self.count), **parts}


def detection_losses(
    predictions: nn.DensePredictions,
    boxes: ArrayLike,
    labels: ArrayLike,
    points: nn.Points,
    *,
    box_mask: ArrayLike | None = None,
    mask: ArrayLike | None = None,
    radius: float = RADIUS,
) -> DetectionLosses:
    """Compute the loss of FCOS from predictions and objects.

    Each point has the box that `jaxdl.nn.assign_boxes` assigns to it, or is background. Boxes and images whose mask is
    0 may hold anything, and change neither the loss nor a gradient.

    Args:
        predictions: at the points of ``B`` images.
        boxes: of the objects, ``[B, N, 4]``.
        labels: their classes from 0, ``[B, N]``; one of ``K`` or more, or below 0, makes the loss nan.
        points: `jaxdl.nn.feature_points` of the images.
        box_mask: 0 for padding among the boxes, ``[B, N]``.
        mask: 0 for images that fill up the batch, ``[B]``.
        radius: of the centre of a box, in strides.

    Raises:
        ValueError: shapes do not match, or the radius is not positive.
    """
    logits, distances, centerness = predictions.flatten()
    rows = jnp.ones(len(logits), bool) if mask is None else jnp.asarray(mask) != 0
    boxes, labels = jnp.asarray(boxes), jnp.asarray(labels)
    if labels.shape != boxes.shape[:-1]:
        raise ValueError(f"expected a label for each box, [B, N], got labels {labels.shape} and boxes {boxes.shape}")
    assigned = nn.assign_boxes(boxes, points, mask=box_mask, radius=radius)
    foreground = (assigned >= 0) & rows[:, None]  # [B, P]
    targets, classes = _targets(boxes, labels, assigned, foreground)
    one_hot = jax.nn.one_hot(classes, logits.shape[-1], dtype=logits.dtype) * foreground[..., None]
    is_class = (classes >= 0) & (classes < logits.shape[-1])
    one_hot = jnp.where(is_class[..., None], one_hot, jnp.nan)  # not the background
    # Constants at the points of the background: no NaN, and no gradient.
    decoded = nn.decode_distances(jnp.where(foreground[..., None], distances, 1), points)
    overlap = nn.generalized_box_iou(decoded[..., None, :], targets[..., None, :].astype(decoded.dtype))[..., 0, 0]
    wanted = nn.centerness_targets(nn.encode_boxes(targets, points))
    return DetectionLosses(
        losses.sigmoid_focal(logits, one_hot, mask=rows, reduction="sum"),
        jnp.sum(jnp.where(foreground, 1 - overlap, 0)),
        losses.binary_cross_entropy(centerness, wanted, mask=foreground, reduction="sum"),
        jnp.sum(foreground, dtype=logits.dtype),
    )


def mask_loss(
    logits: ArrayLike,
    boxes: ArrayLike,
    labels: ArrayLike,
    masks: ArrayLike,
    *,
    box_mask: ArrayLike | None = None,
    samples: int = 2,
) -> Array:
    """Compute the mean binary cross-entropy of the mask of each object's class (He et al., 2017).

    The target is the object's mask, resampled to the box by `jaxdl.nn.roi_align`. The masks of other classes have no
    influence.

    Args:
        logits: ``[B, N, M, M, K]``.
        boxes: ``[B, N, 4]``.
        labels: classes from 0, ``[B, N]``; others make the loss nan.
        masks: of the objects in the image, 0 or 1, ``[B, N, H, W]``.
        box_mask: 0 for padding, ``[B, N]``.
        samples: points in each direction of a pixel of the target.

    Raises:
        ValueError: shapes do not match.
    """
    logits, boxes, masks = jnp.asarray(logits), jnp.asarray(boxes), jnp.asarray(masks)
    if logits.ndim != 5 or masks.shape[:2] != logits.shape[:2] or boxes.shape[:2] != logits.shape[:2]:
        raise ValueError(
            f"expected logits [B, N, M, M, K], boxes [B, N, 4] and masks [B, N, H, W], got {logits.shape}, "
            f"{boxes.shape} and {masks.shape}"
        )
    valid = jnp.ones(boxes.shape[:2], bool) if box_mask is None else jnp.asarray(box_mask) != 0
    boxes, labels = jnp.where(valid[..., None], boxes, 0), masked_labels(labels, valid)
    labels = jnp.where(labels < 0, logits.shape[-1], labels)  # nan, as for all that are no class
    chosen = jnp.take_along_axis(logits, labels[..., None, None, None], axis=-1, mode="fill")[..., 0]
    one = jax.vmap(jax.vmap(lambda mask, box: nn.roi_align(mask[..., None], box[None], logits.shape[2:4])[0, ..., 0]))
    return losses.binary_cross_entropy(chosen, jax.lax.stop_gradient(one(masks, boxes)), mask=valid)


def detection(
    model: FCOS,
    *,
    inputs: str = "image",
    radius: float = RADIUS,
    augment: Callable[[Key, Batch], Batch] | None = None,
) -> Task:
    """Learn classes, boxes and centerness at the points of a feature pyramid: FCOS.

    The loss is the sum of a focal loss of the classes, ``1 - GIoU`` of the boxes and the cross-entropy of the
    centerness, each divided by the number of points of objects. Batches have ``inputs`` (``[B, H, W, C]``),
    ``"boxes"`` (``[B, N, 4]``), ``"label"`` (``[B, N]`` integers from 0), and may have ``"box_mask"`` (``[B, N]``, 0
    for padding) and ``"mask"`` (``[B]``). Training and evaluation report ``classification``, ``box`` and
    ``centerness``; evaluation reports ``loss`` too. For average precision, see `jaxdl.data.box_average_precision`.

    Args:
        model: a detector.
        inputs: the name of the model's input in a batch.
        radius: of the centre of a box, in strides, within which points have to predict it.
        augment: ``augment(key, batch)``, applied to every training batch.

    Raises:
        ValueError: the radius is not positive; or, when a function of the task is traced, a batch lacks an array.
    """
    check_in_range("radius", radius, includes_low=False)

    def init(key: Key, batch: Batch) -> Variables:
        check_names(batch, [inputs])
        return init_model(model, key, batch[inputs])

    def compute_loss(variables: Variables, batch: Batch, key: Key) -> tuple[Array, tuple[Variables, dict[str, Array]]]:
        augment_key, model_key = jax.random.split(key)
        check_names(batch, [inputs, "boxes", "label"])
        batch = augment(augment_key, batch) if augment else batch
        predictions, collections = apply_in_training(model, variables, batch[inputs], model_key, rows=batch.get("mask"))
        values = _values(_measure(model, predictions, batch, inputs, radius))
        return values.pop("loss"), (collections, values)

    def measure(variables: Variables, batch: Batch) -> dict[str, Mean]:
        check_names(batch, [inputs, "boxes", "label"])
        return _measure(model, apply_in_evaluation(model, variables, batch[inputs]), batch, inputs, radius)

    return Task(init, CountedLoss(compute_loss, _counter(model, inputs, radius)), measure)


def instance_segmentation(
    model: MaskFCOS,
    *,
    inputs: str = "image",
    radius: float = RADIUS,
    augment: Callable[[Key, Batch], Batch] | None = None,
) -> Task:
    """Learn to detect objects, as `detection` does, and their masks in their boxes.

    To the loss of `detection` is added `mask_loss`. Batches have ``"masks"`` too, ``[B, N, H, W]``, 0 or 1; both report
    ``mask``, the loss of the masks.

    Args:
        model: a detector with a mask head.
        inputs: the name of the model's input in a batch.
        radius: of the centre of a box, in strides, within which points have to predict it.
        augment: ``augment(key, batch)``, applied to every training batch.

    Raises:
        ValueError: the radius is not positive; or, when a function of the task is traced, a batch lacks an array.
    """
    check_in_range("radius", radius, includes_low=False)
    names = [inputs, "boxes", "label", "masks"]

    def init(key: Key, batch: Batch) -> Variables:
        check_names(batch, [inputs, "boxes"])
        return init_model(model, key, batch[inputs], boxes=jnp.zeros(np.shape(batch["boxes"])))

    def both(output: tuple[nn.DensePredictions, Array], batch: Batch) -> dict[str, Mean]:
        predictions, logits = output
        means = _measure(model.detector, predictions, batch, inputs, radius)
        valid = _box_mask(batch)
        loss = mask_loss(logits, batch["boxes"], batch["label"], batch["masks"], box_mask=valid)
        (total, points), objects = means["loss"], jnp.sum(valid, dtype=loss.dtype)
        return {**means, "loss": Mean(total + loss * points, points), "mask": Mean(loss * objects, objects)}

    def boxes_of(batch: Batch) -> Array:
        return jnp.where(_box_mask(batch)[..., None], jnp.asarray(batch["boxes"]), 0)

    def compute_loss(variables: Variables, batch: Batch, key: Key) -> tuple[Array, tuple[Variables, dict[str, Array]]]:
        augment_key, model_key = jax.random.split(key)
        check_names(batch, names)
        batch = augment(augment_key, batch) if augment else batch
        output, collections = apply_in_training(
            model, variables, batch[inputs], model_key, rows=batch.get("mask"), boxes=boxes_of(batch)
        )
        values = _values(both(output, batch))
        return values.pop("loss"), (collections, values)

    def measure(variables: Variables, batch: Batch) -> dict[str, Mean]:
        check_names(batch, names)
        return both(apply_in_evaluation(model, variables, batch[inputs], boxes=boxes_of(batch)), batch)

    return Task(init, CountedLoss(compute_loss, _counter(model.detector, inputs, radius)), measure)


def _measure(
    model: FCOS, predictions: nn.DensePredictions, batch: Batch, inputs: str, radius: float
) -> dict[str, Mean]:
    """Compute the losses of a batch per point of an object."""
    points = nn.feature_points(batch[inputs].shape[1:3], model.strides)
    parts = detection_losses(
        predictions,
        batch["boxes"],
        batch["label"],
        points,
        box_mask=batch.get("box_mask"),
        mask=batch.get("mask"),
        radius=radius,
    )
    return parts.means()


def _values(means: dict[str, Mean]) -> dict[str, Array]:
    """Return the means; those without points of objects as of one."""
    return {name: mean.total / jnp.maximum(mean.count, 1) for name, mean in means.items()}


def _counter(model: FCOS, inputs: str, radius: float) -> Callable[[Batch], Array]:
    """Return the function that counts the points of objects in a batch, at least 1 unless all rows are padding."""

    def count(batch: Batch) -> Array:
        points = nn.feature_points(batch[inputs].shape[1:3], model.strides)
        assigned = nn.assign_boxes(batch["boxes"], points, mask=_box_mask(batch), radius=radius)
        rows = batch.get("mask")
        least = 1 if rows is None else jnp.any(jnp.asarray(rows) != 0)
        return jnp.maximum(jnp.sum(assigned >= 0), least).astype(jnp.float32)

    return count


def _box_mask(batch: Batch) -> Array:
    """Return where there is an object, ``[B, N]``: in the rows and boxes that are not padding."""
    shape: Sequence[int] = np.shape(batch["boxes"])[:2]
    boxes, rows = (jnp.asarray(batch.get(name, np.ones(1))) != 0 for name in ("box_mask", "mask"))
    return jnp.broadcast_to(boxes.reshape(-1, boxes.shape[-1]), shape) & jnp.broadcast_to(rows[:, None], shape)


def _targets(boxes: Array, labels: Array, assigned: Array, foreground: Array) -> tuple[Array, Array]:
    """Gather box ``[B, P, 4]`` and label ``[B, P]`` of every point, a unit box and 0 for the background."""
    empty = boxes.shape[1] == 0
    if empty:
        boxes, labels = jnp.zeros((len(boxes), 1, 4), boxes.dtype), jnp.zeros((len(boxes), 1), labels.dtype)
    index = jnp.maximum(assigned, 0)
    gathered = jnp.take_along_axis(boxes, index[..., None], axis=1)
    unit = jnp.array([0, 0, 1, 1], boxes.dtype)[None, None]
    classes = jnp.where(foreground, jnp.take_along_axis(labels, index, axis=1), 0)
    return jnp.where(foreground[..., None], gathered, unit), classes
