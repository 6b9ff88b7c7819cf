"""Data sets of labelled images, and functions that resize and standardize images."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np

from jaxdl.checks import check_one_of, is_integer, shorten
from jaxdl.typing import Array, ArrayLike


@dataclass(frozen=True, eq=False)
class Dataset:
    """Labelled images, split into a training and a test set.

    Attributes:
        name: name of the data set.
        train: ``{"image": float32 [N, H, W, C] in [0, 1], "label": int32 [N]}``.
        test: the same arrays of the test set.
        classes: names of the classes, ``classes[label]``.
        source: origin of the data.
        validation: the same arrays of a validation set beside the test set, None if there is none.
        standardization: mean and deviation of each channel by which the images are standardized, None if they are not.
    """

    name: str
    train: Mapping[str, np.ndarray]
    test: Mapping[str, np.ndarray]
    classes: tuple[str, ...]
    source: str = ""
    validation: Mapping[str, np.ndarray] | None = None
    standardization: tuple[np.ndarray, np.ndarray] | None = None

    def __repr__(self) -> str:
        parts = {"train": self.train, "validation": self.validation, "test": self.test}
        forms = [f"{name}={{{_forms(arrays)}}}" for name, arrays in parts.items() if arrays is not None]
        return f"Dataset({self.name!r}, {', '.join(forms)}, classes={shorten(repr(self.classes))})"


def as_examples(image: np.ndarray, label: np.ndarray) -> dict[str, np.ndarray]:
    """Convert bytes ``[N, H, W, C]`` or ``[N, H, W]`` and integer labels to the arrays of a `Dataset`.

    >>> {name: (array.shape, array.dtype.name) for name, array in as_examples(np.zeros((2, 8, 8)), np.zeros(2)).items()}
    {'image': ((2, 8, 8, 1), 'float32'), 'label': ((2,), 'int32')}
    """
    label = np.asarray(label)
    if label.size and not (label.min() >= -(2**31) and label.max() < 2**31):
        raise ValueError(f"expected labels of 32 bits, got {label.min()} .. {label.max()}")
    image = np.divide(image, 255, dtype=np.float32)
    return {"image": image if image.ndim == 4 else image[..., None], "label": label.astype(np.int32)}


def statistics(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Compute the mean and the standard deviation of each channel, float32 ``[C]``, of images ``[..., C]``.

    Sums are in float64. Compute the statistics from the training images alone.

    Raises:
        ValueError: there are no images.

    >>> mean, std = statistics(np.array([[0.0, 1.0], [2.0, 1.0]]))
    >>> mean.tolist(), std.tolist()
    ([1.0, 1.0], [1.0, 0.0])
    """
    flat = np.asarray(image).reshape(-1, np.shape(image)[-1])
    if flat.size == 0:
        raise ValueError(f"expected at least one image [..., C], got shape {list(np.shape(image))}")
    mean = np.mean(flat, axis=0, dtype=np.float64)
    blocks = (flat[i : i + 65536].astype(np.float64) - mean for i in range(0, len(flat), 65536))
    variance = sum(np.square(block).sum(axis=0) for block in blocks) / len(flat)
    return np.asarray(mean, np.float32), np.asarray(np.sqrt(variance), np.float32)


def standardize(image: Array | np.ndarray, mean: ArrayLike, std: ArrayLike) -> Array | np.ndarray:
    """Compute ``(image - mean) / std`` for each channel of NumPy or JAX arrays ``[..., C]``.

    The arithmetic is in at least float32; the result has the dtype of the images, or float32 where they are integers.

    Raises:
        ValueError: a standard deviation is not positive, as that of a constant channel, or a shape does not fit.

    >>> standardize(np.array([[1.0, 4.0]]), mean=[0.0, 2.0], std=[1.0, 0.5]).tolist()
    [[1.0, 4.0]]
    """
    channels = image.shape[-1]
    mean, std = (np.asarray(each, np.float64) for each in (mean, std))
    for name, each in (("mean", mean), ("std", std)):
        if each.shape not in {(), (1,), (channels,)}:
            raise ValueError(
                f"expected {name} to be a number or one for each of {channels} channels, got shape {list(each.shape)}"
            )
    if not (std > 0).all():
        raise ValueError(f"expected std > 0, got {std.tolist()}")
    ones = (1,) * (image.ndim - 1)
    wide = np.promote_types(image.dtype, np.float32) if _is_floating(image) else np.float32
    mean, std = (np.broadcast_to(each, channels).reshape(*ones, channels).astype(wide) for each in (mean, std))
    return ((image.astype(wide) - mean) / std).astype(image.dtype if _is_floating(image) else wide)


def resize(image: np.ndarray, size: int | tuple[int, int], method: str = "bilinear") -> np.ndarray:
    """Resize images ``[N, H, W, C]`` without changing their dtype; those of integers are rounded.

    Pixel ``i`` of ``n`` has its centre at ``(i + 1/2) / n``. There is no antialiasing, so use it for enlarging.

    Args:
        image: ``[N, H, W, C]``.
        size: height and width, or one number for both.
        method: "bilinear", between the two nearest centres on each axis, or "nearest".

    Raises:
        ValueError: the shape, size or method is invalid.

    >>> resize(np.array([0.0, 1.0]).reshape(1, 1, 2, 1), (1, 4)).ravel().tolist()
    [0.0, 0.25, 0.75, 1.0]
    """
    if image.ndim != 4:
        raise ValueError(f"expected images [N, H, W, C], got shape {list(image.shape)}")
    check_one_of("method", method, ("bilinear", "nearest"))
    exact = method == "nearest" or _is_floating(image)
    resized = image if exact else image.astype(np.float64)
    for axis, length in zip((1, 2), as_size(size), strict=True):
        resized = _resize_axis(resized, axis, length, method)
    return resized if exact else np.rint(resized).astype(image.dtype)


def as_size(size: int | tuple[int, int]) -> tuple[int, int]:
    """Return a size, one number or (height, width), as (height, width)."""
    sizes = (size, size) if is_integer(size) else tuple(size) if isinstance(size, Iterable) else ()
    if len(sizes) != 2 or not all(is_integer(each) and each >= 1 for each in sizes):
        raise ValueError(f"expected a size of at least 1, or (height, width), got {shorten(repr(size))}")
    return sizes[0], sizes[1]


def _forms(arrays: Mapping[str, np.ndarray]) -> str:
    """Describe arrays by dtype and shape."""
    return ", ".join(f"{name}: {np.asarray(x).dtype}{list(np.shape(x))}" for name, x in arrays.items())


def _is_floating(image: Array | np.ndarray) -> bool:
    return jnp.issubdtype(image.dtype, jnp.floating)


def _resize_axis(image: np.ndarray, axis: int, length: int, method: str) -> np.ndarray:
    n = image.shape[axis]
    if n == length:
        return image
    position = (np.arange(length) + 0.5) * (n / length)
    if method == "nearest":
        return image.take(position.astype(int), axis)
    position = np.clip(position - 0.5, 0, n - 1)
    low = position.astype(int)
    high = np.minimum(low + 1, n - 1)
    weight = (position - low).astype(image.dtype).reshape(-1, *[1] * (image.ndim - axis - 1))
    return image.take(low, axis) * (1 - weight) + image.take(high, axis) * weight
