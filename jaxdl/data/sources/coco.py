"""Objects in the format of COCO: one JSON file of boxes, classes and masks (Lin et al., 2014)."""

import json
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np

from jaxdl.data.files.downloads import require
from jaxdl.data.files.opening import read_plain_text, shorten
from jaxdl.data.objects import Picture, PictureSet
from jaxdl.data.sources.annotations import TOLERANCE, check_box, check_name, check_size, invalid, is_finite


def read_coco(path: str | Path, images: str | Path) -> PictureSet:
    """Read a file of annotations as those of COCO's instances.

    The classes are those of the file, in the order of their ids; labels count from 0. Boxes become ``[x1, y1, x2,
    y2]``; those without area are left out. Masks, polygons or run lengths, are decoded by pycocotools when a picture is
    loaded with them.

    Args:
        path: the JSON file, ``instances_train2017.json``.
        images: the folder of the images that it names.

    Raises:
        FileNotFoundError: the file does not exist.
        ValueError: the file is not of this format; the error names the entry that is not valid: a box outside of its
            picture or of negative width, an unknown id, a mask of another size, NaN.
    """
    path, folder = Path(path).expanduser(), Path(images).expanduser()
    content = _parse(path)
    categories = _by_id(path, content, "categories", "category")
    labels = {number: label for label, number in enumerate(sorted(categories))}
    records = _by_id(path, content, "images", "image")
    sizes = {n: check_size(path, f"image {n}", r.get("height"), r.get("width")) for n, r in records.items()}
    objects: dict[int, list[tuple[list[float], int, bool, Any]]] = {number: [] for number in records}
    for number, record in _by_id(path, content, "annotations", "annotation").items():
        entry, image = f"annotation {number}", record.get("image_id")
        if not _is_id(image) or image not in records:
            raise invalid(path, entry, "an image_id of the images", image)
        label = record.get("category_id")
        if not _is_id(label) or label not in labels:
            raise invalid(path, entry, "a category_id of the categories", label)
        box = record.get("bbox")
        if not isinstance(box, list) or len(box) != 4 or not all(map(is_finite, box)):
            raise invalid(path, entry, "a bbox of four finite numbers, x, y, width and height", box)
        checked = check_box(path, entry, [box[0], box[1], box[0] + box[2], box[1] + box[3]], sizes[image])
        mask = record.get("segmentation")
        if mask is not None:
            _check_mask(path, entry, mask, sizes[image])
        if checked is not None:
            objects[image].append((checked, labels[label], bool(record.get("iscrowd", 0)), mask))
    pictures = [
        _picture(folder / check_name(path, f"image {number}", record.get("file_name")), sizes[number], objects[number])
        for number, record in records.items()
    ]
    names = (categories[number].get("name", number) for number in sorted(categories))
    return PictureSet(tuple(map(str, names)), tuple(pictures))


def decode_mask(mask: Any, size: tuple[int, int]) -> np.ndarray:
    """Decode a mask of COCO, Boolean ``[H, W]``: a list of polygons, or run lengths, compressed or not.

    Args:
        mask: a list of polygons ``[x1, y1, x2, y2, ...]``, or ``{"size": [H, W], "counts": ...}``.
        size: height and width.

    Raises:
        ImportError: pycocotools is not installed.
        ValueError: the run lengths do not fill the picture.
    """
    coco = require("pycocotools.mask", "decoding masks of COCO")
    if isinstance(mask, list):
        return coco.decode(coco.merge(coco.frPyObjects(mask, *size))).astype(bool)
    counts = _run_lengths(mask["counts"])
    if counts is None or sum(counts) != size[0] * size[1]:
        raise ValueError(f"expected run lengths that fill {size[0]} x {size[1]} pixels, got {shorten(mask['counts'])}")
    return coco.decode(coco.frPyObjects({"size": list(size), "counts": counts}, *size)).astype(bool)


def _run_lengths(counts: Any) -> list[int] | None:
    """Return run lengths, of which COCO's text has groups of five bits, and from the fourth on differences.

    pycocotools would read a text that is too short as a mask, and beyond the end of one that is cut.
    """
    if isinstance(counts, list):
        return counts if all(_is_id(count) and count >= 0 for count in counts) else None
    if not isinstance(counts, str | bytes):
        return None
    codes = [code - 48 for code in (counts.encode() if isinstance(counts, str) else counts)]
    found: list[int] = []
    value, bits = 0, 0
    for code in codes:
        if not 0 <= code < 64 or bits > 30:
            return None
        value, bits = value | (code & 31) << bits, bits + 5
        if not code & 32:
            value -= (code & 16) << (bits - 4)  # the sign
            found.append(value + found[-2] if len(found) > 2 else value)
            value, bits = 0, 0
    return found if bits == 0 and all(count >= 0 for count in found) else None


def _parse(path: Path) -> dict[str, Any]:
    def refuse(constant: str) -> None:
        raise ValueError(f"{constant}, which is no number of JSON")

    text = read_plain_text(path)
    try:
        content = json.loads(text, parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: expected a JSON file of finite numbers, got {shorten(error)}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path}: expected a JSON object, got a {type(content).__name__}")
    return content


def _by_id(path: Path, content: Mapping[str, Any], name: str, entry: str) -> dict[int, dict[str, Any]]:
    """Return the entries of a list by their ids."""
    entries = content.get(name)
    if not isinstance(entries, list):
        raise ValueError(f"{path}: expected a list of {name}, got {shorten(entries)}")
    found: dict[int, dict[str, Any]] = {}
    for place, record in enumerate(entries):
        number = record.get("id") if isinstance(record, dict) else None
        if not _is_id(number):
            raise invalid(path, f"{entry} at position {place}", "an object with an integer id", record)
        if number in found:
            raise invalid(path, f"{entry} {number}", f"an id that no other {entry} has", number)
        found[number] = record
    return found


def _is_id(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def _check_mask(path: Path, entry: str, mask: Any, size: tuple[int, int]) -> None:
    """Check polygons and run lengths before a decoder written in C reads them."""
    height, width = size
    if isinstance(mask, list):
        for polygon in mask:
            if (
                not isinstance(polygon, list)
                or len(polygon) < 6
                or len(polygon) % 2
                or not all(map(is_finite, polygon))
            ):
                raise invalid(path, entry, "polygons of at least three finite points", polygon)
            low, high = min(polygon), max(max(polygon[::2]) - width, max(polygon[1::2]) - height)
            if low < -TOLERANCE or high > TOLERANCE:
                raise invalid(path, entry, f"polygons inside of the picture of {height} x {width} pixels", polygon)
        return
    if not isinstance(mask, dict) or mask.get("size") != [height, width]:
        got = mask.get("size") if isinstance(mask, dict) else mask
        raise invalid(path, entry, f"a mask of the size of its picture, [{height}, {width}]", got)
    counts = _run_lengths(mask.get("counts"))
    if counts is None or sum(counts) != height * width:
        raise invalid(path, entry, f"run lengths with the sum {height * width}", mask.get("counts"))


def _picture(file: Path, size: tuple[int, int], objects: list[tuple[list[float], int, bool, Any]]) -> Picture:
    boxes, labels, crowds, masks = ([each[i] for each in objects] for i in range(4))
    complete = all(mask not in (None, []) for mask in masks)
    read: Callable[[], np.ndarray] | None = partial(_read_masks, file, masks, size) if complete else None
    return Picture(
        file,
        size,
        np.array(boxes, np.float32).reshape(-1, 4),
        np.array(labels, np.int32),
        np.array(crowds, bool),
        read,
    )


def _read_masks(file: Path, masks: list[Any], size: tuple[int, int]) -> np.ndarray:
    decoded = []
    for number, mask in enumerate(masks):
        try:
            decoded.append(decode_mask(mask, size))
        except ValueError as error:
            raise ValueError(f"{file}: object {number}: {error}") from error
    return np.stack(decoded) if decoded else np.zeros((0, *size), bool)
