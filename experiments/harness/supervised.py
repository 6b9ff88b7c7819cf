"""Training of image classifiers: settings, data, figures."""

import dataclasses
import math
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import jax
import numpy as np
import optax
import tyro

from experiments.harness import figures
from experiments.harness.configuration import Config, require
from experiments.harness.errors import preparing, unknown
from experiments.harness.predicting import save_model
from experiments.harness.run_folder import Run
from experiments.harness.training import train_task
from jaxdl import data, metrics, models, optim, tasks, train, tree
from jaxdl.data import augmentation
from jaxdl.optim import schedules

OptimizerName = Literal[
    "sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adadelta", "adam", "adamw", "adamax", "maxprop", "nadam"
]


AUGMENTATIONS = {
    "none": None,
    "shift": augmentation.compose(augmentation.shift),
    "affine": augmentation.compose(partial(augmentation.rotate, degrees=10), augmentation.scale, augmentation.shift),
    "flip": augmentation.compose(augmentation.flip, partial(augmentation.shift, down=4, right=4)),
}


@dataclass(frozen=True)
class Optimizer:
    """An optimizer by name, with its schedule."""

    name: OptimizerName = "adam"
    """Update rule."""
    learning_rate: float = 1e-3
    """Largest learning rate of the schedule."""
    schedule: Literal["constant", "cosine", "step"] = "cosine"
    """Decay of the learning rate over the run; step: to a tenth at half and at three quarters."""
    warmup: float = 0.0
    """Share of the run in which the learning rate rises linearly from zero."""
    momentum: float = 0.9
    """Decay of the accumulated gradient, for momentum and nesterov."""
    weight_decay: float = 1e-4
    """Decay of the kernels: decoupled for adamw, in the gradient for sgd, momentum and nesterov, else none."""
    clip_norm: float | None = None
    """Largest Euclidean norm of the whole gradient."""

    def __post_init__(self) -> None:
        require(0 < self.learning_rate < math.inf, "optimizer.learning-rate", "> 0", self.learning_rate)
        require(0 <= self.warmup < 1, "optimizer.warmup", "in [0, 1)", self.warmup)
        require(0 <= self.momentum < 1, "optimizer.momentum", "in [0, 1)", self.momentum)
        require(self.weight_decay >= 0, "optimizer.weight-decay", ">= 0", self.weight_decay)
        require(self.clip_norm is None or self.clip_norm > 0, "optimizer.clip-norm", "> 0", self.clip_norm)

    def make(self, steps: int) -> optax.GradientTransformation:
        """Make the transformation for a run of ``steps``."""
        rising = round(self.warmup * steps)
        rate = schedules.constant(self.learning_rate)
        falling = max(1, steps - rising)
        if self.schedule == "cosine":
            rate = schedules.cosine_decay(self.learning_rate, falling)
        if self.schedule == "step" and falling > 3:
            values = [self.learning_rate / divisor for divisor in (1, 10, 100)]
            rate = schedules.piecewise_constant(values, [falling // 2, 3 * falling // 4])
        if rising:
            rate = schedules.warmup(rate, rising)
        settings: dict[str, dict[str, Any]] = {
            "momentum": {"decay": self.momentum},
            "nesterov": {"decay": self.momentum},
            "adamw": {"weight_decay": self.weight_decay, "mask": "kernel$"},
        }
        optimizer = getattr(optim, self.name)(rate, **settings.get(self.name, {}))
        if self.weight_decay and self.name in {"sgd", "momentum", "nesterov"}:
            optimizer = optax.chain(optim.add_decayed_weights(self.weight_decay, "kernel$"), optimizer)
        if self.clip_norm is not None:
            optimizer = optax.chain(optim.clip_by_global_norm(self.clip_norm), optimizer)
        return optimizer


HELP = tyro.conf.arg(help="None: that of the recipe")
OptimizerChanges = dataclasses.make_dataclass(
    "OptimizerChanges",
    [(each.name, Annotated[each.type | None, HELP], None) for each in dataclasses.fields(Optimizer)],
    frozen=True,
)
"""An optimizer of which some settings are given, and the others are None."""


@dataclass(frozen=True)
class Classification(Config):
    """A model, a data set of images and the settings of training."""

    POSITIVE = ("epochs",)

    data: str = "digits"
    """Name of the data set."""
    data_dir: Path | None = None
    """Folder with the data set's files."""
    model: str = "lenet5"
    """Name of the model: python -m jaxdl models lists them."""
    epochs: float = 20.0
    """Passes over the training examples."""
    batch_size: int = 64
    """Examples in an update."""
    augment: Literal["none", "shift", "affine", "flip"] = "none"
    """Augmentation of the training images: shifts; rotations, scalings and shifts; reflections and shifts."""
    accumulate: int = 1
    """Number of micro-batches over which the gradient of a batch is accumulated."""
    label_smoothing: float = 0.0
    """Share of each label spread over all classes."""
    patience: int | None = None
    """Epochs without a lower validation loss after which the run stops; a tenth of the training examples validates."""
    optimizer: Optimizer = field(default_factory=Optimizer)

    def __post_init__(self) -> None:
        super().__post_init__()
        require(0 < self.epochs < math.inf, "epochs", "> 0", self.epochs)
        require(self.batch_size >= 1, "batch-size", ">= 1", self.batch_size)
        require(self.accumulate >= 1, "accumulate", ">= 1", self.accumulate)
        require(
            self.batch_size % max(1, self.accumulate) == 0, "accumulate", "a divisor of --batch-size", self.accumulate
        )
        require(0 <= self.label_smoothing < 1, "label-smoothing", "in [0, 1)", self.label_smoothing)
        require(self.patience is None or self.patience >= 1, "patience", ">= 1", self.patience)
        if self.model not in models.list():
            raise unknown("model", self.model, models.list())
        if self.data not in data.list_datasets():
            raise unknown("data set", self.data, data.list_datasets())

    def smoke(self) -> Self:
        """Return the configuration of two steps."""
        return dataclasses.replace(self, epochs=1.0, batch_size=8 * self.accumulate)


def load_dataset(config: Classification, run: Run, **options: Any) -> data.Dataset:
    """Load the data set of a configuration; a smoke run without a folder substitutes the digits."""
    name = config.data
    if run.smoke and config.data_dir is None and name not in ("digits", "image_folder"):
        run.console.print(f"smoke: the digits substitute {name}")
        name, options = "digits", {"size": 28}
    if name not in ("digits", "image_folder"):
        options = {}  # the others have a size of their own
    with preparing():
        return data.load(name, config.data_dir, **options)


def train_classifier(config: Classification, run: Run, dataset: data.Dataset) -> dict[str, float]:
    """Train a model on a data set and draw figures; return the held-out ``accuracy``, ``loss`` and others."""
    train_arrays, test_arrays = dataset.train, dataset.test
    epochs, batch_size = config.epochs, config.batch_size
    if run.smoke:
        train_arrays, test_arrays = tree.take(train_arrays, slice(2 * batch_size)), tree.take(test_arrays, slice(16))
    validation = None
    with preparing():
        if config.patience is not None:
            train_arrays, validation = data.split(train_arrays, 0.1, seed=config.seed, stratify="label")
        loader = data.Loader(train_arrays, batch_size, seed=config.seed, **run.share)
        model = models.create(config.model, num_classes=len(dataset.classes))
    augment = AUGMENTATIONS[config.augment]
    task = tasks.classification(model, label_smoothing=config.label_smoothing, augment=augment)
    optimizer = config.optimizer.make(train.count_steps(epochs, loader.steps_per_epoch))
    run.describe = partial(save_model, name=config.model, dataset=dataset)
    state, result = train_task(
        run,
        task,
        loader,
        optimizer,
        test_arrays,
        epochs=epochs,
        accumulate=config.accumulate,
        patience=config.patience,
        validation=validation,
        together=True,
    )
    run.figure("curves", figures.curves(train.MetricsFile.read(run.directory / "metrics.jsonl")))
    draw_model(run, model, state, dataset.classes, test_arrays)
    return result


def draw_model(
    run: Run, model: Any, state: train.TrainState, classes: tuple[str, ...], examples: dict[str, np.ndarray]
) -> None:
    """Draw the filters of the first layer, the confusion matrix and the mistakes."""
    images = examples["image"]
    kernels = [leaf for name, leaf in tree.flatten(state.params).items() if name.endswith("kernel") and leaf.ndim == 4]
    kernels = [kernel for kernel in kernels if kernel.shape[2] == images.shape[-1]]  # of the first layer
    if kernels:
        largest = max(kernels, key=lambda kernel: kernel.shape[0] * kernel.shape[1])
        run.figure("filters", figures.filters(largest[..., :64]))
    predict = jax.jit(lambda x: model.apply(state.variables, x, train=False))
    parts = np.array_split(np.arange(len(examples["label"])), -(-len(examples["label"]) // 500))
    logits = np.concatenate([np.asarray(predict(images[part])) for part in parts])
    predicted, labels = logits.argmax(axis=-1), examples["label"]
    run.figure(
        "confusion", figures.confusion_matrix(metrics.confusion_matrix(predicted, labels, len(classes)), classes)
    )
    exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
    certainty = (exponentials / exponentials.sum(axis=-1, keepdims=True))[np.arange(len(labels)), labels]
    hardest = np.lexsort((certainty, predicted == labels))[:24]  # the mistakes, then the least certain
    titles = [
        f"{classes[labels[i]]} as {classes[predicted[i]]}" if predicted[i] != labels[i] else f"{certainty[i]:.0%} right"
        for i in hardest
    ]
    shown = images[hardest]
    if shown.min() < 0 or shown.max() > 1:  # standardized
        shown = (shown - shown.min()) / (shown.max() - shown.min())
    run.figure("mistakes", figures.pictures_grid(shown, titles))


def resized(dataset: data.Dataset, model_name: str, side: int | None) -> data.Dataset:
    """Resize the images to a height and width; None: their own, or the model's if it does not accept that."""
    height, width = dataset.train["image"].shape[1:3]
    size = (height, width) if side is None else (side, side)
    model, channels = models.create(model_name), dataset.train["image"].shape[-1]
    rngs = {"params": jax.random.key(0), "dropout": jax.random.key(0)}
    try:
        images = jax.ShapeDtypeStruct((2, *size, channels), np.float32)
        jax.eval_shape(lambda x: model.init(rngs, x, train=True), images)
    except ValueError:
        if side is not None:
            raise
        size = models.input_shape(model_name)[:2]

    def change(part: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {**part, "image": data.resize(part["image"], size)}

    return dataclasses.replace(dataset, train=change(dataset.train), test=change(dataset.test))


def standardized(dataset: data.Dataset) -> data.Dataset:
    """Subtract the mean of the training images and divide by their deviation, per channel."""
    mean, std = data.statistics(dataset.train["image"])

    def change(part: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {**part, "image": data.standardize(part["image"], mean, std)}

    parts = {"train": change(dataset.train), "test": change(dataset.test)}
    return dataclasses.replace(dataset, **parts, standardization=(mean, std))
