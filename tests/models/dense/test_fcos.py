"""FCOS against torchvision's with the same weights: predictions, names, detections."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl import models, nn, pretrained
from jaxdl.models.dense import FCOS
from jaxdl.models.vision.resnet import ResNet
from tests.models.parity import assert_same_weights, entries_of, randomize
from tests.models.vision.test_resnet import narrow_torchvision
from tests.peers import torch, torchvision

SMALL = FCOS(3, ResNet(None, (1, 1, 1, 1), (4, 8, 16, 32)), features=32, depth=1)


def small_peer(**options):
    """Build torchvision's network of the fields of `SMALL`, that takes its images as they are."""
    detection = torchvision().models.detection
    from torchvision.ops.feature_pyramid_network import LastLevelP6P7

    stages = {f"layer{n}": str(n) for n in (2, 3, 4)}
    body, extra = narrow_torchvision("basic", (1, 1, 1, 1), 5), LastLevelP6P7(32, 32)
    backbone = detection.backbone_utils.BackboneWithFPN(body, stages, [8, 16, 32], 32, extra)
    head = detection.fcos.FCOSHead(32, 1, 3, num_convs=1)
    peer = detection.fcos.FCOS(backbone, 3, head=head, **options)
    return randomize(peer)


@pytest.mark.usefixtures("float64")
def test_predictions_are_torchvisions():
    peer, x = small_peer().eval(), np.random.default_rng(0).normal(size=(2, 72, 40, 3))
    entries = entries_of(peer)
    rules = pretrained.rules_of(SMALL, "torchvision")
    variables = pretrained.convert(entries, pretrained.template(SMALL, x.shape[1:]), rules, dtype=np.float64)
    predictions = jax.jit(SMALL.apply)(variables, x)
    with torch().no_grad():
        expected = peer.head(list(peer.backbone(torch().tensor(np.moveaxis(x, -1, 1).copy())).values()))
    for ours, name in zip(predictions.flatten(), ("cls_logits", "bbox_regression", "bbox_ctrness"), strict=True):
        theirs = expected[name].numpy()
        np.testing.assert_allclose(ours, theirs.reshape(ours.shape), rtol=0, atol=1e-9 * np.abs(theirs).max())
    before = {name.replace("_blocks.0.0.", "_blocks.0."): entry for name, entry in entries.items()}
    again = pretrained.convert(before, pretrained.template(SMALL, x.shape[1:]), rules, dtype=np.float64)
    jax.tree.map(np.testing.assert_array_equal, again, variables)


def test_the_names_are_those_of_torchvision():
    model = models.create("fcos_resnet50_fpn")
    create = torchvision().models.detection.fcos_resnet50_fpn
    with torch().device("meta"):
        peer = create(weights=None, weights_backbone=None)
    assert_same_weights(pretrained.template(model, (64, 64, 3)), peer, pretrained.rules_of(model, "torchvision"))


def test_frozen_norms_keep_their_moments():
    model = SMALL.clone(freeze_norm=True)
    x = np.random.default_rng(0).normal(size=(1, 8, 8, 3)).astype(np.float32)
    forms = jax.eval_shape(model.init, jax.random.key(0), x)
    for frozen in (True, False):
        run = partial(SMALL.clone(freeze_norm=frozen).apply, train=True, mutable=["batch_stats"])
        jaxpr = jax.make_jaxpr(run)(forms, x)
        moments = set(map(id, jaxpr.jaxpr.outvars)) & set(map(id, jaxpr.jaxpr.invars))
        assert len(moments) == (len(jax.tree.leaves(forms["batch_stats"])) if frozen else 0)


@pytest.mark.parametrize("size", [(4, 16), (16, 4)])
def test_small_images_raise(size):
    with pytest.raises(ValueError, match=str(size[0])):
        jax.eval_shape(SMALL.init, jax.random.key(0), jnp.zeros((1, *size, 3)))


def test_maps_of_other_strides_raise():
    model = SMALL.clone(maps=("stage1", "stage2"))
    with pytest.raises(ValueError, match=r"got \[\(8, 8\), \(4, 4\)\]"):
        jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 32, 32, 3)))


def draw_predictions(sizes, classes, images):
    rng = np.random.default_rng(1)
    maps = [
        tuple(scale * rng.normal(size=(images, *size, *last)) + shift for size in sizes)
        for last, scale, shift in (((classes,), 2.0, -1.0), ((4,), 1.0, 2.0), ((), 1.0, 1.0))
    ]
    return nn.DensePredictions(maps[0], tuple(np.maximum(x, 0) for x in maps[1]), maps[2])


def suppress(boxes, scores, threshold):
    """Run a suppression in torch, for the compiled part of torchvision that is missing."""
    library, overlaps = torch(), torchvision().ops.box_iou(boxes, boxes)
    order, kept = scores.argsort(descending=True, stable=True), []
    for index in order.tolist():
        if not any(overlaps[index, other] > threshold for other in kept):
            kept.append(index)
    return library.tensor(kept, dtype=library.int64)


@pytest.mark.usefixtures("float64")
def test_detections_are_torchvisions(monkeypatch):
    torchvision()
    import torchvision.ops.boxes as operations

    monkeypatch.setattr(operations, "nms", suppress)
    settings = {"score_thresh": 0.3, "nms_thresh": 0.4, "detections_per_img": 20, "topk_candidates": 30}
    peer, library = small_peer(**settings), torch()
    image_size, sizes, actual = (72, 40), nn.level_sizes((72, 40)), [(72, 33), (61, 40)]
    predictions = draw_predictions(sizes, 3, 2)
    tensors = {
        "cls_logits": [library.tensor(x.reshape(2, -1, 3)) for x in predictions.logits],
        "bbox_regression": [library.tensor(x.reshape(2, -1, 4)) for x in predictions.distances],
        "bbox_ctrness": [library.tensor(x.reshape(2, -1, 1)) for x in predictions.centerness],
    }
    points = nn.feature_points(image_size)
    half = points.strides[:, None] / 2
    anchors = np.concatenate([points.centres - half, points.centres + half], axis=1)
    counts = [h * w for h, w in sizes]
    anchors = [list(library.tensor(anchors, dtype=library.float64).split(counts))] * 2
    expected = peer.postprocess_detections(tensors, anchors, actual)
    run = partial(
        nn.select_detections,
        image_size=image_size,
        score_threshold=0.3,
        iou_threshold=0.4,
        candidates=30,
        max_detections=20,
    )
    found = jax.jit(run)(predictions, sizes=np.array(actual))
    each = jax.jit(jax.vmap(lambda p, s: run(p, sizes=s)))(predictions, np.array(actual))
    jax.tree.map(np.testing.assert_array_equal, found, each)
    for image, theirs in enumerate(expected):
        mask = np.asarray(found.mask[image])
        assert 0 < mask.sum() == len(theirs["scores"])
        for name, missing in (("boxes", 0), ("scores", 0), ("labels", -1)):
            ours = np.asarray(getattr(found, name)[image])
            np.testing.assert_allclose(ours[mask], theirs[name].numpy(), rtol=1e-10, atol=1e-10)
            assert (ours[~mask] == missing).all()


def test_points_are_the_centres_of_torchvisions_anchors():
    peer, library = torchvision().models.detection, torch()
    sizes = nn.level_sizes((96, 72))
    generator = peer.anchor_utils.AnchorGenerator(((8,), (16,), (32,), (64,), (128,)), ((1.0,),) * 5)
    images = peer.image_list.ImageList(library.zeros(1, 3, 96, 72), [(96, 72)])
    anchors = generator(images, [library.zeros(1, 1, *size) for size in sizes])[0].numpy()
    points = nn.feature_points((96, 72))
    np.testing.assert_array_equal(points.centres, (anchors[:, :2] + anchors[:, 2:]) / 2)
    np.testing.assert_array_equal(points.strides, anchors[:, 2] - anchors[:, 0])


def test_nan_and_empty_predictions_detect_nothing():
    predictions = nn.DensePredictions(
        tuple(np.full((2, *size, 2), np.nan, np.float16) for size in nn.level_sizes((16, 16))),
        tuple(np.ones((2, *size, 4), np.float16) for size in nn.level_sizes((16, 16))),
        tuple(np.ones((2, *size), np.float16) for size in nn.level_sizes((16, 16))),
    )
    found = jax.jit(partial(nn.select_detections, image_size=(16, 16), max_detections=4))(predictions)
    assert not found.mask.any()
    assert (found.labels == -1).all()
    with pytest.raises(ValueError, match=r"\(4, 2\)"):
        nn.select_detections(predictions, (32, 16))
    with pytest.raises(ValueError, match="got 0"):
        nn.select_detections(predictions, (16, 16), max_detections=0)
