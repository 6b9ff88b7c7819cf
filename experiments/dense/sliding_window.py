"""A window slides over the image, and a classifier labels its centre: what U-Net replaced.

    python -m experiments run sliding_window [--data-dir stardist-0.9.2-....whl]

Both learn the nuclei of `cell_segmentation`. The classifier sees the window around a pixel and predicts its label
(Ciresan et al., 2012); to segment an image it runs once for every pixel, most of whose computations are those of the
neighbours. U-Net computes all labels of a tile together, and sees more of the image. Reported are the overlap of the
pixels, the F1 of whole nuclei, and the seconds for an image, of the same compiled kind for both.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import jax
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from numpy.lib.stride_tricks import sliding_window_view

from experiments.harness.dense import cells
from experiments.harness.errors import preparing
from experiments.harness.figures import show_images
from experiments.harness.members import Repeated, train_members
from experiments.harness.results import means
from experiments.harness.run_folder import Run
from jaxdl import models, tasks
from jaxdl.data.segmentation import separate_touching
from jaxdl.typing import PyTree

GOAL = {"gain_in_object_f1": 0.0}
Segment = Callable[[np.ndarray], np.ndarray]
"""From an image ``[H, W, 1]`` to the probability of a nucleus ``[H, W]``."""


@dataclass(frozen=True)
class Config(Repeated):
    """A sliding window against U-Net."""

    SMOKE = {
        "seeds": 2,
        "images": 2,
        "size": 48,
        "windows": 16,
        "patches": 2,
        "epochs": 1,
        "widths": (2, 2),
        "methods": ("window",),
    }
    LEAST = {"images": 2, "size": 32}

    data_dir: Path | None = None
    """Folder with images and masks, or the wheel of stardist; None for drawn nuclei."""
    methods: tuple[Literal["window", "unet"], ...] = ("window", "unet")
    """What to train."""
    images: int = 12
    """Drawn images, of which a quarter is for the test."""
    size: int = 128
    """Height and width of a drawn image."""
    window: int = 24
    """Height and width of the window."""
    windows: int = 6000
    """Windows for training, around random pixels."""
    patches: int = 64
    """Patches for training U-Net."""
    tile: int = 68
    """Height and width of the patches, and of the tiles of a whole image."""
    seeds: int = 2
    epochs: int = 20
    """Passes over the patches; the windows have a third as many."""
    batch_size: int = 8
    """Patches in an update; there are 16 times as many windows."""
    widths: tuple[int, ...] = (8, 16, 32)
    """Channels at the scales of both."""
    learning_rate: float = 2e-3
    """Largest rate of Adam, with a cosine decay."""


def run(config: Config, run: Run) -> dict[str, float]:
    """Train both, segment the test images, measure and draw."""
    images = cells.read_images(config.seed, config.data_dir, config.images, config.size)
    make = {"window": train_windows, "unet": train_unet}
    methods = {name: make[name](config, images.train) for name in config.methods}
    measured = {name: [measure(segment, images.test) for segment in made] for name, made in methods.items()}
    found = {
        key: {name: np.array([row[key] for row in rows]) for name, rows in measured.items()}
        for key in ("iou", "object_f1", "seconds")
    }
    run.figure("segmentation", draw({name: made[0] for name, made in methods.items()}, images.test[0]))
    result = means(**found)
    if len(methods) > 1:
        result["gain_in_object_f1"] = float(np.mean(found["object_f1"]["unet"] - found["object_f1"]["window"]))
        result["times_as_slow"] = float(found["seconds"]["window"].mean() / found["seconds"]["unet"].mean())
    return result


def train_windows(config: Config, examples: list[cells.Example]) -> list[Segment]:
    """Train classifiers of windows."""
    model = models.VGG(2, (1,) * len(config.widths), config.widths, hidden_sizes=(32,), dropout_rate=0.0)
    with preparing():
        arrays = cut_windows(examples, config.windows, config.window, config.seed)
    batch, epochs = min(16 * config.batch_size, config.windows), max(1, config.epochs // 3)
    members = fit(config, tasks.classification(model), arrays, epochs=epochs, batch_size=batch)
    return [make_sliding(model, variables, config.window) for variables in members]


def train_unet(config: Config, examples: list[cells.Example]) -> list[Segment]:
    """Train U-Nets on patches."""
    model = models.UNet(2, config.widths, dropout_rate=0.0)
    with preparing():
        arrays = cells.cut_patches(examples, config.patches, config.tile, config.seed)
    arrays["mask"] = np.ones_like(arrays["mask"])
    batch = min(config.batch_size, config.patches)
    members = fit(config, tasks.segmentation(model), arrays, epochs=config.epochs, batch_size=batch)
    return [cells.Predictor(model, variables, config.tile) for variables in members]


def fit(
    config: Config, task: tasks.Task, arrays: dict[str, np.ndarray], *, epochs: int, batch_size: int
) -> list[PyTree]:
    """Train a network for every seed; return their variables."""
    settings = {"learning_rate": config.learning_rate, "seed": config.seed, "epochs": epochs}
    return train_members(task, arrays, members=config.seeds, batch_size=batch_size, **settings)[0]


def cut_windows(examples: list[cells.Example], count: int, size: int, seed: int) -> dict[str, np.ndarray]:
    """Cut windows around random pixels, half of them on nuclei: ``{"image": [N, size, size, 1], "label": [N]}``."""
    random = np.random.default_rng(seed)
    padded = [around(example["image"], size) for example in examples]
    masks = [separate_touching(example["instances"]) > 0 for example in examples]
    images, labels = [], np.arange(count, dtype=np.int32) % 2
    for label in labels:
        i = random.integers(len(examples))
        places = np.argwhere(masks[i] == label)
        if len(places) == 0:
            raise ValueError(f"expected images with nuclei and ground, got one without label {label}")
        top, left = places[random.integers(len(places))]
        images.append(padded[i][top : top + size, left : left + size])
    return {"image": np.stack(images).astype(np.float32), "label": labels}


def around(image: np.ndarray, size: int) -> np.ndarray:
    """Continue an image ``[H, W, 1]`` by mirroring, so that every pixel has a window; its index is the window's."""
    return np.pad(image, ((size // 2, size - size // 2 - 1),) * 2 + ((0, 0),), "symmetric")


def make_sliding(model: models.VGG, variables: PyTree, size: int) -> Segment:
    """Make the function that classifies the window around every pixel, one row of the image at a time."""
    predict = jax.jit(lambda x: jax.nn.softmax(model.apply(variables, x))[:, 1])

    def segment(image: np.ndarray) -> np.ndarray:
        windows = sliding_window_view(around(image, size)[..., 0], (size, size))
        return np.stack([np.asarray(predict(row[..., None].astype(np.float32))) for row in windows])

    return segment


def measure(segment: Segment, examples: list[cells.Example]) -> dict[str, float]:
    """Return the means of the overlap of the pixels, the F1 of the nuclei, and the seconds for an image."""
    segment(examples[0]["image"])  # compile
    started = time.perf_counter()
    predicted = [segment(example["image"]) > 0.5 for example in examples]
    seconds = (time.perf_counter() - started) / len(examples)
    true = [example["instances"] for example in examples]
    overlaps = [np.sum(p & (t > 0)) / max(1, np.sum(p | (t > 0))) for p, t in zip(predicted, true, strict=True)]
    scores = [cells.object_f1(cells.separate(p), t) for p, t in zip(predicted, true, strict=True)]
    return {"iou": float(np.mean(overlaps)), "object_f1": float(np.mean(scores)), "seconds": seconds}


def draw(methods: dict[str, Segment], example: cells.Example) -> Figure:
    """Draw the nuclei of an image, and the borders of what each method finds."""
    image = example["image"]
    found = {name: cells.separate(segment(image) > 0.5) for name, segment in methods.items()}
    pictures = {"nuclei": example["instances"], **found}
    figure, axes = plt.subplots(1, len(pictures), figsize=(3.2 * len(pictures), 3.4))
    titles = [f"{name}: {len(np.unique(numbers)) - 1}" for name, numbers in pictures.items()]
    show_images(axes, [cells.overlay(image, numbers) for numbers in pictures.values()], titles)
    return figure
