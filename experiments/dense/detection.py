"""Detection of objects without anchors: FCOS on stamps over photographs.

    python -m experiments run detection
    python -m experiments run detection --data-dir FOLDER

A small residual network with a feature pyramid predicts at every point a class, a box and a centerness. The pictures
have up to four objects, which may cover each other: generated shapes, or the stamps of a folder, such as that of
Debian's package ``tuxpaint-stamps-default``, unpacked by ``dpkg -x``. Pictures of the test have stamps that those of
the training do not have. ``ap`` is the average precision of COCO, ``ap50`` that at an overlap of one half.
"""

from dataclasses import dataclass

import jax

from experiments.harness.dense import detectors, stamps
from experiments.harness.errors import preparing
from experiments.harness.figures import curves
from experiments.harness.run_folder import Run
from experiments.harness.training import train_task
from jaxdl import data, tasks, train


@dataclass(frozen=True)
class Config(stamps.Stamped):
    """A small detector."""


def run(config: Config, run: Run) -> dict[str, float]:
    """Compose pictures, train, detect, evaluate, draw."""
    classes, train_arrays, test_arrays = stamps.make_pictures(config)
    truth = detectors.as_truth(test_arrays)
    train_arrays, test_arrays = (
        {n: a for n, a in part.items() if n != "masks"} for part in (train_arrays, test_arrays)
    )
    with preparing():
        loader = data.Loader(train_arrays, config.batch_size, seed=config.seed, **run.share)
    model = detectors.small_detector(len(classes))
    task = tasks.detection(model, augment=data.flip_objects)
    optimizer = detectors.small_optimizer(config, loader.steps_per_epoch)
    state, result = train_task(run, task, loader, optimizer, test_arrays, epochs=config.epochs)

    def detect(images: jax.Array) -> dict[str, jax.Array]:
        predictions = model.apply(state.variables, images)
        return detectors.select(predictions, images.shape[1:3], model.strides)._asdict()

    found = detectors.detect_all(detect, test_arrays["image"], config.batch_size)
    precision = data.box_average_precision(truth, found, len(classes))
    run.figure("curves", curves(train.MetricsFile.read(run.directory / "metrics.jsonl"), ("classification", "box")))
    run.figure("detections", detectors.draw_overlays(test_arrays["image"][:6], truth[:6], found[:6], classes))
    return {**detectors.overall(precision), **result}
