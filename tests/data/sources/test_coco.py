"""Annotations of COCO against pycocotools, and what is wrong with a file named with its entry."""

import json

import numpy as np
import pytest

from jaxdl import data

HEIGHT, WIDTH = 12, 16
TRIANGLE = [[2.0, 2.0, 10.0, 2.0, 2.0, 9.0]]


def run_lengths(mask):
    """Count the runs of a mask, column by column, from zeros on."""
    flat = np.concatenate([[0], np.asarray(mask, int).ravel(order="F")])
    changes = np.flatnonzero(np.diff(flat)) if flat.any() else np.array([], int)
    return np.diff(np.concatenate([[0], changes, [flat.size - 1]])).tolist()


def square():
    mask = np.zeros((HEIGHT, WIDTH), int)
    mask[4:8, 1:6] = 1
    return mask


def annotations(**changes):
    """Return valid annotations, with a change to annotation 7."""
    first = {"id": 7, "image_id": 3, "category_id": 90, "bbox": [2, 2, 8, 7], "segmentation": TRIANGLE, "iscrowd": 0}
    counts = {"size": [HEIGHT, WIDTH], "counts": run_lengths(square())}
    return {
        "images": [
            {"id": 3, "file_name": "a.png", "height": HEIGHT, "width": WIDTH},
            {"id": 5, "file_name": "sub/b.png", "height": 4, "width": 4},
        ],
        "categories": [{"id": 90, "name": "toothbrush"}, {"id": 2, "name": "bicycle"}],
        "annotations": [
            first | changes,
            {"id": 8, "image_id": 3, "category_id": 2, "bbox": [1, 4, 5, 4], "segmentation": counts, "iscrowd": 1},
            {"id": 9, "image_id": 3, "category_id": 2, "bbox": [1, 4, 5, 0], "segmentation": counts},
        ],
    }


def write(folder, content):
    from PIL import Image

    path = folder / "instances.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    Image.fromarray(np.full((HEIGHT, WIDTH, 3), 51, np.uint8)).save(folder / "a.png")
    return data.read_coco(path, folder)


def test_boxes_labels_and_masks_are_those_of_the_file(tmp_path):
    coco = pytest.importorskip("pycocotools.mask", reason="masks of COCO")
    found = write(tmp_path, annotations())
    assert found.classes == ("bicycle", "toothbrush")
    first, second = found.pictures
    example = first.load(masks=True)
    np.testing.assert_array_equal(example["boxes"], [[2, 2, 10, 9], [1, 4, 6, 8]])  # one without area is left out
    np.testing.assert_array_equal(example["label"], [1, 0])
    np.testing.assert_array_equal(example["crowd"], [False, True])
    np.testing.assert_allclose(example["image"], 0.2, rtol=1e-6)
    expected = coco.decode(coco.frPyObjects(TRIANGLE, HEIGHT, WIDTH))[..., 0]
    np.testing.assert_array_equal(example["masks"], [expected, square()])
    packed = coco.encode(np.asfortranarray(square().astype(np.uint8)))
    packed = {"size": packed["size"], "counts": packed["counts"].decode()}
    np.testing.assert_array_equal(data.decode_mask(packed, (HEIGHT, WIDTH)), square())
    assert second.boxes.shape == (0, 4)
    assert second.read_masks().shape == (0, 4, 4)
    assert write(tmp_path, annotations(segmentation=None)).pictures[0].read_masks is None
    with pytest.raises(ValueError, match=r"a\.png.*masks"):
        write(tmp_path, annotations(segmentation=None)).pictures[0].load(masks=True)
    slightly = write(tmp_path, annotations(bbox=[-0.4, 0, 16.9, 3])).pictures[0].boxes[0]
    np.testing.assert_allclose(slightly, [0, 0, 16, 3])


@pytest.mark.parametrize(
    ("changes", "got"),
    [
        ({"bbox": [2, 2, -3, 4]}, r"got \[2.0, 2.0, -1.0, 6.0\]"),
        ({"bbox": [2, 2, 30, 4]}, "12 x 16 pixels, got"),
        ({"bbox": [2, 2, 4]}, r"got \[2, 2, 4\]"),
        ({"bbox": [2, 2, "4", 4]}, "'4'"),
        ({"bbox": [10**400, 2, 4, 4]}, "got "),
        ({"bbox": None}, "got None"),
        ({"image_id": 4}, "got 4"),
        ({"image_id": [3]}, r"got \[3\]"),
        ({"category_id": 1}, "got 1"),
        ({"segmentation": [[1, 2, 3, 4]]}, r"got \[1, 2, 3, 4\]"),
        ({"segmentation": [[0, 0, 1e9, 0, 1, 1]]}, "got .*1000000000"),
        ({"segmentation": {"size": [16, 12], "counts": [192]}}, r"got \[16, 12\]"),
        ({"segmentation": {"size": [12, 16], "counts": [191]}}, r"got \[191\]"),
        ({"segmentation": {"size": [12, 16], "counts": [-1, 193]}}, r"got \[-1, 193\]"),
        ({"segmentation": {"size": [12, 16], "counts": 3}}, "got 3"),
        ({"segmentation": {"size": [12, 16], "counts": "1"}}, "got 1"),
        ({"segmentation": {"size": [12, 16], "counts": "o" * 99}}, "got ooo"),
        ({"segmentation": {"size": [12, 16], "counts": "\u00e9"}}, "got "),
        ({"segmentation": "everything"}, "got everything"),
    ],
)
def test_a_bad_annotation_is_named(tmp_path, changes, got):
    with pytest.raises(ValueError, match=rf"instances\.json: annotation 7: .*{got}"):
        write(tmp_path, annotations(**changes))


@pytest.mark.parametrize(
    ("name", "place", "changes", "message"),
    [
        ("images", 0, {"file_name": "../../a.png"}, r"image 3: .*got \.\./\.\./a\.png"),
        ("images", 0, {"file_name": "/etc/a.png"}, "image 3: .*got /etc/a.png"),
        ("images", 0, {"file_name": "C:\\a.png"}, "image 3"),
        ("images", 0, {"height": 0}, r"image 3: .*got \(0, 16\)"),
        ("images", 0, {"height": 10**6, "width": 10**6}, "image 3: .*1000000"),
        ("images", 0, {"id": 5}, "image 5: .*got 5"),
        ("images", 0, {"id": "3"}, "image at position 0"),
        ("categories", 0, {"id": 2}, "category 2: .*got 2"),
        ("annotations", 1, {"id": 7}, "annotation 7: .*got 7"),
    ],
)
def test_a_bad_entry_is_named(tmp_path, name, place, changes, message):
    content = annotations()
    content[name][place] |= changes
    with pytest.raises(ValueError, match=rf"instances\.json: {message}"):
        write(tmp_path, content)


@pytest.mark.parametrize("content", ["[1, 2]", "{", '{"images": NaN}', "[" * 100_000, '{"images": 1}', "9" * 5000])
def test_what_is_no_file_of_annotations_is_refused(tmp_path, content):
    with pytest.raises(ValueError, match=r"instances\.json"):
        write(tmp_path, content)


def test_an_image_of_another_size_is_named(tmp_path):
    content = annotations()
    content["images"][0] |= {"height": 13}
    content["annotations"] = []
    with pytest.raises(ValueError, match=r"a\.png: .*\(13, 16\).*got \(12, 16\)"):
        write(tmp_path, content).pictures[0].load()


def test_compressed_run_lengths_of_any_mask_are_read():
    coco = pytest.importorskip("pycocotools.mask", reason="masks of COCO")
    rng = np.random.default_rng(0)
    for share in (0, 0.01, 0.3, 1):
        mask = rng.uniform(size=(60, 90)) < share
        packed = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
        np.testing.assert_array_equal(data.decode_mask(packed, (60, 90)), mask)
        with pytest.raises(ValueError, match="60 x 90"):
            data.decode_mask({**packed, "counts": packed["counts"][:-1]}, (60, 90))
