"""Boxes against torchvision, and suppression against a loop over pairs in NumPy."""

from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl import nn
from tests.peers import torch, torchvision

close = partial(np.testing.assert_allclose, rtol=1e-10, atol=1e-12)


def draw_boxes(seed, *shape, size=12.0):
    corners = np.random.default_rng(seed).uniform(0, size, (*shape, 2, 2))
    return np.concatenate([corners.min(-2), corners.max(-2)], axis=-1)


def suppress_by_loop(boxes, scores, threshold):
    """Visit the boxes from the highest score, and keep those that overlap no box kept before by more."""
    kept = []
    for index in np.argsort(-scores, kind="stable"):
        for other in kept:
            low, high = np.maximum(boxes[index, :2], boxes[other, :2]), np.minimum(boxes[index, 2:], boxes[other, 2:])
            intersection = np.prod(np.maximum(high - low, 0))
            areas = [np.prod(boxes[i, 2:] - boxes[i, :2]) for i in (index, other)]
            if intersection > threshold * (sum(areas) - intersection):
                break
        else:
            kept.append(index)
    return kept


@pytest.mark.usefixtures("float64")
def test_overlaps_and_their_gradients_are_torchvisions():
    boxes, library = torchvision().ops, torch()
    a, b = draw_boxes(0, 5), draw_boxes(1, 7)
    cotangent = np.random.default_rng(2).normal(size=(5, 7))
    for ours, theirs in ((nn.box_iou, boxes.box_iou), (nn.generalized_box_iou, boxes.generalized_box_iou)):
        value, pull = jax.vjp(jax.jit(ours), a, b)
        leaves = [library.tensor(x, requires_grad=True) for x in (a, b)]
        peer = theirs(*leaves)
        peer.backward(library.tensor(cotangent))
        close(value, peer.detach().numpy())
        for gradient, leaf in zip(pull(jnp.asarray(cotangent)), leaves, strict=True):
            close(gradient, leaf.grad.numpy())
    close(nn.box_area(a), boxes.box_area(library.tensor(a)).numpy())


def test_boxes_without_area_overlap_nothing_and_have_finite_gradients():
    points = jnp.array([[1.0, 1.0, 1.0, 1.0]])
    for overlap in (nn.box_iou, nn.generalized_box_iou):
        value, gradient = jax.value_and_grad(lambda a, f=overlap: f(a, points).sum())(points)
        assert value == 0
        assert np.isfinite(gradient).all()


@pytest.mark.usefixtures("float64")
def test_suppression_is_a_loop_over_pairs_for_every_image():
    boxes = draw_boxes(3, 4, 40)
    scores = np.random.default_rng(4).integers(0, 12, (4, 40)) / 12  # many equal ones
    run = jax.jit(partial(nn.non_maximum_suppression, iou_threshold=0.3, max_boxes=30))
    kept = run(boxes, scores)
    for image in range(4):
        expected = suppress_by_loop(boxes[image], scores[image], 0.3)
        assert np.asarray(kept.indices[image])[np.asarray(kept.mask[image])].tolist() == expected
        assert (np.asarray(kept.indices[image])[~np.asarray(kept.mask[image])] == -1).all()
    chex.assert_trees_all_equal(jax.vmap(run)(boxes, scores), kept)
    few = nn.non_maximum_suppression(boxes, scores, 0.3, 5)
    np.testing.assert_array_equal(few.indices, kept.indices[:, :5])


def test_padding_nan_and_other_classes_are_no_rivals():
    boxes = np.array([[0, 0, 4, 4], [0, 0, 4, 4], [0, 0, 4, 4], [9, 9, 10, 10]])
    scores = np.array([np.nan, 0.5, 0.4, -np.inf], np.float16)
    assert nn.non_maximum_suppression(boxes, scores, 0.5, 4).indices.tolist() == [1, -1, -1, -1]
    apart = nn.class_offsets(boxes, np.array([0, 0, 1, 1]))
    assert nn.non_maximum_suppression(apart, scores, np.float32(0.5), 4).indices.tolist() == [1, 2, -1, -1]
    assert nn.non_maximum_suppression(np.zeros((2, 0, 4)), np.zeros((2, 0)), 0.5, 3).indices.tolist() == [[-1] * 3] * 2
    assert nn.class_offsets(np.zeros((0, 4)), np.zeros(0, int)).shape == (0, 4)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("aligned", [True, False])
def test_roi_align_and_its_gradient_are_torchvisions(aligned):
    torchvision()
    library = torch()
    from torchvision.ops.roi_align import _roi_align  # its form in Python, to be compiled: here it runs eagerly

    x = np.random.default_rng(5).normal(size=(2, 9, 7, 3))
    boxes = draw_boxes(6, 2, 4, size=17.0)  # inside: for points outside its form in Python differs from its kernels
    run = partial(nn.roi_align, output_size=(3, 2), scale=0.4, samples=2, aligned=aligned)
    y, pull = jax.vjp(lambda x: run(x, boxes), x)
    cotangent = np.random.default_rng(7).normal(size=y.shape)
    leaf = library.tensor(np.moveaxis(x, -1, 1).copy(), requires_grad=True)
    rows = np.concatenate([np.repeat([[0.0], [1.0]], 4, axis=0), boxes.reshape(8, 4)], axis=1)
    peer = _roi_align.__wrapped__(leaf, library.tensor(rows), 0.4, 3, 2, 2, aligned)
    peer.backward(library.tensor(np.moveaxis(cotangent, -1, 2).reshape(8, 3, 3, 2).copy()))
    close(y, np.moveaxis(peer.detach().numpy().reshape(2, 4, 3, 3, 2), 2, -1))
    close(pull(jnp.asarray(cotangent))[0], np.moveaxis(leaf.grad.numpy(), 1, -1))


@pytest.mark.usefixtures("float64")
def test_roi_align_is_a_loop_over_points_also_outside_of_the_image():
    x = np.random.default_rng(5).normal(size=(9, 7, 3))
    boxes = draw_boxes(6, 6, size=30.0) - 5.0  # some lie partly or wholly outside
    y = nn.roi_align(x, boxes, (3, 2), scale=0.5, samples=2)

    def at(i, j):
        if not (-1 <= i <= 9 and -1 <= j <= 7):
            return np.zeros(3)
        i, j = np.clip(i, 0, 8), np.clip(j, 0, 6)
        pixels = [(a, b) for a in {int(np.floor(i)), int(np.ceil(i))} for b in {int(np.floor(j)), int(np.ceil(j))}]
        return sum((1 - abs(i - a)) * (1 - abs(j - b)) * x[a, b] for a, b in pixels)

    for box, ours in zip(0.5 * boxes - 0.5, np.asarray(y), strict=True):
        for p, q in np.ndindex(3, 2):
            height, width = (box[3] - box[1]) / 3, (box[2] - box[0]) / 2
            rows = [box[1] + height * (p + part) for part in (0.25, 0.75)]
            columns = [box[0] + width * (q + part) for part in (0.25, 0.75)]
            close(ours[p, q], np.mean([at(i, j) for i in rows for j in columns], axis=0))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: nn.box_iou(np.zeros((2, 5)), np.zeros((2, 4))), r"got \(2, 5\)"),
        (lambda: nn.non_maximum_suppression(np.zeros((2, 4)), np.zeros(3), 0.5, 1), r"got boxes \(2, 4\)"),
        (lambda: nn.non_maximum_suppression(np.zeros((2, 4)), np.zeros(2), 1.5, 1), "got 1.5"),
        (lambda: nn.non_maximum_suppression(np.zeros((2, 4)), np.zeros(2), 0.5, 0), "got 0"),
        (lambda: nn.roi_align(np.zeros((1, 4, 4, 2)), np.zeros((3, 4)), 2), r"got \(1, 4, 4, 2\)"),
        (lambda: nn.roi_align(np.zeros((4, 4, 2)), np.zeros((3, 4)), 0), "got 0"),
    ],
)
def test_invalid_arguments_raise(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("padding", [np.nan, np.inf, -np.inf])
def test_padding_does_not_move_the_boxes_of_classes(padding):
    boxes = draw_boxes(0, 6)
    labels, scores = np.array([0, 1, 0, 1, 0, 1]), np.linspace(0.9, 0.4, 6)
    expected = nn.non_maximum_suppression(nn.class_offsets(boxes, labels), scores, 0.1, 6).indices
    padded = nn.class_offsets(np.concatenate([boxes, np.full((1, 4), padding)]), np.append(labels, 0))
    found = nn.non_maximum_suppression(padded, np.append(scores, -np.inf), 0.1, 6).indices
    assert found.tolist() == expected.tolist()


@pytest.mark.parametrize("size", [np.int64(2), np.array(2), (2, np.int32(2))])
def test_sizes_may_be_numbers_of_numpy(size):
    x, boxes = np.arange(64.0).reshape(8, 8, 1), draw_boxes(0, 3, size=8.0)
    np.testing.assert_array_equal(nn.roi_align(x, boxes, size), nn.roi_align(x, boxes, 2))
