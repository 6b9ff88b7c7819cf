"""Objects in the folders of PASCAL VOC: an XML file for each picture (Everingham et al., 2010)."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from jaxdl.data.files.downloads import require
from jaxdl.data.files.masks import read_mask
from jaxdl.data.files.opening import open_regular, read_plain_text, shorten
from jaxdl.data.objects import Picture, PictureSet
from jaxdl.data.sources.annotations import check_box, check_name, check_size, invalid

CLASSES = (
    *("aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable", "dog"),
    *("horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor"),
)
VOID = 255
"""The index of the pixels between objects."""


def read_voc(
    directory: str | Path, part: str = "train", *, masks: bool = False, classes: Sequence[str] = CLASSES
) -> PictureSet:
    """Read the pictures of a part, from ``JPEGImages``, ``Annotations`` and ``ImageSets`` of a folder.

    The corners of boxes are pixels counted from 1 in the files; here ``[xmin - 1, ymin - 1, xmax, ymax]`` covers them.
    Difficult objects are marked as crowds. With masks, the pixels of the ``i``-th object have the index ``i`` in the
    palette of ``SegmentationObject``.

    Args:
        directory: the folder, ``VOCdevkit/VOC2012``.
        part: the name of a list in ``ImageSets``: "train", "val" or "trainval".
        masks: read the part of the pictures that have masks, ``ImageSets/Segmentation`` in the place of ``Main``.
        classes: names, in the order of the labels.

    Raises:
        FileNotFoundError: a file does not exist.
        ValueError: a file is not of this format, or is XML with entities; the error names the file and the object: a
            box outside of its picture or of negative width, an unknown class.
        ImportError: defusedxml is not installed.
    """
    folder = Path(directory).expanduser()
    listed = folder / "ImageSets" / ("Segmentation" if masks else "Main") / f"{part}.txt"
    names = [check_name(listed, f"line {n}", line.split()[0]) for n, line in _lines(listed)]
    labels = {name: label for label, name in enumerate(classes)}
    return PictureSet(tuple(classes), tuple(_read(folder, name, labels, masks) for name in names))


def _lines(path: Path) -> list[tuple[int, str]]:
    lines = enumerate(read_plain_text(path).splitlines(), 1)
    return [(number, line) for number, line in lines if line.strip()]


def _read(folder: Path, name: str, labels: dict[str, int], masks: bool) -> Picture:
    path = folder / "Annotations" / f"{name}.xml"
    root = _parse(path)
    size = check_size(
        path, "size", *(_integer(path, "size", root.find(f"size/{side}")) for side in ("height", "width"))
    )
    boxes, found, difficult, kept = [], [], [], []
    for number, item in enumerate(root.findall("object"), 1):
        entry = f"object {number}"
        title = (item.findtext("name") or "").strip()
        if title not in labels:
            raise invalid(path, entry, "a name of the classes", title)
        x1, y1, x2, y2 = (
            _number(path, entry, item.find(f"bndbox/{side}")) for side in ("xmin", "ymin", "xmax", "ymax")
        )
        if x2 < x1 or y2 < y1:
            raise invalid(path, entry, "a box of positive width and height", [x1, y1, x2, y2])
        box = check_box(path, entry, [x1 - 1, y1 - 1, x2, y2], size)
        if box is not None:
            boxes.append(box)
            found.append(labels[title])
            difficult.append((item.findtext("difficult") or "0").strip() == "1")
            kept.append(number)
    file = folder / "JPEGImages" / f"{name}.jpg"
    read: Callable[[], np.ndarray] | None = None
    if masks:
        total = len(root.findall("object"))
        read = partial(_read_masks, folder / "SegmentationObject" / f"{name}.png", size, kept, total)
    arrays = np.array(boxes, np.float32).reshape(-1, 4), np.array(found, np.int32), np.array(difficult, bool)
    return Picture(file, size, *arrays, read)


def _read_masks(path: Path, size: tuple[int, int], numbers: list[int], total: int) -> np.ndarray:
    instances = read_mask(path, size)
    largest = instances[instances != VOID].max(initial=0)
    if largest > total:
        raise ValueError(f"{path}: expected indices of the {total} annotated objects, got {largest}")
    return instances[None] == np.array(numbers, np.int32)[:, None, None]


def _parse(path: Path) -> Any:
    """Parse XML without document types and entities, which can expand to any size or name other files."""
    parser = require("defusedxml.ElementTree", "reading annotations of VOC")
    with open_regular(path) as file:
        try:
            return parser.parse(file, forbid_dtd=True).getroot()
        except (ValueError, SyntaxError) as error:  # the parser's errors are those
            raise ValueError(f"{path}: expected plain XML, got {shorten(error)}") from error


def _number(path: Path, entry: str, element: Any) -> float:
    text = None if element is None else element.text
    try:
        return float(str(text))
    except ValueError:
        raise invalid(path, entry, "a box of four finite numbers", text) from None


def _integer(path: Path, entry: str, element: Any) -> int:
    text = None if element is None else element.text
    try:
        return int(str(text))
    except ValueError:
        raise invalid(path, entry, "height and width of at least 1", text) from None
