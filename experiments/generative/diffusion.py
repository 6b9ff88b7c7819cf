"""Diffusion of handwritten digits: a class, noise, and how strongly to follow the class.

    python -m experiments run diffusion
    python -m experiments run diffusion --parametrization noise --schedule linear

A U-Net learns to predict the velocity in noisy digits, with their class or, for a tenth of them, without. Digits are
drawn by a few steps of DDIM with classifier-free guidance. The likelihood is that of the variational bound, whose terms
are exact, in bits per dimension; the baseline has independent pixels. Pictures show digits as training goes on, one set
of digits for several strengths of guidance, an image as its noise goes away, and the terms of the bound. A classifier
that is trained here judges the images: their classes, Fréchet distance, precision and recall in the space of its last
hidden layer. `python -m experiments sample RUN` draws more images.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from experiments.harness.commands.sampling import draw_grid
from experiments.harness.configuration import require
from experiments.harness.generative.generation import (
    CLASSES,
    IN_PROGRESS,
    ImageModel,
    Images,
    Judge,
    independent_bits,
    labels_of,
    learn_images,
    load_images,
)
from experiments.harness.plots import image_rows
from experiments.harness.run_folder import Run
from jaxdl import generative, models, tasks
from jaxdl.typing import Array, ArrayLike, Key, PyTree

GOAL = {"sample_accuracy": 0.9, "gain_over_independent": 0.0}
WEIGHTS = (0.0, 1.0, 3.0)
GROUPS = 4


@dataclass(frozen=True)
class Config(ImageModel):
    """A diffusion model and the settings of training."""

    SMOKE = {**ImageModel.SMOKE, "widths": (4,), "num_steps": 4, "sampling_steps": 2, "images": 10, "bounded": 4}

    widths: tuple[int, ...] = (24, 32)
    """Channels of the scales of the U-Net, multiples of 4."""
    schedule: Literal["cosine", "linear"] = "cosine"
    """Schedule of the noise."""
    parametrization: Literal["velocity", "noise", "x0"] = "velocity"
    """What the network predicts."""
    num_steps: int = 200
    """Steps of the diffusion."""
    sampling_steps: int = 30
    """Steps of DDIM."""
    guidance: float = 1.0
    """Weight of classifier-free guidance."""
    epochs: float = 40.0
    """Passes over the training images."""
    images: int = 200
    """Generated images that are judged."""
    bounded: int = 100
    """Test images whose bound is computed."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(all(width % GROUPS == 0 for width in self.widths), "widths", "multiples of 4", self.widths)
        unit = 2 ** (len(self.widths) - 1)
        require(self.side % unit == 0, "widths", f"at most {self.side.bit_length()} scales", self.widths)
        within = self.sampling_steps <= self.num_steps
        require(within, "sampling-steps", f"at most --num-steps {self.num_steps}", self.sampling_steps)


def make_model(config: Config) -> models.DiffusionUNet:
    """Make the U-Net, with attention at its smallest scale."""
    sizes = {"widths": config.widths, "attention_scales": (len(config.widths),), "groups": GROUPS}
    return models.create("diffusion_unet", num_blocks=1, num_labels=CLASSES, **sizes)


def make_schedule(config: Config) -> generative.NoiseSchedule:
    """Make the schedule; the linear one has the total noise of that of 1,000 steps."""
    if config.schedule == "cosine":
        return generative.cosine_schedule(config.num_steps)
    scale = 1000 / max(config.num_steps, 25)
    return generative.linear_schedule(config.num_steps, 1e-4 * scale, 0.02 * scale)


def make_denoiser(
    config: Config, variables: PyTree, labels: Array, weight: ArrayLike | None = None
) -> generative.diffusion.Predict:
    """Make the denoiser of digits of these classes, with guidance or without."""
    network = partial(make_model(config).apply, variables)
    predict = partial(network, labels=labels) if weight is None else generative.guide(network, labels, CLASSES, weight)
    kind = generative.PARAMETRIZATIONS[config.parametrization]
    return generative.make_denoiser(predict, make_schedule(config), kind, limit=1.0)


@cache
def make_sampler(config: Config, count: int) -> Callable[..., Array]:
    """Make the function that draws ``count`` digits of all classes in turn, ``sample(variables, key, [weight])``."""

    @jax.jit
    def sample(variables: PyTree, key: Key, weight: ArrayLike) -> Array:
        denoise = make_denoiser(config, variables, labels_of(count), weight)
        x = jax.random.normal(key, (count, config.side, config.side, 1))
        return generative.sample_ddim(denoise, make_schedule(config), x, config.sampling_steps) / 2 + 0.5

    return lambda variables, key, weight=config.guidance: sample(variables, key, weight)


def measure_bound(config: Config, variables: PyTree, arrays: Images) -> generative.VariationalBound:
    """Compute the terms of the bound of some test images given their classes."""
    examples = {name: array[: config.bounded] for name, array in arrays.test.items()}

    @jax.jit
    def bound(variables: PyTree, image: Array, label: Array) -> generative.VariationalBound:
        denoise = make_denoiser(config, variables, label)
        key = jax.random.key(config.seed)
        return generative.variational_bound(key, denoise, make_schedule(config), image, config.levels)

    return jax.device_get(bound(variables, examples["image"], examples["label"]))


def draw_bound(bound: generative.VariationalBound, dimensions: int) -> Figure:
    """Plot the terms of the bound, in bits per dimension."""
    figure, axis = plt.subplots(figsize=(6, 3.4))
    terms = np.concatenate([bound.reconstruction[:, None], bound.steps, bound.prior[:, None]], axis=1).mean(axis=0)
    axis.bar(np.arange(len(terms)), terms / dimensions / np.log(2), width=1.0)
    axis.set(xlabel="step (first: the image itself; last: the prior)", ylabel="bits per dimension")
    return figure


def draw_denoising(config: Config, variables: PyTree) -> Figure:
    """Draw noisy digits and their estimates at some steps of DDPM from one start."""
    schedule, labels = make_schedule(config), labels_of(CLASSES)
    moments = sorted({round(t) for t in np.linspace(0, config.num_steps - 1, 7)}, reverse=True)

    @jax.jit
    def follow(variables: PyTree, key: Key) -> tuple[Array, Array]:
        denoise = make_denoiser(config, variables, labels, config.guidance)

        def step(x: Array, t: Array) -> tuple[Array, tuple[Array, Array]]:
            times = jnp.full(CLASSES, t)
            estimate = denoise(x, times)
            mean = generative.posterior_mean(schedule, estimate, x, times)
            noise = jax.random.normal(jax.random.fold_in(key, t), x.shape)
            return mean + jnp.sqrt(schedule.posterior_variance[t]) * noise, (x, estimate)

        start = jax.random.normal(key, (CLASSES, config.side, config.side, 1))
        return jax.lax.scan(step, start, jnp.arange(config.num_steps)[::-1])[1]

    noisy, estimates = follow(variables, jax.random.key(config.seed))
    rows = {}
    for t in moments:
        for name, images in (("x", noisy), ("estimate", estimates)):
            rows[f"{name}, {t + 1}"] = list(np.asarray(images[config.num_steps - 1 - t, ..., 0]) / 2 + 0.5)
    return image_rows(rows, size=0.7)


def run(config: Config, run: Run) -> dict[str, float]:
    """Train, draw with several weights of guidance, compute the bound, judge."""
    levels = load_images(config, run)
    arrays = Images(
        *({**part, "image": (2 * part["image"] / (config.levels - 1) - 1).astype(np.float32)} for part in levels)
    )
    task = tasks.denoising_diffusion(
        make_model(config),
        make_schedule(config),
        key=jax.random.key(config.seed),
        parametrization=generative.PARAMETRIZATIONS[config.parametrization],
        no_label=CLASSES,
    )
    sample = make_sampler(config, IN_PROGRESS)
    state, result = learn_images(config, run, task, arrays, sample)
    key = jax.random.key(config.seed)
    images = np.asarray(make_sampler(config, config.images)(state.variables, key))
    run.figure("samples", draw_grid(images[:100]))
    guided = {f"w = {w:g}": np.asarray(sample(state.variables, key, w)) for w in WEIGHTS}
    run.figure("guidance", image_rows({name: list(x[..., 0]) for name, x in guided.items()}, size=0.8))
    run.figure("denoising", draw_denoising(config, state.variables))
    bound, dimensions = measure_bound(config, state.variables, arrays), config.side**2
    run.figure("bound", draw_bound(bound, dimensions))
    bits = float(np.mean(generative.bits_per_dimension(-bound.total, dimensions)))
    judge, baseline = Judge(config, run, levels), independent_bits(levels, config.levels)
    right = judge.predict(images) == np.asarray(labels_of(len(images)))
    gain = {"bits_per_dimension": bits, "independent_bits": baseline, "gain_over_independent": baseline - bits}
    return {**result, **gain, "sample_accuracy": float(np.mean(right)), **judge.measure(images)}
