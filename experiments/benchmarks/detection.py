"""Detection: inference of FCOS against torchvision, and non-maximum suppression of many boxes.

FCOS with ResNet-50, one image of 320 x 320 pixels, from the image to the predictions at all points, which are shown
equal before anything is timed. torch runs eager, channels last. Suppression keeps at most 1,000 of 10,000 boxes, in a
compiled loop of ours, in torch's operations one box after the other, which is what torchvision does where its compiled
part is missing, and in a loop of NumPy.
"""

import importlib.util
import os
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import jax
import numpy as np

from experiments.benchmarks import peers
from experiments.benchmarks.timing import Case, Missing
from jaxdl import models, nn, pretrained, tasks, tree

SIZE, BOXES, KEPT, THRESHOLD, ROUNDS = 320, 10_000, 1000, 0.5, 5
INFERENCE = f"FCOS, {SIZE} x {SIZE}, batch 1, inference"
SUPPRESSION = {name: f"suppression, {BOXES} boxes, {KEPT} kept, against {name}" for name in ("torch", "numpy")}


def titles() -> list[str]:
    """Name the cases."""
    return [INFERENCE, *SUPPRESSION.values()]


def cases() -> Iterator[Case | Missing]:
    """Yield inference against torchvision, and suppression against torch and NumPy."""
    if importlib.util.find_spec("torch") and importlib.util.find_spec("torchvision"):
        yield inference()
        yield suppression("torch", suppress_by_torch)
    else:
        yield from (Missing(title, "torchvision") for title in (INFERENCE, SUPPRESSION["torch"]))
    yield suppression("numpy", suppress_by_numpy)


def inference() -> Case:
    """Make the predictions of both sides, from the same weights."""
    import torch

    torch.set_num_threads(len(os.sched_getaffinity(0)))
    model, image = models.create("fcos_resnet50_fpn"), np.random.default_rng(0).normal(size=(1, SIZE, SIZE, 3))
    image = image.astype(np.float32)
    variables = tasks.detection(model).init(jax.random.key(0), {"image": image})
    create = peers.torchvision().models.detection.fcos_resnet50_fpn
    peer = create(weights=None, weights_backbone=None).eval().to(memory_format=torch.channels_last)
    entries = pretrained.export("fcos_resnet50_fpn", variables)
    peer.load_state_dict({name: torch.from_numpy(np.array(entry)) for name, entry in entries.items()})
    x = torch.from_numpy(np.moveaxis(image, -1, 1).copy()).contiguous(memory_format=torch.channels_last)
    predict = jax.jit(model.apply).lower(variables, image).compile()

    def theirs() -> dict[str, Any]:
        with torch.inference_mode():
            return peer.head(list(peer.backbone(x).values()))

    arguments = jax.device_put((variables, image))
    expected = theirs()
    names = ("cls_logits", "bbox_regression", "bbox_ctrness")
    for mine, name in zip(predict(*arguments).flatten(), names, strict=True):
        np.testing.assert_allclose(mine, expected[name].numpy().reshape(mine.shape), rtol=1e-2, atol=1e-2)
    parameters = tree.size(variables["params"])
    run = partial(predict, *arguments)
    return Case(
        INFERENCE,
        "torch",
        lambda: jax.block_until_ready(run()),
        theirs,
        None,
        ROUNDS,
        lambda row: {"parameters": parameters},
    )


def suppression(peer: str, theirs: Callable[[np.ndarray, np.ndarray], list[int]]) -> Case:
    """Make the suppression of the same boxes on both sides."""
    generator = np.random.default_rng(0)
    corners = generator.uniform(0, 1000, (BOXES, 2))
    boxes = np.concatenate([corners, corners + generator.uniform(5, 60, (BOXES, 2))], axis=1).astype(np.float32)
    scores = generator.permutation(BOXES).astype(np.float32) / BOXES
    select = partial(nn.non_maximum_suppression, iou_threshold=THRESHOLD, max_boxes=KEPT)
    arguments = jax.device_put((boxes, scores))
    program = jax.jit(select).lower(*arguments).compile()
    np.testing.assert_array_equal(program(*arguments).indices, theirs(boxes, scores))
    return Case(
        SUPPRESSION[peer],
        peer,
        lambda: jax.block_until_ready(program(*arguments)),
        lambda: theirs(boxes, scores),
        None,
        ROUNDS,
    )


def suppress_by_torch(boxes: np.ndarray, scores: np.ndarray) -> list[int]:
    """Keep the best boxes with torchvision's ``box_iou`` of one box with all others that are left."""
    import torch

    overlaps = peers.torchvision().ops.box_iou
    tensors = torch.from_numpy(boxes)
    order, kept = torch.argsort(torch.from_numpy(scores), descending=True, stable=True), []
    with torch.inference_mode():
        while len(order) and len(kept) < KEPT:
            kept.append(int(order[0]))
            overlap = overlaps(tensors[order[0]][None], tensors[order])[0]
            order = order[1:][overlap[1:] <= THRESHOLD]
    return kept


def suppress_by_numpy(boxes: np.ndarray, scores: np.ndarray) -> list[int]:
    """Keep the best boxes in the usual loop of NumPy."""
    areas = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    order, kept = np.argsort(-scores, kind="stable"), []
    while len(order) and len(kept) < KEPT:
        best, order = order[0], order[1:]
        kept.append(int(best))
        low, high = np.maximum(boxes[best, :2], boxes[order, :2]), np.minimum(boxes[best, 2:], boxes[order, 2:])
        intersection = np.prod(np.maximum(high - low, 0), axis=1)
        order = order[intersection <= THRESHOLD * (areas[best] + areas[order] - intersection)]
    return kept
