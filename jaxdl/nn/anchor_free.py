"""Boxes as distances from the points of a feature pyramid, without anchors (FCOS; Tian et al., 2019).

Glossary of the dimensions:

    ...  leading dimensions, for example images
    P    points of all levels of the pyramid
    N    boxes of the objects of an image

At a point ``(x, y)`` of a level with stride ``s``, a box is the distances to its left, upper, right and lower edges in
strides, ``l = (x - x1) / s``, ``t = (y - y1) / s``, ``r = (x2 - x) / s`` and ``b = (y2 - y) / s``.
"""

import math
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxdl.arrays import square_root, widen_floating
from jaxdl.checks import check_in_range, check_positive_integer
from jaxdl.typing import Array, ArrayLike

STRIDES = (8, 16, 32, 64, 128)
"""Pixels of the image per pixel of each level of the pyramid."""


class Points(NamedTuple):
    """The points of a feature pyramid, level after level, row by row.

    Attributes:
        centres: ``(x, y)`` in pixels of the image, ``[P, 2]``.
        strides: the unit of distances, ``[P]``.
        limits: the least and the largest of a box's four distances, in pixels, for which the level is responsible,
            ``[P, 2]``.
    """

    centres: np.ndarray
    strides: np.ndarray
    limits: np.ndarray


def level_sizes(image_size: Sequence[int], strides: Sequence[int] = STRIDES) -> list[tuple[int, int]]:
    """Return height and width of each level of the pyramid of an image, ``ceil(H / s)`` and ``ceil(W / s)``.

    >>> level_sizes((96, 64), (8, 16, 128))
    [(12, 8), (6, 4), (1, 1)]
    """
    height, width = image_size
    return [(math.ceil(height / stride), math.ceil(width / stride)) for stride in strides]


def feature_points(image_size: Sequence[int], strides: Sequence[int] = STRIDES) -> Points:
    """Place the points of the levels of an image's pyramid, as torchvision does.

    Column ``j`` of a level with ``W_l`` columns has ``x = j floor(W / W_l)``, without half a stride, and the same for
    rows. A level of stride ``s`` is responsible for boxes with a largest distance from ``4 s`` to ``8 s``, the first
    for all smaller and the last for all larger ones.

    Args:
        image_size: height and width of the batch of images, padding included.
        strides: of the levels, increasing.

    Raises:
        ValueError: a size or a stride is not positive.

    >>> feature_points((16, 16), (8, 16)).centres.tolist()
    [[0.0, 0.0], [8.0, 0.0], [0.0, 8.0], [8.0, 8.0], [0.0, 0.0]]
    """
    for name, values in (("image_size", image_size), ("strides", strides)):
        for value in values:
            check_positive_integer(name, value)
    centres, units, limits = [], [], []
    for level, (stride, (rows, columns)) in enumerate(zip(strides, level_sizes(image_size, strides), strict=True)):
        y, x = np.meshgrid(
            np.arange(rows) * (image_size[0] // rows), np.arange(columns) * (image_size[1] // columns), indexing="ij"
        )
        centres.append(np.stack([x.ravel(), y.ravel()], axis=-1))
        units.append(np.full(rows * columns, stride))
        low, high = 4 * stride if level else 0, 8 * stride if level < len(strides) - 1 else np.inf
        limits.append(np.tile([[low, high]], (rows * columns, 1)))
    return Points(*(np.concatenate(parts).astype(np.float32) for parts in (centres, units, limits)))


def decode_distances(distances: ArrayLike, points: Points) -> Array:
    """Compute the boxes ``[..., P, 4]`` of distances ``[..., P, 4]`` in strides.

    >>> points = feature_points((16, 16), (16,))
    >>> decode_distances(jnp.array([[0.0, 0.5, 1.0, 0.25]]), points).tolist()
    [[0.0, -8.0, 16.0, 4.0]]
    """
    distances = widen_floating(distances)
    lengths = distances * _expand(points.strides[:, None], distances)
    centres = _expand(points.centres, distances)
    return jnp.concatenate([centres - lengths[..., :2], centres + lengths[..., 2:]], axis=-1)


def encode_boxes(boxes: ArrayLike, points: Points) -> Array:
    """Compute the distances ``[..., P, 4]`` in strides from each point to its box: the inverse of `decode_distances`.

    >>> encode_boxes(jnp.array([[0.0, -8.0, 16.0, 4.0]]), feature_points((16, 16), (16,))).tolist()
    [[0.0, 0.5, 1.0, 0.25]]
    """
    boxes = widen_floating(boxes)
    centres = _expand(points.centres, boxes)
    lengths = jnp.concatenate([centres - boxes[..., :2], boxes[..., 2:] - centres], axis=-1)
    return lengths / _expand(points.strides[:, None], boxes)


def centerness_targets(distances: ArrayLike) -> Array:
    """Compute ``sqrt(min(l, r) / max(l, r) * min(t, b) / max(t, b))``, 1 at the centre of a box and 0 at its edges.

    Args:
        distances: ``[..., 4]``; at a point outside of the box the result is 0.

    >>> centerness_targets(jnp.array([[1.0, 2.0, 4.0, 2.0], [-1.0, 1.0, 1.0, 1.0]])).tolist()
    [0.5, 0.0]
    """
    distances = jnp.maximum(widen_floating(distances), 0)
    pairs = distances[..., :2], distances[..., 2:]
    longer = jnp.maximum(*pairs)
    return square_root(jnp.prod(jnp.minimum(*pairs) / jnp.where(longer == 0, 1, longer), axis=-1))


def assign_boxes(boxes: ArrayLike, points: Points, *, mask: ArrayLike | None = None, radius: float = 1.5) -> Array:
    """Assign to each point the box that it has to predict.

    A box is a candidate of a point inside of it that is less than ``radius`` strides from its centre on both axes, and
    whose level is responsible for the largest of the four distances; of several candidates the box with the smallest
    area is taken, the first of equal ones.

    Args:
        boxes: ``[..., N, 4]``.
        points: ``P`` points.
        mask: 0 for padding among the boxes, ``[..., N]``; its coordinates may be anything.
        radius: of the centre, in strides.

    Returns:
        Indices of the boxes, -1 for the background, ``[..., P]``.

    Raises:
        ValueError: shapes do not match, or the radius is not positive.

    >>> points = feature_points((16, 16), (8, 16))
    >>> assign_boxes(jnp.array([[0.0, 0.0, 20.0, 20.0], [4.0, 4.0, 12.0, 12.0]]), points).tolist()
    [-1, -1, -1, 1, -1]
    """
    boxes = widen_floating(boxes)
    check_in_range("radius", radius, includes_low=False)
    mask = jnp.ones(boxes.shape[:-1], bool) if mask is None else jnp.asarray(mask) != 0
    if boxes.ndim < 2 or boxes.shape[-1] != 4 or mask.shape != boxes.shape[:-1]:
        raise ValueError(f"expected boxes [..., N, 4] and a mask [..., N], got {boxes.shape} and {mask.shape}")
    if not boxes.shape[-2]:
        return jnp.full((*boxes.shape[:-2], len(points.strides)), -1)
    assign = partial(_assign, points=points, radius=radius)
    for _ in boxes.shape[:-2]:
        assign = jax.vmap(assign)
    return assign(boxes, mask)


def _assign(boxes: Array, mask: Array, *, points: Points, radius: float) -> Array:
    """Run `assign_boxes` on one image."""
    centres, strides = jnp.asarray(points.centres)[:, None], jnp.asarray(points.strides)[:, None]
    limits = jnp.asarray(points.limits)
    low, high = boxes[None, :, :2], boxes[None, :, 2:]
    off_centre = jnp.max(jnp.abs(centres - (low + high) / 2), axis=-1)  # [P, N]
    distances = jnp.concatenate([centres - low, high - centres], axis=-1)  # [P, N, 4]
    longest = jnp.max(distances, axis=-1)
    candidate = (off_centre < radius * strides) & (jnp.min(distances, axis=-1) > 0)
    candidate &= (longest > limits[:, :1]) & (longest < limits[:, 1:]) & mask[None]
    areas = jnp.where(candidate, jnp.prod(boxes[:, 2:] - boxes[:, :2], axis=-1)[None], jnp.inf)
    return jnp.where(jnp.any(candidate, axis=-1), jnp.argmin(areas, axis=-1), -1)


def _expand(constant: np.ndarray, x: Array) -> Array:
    """Give a constant ``[P, n]`` the dtype of ``x`` and as many leading dimensions."""
    return jnp.asarray(constant, x.dtype).reshape(*(1,) * (x.ndim - 2), *constant.shape)
