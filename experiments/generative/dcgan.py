"""DCGAN on handwritten digits: images of 16 x 16 pixels from latent vectors.

    python -m experiments run dcgan

Generator and discriminator have two hidden layers of strided convolutions with batch norm, and learn by the
non-saturating loss with the label 0.9, Adam with a first decay of 0.5. Images are made, as in training, with the
moments of their batch. A logistic regression on the pixels, learned from the real digits, names those that are
generated: ``recognized`` is the share of which it is sure by 0.9 (that of held-out digits beside it), ``classes`` the
number of digits with at least 3 % of 1,000 images. ``progress.png`` has a row of the same latent vectors for each time.
"""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import numpy as np
from sklearn.linear_model import LogisticRegression

from experiments.harness import configuration
from experiments.harness.errors import preparing
from experiments.harness.generative import plots
from experiments.harness.generative.snapshots import Snapshots
from experiments.harness.run_folder import Run
from experiments.harness.training import train_game
from jaxdl import data, generative, models, optim, tasks, tree
from jaxdl.typing import Array, Key, PyTree

GOAL = {"classes": 10.0, "recognized": 0.5}
SIDE, SURE, LEAST_SHARE = 16, 0.9, 0.03


@dataclass(frozen=True)
class Config(configuration.Config):
    """A small DCGAN."""

    SMOKE = {"epochs": 1.0, "batch_size": 48, "width": 2, "latent_size": 2, "samples": 8}
    POSITIVE = ("epochs",)

    epochs: float = 60.0
    """Passes over the digits."""
    batch_size: int = 48
    """Images in an update."""
    width: int = 32
    """Channels of the largest layers; the smaller ones have twice as many."""
    latent_size: int = 32
    """Elements of a latent vector."""
    learning_rate: float = 4e-4
    """Rate of Adam."""
    samples: int = 1000
    """Images to measure."""


def run(config: Config, run: Run) -> dict[str, float]:
    """Train both players, generate, measure, draw."""
    with preparing():
        digits = data.load("digits", size=SIDE)
        if run.smoke:
            digits = dataclasses.replace(digits, train=tree.take(dict(digits.train), slice(240)))
        arrays = {"image": 2 * np.asarray(digits.train["image"], np.float32) - 1}
        loader = data.Loader(arrays, config.batch_size, seed=config.seed, **run.share)
    game = tasks.gan(
        make_generator(config),
        models.DCGANDiscriminator((config.width, 2 * config.width)),
        objective=generative.non_saturating(0.9),
        latent_size=config.latent_size,
    )
    optimizers = {player: optim.adam(config.learning_rate, b1=0.5) for player in game.losses}

    key = jax.random.key(config.seed)
    snapshots = Snapshots(run, lambda variables: generate(config, variables, 64, key))
    state, result = train_game(run, game, loader, optimizers, epochs=config.epochs, hooks=[snapshots])
    images = np.asarray(generate(config, state.variables, config.samples, key))
    run.figure("progress", plots.draw_progress(snapshots.read()))
    run.figure("samples", plots.draw_samples(images[:64]))
    return {**measure(images, digits), **result}


def make_generator(config: Config) -> models.DCGANGenerator:
    """Make the generator."""
    return models.DCGANGenerator(1, (2 * config.width, config.width))


@partial(jax.jit, static_argnums=(0, 2))
def generate(config: Config, variables: PyTree, count: int, key: Key) -> Array:
    """Generate images ``[count, H, W, 1]`` from -1 to 1, with batch norms by the moments of these images."""
    z = jax.random.normal(key, (count, config.latent_size))
    own = tasks.player_variables(variables, "generator")
    images, _ = make_generator(config).apply(own, z, train=True, mutable="batch_stats")
    return images  # pyright: ignore[reportReturnType]


def make_sampler(config: Config, count: int) -> Callable[[PyTree, Key], Array]:
    """Make ``sample(variables, key)``, which generates images from 0 to 1."""
    return lambda variables, key: generate(config, variables, count, key) / 2 + 0.5


def measure(images: np.ndarray, digits: data.Dataset) -> dict[str, Any]:
    """Name the images ``[N, H, W, 1]`` by a classifier of the real ones."""
    parts = {"train": digits.train, "test": digits.test}
    flat = {part: np.reshape(arrays["image"], (len(arrays["image"]), -1)) for part, arrays in parts.items()}
    judge = LogisticRegression(max_iter=1000).fit(flat["train"], digits.train["label"])
    probability = judge.predict_proba(np.reshape(images, (len(images), -1)) / 2 + 0.5)
    shares = np.bincount(probability.argmax(axis=1), minlength=10) / len(images)
    return {
        "classes": float(np.sum(shares >= LEAST_SHARE)),
        "recognized": float(np.mean(probability.max(axis=1) > SURE)),
        "recognized_held_out": float(np.mean(judge.predict_proba(flat["test"]).max(axis=1) > SURE)),
        "largest_share": float(shares.max()),
    }
