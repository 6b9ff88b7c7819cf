"""Average precision of detections, by the evaluation of COCO (Lin et al., 2014)."""

import contextlib
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxdl.checks import check_positive_integer
from jaxdl.data.files.downloads import require

NAMES = ("ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large")
Objects = Mapping[str, Any]


def box_average_precision(truth: Sequence[Objects], found: Sequence[Objects], num_classes: int) -> dict[str, float]:
    """Compute the average precision of boxes, as pycocotools does.

    It is the mean over the classes that occur, and for ``ap`` over overlaps from 0.5 to 0.95, of the precision at 101
    values of recall. An object marked as crowd is neither missed nor found wrongly.

    Args:
        truth: for each picture ``boxes`` ``[N, 4]``, ``label`` ``[N]``, and where there are some ``crowd`` ``[N]`` and
            ``area`` ``[N]``, which decides what is small or large. An object of which ``box_mask`` ``[N]`` is 0 is
            padding, unless it is a crowd, as in the batches of `pad_pictures`.
        found: for each picture ``boxes`` ``[D, 4]``, ``scores`` ``[D]``, ``labels`` ``[D]``, and ``mask`` ``[D]``, 0
            for padding: the fields of `jaxdl.nn.Detections`.
        num_classes: labels count from 0.

    Returns:
        ``ap``, ``ap50`` and ``ap75`` of all objects, ``ap_small``, ``ap_medium`` and ``ap_large`` of those below
        32 x 32 and above 96 x 96 pixels; NaN where there are no objects.

    Raises:
        ImportError: pycocotools is not installed.
        ValueError: the pictures differ in number, a score or a box is not finite, or a label is no class.
    """
    return _evaluate(truth, found, num_classes, "bbox")


def mask_average_precision(truth: Sequence[Objects], found: Sequence[Objects], num_classes: int) -> dict[str, float]:
    """Compute the average precision of masks, as `box_average_precision` does that of boxes.

    Args:
        truth: for each picture also ``masks`` ``[N, H, W]``; the area is that of the mask, unless it is given.
        found: for each picture also ``masks`` ``[D, H, W]``, Booleans.
        num_classes: labels count from 0.

    Returns:
        See `box_average_precision`.

    Raises:
        ImportError: pycocotools is not installed.
        ValueError: the pictures differ in number, a score or a box is not finite, or a label is no class.
    """
    return _evaluate(truth, found, num_classes, "segm")


def _evaluate(truth: Sequence[Objects], found: Sequence[Objects], num_classes: int, kind: str) -> dict[str, float]:
    coco, evaluation = (require(f"pycocotools.{part}", "average precision") for part in ("coco", "cocoeval"))
    check_positive_integer("num_classes", num_classes)
    if len(truth) != len(found):
        raise ValueError(f"expected detections of every picture, got {len(truth)} pictures and {len(found)}")
    truth = [_without_padding(picture) for picture in truth]
    annotations = [each for number, picture in enumerate(truth) for each in _truth(number, picture, kind)]
    results = [each for number, picture in enumerate(found) for each in _found(number, picture, kind)]
    for each in (*annotations, *results):
        if not 0 <= each["category_id"] < num_classes:
            raise ValueError(
                f"picture {each['image_id']}: expected labels in 0 .. {num_classes - 1}, got {each['category_id']}"
            )
    for number, each in enumerate(annotations, 1):  # an id of 0 counts as no match
        each["id"] = number
    if not any(not each["iscrowd"] for each in annotations):
        return dict.fromkeys(NAMES, float("nan"))
    if not results:
        return _without_results(annotations)
    with contextlib.redirect_stdout(io.StringIO()):
        index = coco.COCO()
        index.dataset = {
            "info": {},
            "images": [_image(number, picture) for number, picture in enumerate(truth)],
            "annotations": annotations,
            "categories": [{"id": label} for label in range(num_classes)],
        }
        index.createIndex()
        run = evaluation.COCOeval(index, index.loadRes(results), kind)
        run.evaluate()
        run.accumulate()
        run.summarize()
    return {
        name: float(value) if value >= 0 else float("nan") for name, value in zip(NAMES, run.stats[:6], strict=True)
    }


def _without_padding(picture: Objects) -> Objects:
    """Return the objects of a picture that are no padding."""
    if "box_mask" not in picture:
        return picture
    kept = np.asarray(picture["box_mask"]) != 0
    kept = kept | np.asarray(picture.get("crowd", np.zeros(len(kept)))).astype(bool)
    names = ("boxes", "label", "crowd", "area", "masks")
    return {name: np.asarray(picture[name])[kept] for name in names if name in picture}


def _without_results(annotations: list[dict[str, Any]]) -> dict[str, float]:
    """Return 0 for every size that occurs: nothing was found."""
    areas = np.array([each["area"] for each in annotations if not each["iscrowd"]])
    occurs = [True] * 3 + [(areas < 32**2).any(), ((areas >= 32**2) & (areas < 96**2)).any(), (areas >= 96**2).any()]
    return {name: 0.0 if here else float("nan") for name, here in zip(NAMES, occurs, strict=True)}


def _image(number: int, picture: Objects) -> dict[str, int]:
    """Return the entry of a picture; its size is that of its masks."""
    height, width = np.shape(picture.get("masks", np.zeros((1, 0, 0))))[1:]
    return {"id": number, "height": height, "width": width}


def _truth(number: int, picture: Objects, kind: str) -> list[dict[str, Any]]:
    boxes = _boxes(number, picture)
    masks = _encode(picture, kind)
    areas = np.asarray(picture["masks"]).sum(axis=(1, 2)) if kind == "segm" else np.prod(boxes[:, 2:], axis=1)
    areas = np.asarray(picture.get("area", areas))
    crowd = np.asarray(picture.get("crowd", np.zeros(len(boxes))))
    return [
        {
            "image_id": number,
            "category_id": int(label),
            "bbox": box.tolist(),
            "area": float(area),
            "iscrowd": int(crowded),
            **mask,
        }
        for box, label, area, crowded, mask in zip(boxes, picture["label"], areas, crowd, masks, strict=True)
    ]


def _found(number: int, picture: Objects, kind: str) -> list[dict[str, Any]]:
    mask = np.asarray(picture.get("mask", np.ones(len(picture["scores"])))) != 0
    kept = {name: np.asarray(value)[mask] for name, value in picture.items() if name != "mask"}
    scores = kept["scores"].astype(np.float64)
    if not np.isfinite(scores).all():
        raise ValueError(f"picture {number}: expected finite scores, got {scores[~np.isfinite(scores)][0]}")
    boxes = [{"bbox": box.tolist()} for box in _boxes(number, kept)]
    places = boxes if kind == "bbox" else _encode(kept, kind)
    return [
        {"image_id": number, "category_id": int(label), "score": float(score), **place}
        for label, score, place in zip(kept["labels"], scores, places, strict=True)
    ]


def _boxes(number: int, picture: Objects) -> np.ndarray:
    """Return the boxes as ``[x, y, width, height]``."""
    boxes = np.asarray(picture["boxes"], np.float64).reshape(-1, 4)
    if not np.isfinite(boxes).all():
        raise ValueError(f"picture {number}: expected finite boxes, got {boxes[~np.isfinite(boxes).all(axis=1)][0]}")
    return np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)


def _encode(picture: Objects, kind: str) -> list[dict[str, Any]]:
    """Return the masks as run lengths."""
    if kind == "bbox":
        return [{} for _ in np.asarray(picture["boxes"]).reshape(-1, 4)]
    coco = require("pycocotools.mask", "average precision")
    masks = np.asarray(picture["masks"]).astype(np.uint8)
    return [{"segmentation": coco.encode(np.asfortranarray(mask))} for mask in masks]
