"""Annotations of PASCAL VOC, their masks, and hostile XML."""

import numpy as np
import pytest

from jaxdl import data
from jaxdl.data.files.masks import read_mask

OBJECT = """<object><name>{name}</name><difficult>{difficult}</difficult>
<bndbox><xmin>{box[0]}</xmin><ymin>{box[1]}</ymin><xmax>{box[2]}</xmax><ymax>{box[3]}</ymax></bndbox></object>"""
SIZE = "<size><width>{width}</width><height>9</height><depth>3</depth></size>"
PAGE = "{head}<annotation>" + SIZE + "{objects}</annotation>"


def make_folder(folder, *, head="", width=12, name="cat", box=(2, 3, 6, 9), listed="one\n"):
    from PIL import Image

    for part in ("JPEGImages", "Annotations", "ImageSets/Main", "ImageSets/Segmentation", "SegmentationObject"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    for part in ("Main", "Segmentation"):
        (folder / "ImageSets" / part / "train.txt").write_text(listed)
    objects = OBJECT.format(name="person", difficult=1, box=(1, 1, 12, 9)) + OBJECT.format(
        name=name, difficult=0, box=box
    )
    (folder / "Annotations" / "one.xml").write_text(PAGE.format(head=head, width=width, objects=objects))
    Image.fromarray(np.full((9, 12, 3), 255, np.uint8)).save(folder / "JPEGImages" / "one.jpg")
    indices = np.zeros((9, 12), np.uint8)
    indices[2:9, 1:6], indices[0, 0], indices[0, 1] = 2, 1, 255
    picture = Image.fromarray(indices, "P")
    picture.putpalette(np.random.default_rng(0).integers(0, 256, 768).astype(np.uint8).tobytes())
    picture.save(folder / "SegmentationObject" / "one.png")
    return folder


def test_boxes_classes_and_masks_are_those_of_the_files(tmp_path):
    pytest.importorskip("defusedxml", reason="annotations of VOC")
    (picture,) = data.read_voc(make_folder(tmp_path), masks=True).pictures
    example = picture.load(masks=True)
    np.testing.assert_array_equal(example["boxes"], [[0, 0, 12, 9], [1, 2, 6, 9]])
    np.testing.assert_array_equal(example["label"], [14, 7])
    np.testing.assert_array_equal(example["crowd"], [True, False])
    np.testing.assert_array_equal(data.mask_boxes(example["masks"]), [[0, 0, 1, 1], [1, 2, 6, 9]])
    assert example["image"].shape == (9, 12, 3)
    assert data.read_voc(tmp_path).pictures[0].read_masks is None


BOMB = '<!DOCTYPE a [<!ENTITY b "bbbb"><!ENTITY c "&b;&b;&b;">]>'
OTHER_FILE = '<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/hostname">]>'


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"head": BOMB}, r"one\.xml: expected plain XML"),
        ({"head": OTHER_FILE}, r"one\.xml: expected plain XML"),
        ({"head": "<a>"}, r"one\.xml: expected plain XML"),
        ({"name": "unicorn"}, r"one\.xml: object 2: .*got unicorn"),
        ({"box": (6, 3, 2, 9)}, r"one\.xml: object 2: .*got \[6.0, 3.0, 2.0, 9.0\]"),
        ({"box": (2, 3, 20, 9)}, r"one\.xml: object 2: .*9 x 12 pixels, got"),
        ({"box": (2, 3, "nan", 9)}, r"one\.xml: object 2: .*nan"),
        ({"box": (2, 3, "", 9)}, r"one\.xml: object 2: .*got None"),
        ({"width": "wide"}, r"one\.xml: size: .*got wide"),
        ({"width": -1}, r"one\.xml: size: .*got \(9, -1\)"),
        ({"listed": "../one\n"}, r"train\.txt: line 1: .*got \.\./one"),
    ],
)
def test_a_bad_file_is_named_with_its_entry(tmp_path, changes, message):
    pytest.importorskip("defusedxml", reason="annotations of VOC")
    with pytest.raises(ValueError, match=message):
        data.read_voc(make_folder(tmp_path, **changes))


def test_masks_of_16_bits_are_read_and_colours_and_other_sizes_refused(tmp_path):
    from PIL import Image

    path, numbers = tmp_path / "mask.png", np.array([[0, 700], [65535, 700]], np.uint16)
    Image.fromarray(numbers).save(path)
    mask = read_mask(path, (2, 2))
    np.testing.assert_array_equal(mask, numbers)
    masks = data.instance_masks(mask)
    np.testing.assert_array_equal(data.mask_boxes(masks), [[1, 0, 2, 2], [0, 1, 1, 2]])
    with pytest.raises(ValueError, match=r"mask\.png: .*\(3, 2\), got \(2, 2\)"):
        read_mask(path, (3, 2))
    Image.fromarray(np.zeros((2, 2, 3), np.uint8)).save(path)
    with pytest.raises(ValueError, match=r"mask\.png: .*RGB"):
        read_mask(path)
    path.write_bytes(b"\x89PNG\r\n\x1a\n and more")
    with pytest.raises(ValueError, match=r"mask\.png"):
        read_mask(path)
    with pytest.raises(FileNotFoundError, match="none"):
        read_mask(tmp_path / "none.png")


def test_an_index_without_an_object_is_refused(tmp_path):
    pytest.importorskip("defusedxml", reason="annotations of VOC")
    from PIL import Image

    folder = make_folder(tmp_path)
    Image.fromarray(np.full((9, 12), 3, np.uint8)).save(folder / "SegmentationObject" / "one.png")
    with pytest.raises(ValueError, match=r"one\.png: .*got 3"):
        data.read_voc(folder, masks=True).pictures[0].load(masks=True)
