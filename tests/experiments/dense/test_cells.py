"""Objects and their borders, distances to seams, and nearest readings, against examples by hand."""

import numpy as np
import pytest

from experiments.dense.ambiguous_masks import frequencies
from experiments.dense.tile_prediction import distances_to_seams
from experiments.harness.dense import cells


def test_an_object_is_right_if_it_overlaps_by_more_than_half():
    true = np.zeros((6, 12), int)
    true[:3, :4], true[:3, 6:10] = 5, 9
    shifted = np.roll(true, 1, axis=1)  # 9 of 15 pixels
    assert cells.object_f1(true, true) == cells.object_f1(shifted, true) == 1
    assert cells.object_f1(np.roll(true, 2, axis=1), true) == 0
    assert cells.object_f1((true > 5).astype(int), true) == pytest.approx(2 / 3)
    assert cells.object_f1((np.cumsum(true > 0, axis=1) > 0).astype(int), true) == 0
    assert cells.object_f1(0 * true, 0 * true) == 1


def test_parts_are_numbered_and_small_ones_left_out():
    mask = np.zeros((5, 9), bool)
    mask[:4, :3] = mask[:3, 5:] = mask[4, 8] = True
    found = cells.separate(mask)
    assert np.unique(found).tolist() == [0, 1, 2]
    assert found[4, 8] == 0
    shown = cells.overlay(np.full((5, 9, 1), 0.5), found)
    assert shown[1, 1].tolist() == [0.5] * 3
    assert shown[0, 2].tolist() == [1.0, 0.2, 0.1]


def test_patches_have_labels_and_weights_of_the_same_place():
    instances = np.zeros((8, 9), int)
    instances[2:4, 2:4], instances[2:4, 5:7] = 1, 2
    image = np.arange(72.0).reshape(8, 9, 1)
    patches = cells.cut_patches([{"image": image, "instances": instances}], 5, 6, 0, w0=10.0)
    for x, label, mask in zip(patches["image"], patches["label"], patches["mask"], strict=True):
        np.testing.assert_array_equal(label, instances.ravel()[x[..., 0].astype(int)] > 0)
        assert (mask[label == 1] == 1).all()


def test_distances_to_seams_do_not_count_the_edges():
    line = np.array([2, 1, 0, 0, 1, 0, 0, 1, 2])
    np.testing.assert_array_equal(distances_to_seams(9, 3), np.minimum(line[:, None], line[None]))


def test_a_sample_counts_as_the_nearest_annotators():
    masks = np.zeros((1, 3, 2, 4), int)
    masks[0, 1, 0] = 1
    masks[0, 2] = 1
    samples = np.stack([masks[0, 0], masks[0, 1], masks[0, 2], masks[0, 2]])[None].copy()
    samples[0, 3, 1, 3] = 0
    assert frequencies(samples, masks).tolist() == [0.25, 0.25, 0.5]
