"""U-Net on cell nuclei: touching ones are kept apart by the weights of their borders.

    python -m experiments run cell_segmentation
    python -m experiments run cell_segmentation --data-dir stardist-0.9.2-....whl --predict MINE.tif

The network has three scales and no padding, and learns from patches of 100 x 100 pixels with reflections and elastic
deformations; the loss is the cross-entropy with the weights of Ronneberger et al. (2015). Without ``--data-dir`` nuclei
are drawn. With it they are read from a folder with ``images/`` and ``masks/``, or from the wheel of the Python package
stardist (``pip download --no-deps stardist``). The test images are predicted whole, by overlapping tiles; an object is
a connected part, and right if it overlaps a nucleus by more than half of their union. ``--predict`` segments an image
of yours too, and writes ``mask.png``; with ``--resume --out RUN`` it uses the network of a finished run.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from experiments.dense import drawings
from experiments.harness import figures
from experiments.harness.configuration import Config as Base
from experiments.harness.dense import cells
from experiments.harness.errors import preparing
from experiments.harness.run_folder import Run
from experiments.harness.training import train_task
from jaxdl import data, models, optim, tasks, train
from jaxdl.data import augmentation
from jaxdl.data.files.opening import open_regular
from jaxdl.data.sources.cells import read_grey, scale_brightness
from jaxdl.optim.schedules import cosine_decay
from jaxdl.typing import Batch, Key

GOAL = {"mean_iou": 0.85, "object_f1": 0.8}


@dataclass(frozen=True)
class Config(Base):
    """Segmentation of cell nuclei."""

    SMOKE = {"images": 2, "size": 64, "patches": 2, "epochs": 1, "batch_size": 2, "widths": (2, 2), "tile": 32}
    LEAST = {"images": 2, "size": 32}
    POSITIVE = ("sigma",)

    data_dir: Path | None = None
    """Folder with images and masks, or the wheel of stardist; None for drawn nuclei."""
    predict: Path | None = None
    """An image of yours to segment."""
    images: int = 16
    """Drawn images, of which a quarter is for the test."""
    size: int = 160
    """Height and width of a drawn image."""
    patches: int = 128
    """Patches for training."""
    epochs: int = 60
    """Passes over them."""
    batch_size: int = 8
    widths: tuple[int, ...] = (8, 16, 32)
    """Channels of the scales."""
    tile: int = 100
    """Height and width of the patches and of the tiles of a whole image."""
    w0: float = 10.0
    """Weight of the pixels between touching nuclei; 0 for none."""
    sigma: float = 2.0
    """Width of the gaps that it covers, in pixels."""
    strength: float = 60.0
    """Strength of the elastic deformations."""
    learning_rate: float = 2e-3
    """Largest rate of Adam, with a cosine decay."""


def run(config: Config, run: Run) -> dict[str, float]:
    """Train on patches, segment the test images, draw."""
    images = cells.read_images(config.seed, config.data_dir, config.images, config.size)
    model = models.UNet(2, config.widths, dropout_rate=0.0)
    cut = partial(cells.cut_patches, size=config.tile, sigma=config.sigma)
    with preparing():
        arrays = cut(images.train, config.patches, seed=config.seed, w0=config.w0)
        test_arrays = cut(images.test, max(1, config.patches // 4), seed=config.seed + 1)
        loader = data.Loader(arrays, config.batch_size, seed=config.seed, **run.share)
        mine = None if config.predict is None else read_image(config.predict)
    task = tasks.segmentation(model, augment=make_augmentation(config))
    steps = train.count_steps(config.epochs, loader.steps_per_epoch)
    optimizer = optim.adam(cosine_decay(config.learning_rate, steps))
    state, result = train_task(run, task, loader, optimizer, test_arrays, epochs=config.epochs)
    history = train.MetricsFile.read(run.directory / "metrics.jsonl")
    run.figure("curves", figures.curves(history, ("accuracy", "mean_iou")))
    predict = cells.Predictor(model, state.variables, config.tile)
    segmented = [cells.separate(predict(example["image"]) > 0.5) for example in images.test]
    truth = [example["instances"] for example in images.test]
    scores = [cells.object_f1(*pair) for pair in zip(segmented, truth, strict=True)]
    run.figure("segmentation", drawings.draw_segmentation(images.test[:3], segmented[:3]))
    run.figure("weights", drawings.draw_weights(arrays))
    if mine is not None:
        segment(run, predict, mine)
    counted, there = (sum(len(np.unique(each)) - 1 for each in masks) for masks in (segmented, truth))
    return {**result, "object_f1": float(np.mean(scores)), "objects": counted, "nuclei": there}


def make_augmentation(config: Config) -> Callable[[Key, Batch], Batch]:
    """Reflect, and deform elastically; beyond the edges the image is mirrored."""
    deform = partial(augmentation.elastic, strength=config.strength, sigma=6.0, mode="reflect")
    vertical = partial(augmentation.flip, axis="vertical")
    return data.augment_pixels(augmentation.flip, vertical, deform, num_classes=2)


def read_image(path: Path) -> np.ndarray:
    """Read an image of yours, in grey."""
    with open_regular(path) as file:
        return scale_brightness(read_grey(path.name, file))


def segment(run: Run, predict: cells.Predictor, image: np.ndarray) -> None:
    """Segment an image, and write its mask and an overlay."""
    found = cells.separate(predict(image) > 0.5)
    drawings.write_mask(run.directory / "mask.png", found)
    run.figure("prediction", drawings.draw_prediction(image, found))
    run.console.print(f"{found.max()} nuclei: mask.png numbers them, prediction.png shows their borders")
