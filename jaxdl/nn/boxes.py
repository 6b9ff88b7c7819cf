"""Boxes of objects in images: overlaps, non-maximum suppression and RoIAlign.

Glossary of the dimensions:

    ...    leading dimensions, for example images
    N, M   boxes
    H W C  height, width and channels of feature maps

A box is ``[x1, y1, x2, y2]`` with ``x1 <= x2`` to the right and ``y1 <= y2`` downward, in pixels or any other unit of
length. Pixel ``(i, j)`` covers ``[j, j + 1] x [i, i + 1]``.
"""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxdl.arrays import widen_floating
from jaxdl.checks import check_in_range, check_positive_integer, is_integer
from jaxdl.typing import Array, ArrayLike


class Selection(NamedTuple):
    """The boxes that `non_maximum_suppression` keeps, from the highest score to the lowest.

    Attributes:
        indices: of the boxes, ``[..., max_boxes]``, -1 where there are fewer.
        mask: True where there is a box, ``[..., max_boxes]``.
    """

    indices: Array
    mask: Array


def box_area(boxes: ArrayLike) -> Array:
    """Compute the areas ``(x2 - x1) (y2 - y1)``, ``[..., N]``, of boxes ``[..., N, 4]``.

    Raises:
        ValueError: the last dimension is not 4.

    >>> box_area(jnp.array([[0.0, 0.0, 2.0, 3.0]])).tolist()
    [6.0]
    """
    boxes = _check_boxes("boxes", boxes)
    return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])


def box_iou(a: ArrayLike, b: ArrayLike) -> Array:
    """Compute the intersection over union of every box of ``a`` with every box of ``b``.

    Two boxes without area have 0.

    Args:
        a: ``[..., N, 4]``.
        b: ``[..., M, 4]``.

    Returns:
        ``[..., N, M]``, from 0 to 1.

    Raises:
        ValueError: the last dimensions are not 4, or the leading dimensions differ.

    >>> box_iou(jnp.array([[0.0, 0.0, 2.0, 2.0]]), jnp.array([[0.0, 0.0, 2.0, 1.0]])).tolist()
    [[0.5]]
    """
    intersection, union, _ = _overlaps(a, b)
    return _ratio(intersection, union)


def generalized_box_iou(a: ArrayLike, b: ArrayLike) -> Array:
    """Compute the generalized IoU of every box of ``a`` with every box of ``b`` (Rezatofighi et al., 2019).

    It is ``IoU - (|hull| - |union|) / |hull|``. The hull is the smallest box around both: boxes that are apart have a
    gradient, towards each other, where that of IoU is 0.

    Args:
        a: ``[..., N, 4]``.
        b: ``[..., M, 4]``.

    Returns:
        ``[..., N, M]``, from -1 to 1.

    Raises:
        ValueError: the last dimensions are not 4, or the leading dimensions differ.

    >>> generalized_box_iou(jnp.array([[0.0, 0.0, 1.0, 1.0]]), jnp.array([[3.0, 0.0, 4.0, 1.0]])).tolist()
    [[-0.5]]
    """
    intersection, union, hull = _overlaps(a, b)
    return _ratio(intersection, union) - _ratio(hull - union, hull)


def non_maximum_suppression(boxes: ArrayLike, scores: ArrayLike, iou_threshold: float, max_boxes: int) -> Selection:
    """Keep the best of every group of boxes that overlap, one after the other.

    Take the box with the highest score that is left, the first of equal ones, and drop all others whose IoU with it
    exceeds the threshold; repeat. Shapes are fixed, and memory is ``O(N)``: no table of all pairs is made. For one
    suppression per class, see `class_offsets`.

    Args:
        boxes: ``[..., N, 4]``.
        scores: ``[..., N]``; boxes with ``-inf`` or NaN are never kept, which is how padding is marked.
        iou_threshold: from 0 to 1.
        max_boxes: the largest number of boxes kept.

    Returns:
        Indices and mask ``[..., max_boxes]``, see `Selection`.

    Raises:
        ValueError: shapes do not match, the threshold is outside of 0 to 1, or ``max_boxes`` is not positive.

    >>> boxes = jnp.array([[0.0, 0, 10, 10], [1, 0, 11, 10], [20, 0, 30, 10]])
    >>> non_maximum_suppression(boxes, jnp.array([0.8, 0.9, 0.5]), 0.5, max_boxes=3).indices.tolist()
    [1, 2, -1]
    """
    check_in_range("iou_threshold", iou_threshold, 0, 1)
    check_positive_integer("max_boxes", max_boxes)
    boxes, scores = _check_boxes("boxes", boxes), widen_floating(scores)
    if boxes.shape[:-1] != scores.shape:
        raise ValueError(f"expected one score per box, [..., N], got boxes {boxes.shape} and scores {scores.shape}")
    select = partial(_select, iou_threshold=iou_threshold, max_boxes=max_boxes)
    for _ in scores.shape[:-1]:
        select = jax.vmap(select)
    return select(boxes, jnp.where(jnp.isnan(scores), -jnp.inf, scores))


def class_offsets(boxes: ArrayLike, labels: ArrayLike) -> Array:
    """Move the boxes of each class apart from those of all others, for one suppression over all classes.

    Args:
        boxes: ``[..., N, 4]``.
        labels: classes from 0, ``[..., N]``.

    Returns:
        ``[..., N, 4]``, to be given to `non_maximum_suppression` in the place of the boxes.

    Raises:
        ValueError: the last dimension is not 4.

    >>> class_offsets(jnp.array([[0.0, 0, 2, 2], [0, 0, 2, 2]]), jnp.array([0, 1])).tolist()
    [[0.0, 0.0, 2.0, 2.0], [3.0, 3.0, 5.0, 5.0]]
    """
    boxes, labels = _check_boxes("boxes", boxes), jnp.asarray(labels)
    if not boxes.size:
        return boxes
    finite = jnp.isfinite(boxes)  # padding may hold anything
    high = jnp.max(boxes, axis=(-2, -1), keepdims=True, where=finite, initial=-jnp.inf)
    low = jnp.min(boxes, axis=(-2, -1), keepdims=True, where=finite, initial=jnp.inf)
    extent = jnp.maximum(high - low, 0) + 1
    return boxes + labels[..., None].astype(boxes.dtype) * extent


def roi_align(
    x: ArrayLike,
    boxes: ArrayLike,
    output_size: int | Sequence[int],
    *,
    scale: float = 1.0,
    samples: int = 2,
    aligned: bool = True,
) -> Array:
    """Resample the features of each box to one size by bilinear interpolation (RoIAlign; He et al., 2017).

    A box is cut into ``OH x OW`` bins. The value of a bin is the mean of ``samples x samples`` points, spaced evenly in
    it, each interpolated between the centres of the four pixels around it. Points up to one pixel outside of the image
    take the nearest pixel, those farther away 0.

    Args:
        x: feature maps, ``[..., H, W, C]``.
        boxes: ``[..., N, 4]`` in pixels of the image.
        output_size: ``(OH, OW)``, or one number for both.
        scale: pixels of the maps per pixel of the image, 1/8 for features of stride 8.
        samples: points in each direction of a bin.
        aligned: count pixels by their centres, which lie at half-integers; False for the first form of the layer, which
            is shifted by half a pixel and makes boxes at least one pixel wide.

    Returns:
        ``[..., N, OH, OW, C]``.

    Raises:
        ValueError: shapes do not match, or a size is not positive.

    >>> ramp = jnp.broadcast_to(jnp.arange(8.0)[:, None], (8, 8, 1))
    >>> roi_align(ramp, jnp.array([[0.0, 2.0, 4.0, 6.0]]), 2)[0, :, :, 0].tolist()
    [[0.5, 2.5], [0.5, 2.5]]
    """
    x, boxes = widen_floating(x), _check_boxes("boxes", boxes)
    height, width = (int(output_size),) * 2 if is_integer(output_size) else output_size
    for name, value in (("output_size", height), ("output_size", width), ("samples", samples)):
        check_positive_integer(name, value)
    if x.ndim < 3 or x.shape[:-3] != boxes.shape[:-2]:
        raise ValueError(
            f"expected maps [..., H, W, C] and boxes [..., N, 4] of as many images, got {x.shape} and {boxes.shape}"
        )
    align = partial(_align, sizes=(height, width), scale=scale, samples=samples, aligned=aligned)
    align = jax.vmap(align, (None, 0))
    for _ in boxes.shape[:-2]:
        align = jax.vmap(align)
    return align(x, boxes)


def _overlaps(a: ArrayLike, b: ArrayLike) -> tuple[Array, Array, Array]:
    """Return the areas of intersection, union and hull, ``[..., N, M]``."""
    a, b = _check_boxes("a", a), _check_boxes("b", b)
    if a.shape[:-2] != b.shape[:-2]:
        raise ValueError(f"expected boxes with equal leading dimensions, got {a.shape} and {b.shape}")
    first, second = a[..., :, None, :], b[..., None, :, :]
    low, high = jnp.maximum(first[..., :2], second[..., :2]), jnp.minimum(first[..., 2:], second[..., 2:])
    intersection = jnp.prod(jnp.maximum(high - low, 0), axis=-1)
    hull = jnp.prod(
        jnp.maximum(first[..., 2:], second[..., 2:]) - jnp.minimum(first[..., :2], second[..., :2]), axis=-1
    )
    return intersection, box_area(a)[..., :, None] + box_area(b)[..., None, :] - intersection, hull


def _ratio(numerator: Array, denominator: Array) -> Array:
    """Divide, with 0 and a gradient of 0 where the denominator is 0."""
    empty = denominator == 0
    return jnp.where(empty, 0, numerator / jnp.where(empty, 1, denominator))


def _select(boxes: Array, scores: Array, *, iou_threshold: float, max_boxes: int) -> Selection:
    """Run `non_maximum_suppression` on one image."""
    if not len(scores):
        return Selection(jnp.full(max_boxes, -1), jnp.zeros(max_boxes, bool))

    def keep_best(scores: Array, _: None) -> tuple[Array, tuple[Array, Array]]:
        best = jnp.argmax(scores)
        live = scores[best] > -jnp.inf
        overlap = box_iou(boxes[best][None], boxes)[0]
        scores = jnp.where(overlap > iou_threshold, -jnp.inf, scores).at[best].set(-jnp.inf)
        return scores, (jnp.where(live, best, -1), live)

    _, (indices, mask) = jax.lax.scan(keep_best, scores, length=max_boxes)
    return Selection(indices, mask)


def _align(x: Array, box: Array, *, sizes: tuple[int, int], scale: float, samples: int, aligned: bool) -> Array:
    """Resample one box of one image: ``[OH, OW, C]``."""
    weights = []
    for axis, size in enumerate(sizes):
        low, high = scale * box[1 - axis] - 0.5 * aligned, scale * box[3 - axis] - 0.5 * aligned
        length = high - low if aligned else jnp.maximum(high - low, 1)
        points = low + (jnp.arange(size * samples) + 0.5) * length / (size * samples)
        table = _interpolation(points, x.shape[axis])  # [size samples, H or W]
        weights.append(table.reshape(size, samples, -1).mean(axis=1))
    return jnp.einsum("ih,jw,hwc->ijc", *weights, x)


def _interpolation(points: Array, length: int) -> Array:
    """Return the weights ``[P, length]`` of pixels at ``0 .. length - 1`` in the values at points between them."""
    inside = (points >= -1) & (points <= length)
    places = jnp.clip(points, 0, length - 1)
    weights = jnp.maximum(1 - jnp.abs(places[:, None] - jnp.arange(length, dtype=points.dtype)[None]), 0)
    return jnp.where(inside[:, None], weights, 0)


def _check_boxes(name: str, boxes: ArrayLike) -> Array:
    boxes = widen_floating(boxes)
    if boxes.ndim < 2 or boxes.shape[-1] != 4:
        raise ValueError(f"expected {name} [..., N, 4], each box [x1, y1, x2, y2], got {boxes.shape}")
    return boxes
