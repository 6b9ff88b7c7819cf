"""Augmentation: random transformations of images that preserve their labels.

Each is a pure function ``f(key, images, ...)`` of float images ``[B, H, W, C]`` with independent parameters for every
example; it can be compiled by ``jax.jit``. `compose` combines several into ``augment(key, batch)``. Parameters are
uniform in a range: a pair ``(low, high)``, or a number ``m`` for ``(-m, m)``; ``(90, 90)`` is always 90. Geometric
transformations sample by `jaxdl.data.warping.warp`. ``mode`` defines the pixels beyond the edges, named as in
`numpy.pad`: "constant" (``fill``), "edge", "reflect" or "wrap".
"""

from collections.abc import Callable
from typing import Any, cast

import einops
import jax
import jax.numpy as jnp
import numpy as np

from jaxdl.arrays import widen
from jaxdl.checks import check_in_range, check_one_of, known_value
from jaxdl.data.warping import MODES, affine, check_images, pixel_grid, warp
from jaxdl.typing import Array, ArrayLike, Batch, Key

Range = ArrayLike | tuple[ArrayLike, ArrayLike]


def compose(*functions: Callable[[Key, Array], Array], name: str = "image") -> Callable[[Key, Batch], Batch]:
    """Make ``augment(key, batch)``, which applies the functions in order to ``batch["image"]``.

    Args:
        functions: functions ``f(key, images) -> images``; set their parameters with `functools.partial`.
        name: name of the images in the batch.

    >>> augment = compose(flip, lambda key, images: 2 * images)
    >>> augment(jax.random.key(0), {"image": jnp.ones((1, 1, 1, 1)), "label": [3]})
    {'image': Array([[[[2.]]]], dtype=float32), 'label': [3]}
    """

    def augment(key: Key, batch: Batch) -> Batch:
        images = batch[name]
        for function, subkey in zip(functions, jax.random.split(key, max(1, len(functions))), strict=False):
            images = function(subkey, images)
        return {**batch, name: images}

    return augment


def shift(
    key: Key,
    images: Array,
    down: Range = 2,
    right: Range = 2,
    *,
    integer: bool = True,
    mode: str = "constant",
    fill: float = 0.0,
) -> Array:
    """Translate each image down and to the right, by an integer number of pixels unless ``integer`` is False.

    ``down=(1, 1), right=0`` is deterministic: each image moves down by one pixel.
    """
    size = check_images(images)
    draw = _sample_integers if integer else sample_uniform
    keys = jax.random.split(key)
    offset = jnp.stack([draw(keys[0], size, "down", down), draw(keys[1], size, "right", right)], -1)
    return warp(images, pixel_grid(images)[None] - offset[:, None, None], mode=mode, fill=fill)


def flip(key: Key, images: Array, probability: ArrayLike = 0.5, *, axis: str = "horizontal") -> Array:
    """Flip each image with some probability, left to right ("horizontal") or top to bottom ("vertical")."""
    size = check_images(images)
    check_one_of("axis", axis, ("horizontal", "vertical"))
    check_in_range("probability", probability, 0.0, 1.0)
    chosen = jax.random.bernoulli(key, probability, (size,))
    flipped = jnp.flip(images, 2 if axis == "horizontal" else 1)
    return jnp.where(chosen[:, None, None, None], flipped, images)


def rotate(key: Key, images: Array, degrees: Range = 15, *, mode: str = "constant", fill: float = 0.0) -> Array:
    """Rotate each image about its centre, counterclockwise for positive angles."""
    angle = jnp.deg2rad(sample_uniform(key, check_images(images), "degrees", degrees))
    cosine, sine = jnp.cos(angle), jnp.sin(angle)
    matrices = jnp.stack([jnp.stack([cosine, sine], -1), jnp.stack([-sine, cosine], -1)], -2)
    return affine(images, matrices, mode=mode, fill=fill)


def scale(key: Key, images: Array, factor: Range = (0.9, 1.1), *, mode: str = "constant", fill: float = 0.0) -> Array:
    """Scale each image about its centre without changing its shape; a factor above 1 magnifies."""
    if not isinstance(factor, tuple | list):
        raise ValueError(f"expected factor to be a pair (low, high) of positive numbers, got {factor!r}")
    size = check_images(images)
    check_in_range("factor[0]", factor[0], includes_low=False)
    inverse = 1 / sample_uniform(key, size, "factor", factor)
    return affine(images, inverse[:, None, None] * jnp.eye(2)[None], mode=mode, fill=fill)


def crop(
    key: Key, images: Array, height: int, width: int, *, padding: int = 0, mode: str = "constant", fill: float = 0.0
) -> Array:
    """Crop ``[B, height, width, C]`` at a random position of each image, after padding all its sides.

    Raises:
        ValueError: the padded image is smaller than the crop.
    """
    size = check_images(images)
    check_one_of("mode", mode, MODES)
    settings = {"constant_values": fill} if mode == "constant" else {}
    padded = jnp.pad(images, ((0, 0), (padding, padding), (padding, padding), (0, 0)), mode=mode, **settings)
    margins = (padded.shape[1] - height, padded.shape[2] - width)
    if min(height, width) < 1 or min(margins) < 0:
        raise ValueError(f"expected a crop within {padded.shape[1]} x {padded.shape[2]} pixels, got {height} x {width}")
    keys = jax.random.split(key)
    tops, lefts = (jax.random.randint(k, (size,), 0, margin + 1) for k, margin in zip(keys, margins, strict=True))

    def crop_one(image: Array, top: Array, left: Array) -> Array:
        return jax.lax.dynamic_slice(image, (top, left, 0), (height, width, image.shape[-1]))

    return jax.vmap(crop_one)(padded, tops, lefts)


def blur(key: Key, images: Array, sigma: Range = (0.0, 1.0), *, radius: int | None = None, mode: str = "edge") -> Array:
    """Convolve each image with a Gaussian.

    Args:
        key: random key.
        images: ``[B, H, W, C]``.
        sigma: range of the standard deviation in pixels, nonnegative.
        radius: radius in pixels at which the Gaussian is truncated; None for 4 times the largest ``sigma``.
        mode: padding mode.
    """
    size = check_images(images)
    largest = sigma[1] if isinstance(sigma, tuple | list) else sigma
    radius = _radius(largest) if radius is None else radius
    sigmas = jnp.abs(sample_uniform(key, size, "sigma", sigma))
    return _smooth(images, sigmas, radius, mode).astype(images.dtype)


def noise(key: Key, images: Array, std: ArrayLike = 0.1) -> Array:
    """Add Gaussian noise of standard deviation ``std`` to each pixel and channel."""
    check_images(images)
    return images + jnp.asarray(std, images.dtype) * jax.random.normal(key, images.shape, images.dtype)


def cutout(key: Key, images: Array, size: ArrayLike = 8, *, fill: float = 0.0) -> Array:
    """Mask a square of ``size`` by ``size`` pixels, centred on a random pixel; it may extend beyond the edges.

    Source: DeVries and Taylor, "Improved regularization of convolutional neural networks with cutout", 2017.
    """
    count, (height, width) = check_images(images), images.shape[1:3]
    keys = jax.random.split(key)

    def masked(key: Key, length: int) -> Array:
        first = jax.random.randint(key, (count, 1), 0, length) - size // 2
        position = jnp.arange(length)[None]
        return (position >= first) & (position < first + size)

    square = masked(keys[0], height)[:, :, None] & masked(keys[1], width)[:, None, :]
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
    """Displace each pixel by ``strength`` times a random field, uniform in [-1, 1) and blurred by ``sigma`` pixels.

    The defaults are for digits of 28 x 28 pixels. Source: Simard, Steinkraus and Platt, "Best practices for
    convolutional neural networks applied to visual document analysis", 2003.
    """
    check_images(images)
    field = jax.random.uniform(key, (*images.shape[:3], 2), minval=-1.0, maxval=1.0)
    offset = strength * _smooth(field, jnp.array([sigma]), _radius(sigma), "constant")
    return warp(images, pixel_grid(images)[None] + offset, mode=mode, fill=fill)


def _smooth(images: Array, sigmas: Array, radius: int, mode: str) -> Array:
    """Blur rows and columns with one Gaussian per image (or one for all, ``sigmas [1]``), in at least float32."""
    check_one_of("mode", mode, MODES)
    x = widen(images)
    weights = jnp.exp(-jnp.square(np.arange(-radius, radius + 1)[None] / jnp.maximum(sigmas, 1e-6)[:, None]) / 2)
    weights = (weights / jnp.sum(weights, axis=1, keepdims=True)).astype(x.dtype)
    for _ in range(2):
        # A matrix product: for a wide Gaussian several times as fast as a sum of shifts, and quick to compile.
        length, width = x.shape[1:3]
        padding = np.pad(np.eye(length), ((radius, radius), (0, 0)), cast(Any, mode)).astype(x.dtype)
        tap = np.arange(length + 2 * radius)[None] - np.arange(length)[:, None]
        inside = (tap >= 0) & (tap <= 2 * radius)
        matrix = jnp.where(inside[None], weights[:, np.clip(tap, 0, 2 * radius)], 0)
        matrix = jnp.matmul(matrix, padding[None], precision="highest")
        smoothed = jnp.matmul(matrix, einops.rearrange(x, "b h w c -> b h (w c)"), precision="highest")
        x = einops.rearrange(smoothed, "b h (w c) -> b w h c", w=width)
    return x


def _radius(sigma: ArrayLike) -> int:
    known = known_value(sigma)
    if known is None or known.ndim or not known >= 0:
        raise ValueError(f"expected sigma to be a number >= 0, got {sigma!r}; give radius for a traced sigma")
    return int(4 * known + 0.5)


def _limits(name: str, value: Range) -> tuple[ArrayLike, ArrayLike]:
    low, high = value if isinstance(value, tuple | list) else (-value, value)
    known_low, known_high = known_value(low), known_value(high)
    if known_low is not None and known_high is not None and not np.all(known_low <= known_high):
        raise ValueError(f"expected {name} to be a pair (low, high), or a number m >= 0 for (-m, m), got {value!r}")
    return low, high


def sample_uniform(key: Key, count: int, name: str, value: Range) -> Array:
    """Draw a parameter for every example, uniform in a range, ``[count]``; ``name`` is that of the parameter in errors.

    Raises:
        ValueError: the range is empty.

    >>> sample_uniform(jax.random.key(0), 2, "degrees", (90, 90)).tolist()
    [90.0, 90.0]
    """
    low, high = _limits(name, value)
    return jax.random.uniform(key, (count,), minval=low, maxval=high)


def _sample_integers(key: Key, count: int, name: str, value: Range) -> Array:
    low, high = (jnp.asarray(limit).astype(jnp.int32) for limit in _limits(name, value))
    return jax.random.randint(key, (count,), low, high + 1).astype(float)
