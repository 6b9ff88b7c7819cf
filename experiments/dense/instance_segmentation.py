"""Masks of detected objects: the mask head of Mask R-CNN on the boxes of FCOS, on stamps over photographs.

    python -m experiments run instance_segmentation
    python -m experiments run instance_segmentation --data-dir FOLDER

The detector is that of the experiment ``detection``, and learns together with a head that predicts a mask of 28 x 28
pixels in every box, from features that RoIAlign resamples. The mask of the detected class is pasted into the picture.
``ap`` is the average precision of the boxes, ``mask_ap`` that of the masks, by COCO's evaluation.
"""

from dataclasses import dataclass

import jax

from experiments.harness.dense import detectors, stamps
from experiments.harness.errors import preparing
from experiments.harness.figures import curves
from experiments.harness.run_folder import Run
from experiments.harness.training import train_task
from jaxdl import data, nn, tasks, train
from jaxdl.models import MaskFCOS


@dataclass(frozen=True)
class Config(stamps.Stamped):
    """A small detector with a mask head."""

    examples: int = 400
    """Pictures of the training."""


def run(config: Config, run: Run) -> dict[str, float]:
    """Compose pictures, train, detect with masks, evaluate, draw."""
    classes, train_arrays, test_arrays = stamps.make_pictures(config)
    truth = detectors.as_truth(test_arrays)
    with preparing():
        loader = data.Loader(train_arrays, config.batch_size, seed=config.seed, **run.share)
    model = MaskFCOS(detectors.small_detector(len(classes)), widths=(64, 64))
    task = tasks.instance_segmentation(model, augment=data.flip_objects)
    optimizer = detectors.small_optimizer(config, loader.steps_per_epoch)
    state, result = train_task(run, task, loader, optimizer, test_arrays, epochs=config.epochs)

    def detect(images: jax.Array) -> dict[str, jax.Array]:
        predictions, out = model.apply(state.variables, images, return_intermediates=True, method="detect")
        size = images.shape[1:3]
        found = detectors.select(predictions, size, model.detector.strides)
        logits = model.apply(state.variables, out, found.boxes, method="masks")
        pasted = nn.paste_masks(nn.select_masks(logits, found.labels), found.boxes, size)
        return {**found._asdict(), "masks": pasted >= 0.5}

    found = detectors.detect_all(detect, test_arrays["image"], config.batch_size)
    precision = data.box_average_precision(truth, found, len(classes))
    masks = data.mask_average_precision(truth, found, len(classes))
    run.figure("curves", curves(train.MetricsFile.read(run.directory / "metrics.jsonl"), ("box", "mask")))
    run.figure("masks", detectors.draw_overlays(test_arrays["image"][:6], truth[:6], found[:6], classes))
    return {**detectors.overall(precision), **detectors.overall(masks, "mask_"), **result}
