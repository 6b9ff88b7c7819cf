"""A normalizing flow of handwritten digits, RealNVP or Glow, with exact likelihood.

    python -m experiments run flow
    python -m experiments run flow --model realnvp

The levels of the pixels are spread over bins by uniform noise and mapped to all real numbers; the flow maps these to
standard normal numbers. Bits per dimension are those of the levels; the baseline has independent pixels, each with the
histogram of its levels. Pictures show digits as training goes on, samples, and the way from one test image to another
on a line between their latent images. A classifier that is trained here judges the images: Fréchet distance, precision
and recall in the space of its last hidden layer. `python -m experiments sample RUN` draws more images.
"""

from dataclasses import dataclass
from functools import cache
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen

from experiments.harness.commands.sampling import draw_grid
from experiments.harness.generative.generation import (
    IN_PROGRESS,
    ImageModel,
    Images,
    Judge,
    Sample,
    independent_bits,
    learn_images,
    load_images,
)
from experiments.harness.plots import image_rows
from experiments.harness.run_folder import Run
from jaxdl import generative, models, tasks
from jaxdl.typing import Array, Key, PyTree

GOAL = {"gain_over_independent": 0.3}
ON_THE_WAY = 9


@dataclass(frozen=True)
class Config(ImageModel):
    """A flow and the settings of training."""

    SMOKE = {**ImageModel.SMOKE, "steps": 1, "hidden_size": 4, "images": 10}
    POSITIVE = ("temperature",)

    model: Literal["glow", "realnvp"] = "glow"
    """Kind of the flow."""
    steps: int = 4
    """Steps of Glow at each of two scales, or couplings of RealNVP of each kind at each scale."""
    hidden_size: int = 32
    """Channels of the conditioners."""
    epochs: float = 30.0
    """Passes over the training images."""
    temperature: float = 0.8
    """Deviation of the latent images of samples."""
    images: int = 200
    """Generated images that are judged."""


def make_model(config: Config) -> linen.Module:
    """Make the flow."""
    if config.model == "realnvp":
        return models.create("realnvp", num_couplings=config.steps, hidden_size=config.hidden_size, num_blocks=1)
    return models.Glow(num_steps=config.steps, hidden_size=config.hidden_size)


@cache
def make_sampler(config: Config, count: int) -> Sample:
    """Make the function that draws ``count`` digits."""
    model, shape = make_model(config), (count, config.side, config.side, 1)

    @jax.jit
    def sample(variables: PyTree, key: Key) -> Array:
        def inverse(z: Array) -> Array:
            return model.apply(variables, z, method="inverse")

        return shown(generative.sample_flow(key, inverse, shape, temperature=config.temperature), config.levels)

    return sample


def shown(y: Array, levels: int) -> Array:
    """Convert the flow's images to levels from 0 to 1."""
    return jnp.clip(jnp.floor(generative.from_logits(y) * levels), 0, levels - 1) / (levels - 1)


def interpolate(config: Config, variables: PyTree, arrays: Images) -> dict[str, list[np.ndarray]]:
    """Return rows of images between pairs of test images, whose latent images lie on a line."""
    model, images = make_model(config), arrays.test["image"][:8]

    @jax.jit
    def run(variables: PyTree, images: Array) -> Array:
        x, _ = generative.to_logits((images + 0.5) / config.levels)
        z, _ = model.apply(variables, x)
        share = jnp.linspace(0, 1, ON_THE_WAY).reshape(1, -1, 1, 1, 1)
        line = (1 - share) * z[::2, None] + share * z[1::2, None]
        found = model.apply(variables, line.reshape(-1, *z.shape[1:]), method="inverse")
        return shown(found, config.levels).reshape(line.shape)

    return {f"{i + 1}": list(row[..., 0]) for i, row in enumerate(np.asarray(run(variables, images)))}


def run(config: Config, run: Run) -> dict[str, float]:
    """Train, draw, interpolate, judge."""
    arrays = load_images(config, run)
    task = tasks.normalizing_flow(make_model(config), levels=config.levels, key=jax.random.key(config.seed))
    state, result = learn_images(config, run, task, arrays, make_sampler(config, IN_PROGRESS))
    images = np.asarray(make_sampler(config, config.images)(state.variables, jax.random.key(config.seed)))
    run.figure("samples", draw_grid(images[:100]))
    run.figure("interpolations", image_rows(interpolate(config, state.variables, arrays), size=0.8))
    judge, baseline = Judge(config, run, arrays), independent_bits(arrays, config.levels)
    gain = {"independent_bits": baseline, "gain_over_independent": baseline - result["bits_per_dimension"]}
    return {**result, **gain, **judge.measure(images)}
