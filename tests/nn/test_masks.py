"""Masks in boxes against torchvision: levels of a pyramid, and masks pasted into images."""

from functools import partial

import jax
import numpy as np
import pytest

from jaxdl import nn
from tests.peers import torch, torchvision


@pytest.mark.usefixtures("float64")
def test_every_box_has_the_level_of_torchvision(monkeypatch):
    torchvision()
    from torchvision.ops import poolers
    from torchvision.ops.roi_align import _roi_align

    def align(x, boxes, output_size, spatial_scale, sampling_ratio):
        return _roi_align.__wrapped__(x, boxes, spatial_scale, *output_size, sampling_ratio, False)

    monkeypatch.setattr(poolers, "roi_align", align)
    rng, library = np.random.default_rng(0), torch()
    levels = [rng.normal(size=(2, 96 // n, 64 // n, 3)) for n in (1, 2, 4)]
    sides = np.array([[40.0, 30.0], [112.0, 112.0], [111.9, 112.0], [224.0, 220.0], [300.0, 300.0], [450.0, 450.0]])
    corners = rng.uniform(0, 20, (2, 6, 2))
    boxes = np.concatenate([corners, corners + sides], axis=-1)
    ours = jax.jit(partial(nn.pyramid_roi_align, output_size=2, strides=(8, 16, 32), aligned=False))(levels, boxes)
    pooler = poolers.MultiScaleRoIAlign(["0", "1", "2"], 2, 2)
    maps = {str(n): library.tensor(np.moveaxis(x, -1, 1).copy()) for n, x in enumerate(levels)}
    theirs = pooler(maps, [library.tensor(each) for each in boxes], [(768, 512)] * 2)
    theirs = np.moveaxis(theirs.numpy().reshape(2, 6, 3, 2, 2), 2, -1)
    np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-9)


@pytest.mark.usefixtures("float64")
def test_pasted_masks_are_torchvisions():
    torchvision()
    from torchvision.models.detection.roi_heads import paste_masks_in_image

    rng, library = np.random.default_rng(1), torch()
    masks = rng.uniform(size=(40, 5, 5))
    corners = rng.uniform(-8, 28, (40, 2, 2))
    boxes = np.concatenate([corners.min(-2), corners.max(-2)], axis=-1)
    boxes[:3] = [[3, 3, 3, 3], [0, 0, 24, 18], [-30, -30, 50, 60]]
    inside = (boxes[:, 2:] > 2).all(-1) & (boxes[:, 0] < 22) & (boxes[:, 1] < 16)  # else torchvision fails
    masks, boxes = masks[inside], boxes[inside]
    theirs = paste_masks_in_image(library.tensor(masks)[:, None], library.tensor(boxes), (18, 24))[:, 0].numpy()
    ours = jax.jit(partial(nn.paste_masks, image_size=(18, 24)))(masks, boxes)
    assert len(boxes) > 10
    np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-9)


def test_boxes_outside_of_the_image_leave_nothing_there():
    boxes = np.array([[[-9, -9, -3, -3], [30, 30, 35, 35], [0, 0, 0, 0]]])
    paste = jax.jit(partial(nn.paste_masks, image_size=(8, 8)))
    pasted = paste(np.ones((1, 3, 4, 4), np.float16), boxes)
    assert pasted.shape == (1, 3, 8, 8)
    assert not pasted[0, :2].any()
    assert np.isfinite(pasted).all()
    assert jax.eval_shape(paste, np.ones((0, 4, 4)), np.zeros((0, 4))).shape == (0, 8, 8)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: nn.paste_masks(np.ones((2, 4, 5)), np.zeros((2, 4)), (4, 4)), r"got \(2, 4, 5\)"),
        (lambda: nn.paste_masks(np.ones((2, 4, 4)), np.zeros((3, 4)), (4, 4)), r"and \(3, 4\)"),
        (lambda: nn.paste_masks(np.ones((2, 4, 4)), np.zeros((2, 4)), (0, 4)), "got 0"),
        (lambda: nn.pyramid_roi_align([np.ones((4, 4, 1))] * 2, np.zeros((1, 4)), 2, (8, 32)), r"got \(8, 32\)"),
        (lambda: nn.assign_boxes(np.zeros((2, 5)), nn.feature_points((8, 8))), r"got \(2, 5\)"),
        (lambda: nn.assign_boxes(np.zeros((2, 4)), nn.feature_points((8, 8)), radius=0.0), "got 0"),
        (lambda: nn.feature_points((8, 0)), "got 0"),
    ],
)
def test_invalid_arguments_raise(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_strides_may_be_an_array_of_numpy():
    levels, boxes = [np.ones((32, 32, 1)), np.full((16, 16, 1), 2.0)], np.array([[0.0, 0, 60, 60], [0, 0, 240, 240]])
    assert nn.pyramid_roi_align(levels, boxes, 1, strides=np.array([8, 16])).ravel().tolist() == [1, 2]
    for bad, got in (((8.0, 16.0), "got 8.0"), ((), "of 2 levels")):
        with pytest.raises(ValueError, match=got):
            nn.pyramid_roi_align(levels, boxes, 1, strides=bad)
    with pytest.raises(ValueError, match="of 0 levels"):
        nn.pyramid_roi_align([], boxes, 1, strides=())
