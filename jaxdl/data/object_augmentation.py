"""Random transformations of pictures together with the boxes and masks of their objects.

Each is a pure function ``f(key, batch, ...)`` of batches as `jaxdl.data.pad_pictures` makes them: ``image`` ``[B, H, W,
C]``, ``boxes`` ``[B, N, 4]``, ``box_mask`` ``[B, N]``, and where there are some ``masks`` ``[B, N, H, W]`` and ``size``
``[B, 2]``. It keeps all other arrays, compiles under ``jax.jit``, and is the ``augment`` of a task. Of an object that
leaves the picture the box is clipped; one of which less than a share of its area remains is masked.
"""

from collections.abc import Mapping

import einops
import jax
import jax.numpy as jnp

from jaxdl.checks import check_in_range, check_positive_integer
from jaxdl.data.augmentation import Range, sample_uniform
from jaxdl.data.warping import affine, check_images
from jaxdl.typing import Array, ArrayLike, Batch, Key

LEAST_VISIBLE = 0.25


def flip_objects(key: Key, batch: Batch, probability: ArrayLike = 0.5) -> dict[str, Array]:
    """Flip each picture left to right with some probability, within its ``size``.

    >>> batch = {"image": jnp.ones((1, 2, 4, 1)), "boxes": jnp.array([[[0.0, 0, 1, 2]]]), "box_mask": jnp.ones((1, 1))}
    >>> flip_objects(jax.random.key(0), batch, 1.0)["boxes"].tolist()
    [[[3.0, 0.0, 4.0, 2.0]]]
    """
    check_in_range("probability", probability, 0.0, 1.0)
    image, boxes = jnp.asarray(batch["image"]), jnp.asarray(batch["boxes"])
    count, width = check_images(image), image.shape[2]
    chosen = jax.random.bernoulli(key, probability, (count,))
    widths = _sizes(batch)[:, 1]
    columns = jnp.arange(width)[None]
    source = jnp.where(chosen[:, None] & (columns < widths[:, None]), widths[:, None] - 1 - columns, columns)
    edges = widths[:, None].astype(boxes.dtype)
    flipped = jnp.stack([edges - boxes[..., 2], boxes[..., 1], edges - boxes[..., 0], boxes[..., 3]], axis=-1)
    result = {
        **batch,
        "image": jnp.take_along_axis(image, source[:, None, :, None], axis=2),
        "boxes": jnp.where(chosen[:, None, None], flipped, boxes),
    }
    if "masks" in batch:
        result["masks"] = jnp.take_along_axis(jnp.asarray(batch["masks"]), source[:, None, None, :], axis=3)
    return result


def crop_objects(
    key: Key, batch: Batch, height: int, width: int, *, least_visible: float = LEAST_VISIBLE
) -> dict[str, Array]:
    """Crop ``height x width`` pixels at a random position of each picture.

    A picture of which the ``size`` is smaller than the crop keeps its padding.

    Raises:
        ValueError: the batch is smaller than the crop.
    """
    image = jnp.asarray(batch["image"])
    count = check_images(image)
    for name, value in (("height", height), ("width", width)):
        check_positive_integer(name, value)
    if height > image.shape[1] or width > image.shape[2]:
        raise ValueError(f"expected a crop within {image.shape[1]} x {image.shape[2]} pixels, got {height} x {width}")
    sizes, extent = _sizes(batch), jnp.array([height, width])
    free = jnp.maximum(sizes - extent[None], 0)
    corner = jnp.floor(jax.random.uniform(key, (count, 2)) * (free + 1)).astype(jnp.int32)

    def cut(array: Array, corner: Array, first: int) -> Array:
        """Cut rows and columns, which are the dimensions ``first`` and ``first + 1``."""
        rows = jax.lax.dynamic_slice_in_dim(array, corner[0], height, first)
        return jax.lax.dynamic_slice_in_dim(rows, corner[1], width, first + 1)

    result = {**batch, "image": jax.vmap(lambda x, c: cut(x, c, 0))(image, corner)}
    if "masks" in batch:
        result["masks"] = jax.vmap(lambda x, c: cut(x, c, 1))(jnp.asarray(batch["masks"]), corner)
    boxes = jnp.asarray(batch["boxes"])
    moved = boxes - jnp.tile(corner[:, ::-1], 2)[:, None].astype(boxes.dtype)
    new_sizes = jnp.minimum(sizes - corner, extent[None])
    if "size" in batch:
        result["size"] = new_sizes
    return result | _clip(batch, moved, new_sizes, least_visible)


def scale_objects(
    key: Key, batch: Batch, factor: Range = (0.8, 1.25), *, fill: float = 0.0, least_visible: float = LEAST_VISIBLE
) -> dict[str, Array]:
    """Scale each picture about its centre without changing its shape; a factor above 1 magnifies.

    Raises:
        ValueError: the factor is no pair of positive numbers.
    """
    if not isinstance(factor, tuple | list):
        raise ValueError(f"expected factor to be a pair (low, high) of positive numbers, got {factor!r}")
    check_in_range("factor[0]", factor[0], includes_low=False)
    inverse = 1 / sample_uniform(key, len(batch["image"]), "factor", factor)
    matrices = inverse[:, None, None] * jnp.eye(2)[None]
    return affine_objects(batch, matrices, fill=fill, least_visible=least_visible)


def affine_objects(
    batch: Batch, matrices: ArrayLike, *, fill: float = 0.0, least_visible: float = LEAST_VISIBLE
) -> dict[str, Array]:
    """Sample each picture at ``A (p - c) + c`` for every pixel ``p = (row, column)``, with ``c`` the centre.

    Masks are interpolated and cut at one half. A box becomes the smallest one around its four transformed corners,
    which is larger than the object where the picture is rotated.

    Args:
        batch: see above.
        matrices: ``A``, ``[B, 2, 2]``, from coordinates of the result to coordinates of the picture, invertible.
        fill: value beyond the edges.
        least_visible: share of the area of an object that has to remain.

    Raises:
        ValueError: shapes do not match.
    """
    image, boxes = jnp.asarray(batch["image"]), jnp.asarray(batch["boxes"])
    matrices = jnp.asarray(matrices, image.dtype)
    result = {**batch, "image": affine(image, matrices, fill=fill)}
    if "masks" in batch:
        masks = jnp.asarray(batch["masks"])
        moved = affine(einops.rearrange(masks, "b n h w -> b h w n").astype(image.dtype), matrices)
        result["masks"] = (einops.rearrange(moved, "b h w n -> b n h w") >= 0.5).astype(masks.dtype)
    height, width = image.shape[1:3]
    centre = jnp.array([width / 2, height / 2], boxes.dtype)[None, None, None]
    corners = jnp.stack([boxes[..., [0, 1]], boxes[..., [2, 1]], boxes[..., [0, 3]], boxes[..., [2, 3]]], axis=-2)
    forward = jnp.linalg.inv(matrices)[:, ::-1, ::-1].astype(boxes.dtype)  # of (x, y), from the picture to the result
    corners = jnp.einsum("bij,bncj->bnci", forward, corners - centre, precision="highest") + centre
    hull = jnp.concatenate([corners.min(axis=-2), corners.max(axis=-2)], axis=-1)
    whole = jnp.tile(jnp.array([[height, width]]), (len(image), 1))
    if "size" in batch:
        result["size"] = whole
    return result | _clip(batch, hull, whole, least_visible)


def _sizes(batch: Batch) -> Array:
    """Return height and width of each picture, ``[B, 2]``."""
    image = batch["image"]
    return jnp.asarray(batch.get("size", jnp.tile(jnp.array([image.shape[1:3]]), (len(image), 1))))


def _clip(batch: Mapping[str, ArrayLike], boxes: Array, sizes: Array, least_visible: float) -> dict[str, Array]:
    """Clip boxes to their pictures, and mask those of which too little remains."""
    check_in_range("least_visible", least_visible, 0.0, 1.0)
    limits = jnp.tile(sizes[:, ::-1], 2)[:, None].astype(boxes.dtype)
    clipped = jnp.clip(boxes, 0, limits)
    before, after = (jnp.prod(b[..., 2:] - b[..., :2], axis=-1) for b in (boxes, clipped))
    remains = (after > 0) & (after >= least_visible * before)
    mask = jnp.asarray(batch.get("box_mask", jnp.ones(boxes.shape[:-1], boxes.dtype)))
    return {"boxes": clipped, "box_mask": jnp.where(remains, mask, 0)}
