"""Segmentation of cell nuclei: patches for training, whole images, objects."""

from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
from scipy import ndimage

from experiments.harness.errors import preparing
from jaxdl import tasks
from jaxdl.data.segmentation import border_weights, separate_touching
from jaxdl.data.sources import cells
from jaxdl.models import UNet
from jaxdl.typing import PyTree

Example = dict[str, np.ndarray]
"""``{"image": [H, W, 1], "instances": [H, W]}``."""


class Images(NamedTuple):
    """Images for training, and others for the test."""

    train: list[Example]
    test: list[Example]


def read_images(seed: int, data_dir: Path | None, count: int, size: int) -> Images:
    """Read the images in a folder or a wheel, of which the last quarter is for the test, or draw ``count``.

    The test has the right quarter of a single image.
    """
    if data_dir is None:
        drawn = cells.draw_nuclei(seed, count, size=size, nuclei=size * size // 400)
        found = [{name: array[i] for name, array in drawn.items()} for i in range(count)]
    else:
        with preparing():
            found = cells.read_nuclei(data_dir)
    if len(found) > 1:
        tested = max(1, len(found) // 4)
        return Images(found[:-tested], found[-tested:])
    border = 3 * found[0]["instances"].shape[1] // 4
    parts = (slice(None, border), slice(border, None))
    return Images(*([{name: array[:, part] for name, array in found[0].items()}] for part in parts))


def cut_patches(
    examples: list[Example], count: int, size: int, seed: int, *, w0: float = 0.0, sigma: float = 3.0
) -> dict[str, np.ndarray]:
    """Cut random patches of images that are continued by mirroring, with labels 0 and 1, and weights of the pixels.

    The labels of pixels where nuclei touch are 0.

    Returns:
        ``{"image": [N, size, size, 1], "label": [N, size, size], "mask": [N, size, size]}``.
    """
    random = np.random.default_rng(seed)
    around = size // 2
    padded = []
    for example in examples:
        instances = separate_touching(example["instances"])
        weights = border_weights(instances, w0=w0, sigma=sigma, balance=False)
        arrays = {"image": example["image"], "label": (instances > 0).astype(np.int32), "mask": weights}
        sides = [(around, around)] * 2
        padded.append({name: np.pad(x, sides + [(0, 0)] * (x.ndim - 2), "symmetric") for name, x in arrays.items()})
    patches = []
    for _ in range(count):
        arrays = padded[random.integers(len(padded))]
        height, width = arrays["label"].shape
        top, left = random.integers(height - size + 1), random.integers(width - size + 1)
        patches.append({name: x[top : top + size, left : left + size] for name, x in arrays.items()})
    return {name: np.stack([patch[name] for patch in patches]) for name in patches[0]}


class Predictor:
    """The probability of a nucleus at every pixel of images of any size, by tiles."""

    def __init__(self, model: UNet, variables: PyTree, tile: int):
        self.variables, self.margin, self.tile = variables, model.margin, tile
        self.apply = jax.jit(lambda x: jax.nn.softmax(model.apply(variables, x))[..., 1:])

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """Map ``[H, W, 1]`` to ``[H, W]``."""
        return tasks.predict_tiles(self.apply, image, self.tile, self.margin)[..., 0]


def separate(mask: np.ndarray) -> np.ndarray:
    """Number the connected parts of a mask of at least 10 pixels, ``[H, W]``.

    >>> separate(np.repeat([[1, 1, 0, 1]], 5, axis=0)).max()
    1
    """
    parts = np.asarray(ndimage.label(mask)[0])
    small = np.flatnonzero(np.bincount(parts.ravel()) < 10)
    parts[np.isin(parts, small)] = 0
    return np.unique(parts, return_inverse=True)[1].reshape(parts.shape)


def object_f1(predicted: np.ndarray, instances: np.ndarray) -> float:
    """Return ``2 TP / (2 TP + FP + FN)`` of objects; a pair that overlaps by more than half of its union is right.

    >>> object_f1(np.array([[1, 1, 0, 2]]), np.array([[7, 7, 0, 0]]))
    0.6666666666666666
    """
    found, true = (np.unique(numbers, return_inverse=True) for numbers in (predicted, instances))
    both = np.zeros((len(found[0]), len(true[0])))
    np.add.at(both, (found[1].ravel(), true[1].ravel()), 1)
    union = both.sum(axis=1, keepdims=True) + both.sum(axis=0, keepdims=True) - both
    objects = np.ix_(found[0] != 0, true[0] != 0)
    matches = int((both[objects] > 0.5 * union[objects]).sum())
    total = sum(objects[axis].size for axis in (0, 1))
    return 2 * matches / total if total else 1.0


def overlay(image: np.ndarray, instances: np.ndarray) -> np.ndarray:
    """Draw the borders of instances ``[H, W]`` in red on an image ``[H, W, 1]``; return ``[H, W, 3]`` in [0, 1]."""
    inner = ndimage.minimum_filter(instances, 3) == ndimage.maximum_filter(instances, 3)
    shown = np.repeat(np.clip(image, 0, 1), 3, axis=-1)
    shown[~inner & (instances > 0)] = (1.0, 0.2, 0.1)
    return shown
