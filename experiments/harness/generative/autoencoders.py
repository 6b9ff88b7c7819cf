"""Training of autoencoders on images, with pictures of what they make as they learn."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
import optax

from experiments.harness.configuration import Config
from experiments.harness.errors import preparing, unknown
from experiments.harness.run_folder import Run
from jaxdl import data, optim, tasks, train, tree
from jaxdl.optim import schedules
from jaxdl.typing import Key, PyTree

SMOKE_IMAGES = 16


@dataclass(frozen=True)
class ImageCodes(Config):
    """Images and the settings of training a code of them."""

    SMOKE = {"epochs": 1, "batch_size": 8}

    data: str = "digits"
    """Name of the data set, with images of one channel for pictures in grey."""
    data_dir: Path | None = None
    """Folder with the data set's files."""
    epochs: int = 60
    """Passes over the training images."""
    batch_size: int = 64
    """Images in an update."""
    learning_rate: float = 3e-3
    """Largest rate of Adam, with a cosine decay."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.data not in data.list_datasets():
            raise unknown("data set", self.data, data.list_datasets())


def load_images(config: ImageCodes, run: Run, *, binary: bool = False) -> tuple[dict[str, Any], dict[str, Any]]:
    """Load the training and the test images, from 0 to 1, with their labels; few of the digits in a smoke run.

    ``binary`` images have pixels of 0, and of 1 where they were above a half.
    """
    name = "digits" if run.smoke and config.data_dir is None else config.data
    with preparing():
        dataset = data.load(name, None if name == "digits" else config.data_dir)
    parts = []
    for whole in (dataset.train, dataset.test):
        part = tree.take(dict(whole), slice(SMOKE_IMAGES)) if run.smoke else dict(whole)
        image = np.asarray(part["image"], np.float32)
        parts.append({**part, "image": (image > 0.5).astype(np.float32) if binary else image})
    return parts[0], parts[1]


class Snapshots:
    """A hook that keeps ``make(variables)`` at given epochs.

    Attributes:
        taken: the results by epoch.
    """

    def __init__(self, make: Callable[[PyTree], Any], epochs: Sequence[int]):
        self.make, self.epochs = jax.jit(make), sorted(set(epochs))
        self.taken: dict[int, Any] = {}

    def __call__(self, report: train.Report) -> None:
        """Keep a result at the first report from each epoch on."""
        due = [epoch for epoch in self.epochs if epoch <= report.epoch and epoch not in self.taken]
        if due:
            self.taken |= {due[-1]: jax.device_get(self.make(report.state.variables))}
            self.epochs = [epoch for epoch in self.epochs if epoch > due[-1]]


def drawn_epochs(epochs: int) -> list[int]:
    """Return the epochs after which pictures are made: 1, 4, 16 and so on, and the last.

    >>> drawn_epochs(60)
    [1, 4, 16, 60]
    """
    return [*(4**power for power in range(epochs.bit_length()) if 4**power < epochs), epochs]


def train_codes(
    config: ImageCodes,
    name: str,
    task: tasks.Task,
    examples: dict[str, Any],
    *,
    test: dict[str, Any] | None = None,
    hooks: Sequence[Any] = (),
    optimizer: Callable[[Any], optax.GradientTransformation] = optim.adam,
) -> tuple[PyTree, list[dict[str, Any]]]:
    """Train a task on images, with a progress bar of that name; return its variables and the history."""
    with preparing():
        loader = data.Loader({"image": examples["image"]}, config.batch_size, seed=config.seed)
    steps = train.count_steps(config.epochs, loader.steps_per_epoch)
    rule = optimizer(schedules.cosine_decay(config.learning_rate, steps))

    def create(key: Key) -> train.TrainState:
        init_key, run_key = jax.random.split(key)
        return train.TrainState.create(task.init(init_key, loader.batch(0)), rule, run_key)

    state = jax.jit(create)(jax.random.key(config.seed))
    evaluate = None if test is None else train.make_evaluation(task.measure, {"image": test["image"]})
    with train.ProgressBar(config.batch_size, name) as bar:
        every = [train.StopAtNonfinite(), bar, *hooks]
        step = train.make_step(task.loss, rule)
        state, history = train.fit(step, state, loader, epochs=config.epochs, evaluate=evaluate, hooks=every)
    return state.variables, history


def shown(images: Any) -> list[np.ndarray]:
    """Return images ``[N, H, W, C]`` for drawing: clipped to 0 and 1, ``[H, W]`` for one channel."""
    images = np.clip(np.asarray(images, np.float32), 0, 1)
    return list(images[..., 0] if images.shape[-1] == 1 else images)
