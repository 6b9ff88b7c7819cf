"""Detections in fixed shapes, selected among the predictions of an anchor-free detector.

Glossary of the dimensions:

    ...    leading dimensions, for example images
    H W    height and width of a level of the feature pyramid
    P      points of all levels
    K      classes
    D      detections of an image
"""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxdl.arrays import widen_floating
from jaxdl.checks import check_in_range, check_positive_integer
from jaxdl.nn.anchor_free import STRIDES, Points, decode_distances, feature_points, level_sizes
from jaxdl.nn.boxes import class_offsets, non_maximum_suppression
from jaxdl.typing import Array, ArrayLike


class DensePredictions(NamedTuple):
    """What a detector predicts at the points of every level.

    Attributes:
        logits: of the classes, a map ``[..., H, W, K]`` for each level.
        distances: left, up, right and down in strides, not negative, ``[..., H, W, 4]`` for each level.
        centerness: logits, ``[..., H, W]`` for each level.
    """

    logits: tuple[Array, ...]
    distances: tuple[Array, ...]
    centerness: tuple[Array, ...]

    def flatten(self) -> tuple[Array, Array, Array]:
        """Join the levels: logits ``[..., P, K]``, distances ``[..., P, 4]`` and centerness ``[..., P]``."""
        logits, distances = (
            jnp.concatenate([x.reshape(*x.shape[:-3], -1, x.shape[-1]) for x in levels], axis=-2)
            for levels in (self.logits, self.distances)
        )
        return logits, distances, jnp.concatenate([x.reshape(*x.shape[:-2], -1) for x in self.centerness], axis=-1)


class Detections(NamedTuple):
    """The objects found in an image, from the highest score to the lowest.

    Attributes:
        boxes: ``[..., D, 4]``, 0 where there are fewer.
        scores: ``[..., D]``, 0 where there are fewer.
        labels: ``[..., D]``, -1 where there are fewer.
        mask: True where there is a detection, ``[..., D]``.
    """

    boxes: Array
    scores: Array
    labels: Array
    mask: Array


def select_detections(
    predictions: DensePredictions,
    image_size: Sequence[int],
    *,
    sizes: ArrayLike | None = None,
    strides: Sequence[int] = STRIDES,
    score_threshold: float = 0.2,
    iou_threshold: float = 0.6,
    candidates: int = 1000,
    max_detections: int = 100,
) -> Detections:
    """Select the detections of an image among the predictions at all points, with fixed shapes.

    The score of a class at a point is ``sqrt(sigmoid(logit) sigmoid(centerness))``. Of each level the best candidates
    above the threshold are taken, their boxes are clipped to the image, and those are dropped that overlap a better one
    of the same class.

    Args:
        predictions: for each level, see `DensePredictions`.
        image_size: height and width of the batch of images, padding included.
        sizes: height and width of each image without padding, ``[..., 2]``.
        strides: of the levels.
        score_threshold: the score that a detection must exceed.
        iou_threshold: the overlap that two detections of one class may have.
        candidates: the largest number taken from a level.
        max_detections: ``D``.

    Raises:
        ValueError: the levels do not have the sizes of the strides, a threshold is outside of 0 to 1, or a number is
            not positive.

    >>> maps = [jnp.full((1, 1, n), x) for n, x in ((2, 4.0), (4, 1.0))]
    >>> found = select_detections(DensePredictions((maps[0],), (maps[1],), (jnp.ones((1, 1)),)), (8, 8), strides=(8,),
    ...     max_detections=3)
    >>> found.boxes[0].tolist(), found.labels.tolist()
    ([0.0, 0.0, 8.0, 8.0], [0, 1, -1])
    """
    check_in_range("score_threshold", score_threshold, 0, 1)
    for name, value in (("candidates", candidates), ("max_detections", max_detections)):
        check_positive_integer(name, value)
    found = [x.shape[-3:-1] for x in predictions.logits]
    if found != level_sizes(image_size, strides):
        raise ValueError(
            f"expected levels of {level_sizes(image_size, strides)} for images of {tuple(image_size)} and strides "
            f"{tuple(strides)}, got {found}"
        )
    leading = predictions.logits[0].shape[:-3]
    sizes = jnp.asarray(np.array(image_size) if sizes is None else sizes, widen_floating(predictions.logits[0]).dtype)
    sizes = jnp.broadcast_to(sizes.reshape(*(1,) * (len(leading) + 1 - sizes.ndim), *sizes.shape), (*leading, 2))
    points = feature_points(image_size, strides)
    select = partial(
        _select,
        points=points,
        score_threshold=score_threshold,
        iou_threshold=iou_threshold,
        candidates=candidates,
        max_detections=max_detections,
    )
    for _ in leading:
        select = jax.vmap(select)
    return select(predictions, sizes)


def _select(
    predictions: DensePredictions,
    size: Array,
    *,
    points: Points,
    score_threshold: float,
    iou_threshold: float,
    candidates: int,
    max_detections: int,
) -> Detections:
    """Run `select_detections` on one image."""
    scores, chosen, first = [], [], 0
    for logits, centerness in zip(predictions.logits, predictions.centerness, strict=True):
        probability, weight = jax.nn.sigmoid(widen_floating(logits)), jax.nn.sigmoid(widen_floating(centerness))
        score = jnp.sqrt(probability * weight[..., None]).ravel()
        score = jnp.where(score > score_threshold, score, -jnp.inf)  # NaN too is no candidate
        best, index = jax.lax.top_k(score, min(candidates, score.size))
        scores.append(best)
        chosen.append(index + first * logits.shape[-1])
        first += logits.shape[0] * logits.shape[1]
    score, place = jnp.concatenate(scores), jnp.concatenate(chosen)
    point, label = jnp.divmod(place, predictions.logits[0].shape[-1])
    _, distances, _ = predictions.flatten()
    boxes = decode_distances(distances, points)[point]
    boxes = jnp.clip(boxes, 0, jnp.tile(size[::-1], 2)[None])
    apart = class_offsets(boxes, label)
    kept = non_maximum_suppression(apart, score, iou_threshold, max_detections)

    def take(values: Array, missing: float) -> Array:
        mask = kept.mask.reshape(-1, *(1,) * (values.ndim - 1))
        return jnp.where(mask, values[kept.indices], jnp.asarray(missing, values.dtype))

    return Detections(take(boxes, 0), take(score, 0), take(label, -1), kept.mask)
