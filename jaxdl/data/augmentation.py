"""Augmentation: random changes of images that leave their labels true.

Each is a pure function ``f(key, images, ...)`` of float images ``[B, H, W, C]``, drawn anew for every example, the
same for the same key, and at home under ``jax.jit``. `compose` joins some of them to ``augment(key, batch)``. What is
drawn is uniform in a range: a pair ``(low, high)``, or a number ``m`` for ``(-m, m)``; ``(90, 90)`` is always 90. All
that moves pixels samples by `warp`; what lies beyond the edge is by ``mode``, named as in `numpy.pad`: "constant"
(which is ``fill``), "edge", "reflect" or "wrap".
"""

from collections.abc import Callable
from itertools import product

import jax
import jax.numpy as jnp
import numpy as np

from jaxdl.arrays import widen
from jaxdl.typing import Array, ArrayLike, Batch, Key

MODES = ("constant", "edge", "reflect", "wrap")
Range = ArrayLike | tuple[ArrayLike, ArrayLike]


def compose(*functions: Callable[[Key, Array], Array], name: str = "image") -> Callable[[Key, Batch], Batch]:
    """Make ``augment(key, batch)``, which applies the functions in order to ``batch["image"]`` and to nothing else.

    Args:
        functions: each ``f(key, images) -> images``; settings are given with `functools.partial`.
        name: which array of the batch.

    >>> augment = compose(flip, lambda key, images: 2 * images)
    >>> augment(jax.random.key(0), {"image": jnp.ones((1, 1, 1, 1)), "label": [3]})
    {'image': Array([[[[2.]]]], dtype=float32), 'label': [3]}
    """

    def augment(key: Key, batch: Batch) -> Batch:
        images = batch[name]
        for function, own_key in zip(functions, jax.random.split(key, max(1, len(functions))), strict=False):
            images = function(own_key, images)
        return {**batch, name: images}

    return augment


def shift(
    key: Key,
    images: Array,
    down: Range = 2,
    right: Range = 2,
    *,
    whole: bool = True,
    mode: str = "constant",
    fill: float = 0.0,
) -> Array:
    """Move each image by some pixels down and to the right, by whole pixels unless ``whole`` is False.

    ``down=(1, 1), right=0`` draws nothing: each image goes down by one pixel.
    """
    size = _check(images)
    draw = _draw_whole if whole else _draw
    keys = jax.random.split(key)
    moved = jnp.stack([draw(keys[0], size, "down", down), draw(keys[1], size, "right", right)], -1)
    return warp(images, _grid(images)[None] - moved[:, None, None], mode=mode, fill=fill)


def flip(key: Key, images: Array, probability: ArrayLike = 0.5, *, axis: str = "horizontal") -> Array:
    """Mirror each image with some probability: left to right ("horizontal") or top to bottom ("vertical")."""
    size = _check(images)
    if axis not in ("horizontal", "vertical"):
        raise ValueError(f"axis must be 'horizontal' or 'vertical', got {axis!r}")
    if isinstance(probability, int | float) and not 0 <= probability <= 1:
        raise ValueError(f"probability must lie in [0, 1], got {probability}")
    chosen = jax.random.bernoulli(key, probability, (size,))
    mirrored = jnp.flip(images, 2 if axis == "horizontal" else 1)
    return jnp.where(chosen[:, None, None, None], mirrored, images)


def rotate(key: Key, images: Array, degrees: Range = 15, *, mode: str = "constant", fill: float = 0.0) -> Array:
    """Turn each image about its centre, anticlockwise where the angle is positive."""
    angle = jnp.deg2rad(_draw(key, _check(images), "degrees", degrees))
    cosine, sine = jnp.cos(angle), jnp.sin(angle)
    matrices = jnp.stack([jnp.stack([cosine, sine], -1), jnp.stack([-sine, cosine], -1)], -2)
    return affine(images, matrices, mode=mode, fill=fill)


def scale(key: Key, images: Array, factor: Range = (0.9, 1.1), *, mode: str = "constant", fill: float = 0.0) -> Array:
    """Magnify each image about its centre, or make it smaller where the factor is below 1; its frame stays."""
    if not isinstance(factor, tuple):
        raise ValueError(f"factor must be a pair (low, high) of positive numbers, got {factor!r}")
    size = _check(images)
    _positive("factor", factor[0])
    inverse = 1 / _draw(key, size, "factor", factor)
    return affine(images, inverse[:, None, None] * jnp.eye(2)[None], mode=mode, fill=fill)


def crop(
    key: Key, images: Array, height: int, width: int, *, padding: int = 0, mode: str = "constant", fill: float = 0.0
) -> Array:
    """Cut ``[B, height, width, C]`` out of each image at a place drawn at random, after padding all its sides.

    Raises:
        ValueError: the padded image is smaller than what is to be cut out.
    """
    size = _check(images)
    settings = {"constant_values": fill} if _known(mode) == "constant" else {}
    padded = jnp.pad(images, ((0, 0), (padding, padding), (padding, padding), (0, 0)), mode=mode, **settings)
    room = (padded.shape[1] - height, padded.shape[2] - width)
    if min(height, width) < 1 or min(room) < 0:
        raise ValueError(f"cannot cut {height} x {width} pixels out of {padded.shape[1]} x {padded.shape[2]}")
    keys = jax.random.split(key)
    tops, lefts = (jax.random.randint(k, (size,), 0, free + 1) for k, free in zip(keys, room, strict=True))

    def cut(image, top, left):
        return jax.lax.dynamic_slice(image, (top, left, 0), (height, width, image.shape[-1]))

    return jax.vmap(cut)(padded, tops, lefts)


def blur(key: Key, images: Array, sigma: Range = (0.0, 1.0), *, radius: int | None = None, mode: str = "edge") -> Array:
    """Average each pixel with its neighbours by a Gaussian of ``sigma`` pixels.

    Args:
        key: a random key.
        images: ``[B, H, W, C]``.
        sigma: its range, at least 0.
        radius: pixels at which the Gaussian is cut off; by default 4 times the largest sigma.
        mode: what lies beyond the edge.
    """
    size = _check(images)
    largest = sigma[1] if isinstance(sigma, tuple) else sigma
    radius = _radius(largest) if radius is None else radius
    sigmas = jnp.abs(_draw(key, size, "sigma", sigma))
    return _smooth(images, sigmas, radius, mode).astype(images.dtype)


def noise(key: Key, images: Array, standard_deviation: ArrayLike = 0.1) -> Array:
    """Add Gaussian noise to each pixel and channel."""
    _check(images)
    drawn = jax.random.normal(key, images.shape, images.dtype)
    return images + jnp.asarray(standard_deviation, images.dtype) * drawn


def cutout(key: Key, images: Array, size: ArrayLike = 8, *, fill: float = 0.0) -> Array:
    """Cover a square of ``size`` pixels a side, centred on any pixel, so it may reach over the edge.

    Source: DeVries and Taylor, "Improved regularization of convolutional neural networks with cutout", 2017.
    """
    count, (height, width) = _check(images), images.shape[1:3]
    keys = jax.random.split(key)

    def covered(key, length):
        first = jax.random.randint(key, (count, 1), 0, length) - size // 2
        place = jnp.arange(length)[None]
        return (place >= first) & (place < first + size)

    square = covered(keys[0], height)[:, :, None] & covered(keys[1], width)[:, None, :]
    return jnp.where(square[..., None], jnp.asarray(fill, images.dtype), images)


def elastic(
    key: Key,
    images: Array,
    strength: ArrayLike = 34.0,
    sigma: float = 4.0,
    *,
    mode: str = "constant",
    fill: float = 0.0,
) -> Array:
    """Pull each pixel by ``strength`` times a smooth random field: uniform in -1 .. 1, blurred with ``sigma`` pixels.

    The defaults are for digits of 28 x 28 pixels. Source: Simard, Steinkraus and Platt, "Best practices for
    convolutional neural networks applied to visual document analysis", 2003.
    """
    _check(images)
    field = jax.random.uniform(key, (*images.shape[:3], 2), minval=-1.0, maxval=1.0)
    moved = strength * _smooth(field, jnp.array([sigma]), _radius(sigma), "constant")
    return warp(images, _grid(images)[None] + moved, mode=mode, fill=fill)


def affine(images: Array, matrices: Array, *, mode: str = "constant", fill: float = 0.0) -> Array:
    """Sample each image at ``A (p - c) + c`` for every pixel ``p = (row, column)``, with ``c`` the image's centre.

    Args:
        images: ``[B, H, W, C]``.
        matrices: ``A``, ``[B, 2, 2]``, from places in the result to places in the image.
        mode: what lies beyond the edge.
        fill: its value for "constant".
    """
    centre = jnp.array([(images.shape[1] - 1) / 2, (images.shape[2] - 1) / 2])[None, None]
    places = _grid(images) - centre
    coordinates = jnp.einsum("bij,hwj->bhwi", matrices, places, precision="highest") + centre[None]
    return warp(images, coordinates, mode=mode, fill=fill)


def warp(images: Array, coordinates: Array, *, mode: str = "constant", fill: float = 0.0) -> Array:
    """Sample each image at real coordinates, between its pixels by bilinear interpolation.

    ``y[b, i, j] = sum_(r, c) images[b, r, c] max(0, 1 - |row - r|) max(0, 1 - |column - c|)`` with
    ``(row, column) = coordinates[b, i, j]``. Beyond the edge there are pixels too, as ``mode`` says.

    Args:
        images: ``[B, H, W, C]``.
        coordinates: ``[B, H', W', 2]``, rows and columns counted in pixels from the centre of the first one.
        mode: "constant", "edge", "reflect" or "wrap".
        fill: value beyond the edge for "constant".

    Returns:
        ``[B, H', W', C]`` in the dtype of the images.

    Raises:
        ValueError: the shapes do not belong together, or the mode is unknown.

    >>> image = jnp.array([[0.0, 1.0], [2.0, 3.0]])[None, :, :, None]
    >>> warp(image, jnp.full((1, 1, 1, 2), 0.5)).tolist()
    [[[[1.5]]]]
    """
    _check(images)
    _known(mode)
    batch, height, width, channels = images.shape
    if coordinates.ndim != 4 or coordinates.shape[0] != batch or coordinates.shape[-1] != 2:
        raise ValueError(f"images of shape {images.shape} need coordinates [{batch}, H, W, 2]; got {coordinates.shape}")
    pixels = images.reshape(batch, height * width, channels)
    first = jnp.floor(coordinates)
    share = (coordinates - first)[..., None]
    first = first.astype(jnp.int32)
    total = jnp.zeros((), jnp.promote_types(images.dtype, jnp.float32))
    for down, right in product((0, 1), repeat=2):
        row, row_inside = _index(first[..., 0] + down, height, mode)
        column, column_inside = _index(first[..., 1] + right, width, mode)
        weight = (share if down else 1 - share)[..., 0, :] * (share if right else 1 - share)[..., 1, :]
        value = jax.vmap(lambda image, index: image[index])(pixels, row * width + column)
        value = jnp.where((row_inside & column_inside)[..., None], value, jnp.asarray(fill, value.dtype))
        total = total + weight * value
    return total.astype(images.dtype)


def _index(index: Array, size: int, mode: str) -> tuple[Array, Array]:
    """Map the number of a pixel, which may lie beyond the edge, to a pixel, and say whether it counts."""
    inside = (index >= 0) & (index < size)
    if mode == "wrap":
        return index % size, jnp.ones_like(inside)
    if mode == "reflect":
        folded = index % max(1, 2 * (size - 1))
        return jnp.minimum(folded, 2 * (size - 1) - folded), jnp.ones_like(inside)
    return jnp.clip(index, 0, size - 1), inside if mode == "constant" else jnp.ones_like(inside)


def _grid(images: Array) -> Array:
    """Return the coordinates of the pixels, ``[H, W, 2]``."""
    rows, columns = jnp.meshgrid(jnp.arange(images.shape[1]), jnp.arange(images.shape[2]), indexing="ij")
    return jnp.stack([rows, columns], -1).astype(float)


def _smooth(images: Array, sigmas: Array, radius: int, mode: str) -> Array:
    """Blur with one Gaussian an image (or one for all, ``sigmas [1]``), down and then across, in at least float32."""
    x = widen(images)
    weights = jnp.exp(-jnp.square(np.arange(-radius, radius + 1)[None] / jnp.maximum(sigmas, 1e-6)[:, None]) / 2)
    weights = (weights / jnp.sum(weights, axis=1, keepdims=True)).astype(x.dtype)
    for _ in range(2):
        # A product with a matrix: for a wide Gaussian several times as fast as a sum of shifts, and quick to compile.
        batch, length = x.shape[:2]
        read_at = np.pad(np.eye(length), ((radius, radius), (0, 0)), _known(mode)).astype(x.dtype)
        tap = np.arange(length + 2 * radius)[None] - np.arange(length)[:, None]
        inside = (tap >= 0) & (tap <= 2 * radius)
        matrix = jnp.where(inside[None], weights[:, np.clip(tap, 0, 2 * radius)], 0)
        matrix = jnp.matmul(matrix, read_at[None], precision="highest")
        smoothed = jnp.matmul(matrix, x.reshape(batch, length, -1), precision="highest")
        x = smoothed.reshape(x.shape).swapaxes(1, 2)
    return x


def _radius(sigma: ArrayLike) -> int:
    if not isinstance(sigma, int | float) or not sigma >= 0:
        raise ValueError(f"sigma must be a number of at least 0 (or radius must be given), got {sigma!r}")
    return int(4 * sigma + 0.5)


def _limits(name: str, value: Range) -> tuple[ArrayLike, ArrayLike]:
    low, high = value if isinstance(value, tuple) else (-value, value)
    if isinstance(low, int | float) and isinstance(high, int | float) and not low <= high:
        raise ValueError(f"{name} must be a pair (low, high), or a number m >= 0 for (-m, m), got {value!r}")
    return low, high


def _draw(key: Key, count: int, name: str, value: Range) -> Array:
    low, high = _limits(name, value)
    return jax.random.uniform(key, (count,), minval=low, maxval=high)


def _draw_whole(key: Key, count: int, name: str, value: Range) -> Array:
    low, high = (jnp.asarray(limit).astype(jnp.int32) for limit in _limits(name, value))
    return jax.random.randint(key, (count,), low, high + 1).astype(float)


def _check(images: Array) -> int:
    """Raise unless these are float images ``[B, H, W, C]``; return ``B``."""
    if images.ndim != 4:
        raise ValueError(f"expected images [B, H, W, C], got an array of shape {images.shape}")
    if not jnp.issubdtype(images.dtype, jnp.floating):
        raise TypeError(f"expected float images, got {images.dtype}: divide by 255 first")
    return images.shape[0]


def _known(mode: str) -> str:
    if mode not in MODES:
        raise ValueError(f"mode must be one of {', '.join(MODES)}, got {mode!r}")
    return mode


def _positive(name: str, value: ArrayLike) -> None:
    if isinstance(value, int | float) and not value > 0:
        raise ValueError(f"{name} must be positive, got {value!r}")
