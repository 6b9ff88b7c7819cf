"""Average precision on pictures where it can be counted by hand."""

import numpy as np
import pytest

from jaxdl import data

BOXES = np.array([[10.0, 10, 20, 20], [40, 10, 60, 30], [5, 40, 25, 60]])


def make(shift=0.0, scores=(0.9, 0.8, 0.7), boxes=BOXES):
    masks = np.zeros((len(boxes), 64, 64), bool)
    moved = boxes + np.array([shift, 0, shift, 0])
    for mask, (x1, y1, x2, y2) in zip(masks, moved.astype(int), strict=True):
        mask[y1:y2, x1:x2] = True
    labels = np.array([0, 1, 0])[: len(boxes)]
    truth = {"boxes": moved, "label": labels, "masks": masks}
    return truth, {"boxes": moved, "labels": labels, "scores": np.array(scores[: len(boxes)]), "masks": masks}


@pytest.mark.parametrize("average_precision", [data.box_average_precision, data.mask_average_precision])
def test_precision_by_hand(average_precision):
    pytest.importorskip("pycocotools", reason="average precision")
    truth, found = make()
    perfect = average_precision([truth, truth], [found, found], 3)
    assert [perfect[name] for name in ("ap", "ap50", "ap75")] == pytest.approx([1, 1, 1])
    assert np.isnan(perfect["ap_large"])
    _, moved = make(shift=5.0)  # IoUs of 1/3, 3/5 and 3/5
    result = average_precision([truth], [moved], 3)
    # Of class 0 the second is right up to an overlap of 0.6: half of the recall at a precision of 1/2, 51 of 101
    # values; of class 1 all of the recall.
    assert result["ap50"] == pytest.approx((51 / 101 * 0.5 + 1) / 2)
    assert result["ap75"] == 0
    none = {name: value[:0] for name, value in found.items()}
    assert average_precision([truth], [none], 3)["ap"] == 0
    assert np.isnan(average_precision([{name: value[:0] for name, value in truth.items()}], [found], 3)["ap"])


def test_padding_and_crowds_do_not_count():
    pytest.importorskip("pycocotools", reason="average precision")
    truth, found = make()
    padded = {**found, "scores": np.array([0.9, 0.8, np.nan]), "mask": np.array([1, 1, 0])}
    crowd = {**truth, "crowd": np.array([False, False, True])}
    assert data.box_average_precision([crowd], [padded], 2)["ap"] == pytest.approx(1)
    assert data.box_average_precision([crowd], [found], 2)["ap"] == pytest.approx(1)  # found in a crowd
    assert data.box_average_precision([truth], [padded], 2)["ap"] == pytest.approx((51 / 101 + 1) / 2)


def test_invalid_arguments_raise(monkeypatch):
    pytest.importorskip("pycocotools", reason="average precision")
    truth, found = make()
    with pytest.raises(ValueError, match="got 1 pictures and 2"):
        data.box_average_precision([truth], [found] * 2, 2)
    with pytest.raises(ValueError, match=r"picture 0: .*got inf"):
        data.box_average_precision([truth], [{**found, "scores": np.array([np.inf, 0, 0])}], 2)
    with pytest.raises(ValueError, match=r"picture 0: .*nan"):
        data.box_average_precision([{**truth, "boxes": BOXES * np.nan}], [found], 2)
    monkeypatch.setitem(__import__("sys").modules, "pycocotools.coco", None)
    with pytest.raises(ImportError, match=r"pip install -e '\.\[experiments\]'"):
        data.box_average_precision([truth], [found], 2)


def test_a_padded_batch_counts_as_its_pictures():
    pytest.importorskip("pycocotools", reason="average precision")
    truth, found = make()
    batch = data.pad_pictures([{"image": np.ones((64, 64, 3)), **truth}], max_objects=6)
    padded = {name: batch[name][0] for name in ("boxes", "label", "crowd", "box_mask", "masks")}
    for average_precision in (data.box_average_precision, data.mask_average_precision):
        assert average_precision([padded], [found], 2) == pytest.approx(
            average_precision([truth], [found], 2), nan_ok=True
        )


@pytest.mark.parametrize("label", [-1, 2])
def test_a_label_that_is_no_class_is_refused(label):
    pytest.importorskip("pycocotools", reason="average precision")
    truth, found = make()
    with pytest.raises(ValueError, match=f"picture 0: expected labels in 0 .. 1, got {label}"):
        data.box_average_precision([{**truth, "label": np.array([0, 1, label])}], [found], 2)
    with pytest.raises(ValueError, match=f"picture 0: expected labels in 0 .. 1, got {label}"):
        data.box_average_precision([truth], [{**found, "labels": np.array([0, 1, label])}], 2)
