"""Batches of pictures of different sizes, and transformations in which image, masks and boxes agree."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl import data


def make_example(height, width, boxes):
    """Draw rectangles: the image, the masks and the boxes show the same objects."""
    boxes = np.array(boxes, np.float32).reshape(-1, 4)
    masks = np.zeros((len(boxes), height, width), bool)
    for mask, (x1, y1, x2, y2) in zip(masks, boxes.astype(int), strict=True):
        mask[y1:y2, x1:x2] = True
    image = np.zeros((height, width, 1), np.float32)
    image[masks.any(axis=0)] = 1
    return {"image": image, "boxes": boxes, "label": np.arange(len(boxes)), "masks": masks}


def make_batch():
    first = make_example(20, 24, [[2, 3, 8, 12], [12, 9, 23, 19]])
    return data.pad_pictures([first, make_example(16, 18, [[0, 0, 5, 4]])], size=(20, 24), max_objects=3)


def test_pictures_are_padded_at_their_ends():
    batch = make_batch()
    shapes = {name: array.shape for name, array in batch.items()}
    assert shapes["image"] == (2, 20, 24, 1)
    assert shapes["masks"] == (2, 3, 20, 24)
    np.testing.assert_array_equal(batch["size"], [[20, 24], [16, 18]])
    np.testing.assert_array_equal(batch["box_mask"], [[1, 1, 0], [1, 0, 0]])
    assert batch["image"][1, 16:].sum() == batch["image"][1, :, 18:].sum() == 0
    assert data.pad_pictures([make_example(20, 33, [])])["image"].shape == (1, 32, 64, 1)
    crowded = {**make_example(4, 4, [[0, 0, 1, 1]]), "crowd": np.array([True])}
    np.testing.assert_array_equal(data.pad_pictures([crowded])["box_mask"], [[0]])
    for changes, message in (({"size": (19, 24)}, "19 x 24"), ({"max_objects": 1}, "1 objects")):
        with pytest.raises(ValueError, match=f"picture 0: .*{message}"):
            data.pad_pictures([make_example(20, 24, [[0, 0, 1, 1]] * 2)], **changes)
    with pytest.raises(ValueError, match=r"picture 0: .*\(1,\), got \(2,\)"):
        data.pad_pictures([{**make_example(4, 4, [[0, 0, 1, 1]]), "label": np.zeros(2, int)}])
    with pytest.raises(ValueError, match="got none"):
        data.pad_pictures([])


def assert_agreement(batch, tolerance=0.0):
    """Check that the boxes are those of the masks, and that the masks cover what is bright."""
    valid = np.asarray(batch["box_mask"]) != 0
    masks = np.asarray(batch["masks"])
    difference = np.abs(data.mask_boxes(masks)[valid] - np.asarray(batch["boxes"])[valid])
    assert difference.max(initial=0) <= tolerance, difference
    areas = masks.sum(axis=(-2, -1))[valid]
    boxes = np.asarray(batch["boxes"])[valid]
    sides = boxes[:, 2:] - boxes[:, :2]
    assert (np.abs(areas - np.prod(sides, axis=-1)) <= tolerance * (sides.sum(axis=-1) + 1)).all()
    bright = np.asarray(batch["image"])[..., 0] >= 0.5
    np.testing.assert_array_equal(bright, masks.any(axis=1))


@pytest.mark.parametrize("seed", range(3))
def test_image_masks_and_boxes_agree(seed):
    batch, key = make_batch(), jax.random.key(seed)
    assert_agreement(batch)
    flipped = jax.jit(partial(data.flip_objects, probability=1.0))(key, batch)
    assert_agreement(flipped)
    assert not flipped["image"][1, :, 18:].any()
    np.testing.assert_array_equal(flipped["boxes"][:, 0], [[16, 3, 22, 12], [13, 0, 18, 4]])
    again = jax.jit(partial(data.flip_objects, probability=1.0))(key, flipped)
    np.testing.assert_array_equal(again["masks"], batch["masks"])
    half = np.asarray(jax.jit(data.flip_objects)(key, batch)["boxes"])
    assert all(np.array_equal(b, x) or np.array_equal(b, y) for b, x, y in zip(half, batch["boxes"], flipped["boxes"]))  # noqa: B905


@pytest.mark.parametrize("seed", range(3))
def test_crops_and_scales_keep_what_remains_in_the_picture(seed):
    batch, key = make_batch(), jax.random.key(seed)
    crop = jax.jit(partial(data.crop_objects, height=14, width=15, least_visible=0.0))(key, batch)
    assert crop["image"].shape == (2, 14, 15, 1)
    assert_agreement(crop)
    assert (np.asarray(crop["size"]) == [14, 15]).all()
    strict = jax.jit(partial(data.crop_objects, height=14, width=15, least_visible=1.0))(key, batch)
    before = np.prod(batch["boxes"][..., 2:] - batch["boxes"][..., :2], axis=-1)
    after = np.asarray(crop["masks"]).sum(axis=(-2, -1))
    np.testing.assert_array_equal(np.asarray(strict["box_mask"]) != 0, (after >= before) & (batch["box_mask"] != 0))
    scaled = jax.jit(partial(data.scale_objects, factor=(0.6, 1.6), least_visible=0.0))(key, batch)
    assert_agreement(scaled, tolerance=1.0)


def test_affine_maps_move_boxes_as_pixels():
    batch = make_batch()
    quarter = jnp.broadcast_to(jnp.array([[0.0, 1.0], [-1.0, 0.0]]), (2, 2, 2))
    square = {name: batch[name] for name in ("boxes", "label", "box_mask")}
    square |= {"image": batch["image"][:, :, :20], "masks": batch["masks"][..., :20]}
    square["boxes"] = np.minimum(square["boxes"], 20)
    move = jax.jit(data.affine_objects)
    turned = move(square, quarter)
    assert_agreement(turned)
    np.testing.assert_array_equal(turned["image"], np.rot90(square["image"], axes=(1, 2)))
    zoomed = move(square, 0.5 * jnp.broadcast_to(jnp.eye(2), (2, 2, 2)))
    np.testing.assert_allclose(zoomed["boxes"][0, 1], [14, 8, 20, 20])
    assert zoomed["box_mask"][1, 0] == 0  # its box is outside of what is left
    assert all(np.isfinite(np.asarray(value)).all() for value in zoomed.values())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda batch: data.crop_objects(jax.random.key(0), batch, 21, 4), "got 21 x 4"),
        (lambda batch: data.crop_objects(jax.random.key(0), batch, 0, 4), "got 0"),
        (lambda batch: data.scale_objects(jax.random.key(0), batch, 2.0), "got 2.0"),
        (lambda batch: data.scale_objects(jax.random.key(0), batch, (0.0, 1.0)), "got 0.0"),
        (lambda batch: data.flip_objects(jax.random.key(0), batch, 1.5), "got 1.5"),
        (lambda batch: data.affine_objects(batch, np.eye(2)), r"\(2, 2\)"),
        (lambda batch: data.affine_objects(batch, np.zeros((2, 2, 2)) + np.eye(2), least_visible=2.0), "got 2.0"),
    ],
)
def test_invalid_arguments_raise(call, message):
    with pytest.raises(ValueError, match=message):
        jax.eval_shape(call, make_batch())


def test_pictures_that_do_not_belong_together_are_refused():
    colour, grey = make_example(8, 8, [[0, 0, 2, 2]]), make_example(8, 8, [[0, 0, 2, 2]])
    colour["image"], grey["image"] = np.ones((8, 8, 3)), np.ones((8, 8, 1))
    for first, second in ((colour, grey), (grey, colour), ({**grey, "image": grey["image"][..., 0]},) * 2):
        with pytest.raises(ValueError, match="as many channels"):
            data.pad_pictures([first, second])
    bare = {name: array for name, array in colour.items() if name != "masks"}
    for examples in ([colour, bare], [bare, colour]):
        with pytest.raises(ValueError, match="masks of all pictures or of none"):
            data.pad_pictures(examples)
