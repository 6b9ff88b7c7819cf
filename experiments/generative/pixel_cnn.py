"""A gated PixelCNN of handwritten digits, pixel by pixel, with exact likelihood.

    python -m experiments run pixel_cnn
    python -m experiments run pixel_cnn --data mnist --data-dir FOLDER --levels 4 --epochs 3

The network learns the distribution of each pixel given those above it and to its left, and the class. Bits per
dimension are exact; the baseline has independent pixels, each with the histogram of its levels. Pictures show digits of
every class as training goes on, and test images whose lower half the network has completed several times. A classifier
that is trained here judges the images: Fréchet distance, precision and recall in the space of its last hidden layer.
`python -m experiments sample RUN` draws more images.
"""

from dataclasses import dataclass
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np

from experiments.harness.commands.sampling import draw_grid
from experiments.harness.generative.generation import (
    CLASSES,
    IN_PROGRESS,
    ImageModel,
    Images,
    Judge,
    Sample,
    independent_bits,
    labels_of,
    learn_images,
    load_images,
)
from experiments.harness.plots import image_rows
from experiments.harness.run_folder import Run
from jaxdl import models, tasks
from jaxdl.typing import Array, Key, PyTree

GOAL = {"gain_over_independent": 0.5, "sample_accuracy": 0.9}
COMPLETED = 5


@dataclass(frozen=True)
class Config(ImageModel):
    """A PixelCNN and the settings of training."""

    SMOKE = {**ImageModel.SMOKE, "num_layers": 1, "hidden_size": 4, "images": 10}

    num_layers: int = 5
    """Layers of the network."""
    hidden_size: int = 32
    """Channels of both stacks."""
    epochs: float = 30.0
    """Passes over the training images."""
    images: int = 200
    """Generated images that are judged."""


def make_model(config: Config) -> models.PixelCNN:
    """Make the network."""
    return models.create(
        "pixel_cnn",
        num_classes=config.levels,
        num_layers=config.num_layers,
        hidden_size=config.hidden_size,
        num_labels=CLASSES,
    )


@cache
def make_sampler(config: Config, count: int) -> Sample:
    """Make the function that draws ``count`` digits of all classes in turn."""
    model = make_model(config)

    @jax.jit
    def sample(variables: PyTree, key: Key) -> Array:
        empty = jnp.zeros((count, config.side, config.side), jnp.int32)
        drawn = models.generative.sample_pixel_cnn(key, model, variables, empty, labels=labels_of(count))
        return drawn[..., None] / (config.levels - 1)

    return sample


def complete(config: Config, variables: PyTree, arrays: Images) -> dict[str, list[np.ndarray]]:
    """Complete the lower half of test images several times; return the rows of a picture."""
    model, given = make_model(config), arrays.test["image"][:8, ..., 0]
    labels = arrays.test["label"][:8]

    @jax.jit
    def draw(variables: PyTree, key: Key) -> Array:
        half = config.side * (config.side // 2)
        return models.generative.sample_pixel_cnn(key, model, variables, given, labels=labels, start=half)

    found = [draw(variables, jax.random.key(seed)) for seed in range(COMPLETED)]
    hidden = np.where(np.arange(config.side)[:, None] < config.side // 2, given, config.levels // 2)
    rows = {"given": hidden, **{f"{i + 1}": x for i, x in enumerate(found)}, "true": given}
    return {name: list(np.asarray(x) / (config.levels - 1)) for name, x in rows.items()}


def run(config: Config, run: Run) -> dict[str, float]:
    """Train, draw, complete, judge."""
    arrays = load_images(config, run)
    pixels = Images(*({**part, "image": part["image"][..., 0]} for part in arrays))
    task = tasks.autoregressive_pixels(make_model(config), conditional=True)
    state, result = learn_images(config, run, task, pixels, make_sampler(config, IN_PROGRESS))
    images = np.asarray(make_sampler(config, config.images)(state.variables, jax.random.key(config.seed)))
    run.figure("samples", draw_grid(images[:100]))
    run.figure("completions", image_rows(complete(config, state.variables, arrays), size=0.8))
    judge, baseline = Judge(config, run, arrays), independent_bits(arrays, config.levels)
    right = judge.predict(images) == np.asarray(labels_of(len(images)))
    gain = {"independent_bits": baseline, "gain_over_independent": baseline - result["bits_per_dimension"]}
    return {**result, **gain, "sample_accuracy": float(np.mean(right)), **judge.measure(images)}
