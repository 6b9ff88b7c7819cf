"""Masks of objects: features of boxes from the levels of a pyramid, masks of their classes, masks in images."""

import itertools
from collections.abc import Sequence

import jax
import jax.numpy as jnp

from jaxdl.arrays import expand_leading, widen_floating
from jaxdl.checks import check_positive_integer
from jaxdl.nn.boxes import box_area, roi_align
from jaxdl.typing import Array, ArrayLike


def pyramid_roi_align(
    levels: Sequence[ArrayLike],
    boxes: ArrayLike,
    output_size: int | Sequence[int],
    strides: Sequence[int],
    *,
    samples: int = 2,
    aligned: bool = True,
) -> Array:
    """Resample the features of each box from the level of a pyramid that suits its size (Lin et al., 2017).

    A box of ``w x h`` pixels has the level of stride ``2^k`` with ``k = floor(4 + log2(sqrt(w h) / 224))``, or the
    nearest that there is: one of 224 x 224 pixels has stride 16. Shapes are fixed: every box is resampled from every
    level, and the one chosen is kept.

    Args:
        levels: feature maps ``[..., H, W, C]``, from the largest to the smallest.
        boxes: ``[..., N, 4]`` in pixels of the image.
        output_size: ``(OH, OW)``, or one number for both.
        strides: pixels of the image per pixel of each level, each twice that of the one before.
        samples: see `roi_align`.
        aligned: see `roi_align`.

    Returns:
        ``[..., N, OH, OW, C]``.

    Raises:
        ValueError: strides and levels differ in number, strides do not double, or as `roi_align`.

    >>> levels = [jnp.full((32, 32, 1), 1.0), jnp.full((16, 16, 1), 2.0)]
    >>> boxes = jnp.array([[0.0, 0.0, 60.0, 60.0], [0.0, 0.0, 240.0, 240.0]])
    >>> pyramid_roi_align(levels, boxes, 1, strides=(8, 16)).ravel().tolist()
    [1.0, 2.0]
    """
    if not len(levels) or len(levels) != len(strides) or any(2 * s != t for s, t in itertools.pairwise(strides)):
        raise ValueError(f"expected a stride for each of {len(levels)} levels, each twice the last, got {strides}")
    for stride in strides:
        check_positive_integer("strides", stride)
    size = jnp.sqrt(jnp.maximum(box_area(boxes), 0))
    canonical = jnp.log2(jnp.maximum(size, 1e-6) / 224) + 4 + 1e-6  # the rounding of torchvision
    first = int(strides[0]).bit_length() - 1
    chosen = jnp.clip(jnp.floor(canonical).astype(int) - first, 0, len(levels) - 1)
    result = jnp.zeros(())
    for number, (x, stride) in enumerate(zip(levels, strides, strict=True)):
        aligned_boxes = roi_align(x, boxes, output_size, scale=1 / stride, samples=samples, aligned=aligned)
        here = (chosen == number)[..., None, None, None]
        result = jnp.where(here, aligned_boxes, result if number else jnp.zeros((), aligned_boxes.dtype))
    return result


def select_masks(logits: ArrayLike, labels: ArrayLike) -> Array:
    """Return the probabilities of the mask of each object's class, ``[..., N, M, M]``.

    Args:
        logits: a mask for every class, ``[..., N, M, M, K]``.
        labels: classes from 0, ``[..., N]``; negative ones, of no object, give zeros.

    Raises:
        ValueError: shapes do not match.

    >>> select_masks(jnp.array([[[[0.0, 9.0]]], [[[0.0, 9.0]]]]), jnp.array([0, -1])).ravel().tolist()
    [0.5, 0.0]
    """
    logits, labels = widen_floating(logits), jnp.asarray(labels)
    if logits.ndim < 4 or logits.shape[:-3] != labels.shape:
        raise ValueError(f"expected logits [..., N, M, M, K] and labels [..., N], got {logits.shape}, {labels.shape}")
    index = labels[..., None, None, None]
    chosen = jax.nn.sigmoid(jnp.take_along_axis(logits, jnp.maximum(index, 0), axis=-1))
    return jnp.where(index < 0, 0, chosen)[..., 0]


def paste_masks(masks: ArrayLike, boxes: ArrayLike, image_size: Sequence[int]) -> Array:
    """Paste the mask of each box into the image, by bilinear interpolation, as torchvision does.

    The mask is surrounded by a border of zeros, the box enlarged accordingly and rounded to whole pixels, and the
    border pixels of both included. Beyond the box the result is 0.

    Args:
        masks: probabilities, ``[..., N, M, M]``.
        boxes: ``[..., N, 4]`` in pixels.
        image_size: height and width of the image.

    Returns:
        ``[..., N, H, W]``, to be compared with a threshold, usually 0.5.

    Raises:
        ValueError: shapes do not match, or the size is not positive.

    >>> pasted = paste_masks(jnp.ones((1, 2, 2)), jnp.array([[1.0, 0.0, 3.0, 2.0]]), (2, 5))
    >>> (pasted[0] >= 0.5).astype(int).tolist()
    [[0, 0, 1, 0, 0], [0, 1, 1, 1, 0]]
    """
    masks, boxes = widen_floating(masks), widen_floating(boxes)
    for value in image_size:
        check_positive_integer("image_size", value)
    if masks.ndim < 3 or masks.shape[:-2] != boxes.shape[:-1] or masks.shape[-1] != masks.shape[-2]:
        raise ValueError(f"expected masks [..., N, M, M] and boxes [..., N, 4], got {masks.shape} and {boxes.shape}")
    side = masks.shape[-1]
    corners = boxes.reshape(*boxes.shape[:-1], 2, 2)
    centre, half = jnp.mean(corners, axis=-2), (corners[..., 1, :] - corners[..., 0, :]) / 2 * ((side + 2) / side)
    low, high = jnp.trunc(centre - half), jnp.trunc(centre + half)
    tables = []
    for axis, length in ((1, image_size[0]), (0, image_size[1])):
        size = jnp.maximum(high[..., axis] - low[..., axis] + 1, 1)[..., None]
        pixels = expand_leading(jnp.arange(length, dtype=boxes.dtype), boxes.ndim)
        offset = pixels - low[..., axis, None]  # [..., N, length]
        source = jnp.clip((offset + 0.5) * (side + 2) / size - 0.5, 0, side + 1)
        columns = expand_leading(jnp.arange(1, side + 1, dtype=boxes.dtype), boxes.ndim + 1)
        weights = jnp.maximum(1 - jnp.abs(source[..., None] - columns), 0)
        tables.append(jnp.where(((offset >= 0) & (offset < size))[..., None], weights, 0))
    return jnp.einsum("...hi,...wj,...ij->...hw", *tables, masks, precision=jax.lax.Precision.HIGHEST)
