"""Distributions of images: settings, data, training with pictures on the way, and distances from new images."""

import dataclasses
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from experiments.harness.configuration import Config, require
from experiments.harness.errors import preparing
from experiments.harness.figures import show_images
from experiments.harness.run_folder import Run
from experiments.harness.training import train_task
from jaxdl import data, generative, models, optim, tasks, train, tree
from jaxdl.optim import schedules
from jaxdl.typing import Array, Batch, Key, PyTree

Sample = Callable[[PyTree, Key], Array]
"""``sample(variables, key)`` draws images ``[N, H, W, 1]`` from 0 to 1."""
CLASSES = 10
IN_PROGRESS = 10
"""Images that are drawn during training."""


@dataclass(frozen=True)
class ImageModel(Config):
    """A distribution of images and the settings of training."""

    SMOKE = {"epochs": 1.0, "batch_size": 8}
    POSITIVE = ("epochs",)
    LEAST = {"levels": 2}

    data: Literal["digits", "mnist", "fashion_mnist"] = "digits"
    """Images: 8 x 8 digits of scikit-learn, or 28 x 28 ones with a border, 32 x 32."""
    data_dir: Path | None = None
    """Folder with the files of mnist or fashion_mnist."""
    levels: int = 17
    """Levels of grey; the digits have 17, the others 256."""
    epochs: float = 60.0
    """Passes over the training images."""
    batch_size: int = 64
    """Images in an update."""
    learning_rate: float = 2e-3
    """Largest rate of Adam, with a cosine decay."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(0 < self.epochs < math.inf, "epochs", "> 0", self.epochs)

    @property
    def side(self) -> int:
        """The height and width of the images."""
        return 8 if self.data == "digits" else 32

    def smoke(self) -> Self:
        """Return the configuration of a smoke run, on the digits."""
        return dataclasses.replace(self, **{"data": "digits", "levels": 17, **self.SMOKE})


class Images(NamedTuple):
    """Images for training and for testing: ``image`` ``[N, H, W, 1]``, integer levels, and ``label`` ``[N]``."""

    train: dict[str, np.ndarray]
    test: dict[str, np.ndarray]


def load_images(config: ImageModel, run: Run) -> Images:
    """Load the images; a few of them in a smoke run."""
    with preparing():
        dataset = data.load(config.data, config.data_dir)
    border = (config.side - dataset.train["image"].shape[1]) // 2

    def prepare(part: dict[str, Any]) -> dict[str, np.ndarray]:
        part = dict(tree.take(part, slice(16))) if run.smoke else dict(part)
        x = np.pad(part["image"], ((0, 0), (border, border), (border, border), (0, 0)))
        return {"image": np.asarray(generative.quantize(x, config.levels)), "label": part["label"]}

    return Images(prepare(dataset.train), prepare(dataset.test))


def labels_of(count: int) -> Array:
    """Return the classes of ``count`` images, all in turn."""
    return jnp.arange(count) % CLASSES


def learn_images(
    config: ImageModel,
    run: Run,
    task: tasks.Task,
    arrays: Images,
    sample: Sample,
) -> tuple[train.TrainState, dict[str, float]]:
    """Train, draw images after 1, 2, 5, 10, ... epochs by the same random numbers, and plot the losses."""
    with preparing():
        loader = data.Loader(arrays.train, config.batch_size, seed=config.seed, **run.share)
    optimizer = optim.adam(schedules.cosine_decay(config.learning_rate, steps_of(config, loader)))
    progress = Progress(run.directory / "progress", sample)
    hooks = [progress] if run.process == 0 else []
    state, result = train_task(run, task, loader, optimizer, arrays.test, epochs=config.epochs, hooks=hooks)
    run.figure("learning", draw_losses(train.MetricsFile.read(run.directory / "metrics.jsonl")))
    if run.process == 0:
        progress.save(config.epochs, state.variables)
        run.figure("progress", progress.draw())
    return state, result


def steps_of(config: ImageModel, loader: data.Loader) -> int:
    """Count the updates of a run."""
    return train.count_steps(config.epochs, loader.steps_per_epoch)


class Progress:
    """A hook that draws images after some epochs and keeps them in a folder, for a run that is resumed too."""

    def __init__(self, folder: Path, sample: Sample):
        self.folder, self.sample = folder, sample

    def __call__(self, report: train.Report) -> None:
        """Draw images after 1, 2, 5, 10, 20, 50, ... epochs."""
        epoch = round(report.epoch)
        first = int(str(epoch)[0])
        if report.evaluation is not None and epoch == first * 10 ** (len(str(epoch)) - 1) and first in (1, 2, 5):
            self.save(epoch, report.state.variables)

    def save(self, epoch: float, variables: PyTree) -> None:
        """Draw images and write them."""
        self.folder.mkdir(exist_ok=True)
        np.save(self.folder / f"{epoch:09.3f}.npy", np.asarray(self.sample(variables, jax.random.key(0))))

    def draw(self) -> Figure:
        """Draw a row for every time."""
        rows = {float(path.stem): np.load(path) for path in sorted(self.folder.glob("*.npy"))}
        size = (0.6 * IN_PROGRESS + 0.8, 0.62 * len(rows))
        figure, axes = plt.subplots(len(rows), IN_PROGRESS, figsize=size, squeeze=False)
        for line, (epoch, images) in zip(axes, rows.items(), strict=True):
            show_images(line, list(np.clip(images[..., 0], 0, 1)), cmap="gray", vmin=0, vmax=1)
            line[0].set_ylabel(f"{epoch:g}", rotation=0, ha="right", va="center", fontsize=8)
        return figure


def draw_losses(history: Sequence[dict[str, Any]]) -> Figure:
    """Plot bits per dimension, or the loss of a model that does not know them, over the epochs."""
    known = any("evaluation/bits_per_dimension" in row for row in history)
    name = "bits_per_dimension" if known else "loss"
    figure, axis = plt.subplots(figsize=(6, 3.4))
    for part, label, style in (("train", "training", "-"), ("evaluation", "held out", "o-")):
        rows = [row for row in history if {"epoch", f"{part}/{name}"} <= row.keys()]
        axis.plot([row["epoch"] for row in rows], [row[f"{part}/{name}"] for row in rows], style, label=label, ms=3)
    axis.set(xlabel="epoch", ylabel=name.replace("_", " "))
    axis.legend(frameon=False)
    return figure


def independent_bits(arrays: Images, levels: int) -> float:
    """Return the bits per dimension of test images under independent pixels, each with a histogram of its own."""
    counts = np.stack([np.sum(arrays.train["image"] == level, axis=0) for level in range(levels)]) + 0.5
    bits = -np.log2(counts / counts.sum(axis=0))
    return float(np.mean(np.take_along_axis(bits, arrays.test["image"], axis=0)))


class Judge:
    """A classifier of the images that is trained here: the space of its last hidden layer judges generated images.

    Distances in it cannot be compared with published ones, which are in the space of another network.
    """

    def __init__(self, config: ImageModel, run: Run, arrays: Images):
        self.levels, self.arrays = config.levels, arrays
        self.model = models.MLP((128, 64), CLASSES)
        task, optimizer = tasks.classification(self.model), optim.adam(1e-3)
        examples = {"image": self.scaled(arrays.train["image"]), "label": arrays.train["label"]}
        loader = data.Loader(examples, min(64, len(examples["label"])), seed=config.seed)

        @jax.jit
        def create(batch: Batch) -> train.TrainState:
            return train.TrainState.create(task.init(jax.random.key(1), batch), optimizer, jax.random.key(2))

        epochs = 1 if run.smoke else 20 if config.data == "digits" else 3
        hooks = [train.StopAtNonfinite()]
        step = train.make_step(task.loss, optimizer)
        state, _ = train.fit(step, create(loader.batch(0)), loader, epochs=epochs, hooks=hooks)
        self.variables = state.variables
        self.read = jax.jit(lambda x: self.model.apply(self.variables, x, return_intermediates=True))
        right = self.predict(self.scaled(arrays.test["image"])) == arrays.test["label"]
        run.console.print(f"the classifier that judges is right on {np.mean(right):.1%} of the test images")

    def scaled(self, levels: np.ndarray) -> np.ndarray:
        """Convert levels to numbers from 0 to 1."""
        return np.asarray(levels, np.float32) / (self.levels - 1)

    def features(self, images: np.ndarray) -> np.ndarray:
        """Compute the last hidden layer of images from 0 to 1."""
        return np.asarray(self.read(images)[1]["hidden2"])

    def predict(self, images: np.ndarray) -> np.ndarray:
        """Classify images from 0 to 1."""
        return np.argmax(self.read(images)[0], axis=1)

    def measure(self, images: np.ndarray) -> dict[str, float]:
        """Compare generated images with as many test images; ``frechet_of_training`` is the distance of real ones."""
        count = min(len(images), len(self.arrays.test["label"]), len(self.arrays.train["label"]))
        test, real = (
            self.features(self.scaled(part["image"][:count])) for part in (self.arrays.test, self.arrays.train)
        )
        made = self.features(images[:count])
        share, distance = jax.jit(generative.precision_recall)(test, made), jax.jit(generative.frechet_distance)
        return {
            "frechet": float(distance(test, made)),
            "frechet_of_training": float(distance(test, real)),
            "precision": float(share.precision),
            "recall": float(share.recall),
        }
