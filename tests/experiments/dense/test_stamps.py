"""Stamps on photographs: masks, boxes and what is covered agree."""

import numpy as np
import pytest

from experiments.harness.dense import stamps
from experiments.harness.errors import UsageError
from jaxdl.data import mask_boxes


def test_boxes_are_around_what_is_visible():
    rng = np.random.default_rng(0)
    white = np.ones((8, 8, 4), np.float32)
    made = stamps.compose(rng, [[white], [white]], [np.zeros((64, 80, 3), np.float32)], 6, 32, 3)
    assert made["image"].shape == (6, 32, 32, 3)
    np.testing.assert_array_equal(made["boxes"], mask_boxes(made["masks"]))
    assert (made["masks"].sum(axis=1) <= 1).all()  # a later object covers an earlier one
    np.testing.assert_array_equal(made["image"][..., 0] == 1, made["masks"].any(axis=1))
    areas = made["masks"].sum(axis=(-2, -1))
    assert (areas[made["box_mask"] != 0] > 0).all()
    assert 6 <= made["box_mask"].sum() <= 18


def test_every_shape_has_stamps_of_its_own_for_the_test():
    made = stamps.draw_shapes(np.random.default_rng(0), 8)
    assert made.classes == stamps.SHAPES
    for train, test in zip(made.train, made.test, strict=True):
        assert (len(train), len(test)) == (6, 2)
        assert all(0 < stamp[..., 3].mean() < 1 for stamp in train + test)


def test_stamps_of_folders_need_an_outline(tmp_path):
    from PIL import Image

    rng = np.random.default_rng(0)
    for name, count in (("animals", 8), ("plants", 9), ("few", 3)):
        (tmp_path / name).mkdir()
        for number in range(count):
            picture = rng.integers(0, 256, (90, 40, 4)).astype(np.uint8)
            picture[:30, :, 3], picture[30:, :, 3] = 0, 255
            Image.fromarray(picture).save(tmp_path / name / f"{number}.png")
    Image.new("RGB", (20, 20)).save(tmp_path / "few" / "opaque.png")
    made = stamps.read_stamps(tmp_path, rng)
    assert made.classes == ("animals", "plants")
    assert [len(each) for each in (*made.train, *made.test)] == [6, 7, 2, 2]
    assert made.train[0][0].shape[0] < stamps.SIDE
    with pytest.raises(UsageError, match="got 1"):
        stamps.read_stamps(tmp_path, rng, least=9)
