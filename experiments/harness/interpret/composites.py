"""Digits composited on photographs, with known masks: images, networks that learn them, localization by maps."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen

from experiments.harness.configuration import Config
from experiments.harness.errors import preparing
from experiments.harness.interpret.networks import photograph
from experiments.harness.members import train_in_own_orders
from experiments.harness.seeds import initialize
from jaxdl import data, losses, metrics, optim, tree
from jaxdl.nn import Conv, max_pool
from jaxdl.typing import Array, Batch, Key, PyTree

FIELD, DIGIT = 24, 16
RATE, BATCH = 2e-3, 64


@dataclass(frozen=True)
class Composited(Config):
    """Networks that learn composited digits."""

    SMOKE = {"seeds": 2, "epochs": 0, "examples": 4}
    LEAST = {"seeds": 2, "epochs": 0}

    seeds: int = 8
    """Independent networks."""
    epochs: int = 12
    """Passes over the training images; 0 for untrained networks."""
    examples: int | None = None
    """Images of the training and of the test; all by default, at most 200 of the test."""


class Net(linen.Module):
    """Three 3x3 convolutions, max pooling after two of them, and two dense layers."""

    pool: Callable[[Array], Array] = partial(max_pool, window=2)

    @linen.compact
    def __call__(self, x: Array) -> Array:
        """Return the logits ``[B, 10]`` of images ``[B, 24, 24, 1]``."""
        for channels in (12, 24):
            x = self.pool(linen.relu(Conv(channels, (3, 3), padding=1)(x)))
        x = linen.relu(Conv(24, (3, 3), padding=1)(x))
        x = linen.relu(linen.Dense(48)(x.reshape(len(x), -1)))
        return linen.Dense(10)(x)


def make_composites(config: Composited) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Return training and test images: ``image`` and the digit's ``mask`` ``[N, 24, 24, 1]``, and ``label``."""
    generator = np.random.default_rng(config.seed)
    with preparing():
        digits = data.load("digits", size=DIGIT)
        ground = 0.7 * photograph("china", 160, 1)[0]
    train_set = tree.take(dict(digits.train), slice(config.examples))
    test_set = tree.take(dict(digits.test), slice(config.examples or 200))
    return compose(generator, train_set, ground), compose(generator, test_set, ground)


def compose(generator: np.random.Generator, digits: Batch, ground: np.ndarray) -> dict[str, np.ndarray]:
    """Place each digit at random on a random cut of a photograph; the mask is where it covers more than a third."""
    shape = (len(digits["label"]), FIELD, FIELD, 1)
    cover, image = np.zeros(shape, np.float32), np.empty(shape, np.float32)
    for number, digit in enumerate(digits["image"]):
        y, x = generator.integers(0, FIELD - DIGIT + 1, 2)
        v, u = (generator.integers(0, size - FIELD + 1) for size in ground.shape[:2])
        cover[number, y : y + DIGIT, x : x + DIGIT] = np.clip(digit, 0, 1)
        image[number] = ground[v : v + FIELD, u : u + FIELD]
    return {"image": image + cover * (1 - image), "mask": cover > 1 / 3, "label": digits["label"]}


def train_networks(config: Composited, arrays: dict[str, Any]) -> PyTree:
    """Train a network for every seed; return the parameters ``[seeds, ...]``."""

    def loss(variables: PyTree, batch: Batch, key: Key) -> tuple[Array, tuple[dict, dict]]:
        del key  # nothing is random
        return losses.cross_entropy(Net().apply(variables, batch["image"]), batch["label"]), ({}, {})

    def init(key: Key) -> PyTree:
        return Net().init(key, arrays["image"][:1])

    if config.epochs == 0:
        return initialize(np.random.default_rng(config.seed), Net(), arrays["image"][:1], config.seeds)["params"]
    arrays = {name: arrays[name] for name in ("image", "label")}
    return train_in_own_orders(config, loss, optim.adam(RATE), init, arrays, batch_size=BATCH)[0].params


def measure_maps(
    methods: dict[str, Callable[..., Array]], params: PyTree, arrays: Batch
) -> dict[str, dict[str, Array]]:
    """Measure the maps ``method(params, x, label)`` of every network on the images that it classifies correctly.

    Returns:
        ``accuracy`` of the networks, and of each method the mean ``inside``, the share of the magnitude within the
        mask, and ``gini``, all ``[seeds]``; and ``maps`` of the first network ``[N, ...]``.
    """

    @jax.jit
    def measure(params: PyTree, arrays: Batch) -> dict[str, dict[str, Array]]:
        def of_seed(params: PyTree) -> dict[str, dict[str, Array]]:
            """Measure one network."""
            right = metrics.correct(Net().apply({"params": params}, arrays["image"]), arrays["label"])
            weights = right / jnp.maximum(jnp.sum(right), 1)
            found: dict[str, dict[str, Array]] = {
                "accuracy": {"networks": jnp.mean(right)},
                "inside": {},
                "gini": {},
                "maps": {},
            }
            for name, method in methods.items():
                maps = method(params, arrays["image"], arrays["label"])
                found["maps"][name], size = maps[:8], jnp.abs(maps)
                total = jnp.maximum(jnp.sum(size, axis=(1, 2, 3)), 1e-30)
                inside = jnp.sum(size * arrays["mask"], axis=(1, 2, 3)) / total
                found["inside"][name], found["gini"][name] = weights @ inside, weights @ gini(size)
            return found

        return jax.lax.map(of_seed, params)

    found = jax.device_get(measure(params, arrays))
    return found | {"maps": tree.take(found["maps"], 0)}


def gini(sizes: Array) -> Array:
    """Compute the Gini index of magnitudes ``[B, ...]``, 0 if all are equal, and near 1 if all but one are 0.

    >>> gini(jnp.array([[1.0, 1.0, 1.0, 1.0], [0.0, 0.0, 0.0, 1.0]])).tolist()
    [0.0, 0.75]
    """
    ordered = jnp.sort(sizes.reshape(len(sizes), -1), axis=1)
    n = ordered.shape[1]
    ranks = 2 * jnp.arange(1, n + 1) - n - 1
    return ordered @ ranks.astype(ordered.dtype) / (n * jnp.maximum(jnp.sum(ordered, axis=1), 1e-30))
