"""Pictures of different sizes with objects: boxes, classes and masks, alone and in batches.

Glossary of the dimensions:

    B      pictures
    N      objects of a picture
    H W C  height, width and channels

A box is ``[x1, y1, x2, y2]`` in pixels; pixel ``(i, j)`` covers ``[j, j + 1] x [i, i + 1]``.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from jaxdl.checks import check_positive_integer
from jaxdl.data.sources.folder import read_image

Example = dict[str, np.ndarray]


@dataclass(frozen=True, eq=False)
class Picture:
    """The description of a picture and its objects, of which image and masks are read when they are needed.

    Attributes:
        path: file of the image.
        size: height and width.
        boxes: ``[N, 4]``, float32.
        label: classes from 0, ``[N]``, int32.
        crowd: True for groups of objects and for objects that are too difficult, which are neither learned nor counted
            as missed, ``[N]``.
        read_masks: returns the masks, Booleans ``[N, H, W]``; None where there are none.
    """

    path: Path
    size: tuple[int, int]
    boxes: np.ndarray
    label: np.ndarray
    crowd: np.ndarray
    read_masks: Callable[[], np.ndarray] | None = None

    def load(self, *, channels: int = 3, masks: bool = False) -> Example:
        """Read ``image`` (float32 in [0, 1]), ``boxes``, ``label``, ``crowd`` and, if wanted, ``masks``.

        Raises:
            ValueError: the image cannot be read or has another size, or there are no masks.
        """
        image = read_image(self.path, channels=channels)
        if image.shape[:2] != self.size:
            raise ValueError(f"{self.path}: expected an image of {self.size}, as annotated, got {image.shape[:2]}")
        example = {"image": np.divide(image, 255, dtype=np.float32), "boxes": self.boxes, "label": self.label}
        if masks:
            if self.read_masks is None:
                raise ValueError(f"{self.path}: expected annotations with masks, got none; give masks=False")
            example["masks"] = self.read_masks()
        return {**example, "crowd": self.crowd}


@dataclass(frozen=True)
class PictureSet:
    """Pictures with objects of the same classes.

    Attributes:
        classes: names, ``classes[label]``.
        pictures: their descriptions.
    """

    classes: tuple[str, ...]
    pictures: tuple[Picture, ...]


def instance_masks(instances: ArrayLike) -> np.ndarray:
    """Separate a picture of numbered objects, 0 for the background, into Boolean masks ``[N, H, W]``.

    The objects are in the order of their numbers.

    Raises:
        ValueError: the array has another rank.
        TypeError: it does not hold integers.

    >>> instance_masks([[0, 7], [3, 7]]).astype(int).tolist()
    [[[0, 0], [1, 0]], [[0, 1], [0, 1]]]
    """
    instances = np.asarray(instances)
    if instances.ndim != 2:
        raise ValueError(f"expected numbers of objects [H, W], got {instances.shape}; give one picture at a time")
    if not np.issubdtype(instances.dtype, np.integer):
        raise TypeError(f"expected integers, got {instances.dtype}; cast with instances.astype(int)")
    numbers = np.unique(instances)
    return instances[None] == numbers[numbers != 0][:, None, None]


def mask_boxes(masks: ArrayLike) -> np.ndarray:
    """Compute the smallest boxes around Boolean masks ``[..., H, W]``, float32 ``[..., 4]``; zeros for empty ones.

    >>> mask_boxes([[[0, 0, 0], [0, 1, 1]]]).tolist()
    [[1.0, 1.0, 3.0, 2.0]]
    """
    masks = np.asarray(masks).astype(bool)
    ends = []
    for axis in (-2, -1):
        line, length = np.asarray(masks.any(axis=axis)), masks.shape[-3 - axis]
        first, last = line.argmax(axis=-1), length - line[..., ::-1].argmax(axis=-1)
        some = line.any(axis=-1)
        ends.append((np.where(some, first, 0), np.where(some, last, 0)))
    (x1, x2), (y1, y2) = ends
    return np.stack([x1, y1, x2, y2], axis=-1).astype(np.float32)


def pad_pictures(
    examples: Sequence[Mapping[str, np.ndarray]],
    *,
    size: tuple[int, int] | None = None,
    max_objects: int | None = None,
    multiple: int = 32,
) -> Example:
    """Make a batch of pictures of different sizes, padded at the right and at the bottom by zeros.

    Args:
        examples: ``image`` ``[H, W, C]``, ``boxes`` ``[N, 4]``, ``label`` ``[N]``, and where there are some ``crowd``
            ``[N]`` and ``masks`` ``[N, H, W]``.
        size: height and width of the batch; None for the largest of the pictures, rounded up to ``multiple``. One size
            for all batches compiles once.
        max_objects: number of objects; None for the largest.
        multiple: see ``size``.

    Returns:
        ``image`` ``[B, H, W, C]``; ``size`` ``[B, 2]``, height and width of each picture; ``boxes`` ``[B, N, 4]``,
        ``label`` ``[B, N]``, ``crowd`` ``[B, N]``; ``box_mask`` ``[B, N]``, 0 for padding and for crowds; and ``masks``
        ``[B, N, H, W]``.

    Raises:
        ValueError: there are no pictures, their channels differ, some alone have masks, or a picture is larger or has
            more objects than the batch.

    >>> small = {"image": np.ones((2, 3, 1)), "boxes": np.array([[0, 0, 1, 1]]), "label": np.array([4])}
    >>> batch = pad_pictures([small], size=(4, 4), max_objects=2)
    >>> batch["image"].shape, batch["size"].tolist(), batch["label"].tolist(), batch["box_mask"].tolist()
    ((1, 4, 4, 1), [[2, 3]], [[4, 0]], [[1.0, 0.0]])
    """
    check_positive_integer("multiple", multiple)
    if not examples:
        raise ValueError("expected at least one picture, got none")
    shapes = [np.shape(example["image"]) for example in examples]
    if any(len(shape) != 3 or shape[-1] != shapes[0][-1] for shape in shapes):
        raise ValueError(f"expected images [H, W, C] with as many channels in all pictures, got {shapes}")
    if len({"masks" in example for example in examples}) > 1:
        raise ValueError("expected masks of all pictures or of none, got those of some; leave them out, or add them")
    sizes = np.array([shape[:2] for shape in shapes])
    counts = [len(example["boxes"]) for example in examples]
    height, width = (-(-sizes.max(axis=0) // multiple) * multiple).tolist() if size is None else size
    objects = max(counts) if max_objects is None else max_objects
    for number, (example, count) in enumerate(zip(examples, counts, strict=True)):
        if count > objects or example["image"].shape[0] > height or example["image"].shape[1] > width:
            raise ValueError(
                f"picture {number}: expected at most {height} x {width} pixels and {objects} objects, got "
                f"{example['image'].shape[:2]} and {count}; resize it, or give a larger size or max_objects"
            )
        _check_shapes(number, example, count)

    def padded(name: str, shape: tuple[int, ...], dtype: type) -> np.ndarray:
        result = np.zeros((len(examples), *shape), dtype)
        for row, example in zip(result, examples, strict=True):
            value = np.asarray(example.get(name, np.zeros(len(example["boxes"]), dtype)))
            row[tuple(slice(0, length) for length in value.shape)] = value
        return result

    channels = examples[0]["image"].shape[-1]
    batch = {
        "image": padded("image", (height, width, channels), np.float32),
        "size": sizes.astype(np.int32),
        "boxes": padded("boxes", (objects, 4), np.float32),
        "label": padded("label", (objects,), np.int32),
        "crowd": padded("crowd", (objects,), bool),
    }
    valid = np.arange(objects)[None] < np.array(counts)[:, None]
    batch["box_mask"] = (valid & ~batch["crowd"]).astype(np.float32)
    if "masks" in examples[0]:
        batch["masks"] = padded("masks", (objects, height, width), bool)
    return batch


def _check_shapes(number: int, example: Mapping[str, np.ndarray], count: int) -> None:
    """Check that the arrays of a picture belong together."""
    height, width = example["image"].shape[:2]
    expected = {"boxes": (count, 4), "label": (count,), "crowd": (count,), "masks": (count, height, width)}
    for name, shape in expected.items():
        if name in example and np.shape(example[name]) != shape:
            raise ValueError(f"picture {number}: expected {name} of shape {shape}, got {np.shape(example[name])}")
