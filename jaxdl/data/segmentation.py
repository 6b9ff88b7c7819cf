"""Weights of pixels for segmentation, and augmentation of images with a label for every pixel."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike
from scipy import ndimage

from jaxdl.checks import check_in_range
from jaxdl.typing import Array, Batch, Key


def border_weights(instances: ArrayLike, *, w0: float = 10.0, sigma: float = 5.0, balance: bool = True) -> np.ndarray:
    """Compute weights that make a network learn the gaps between touching objects (Ronneberger et al., 2015, eq. 2)::

        w(x) = w_c(x) + w0 exp(-(d_1(x) + d_2(x))^2 / (2 sigma^2))

    ``d_1`` and ``d_2`` are the distances of a background pixel to the nearest and the second nearest object; objects
    themselves, and images of fewer than two, have ``w_c`` alone.

    Args:
        instances: the number of each pixel's object, 0 for the background, ``[H, W]``.
        w0: largest additional weight.
        sigma: width of the gaps, in pixels.
        balance: give objects and background the same total ``w_c``, of mean 1; False for ``w_c = 1``.

    Returns:
        ``[H, W]``, float32.

    Raises:
        ValueError: the mask has another rank, or a number is out of its range.
        TypeError: the mask does not hold integers.

    >>> print(border_weights(np.array([[1, 0, 2]]), sigma=1.0, balance=False).round(2))
    [[1.   2.35 1.  ]]
    """
    instances = _checked_instances(instances)
    check_in_range("w0", w0)
    check_in_range("sigma", sigma, includes_low=False)
    background = instances == 0
    weights = np.ones(instances.shape)
    share = background.mean() if instances.size else 0.0
    if balance and 0 < share < 1:
        weights = np.where(background, 0.5 / share, 0.5 / (1 - share))
    nearest = np.full((2, *instances.shape), np.inf)
    for number in np.unique(instances[~background]):
        distance = np.asarray(ndimage.distance_transform_edt(instances != number))
        nearest = np.sort(np.concatenate([nearest, distance[None]]), axis=0)[:2]
    gaps = w0 * np.exp(-(nearest.sum(axis=0) ** 2) / (2 * sigma**2))
    return (weights + np.where(background, gaps, 0)).astype(np.float32)


def separate_touching(instances: ArrayLike) -> np.ndarray:
    """Give the pixels of an object that touch another object to the background.

    The objects that remain are the connected parts of the mask, as U-Net's separation of touching cells requires
    (Ronneberger et al., 2015); `border_weights` of the result are large in the gaps.

    Args:
        instances: the number of each pixel's object, 0 for the background, ``[H, W]``.

    Returns:
        ``[H, W]``, of the same type: 0 where one of the eight neighbours belongs to another object.

    Raises:
        ValueError: the mask has another rank, or negative numbers.
        TypeError: the mask does not hold integers.

    >>> separate_touching(np.array([[1, 1, 2, 2, 0, 3]]))
    array([[1, 0, 0, 2, 0, 3]])
    """
    instances = _checked_instances(instances)
    if (instances < 0).any():
        raise ValueError(f"expected numbers >= 0, got {instances.min()}; 0 is the background")
    background = instances == 0
    numbers = instances.astype(np.int64)
    largest = ndimage.maximum_filter(numbers, 3, mode="nearest")
    above = numbers.max(initial=0) + 1
    smallest = ndimage.minimum_filter(np.where(background, above, numbers), 3, mode="nearest")
    return np.where((largest == numbers) & (smallest == numbers), instances, 0).astype(instances.dtype)


def augment_pixels(*functions: Callable[[Key, Array], Array], num_classes: int) -> Callable[[Key, Batch], Batch]:
    """Make ``augment(key, batch)``, which transforms ``"image"``, ``"label"`` and ``"mask"`` of a batch alike.

    A label is the class with the largest share of the resampled labels, and the mask is resampled itself: what lies
    beyond the edges of an image in ``mode="constant"`` has the weight 0.

    Args:
        functions: geometric transformations ``f(key, images) -> images``, applied in order: ``shift``, ``flip``,
            ``rotate``, ``scale`` and ``elastic`` of `jaxdl.data.augmentation`.
        num_classes: of the labels.

    Returns:
        A function of batches with images ``[B, H, W, C]``, labels ``[B, H, W]`` and possibly a mask, ``[B]`` or
        ``[B, H, W]``; its result always has one, ``[B, H, W]``.

    >>> from functools import partial
    >>> from jaxdl.data import augmentation
    >>> augment = augment_pixels(partial(augmentation.shift, down=0, right=(1, 1)), num_classes=2)
    >>> batch = augment(jax.random.key(0), {"image": jnp.ones((1, 1, 3, 1)), "label": jnp.array([[[1, 0, 1]]])})
    >>> batch["label"].tolist(), batch["mask"].tolist()
    ([[[0, 1, 0]]], [[[0.0, 1.0, 1.0]]])
    """

    def augment(key: Key, batch: Batch) -> Batch:
        image, label = jnp.asarray(batch["image"]), jnp.asarray(batch["label"])
        mask = jnp.asarray(batch.get("mask", jnp.ones(1)))
        mask = jnp.broadcast_to(mask.reshape(*mask.shape, *(1,) * (3 - mask.ndim)), label.shape)
        known = jax.nn.one_hot(label, num_classes) * (mask != 0)[..., None]
        stacked = jnp.concatenate([image, known.astype(image.dtype), mask[..., None].astype(image.dtype)], axis=-1)
        for function, subkey in zip(functions, jax.random.split(key, max(1, len(functions))), strict=False):
            stacked = function(subkey, stacked)
        image, known, mask = jnp.split(stacked, [image.shape[-1], stacked.shape[-1] - 1], axis=-1)
        # A label that counts and is no class stays none, so that the loss refuses it.
        is_none = (jnp.max(known, axis=-1) == 0) & (mask[..., 0] > 0)
        found = jnp.where(is_none, -1, jnp.argmax(known, axis=-1)).astype(label.dtype)
        return {**batch, "image": image, "label": found, "mask": mask[..., 0]}

    return augment


def _checked_instances(instances: ArrayLike) -> np.ndarray:
    instances = np.asarray(instances)
    if instances.ndim != 2:
        raise ValueError(f"expected a mask of instances [H, W], got {instances.shape}; give one image at a time")
    if not (np.issubdtype(instances.dtype, np.integer) or instances.dtype == bool):
        raise TypeError(f"expected integers, got {instances.dtype}; cast with instances.astype(int)")
    return instances
