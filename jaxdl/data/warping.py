"""Resampling of images at real coordinates, by bilinear interpolation."""

from itertools import product

import einops
import jax
import jax.numpy as jnp

from jaxdl.checks import check_one_of
from jaxdl.typing import Array

MODES = ("constant", "edge", "reflect", "wrap")
"""Padding modes, named as in `numpy.pad`: how an image continues beyond its edges."""


def affine(images: Array, matrices: Array, *, mode: str = "constant", fill: float = 0.0) -> Array:
    """Sample each image at ``A (p - c) + c`` for every pixel ``p = (row, column)``, with ``c`` the image's centre.

    Args:
        images: ``[B, H, W, C]``.
        matrices: ``A``, ``[B, 2, 2]``, from coordinates of the result to coordinates of the image.
        mode: padding mode, one of ``MODES``.
        fill: value beyond the edges for "constant".

    Raises:
        ValueError: the shapes do not fit each other, or the mode is unknown.
        TypeError: the images are not floating-point numbers.
    """
    batch = check_images(images)
    if matrices.shape != (batch, 2, 2):
        raise ValueError(f"expected matrices [{batch}, 2, 2], got shape {matrices.shape}")
    centre = jnp.array([(images.shape[1] - 1) / 2, (images.shape[2] - 1) / 2])[None, None]
    offsets = pixel_grid(images) - centre
    coordinates = jnp.einsum("bij,hwj->bhwi", matrices, offsets, precision="highest") + centre[None]
    return warp(images, coordinates, mode=mode, fill=fill)


def warp(images: Array, coordinates: Array, *, mode: str = "constant", fill: float = 0.0) -> Array:
    """Sample each image at real coordinates by bilinear interpolation.

    ``y[b, i, j] = sum_(r, c) images[b, r, c] max(0, 1 - |row - r|) max(0, 1 - |column - c|)`` with
    ``(row, column) = coordinates[b, i, j]``. ``mode`` defines the pixels beyond the edges.

    Args:
        images: ``[B, H, W, C]``.
        coordinates: ``[B, H', W', 2]``, rows and columns in pixels from the centre of the first one.
        mode: padding mode, one of ``MODES``.
        fill: value beyond the edges for "constant".

    Returns:
        ``[B, H', W', C]`` in the dtype of the images.

    Raises:
        ValueError: the shapes do not fit each other, or the mode is unknown.
        TypeError: the images are not floating-point numbers.

    >>> image = jnp.array([[0.0, 1.0], [2.0, 3.0]])[None, :, :, None]
    >>> warp(image, jnp.full((1, 1, 1, 2), 0.5)).tolist()
    [[[[1.5]]]]
    """
    check_images(images)
    check_one_of("mode", mode, MODES)
    batch, height, width, _ = images.shape
    if coordinates.ndim != 4 or coordinates.shape[0] != batch or coordinates.shape[-1] != 2:
        raise ValueError(f"expected coordinates [{batch}, H, W, 2], got shape {coordinates.shape}")
    pixels = einops.rearrange(images, "b h w c -> b (h w) c")
    first = jnp.floor(coordinates)
    fraction = (coordinates - first)[..., None]
    first = first.astype(jnp.int32)
    total = jnp.zeros((), jnp.promote_types(images.dtype, jnp.float32))
    for down, right in product((0, 1), repeat=2):
        row, row_inside = _index(first[..., 0] + down, height, mode)
        column, column_inside = _index(first[..., 1] + right, width, mode)
        weight = (fraction if down else 1 - fraction)[..., 0, :] * (fraction if right else 1 - fraction)[..., 1, :]
        value = jax.vmap(lambda image, index: image[index])(pixels, row * width + column)
        value = jnp.where((row_inside & column_inside)[..., None], value, jnp.asarray(fill, value.dtype))
        total = total + weight * value
    return total.astype(images.dtype)


def _index(index: Array, size: int, mode: str) -> tuple[Array, Array]:
    """Map an index that may lie beyond the edge to a pixel, and return whether to use it instead of ``fill``."""
    inside = (index >= 0) & (index < size)
    if mode == "wrap":
        return index % size, jnp.ones_like(inside)
    if mode == "reflect":
        folded = index % max(1, 2 * (size - 1))
        return jnp.minimum(folded, 2 * (size - 1) - folded), jnp.ones_like(inside)
    return jnp.clip(index, 0, size - 1), inside if mode == "constant" else jnp.ones_like(inside)


def pixel_grid(images: Array) -> Array:
    """Return the coordinates of the pixels of images ``[B, H, W, C]``: ``[H, W, 2]``."""
    rows, columns = jnp.meshgrid(jnp.arange(images.shape[1]), jnp.arange(images.shape[2]), indexing="ij")
    return jnp.stack([rows, columns], -1).astype(float)


def check_images(images: Array) -> int:
    """Check that these are float images ``[B, H, W, C]``; return ``B``.

    Raises:
        ValueError: the array has another rank.
        TypeError: the elements are not floating-point numbers.
    """
    if images.ndim != 4:
        raise ValueError(f"expected images [B, H, W, C], got shape {images.shape}")
    if not jnp.issubdtype(images.dtype, jnp.floating):
        raise TypeError(f"expected float images, got {images.dtype}; divide by 255 first")
    return images.shape[0]
