"""Detection and masks against torchvision's losses, with padding, empty images and tiny networks."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen

from jaxdl import nn, pretrained, tasks
from jaxdl.models.dense import FCOS, MaskFCOS, MaskHead
from tests.models.dense.test_fcos import draw_predictions, small_peer
from tests.models.parity import entries_of, randomize
from tests.peers import torch, torchvision
from tests.variables import draw

SIZE = (96, 80)


class Backbone(linen.Module):
    """One convolution of stride 8, and a norm."""

    @linen.compact
    def __call__(self, x, train=False, return_intermediates=False):
        x = nn.BatchNorm()(nn.Conv(4, (8, 8), 8)(x), train)
        return x, {"all": x}


MODEL = FCOS(3, Backbone(), maps=("all",), features=4, depth=1, groups=2, extra_levels=0)


def draw_objects(count=12, images=3):
    """Draw boxes of many sizes, some inside of others, of which the last image has none."""
    rng = np.random.default_rng(2)
    centres, sides = rng.uniform(5, 75, (images, count, 2)), rng.uniform(4, 60, (images, count, 2))
    boxes = np.concatenate([centres - sides / 2, centres + sides / 2], axis=-1)
    boxes[0, 1] = boxes[0, 0]
    labels, mask = rng.integers(0, 3, (images, count)), np.ones((images, count))
    mask[1, 5:], mask[2] = 0, 0
    return boxes, labels, mask


@pytest.mark.usefixtures("float64")
def test_the_loss_and_its_gradient_are_torchvisions(monkeypatch):
    torchvision()
    import torchvision.models.detection.fcos as theirs

    # Its small number in the denominators would be the largest difference.
    monkeypatch.setattr(theirs, "generalized_box_iou_loss", partial(theirs.generalized_box_iou_loss, eps=0))
    library, peer = torch(), small_peer()
    boxes, labels, mask = draw_objects()
    predictions, points = draw_predictions(nn.level_sizes(SIZE), 3, 3), nn.feature_points(SIZE)

    def loss(predictions, boxes, labels, mask):
        parts = tasks.detection_losses(predictions, boxes, labels, points, box_mask=mask)
        means = parts.means()
        return means["loss"].value, ({name: mean.value for name, mean in means.items()}, parts.count)

    padded = np.where(mask[..., None] != 0, boxes, np.nan)
    run = jax.jit(jax.value_and_grad(loss, has_aux=True))
    (value, (ours, count)), gradient = run(predictions, padded, np.where(mask != 0, labels, 99), mask)
    flat = predictions.flatten()
    tensors = [library.tensor(np.asarray(x), requires_grad=True) for x in (*flat[:2], flat[2][..., None])]
    half = points.strides[:, None] / 2
    anchors = library.tensor(np.concatenate([points.centres - half, points.centres + half], axis=1)).double()
    targets = [
        {"boxes": library.tensor(b[m != 0]), "labels": library.tensor(k[m != 0])}
        for b, k, m in zip(boxes, labels, mask, strict=True)
    ]
    outputs = dict(zip(("cls_logits", "bbox_regression", "bbox_ctrness"), tensors, strict=True))
    counts = [height * width for height, width in nn.level_sizes(SIZE)]
    expected = peer.compute_loss(targets, outputs, [anchors] * 3, counts)
    sum(expected.values()).backward()
    assert count > 20
    for name, other in (("classification",) * 2, ("box", "bbox_regression"), ("centerness", "bbox_ctrness")):
        np.testing.assert_allclose(ours[name], expected[other].item(), rtol=1e-9)
    np.testing.assert_allclose(value, sum(expected.values()).item(), rtol=1e-9)
    for grad, tensor in zip(gradient.flatten(), tensors, strict=True):
        theirs_grad = tensor.grad.numpy().reshape(grad.shape)
        np.testing.assert_allclose(grad, theirs_grad, rtol=1e-8, atol=1e-10)


def assign_by_loop(boxes, points, radius):
    """Try every box at every point."""
    assigned = []
    for (x, y), stride, (low, high) in zip(*points, strict=True):
        best, smallest = -1, np.inf
        for number, (x1, y1, x2, y2) in enumerate(boxes):
            distances = [x - x1, y - y1, x2 - x, y2 - y]
            far = max(abs(x - (x1 + x2) / 2), abs(y - (y1 + y2) / 2))
            area = (x2 - x1) * (y2 - y1)
            if min(distances) > 0 and low < max(distances) < high and far < radius * stride and area < smallest:
                best, smallest = number, area
        assigned.append(best)
    return assigned


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("radius", [0.7, 1.5])
def test_boxes_are_assigned_as_in_a_loop(radius):
    boxes, _, mask = draw_objects()
    points = nn.feature_points(SIZE)
    assigned = jax.jit(partial(nn.assign_boxes, points=points, radius=radius))(boxes, mask=mask)
    for image, found in enumerate(assigned):
        expected = assign_by_loop(boxes[image][mask[image] != 0], points, radius)
        np.testing.assert_array_equal(found, expected)
    assert (nn.assign_boxes(np.zeros((2, 0, 4)), points) == -1).all()


def test_distances_are_the_inverse_of_boxes():
    boxes, points = np.array([[[1.0, 2, 30, 40]]]), nn.feature_points((16, 16), (16,))
    np.testing.assert_allclose(nn.decode_distances(nn.encode_boxes(boxes, points), points), boxes)


def test_padding_changes_neither_loss_nor_gradient_and_no_objects_are_finite():
    task = tasks.detection(MODEL)
    boxes, labels, mask = (x[:2].astype(np.float32) for x in draw_objects(4))
    image = np.random.default_rng(0).normal(size=(2, 32, 32, 3)).astype(np.float32)
    batch = {"image": image, "boxes": boxes / 3, "label": labels.astype(int), "box_mask": mask}
    variables = draw(task.init, jax.random.key(0), batch)
    run = jax.jit(lambda batch: jax.value_and_grad(lambda v: task.loss(v, batch, jax.random.key(1))[0])(variables))
    padded = {**batch, "mask": np.array([1.0, 0.0])}
    other = {**padded, "boxes": batch["boxes"] * [[[1]], [[np.nan]]], "label": batch["label"] * [[1], [-7]]}
    one = run(padded)
    jax.tree.map(np.testing.assert_array_equal, one, run(other))
    none = run({**batch, "mask": np.ones(2), "box_mask": np.zeros_like(mask)})
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves((one, none)))
    measured = jax.jit(task.measure)(variables, padded)
    assert sorted(measured) == ["box", "centerness", "classification", "loss"]
    count = jax.jit(task.loss.count)
    assert measured["loss"].count == count(padded) == count({**padded, "boxes": other["boxes"]})
    assert count({**padded, "mask": np.zeros(2)}) == 0
    with pytest.raises(ValueError, match="'boxes'"):
        task.loss(variables, {"image": image}, jax.random.key(0))
    with pytest.raises(ValueError, match="got -1"):
        tasks.detection(MODEL, radius=-1)


@pytest.mark.usefixtures("float64")
def test_the_mask_head_and_its_loss_are_torchvisions(monkeypatch):
    torchvision()
    import torchvision.models.detection.roi_heads as theirs
    from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor
    from torchvision.ops.roi_align import _roi_align

    def align(x, boxes, output_size, scale):
        return _roi_align.__wrapped__(x, boxes, scale, *output_size, 2, True)

    monkeypatch.setattr(theirs, "roi_align", align)
    library, rng = torch(), np.random.default_rng(3)
    peer = library.nn.ModuleDict(
        {"mask_head": MaskRCNNHeads(4, (5, 6), 1), "mask_predictor": MaskRCNNPredictor(6, 6, 3)}
    )
    entries = {f"roi_heads.{name}": entry for name, entry in entries_of(randomize(peer)).items()}
    model, x = MaskHead(3, (5, 6)), rng.normal(size=(2, 4, 7, 7, 4))
    rules, forms = pretrained.rules_of(model, "torchvision"), jax.eval_shape(model.init, jax.random.key(0), x)
    variables = pretrained.convert(entries, forms, rules, dtype=np.float64)
    older = {name.replace("head.0.0.", "head.mask_fcn1."): entry for name, entry in entries.items()}
    older = pretrained.convert(older, forms, rules, dtype=np.float64)
    jax.tree.map(np.testing.assert_array_equal, older, variables)
    corners = rng.uniform(0, 12, (2, 4, 2))  # inside: for points outside its form in Python differs from its kernels
    boxes = np.concatenate([corners, corners + rng.uniform(2, 16, (2, 4, 2))], axis=-1)
    labels, masks = rng.integers(0, 3, (2, 4)), rng.integers(0, 2, (2, 4, 32, 30)).astype(float)
    valid = np.array([[1, 1, 1, 1], [1, 1, 0, 0]])

    def loss(variables, boxes, labels):
        logits = model.apply(variables, x)
        return tasks.mask_loss(logits, boxes, labels, masks, box_mask=valid), logits

    padding = valid[..., None] == 0
    run = jax.jit(jax.value_and_grad(loss, has_aux=True))
    (value, logits), gradient = run(variables, np.where(padding, np.nan, boxes), np.where(padding[..., 0], -5, labels))
    rows = library.tensor(np.moveaxis(x.reshape(8, 7, 7, 4), -1, 1).copy())
    output = peer["mask_predictor"](peer["mask_head"](rows))
    np.testing.assert_allclose(
        logits.reshape(8, 14, 14, 3), np.moveaxis(output.detach().numpy(), 1, -1), rtol=1e-9, atol=1e-9
    )
    index, keep = [library.arange(n) for n in (4, 2)], valid.ravel() != 0
    objects = [[library.tensor(x[i][valid[i] != 0]) for i in range(2)] for x in (boxes, masks, labels)]
    expected = theirs.maskrcnn_loss(output[library.tensor(keep)], *objects, index)
    expected.backward()
    np.testing.assert_allclose(value, expected.item(), rtol=1e-9)
    bias = peer["mask_predictor"].mask_fcn_logits.bias
    np.testing.assert_allclose(gradient["params"]["output"]["bias"], bias.grad.numpy(), rtol=1e-8, atol=1e-12)


def test_masks_are_learned_beside_boxes_and_made_of_detections():
    model = MaskFCOS(MODEL, widths=(4,), size=4)
    task = tasks.instance_segmentation(model)
    boxes, labels, mask = (x[:2].astype(np.float32) for x in draw_objects(3))
    image = np.random.default_rng(0).normal(size=(2, 32, 32, 3)).astype(np.float32)
    masks = np.random.default_rng(1).integers(0, 2, (2, 3, 32, 32))
    batch = {"image": image, "boxes": boxes / 3, "label": labels.astype(int), "box_mask": mask, "masks": masks}
    variables = draw(task.init, jax.random.key(0), batch)

    @jax.jit
    def run(variables, batch):
        loss, (_, values) = task.loss(variables, batch, jax.random.key(0))
        predictions, out = model.apply(variables, batch["image"], return_intermediates=True, method="detect")
        found = nn.select_detections(predictions, (32, 32), strides=(8,), score_threshold=0.0, max_detections=5)
        logits = model.apply(variables, out, found.boxes, method="masks")
        chosen = nn.select_masks(logits, found.labels)
        return loss, values, task.measure(variables, batch), nn.paste_masks(chosen, found.boxes, (32, 32))

    padded = {**batch, "mask": np.array([1.0, 0.0])}
    other = {**padded, "masks": masks * np.array([1, 99])[:, None, None, None]}
    loss, values, measured, pasted = run(variables, padded)
    np.testing.assert_array_equal(loss, run(variables, other)[0])
    np.testing.assert_allclose(loss, sum(values.values()), rtol=1e-6)
    assert sorted(values) == ["box", "centerness", "classification", "mask"]
    assert sorted(measured) == ["box", "centerness", "classification", "loss", "mask"]
    assert measured["mask"].count == 3
    assert pasted.shape == (2, 5, 32, 32)
    assert np.isfinite(pasted).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: tasks.mask_loss(*map(jnp.zeros, ((1, 2, 4, 4), (1, 2, 4), (1, 2), (1, 2, 8, 8)))), r"\(1, 2, 4, 4\)"),
        (
            lambda: tasks.detection_losses(
                draw_predictions([(1, 1)], 2, 1), np.zeros((1, 2, 4)), np.zeros((1, 3)), nn.feature_points((8, 8), (8,))
            ),
            r"labels \(1, 3\)",
        ),
    ],
)
def test_shapes_that_do_not_match_raise(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("label", [-1, 3])
def test_an_object_of_no_class_is_no_background(label):
    boxes, labels, points = np.array([[[8.0, 8, 40, 40]]]), np.array([[label]]), nn.feature_points(SIZE, MODEL.strides)
    sizes = nn.anchor_free.level_sizes(SIZE, MODEL.strides)
    maps = [[np.zeros((1, *size, *last), np.float32) for size in sizes] for last in ((3,), (4,), ())]
    predictions = nn.DensePredictions(*map(tuple, maps))
    compute = jax.jit(lambda labels, mask: tasks.detection_losses(predictions, boxes, labels, points, box_mask=mask))
    assert np.isnan(compute(labels, np.ones((1, 1))).classification)
    assert np.isfinite(compute(labels, np.zeros((1, 1))).classification)
    logits, masks = np.zeros((1, 1, 4, 4, 3), np.float32), np.ones((1, 1, *SIZE), np.float32)
    assert np.isnan(jax.jit(tasks.mask_loss)(logits, boxes, labels, masks))
    assert jax.jit(tasks.mask_loss)(logits, boxes, labels, masks, box_mask=np.zeros((1, 1))) == 0
