"""Random characters and gratings: values, the nearness of copies, the directions of the waves."""

import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier

from jaxdl.data.sources import patterns


@pytest.mark.parametrize("draw", [patterns.glyphs, patterns.gratings])
def test_images_depend_on_the_seed_alone(draw):
    first, again, other = draw(0, 6), draw(np.random.default_rng(0), 6), draw(1, 6)
    np.testing.assert_array_equal(first["image"], again["image"])
    assert not np.allclose(first["image"], other["image"])
    assert (first["image"].dtype, first["label"].dtype) == (np.float32, np.int32)
    assert first["image"].shape == (len(first["label"]), 8, 8, 1)
    assert first["image"].min() >= 0
    assert first["image"].max() <= 1


def test_copies_of_a_character_are_neighbours():
    characters = patterns.glyphs(0, 8, num_classes=10)
    x, label = characters["image"].reshape(80, -1), characters["label"]
    odd = np.arange(80) % 2 == 1
    assert KNeighborsClassifier(1).fit(x[odd], label[odd]).score(x[~odd], label[~odd]) > 0.9


def test_the_gradient_of_a_grating_has_the_angle_of_its_class():
    waves = patterns.gratings(0, 200)
    down, right = np.gradient(waves["image"][..., 0].astype(np.float64), axis=(1, 2))
    doubled = np.arctan2(np.sum(2 * down * right, axis=(1, 2)), np.sum(right**2 - down**2, axis=(1, 2)))
    found = np.round(doubled / 2 / np.pi * 5).astype(int) % 5
    assert np.mean(found == waves["label"]) > 0.9
