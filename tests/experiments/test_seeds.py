"""Initialization of many runs, helpers of figures, and bounds of settings."""

import dataclasses
from typing import ClassVar

import jax
import numpy as np
import pytest
from flax import linen

from experiments.harness import configuration, figures, seeds
from experiments.harness.sequences.language import spread
from jaxdl.models.vision.resnet import ResNet
from jaxdl.nn.normalization import BatchNorm


class Network(linen.Module):
    @linen.compact
    def __call__(self, x):
        x = BatchNorm(name="norm")(linen.Conv(30, (3, 3), name="conv")(x), False)
        return linen.Dense(20, name="dense")(x.mean(axis=(1, 2)))


def test_initialization_has_the_variance_of_flax():
    image, runs = np.zeros((1, 4, 4, 10), np.float32), 8
    scaled = linen.initializers.variance_scaling
    peers = {
        "conv": (seeds.he, scaled(2.0, "fan_in", "normal")),
        "dense": (seeds.xavier, scaled(1.0, "fan_avg", "normal")),
    }
    for layer, (variance, peer) in peers.items():
        drawn = seeds.initialize(np.random.default_rng(0), Network(), image, runs, variance)
        kernel = drawn["params"][layer]["kernel"]
        theirs = np.asarray(peer(jax.random.key(0), kernel.shape[1:]))
        np.testing.assert_allclose(kernel.std(axis=tuple(range(1, kernel.ndim))), theirs.std(), rtol=0.15)
    np.testing.assert_array_equal(drawn["batch_stats"]["norm"]["var"], np.ones((runs, 30)))
    np.testing.assert_array_equal(drawn["params"]["norm"]["scale"], np.ones((runs, 30)))
    np.testing.assert_array_equal(drawn["params"]["conv"]["bias"], np.zeros((runs, 30)))


def test_scanned_blocks_do_not_count_as_inputs():
    model = ResNet(num_classes=10, stem="cifar", scan_blocks=True, depths=(5,), widths=(16,))
    drawn = seeds.initialize(np.random.default_rng(0), model, np.zeros((1, 8, 8, 1), np.float32), 2)
    scanned = [leaf for leaf in jax.tree.leaves(drawn) if leaf.ndim == 6]
    assert scanned
    for leaf in scanned:
        assert leaf.std() == pytest.approx((2 / (9 * 16)) ** 0.5, rel=0.05)


@pytest.mark.parametrize("shape", [(5, 4, 3), (3,), (5, 2, 2, 2, 4, 3)])
def test_kernels_of_other_ranks_are_rejected(shape):
    class Scanned(linen.Module):
        @linen.compact
        def __call__(self, x):
            return self.param("kernel", linen.initializers.zeros, shape)

    with pytest.raises(ValueError, match=r"got \[[\d, ]+\] for params/kernel"):
        seeds.initialize(np.random.default_rng(0), Scanned(), np.zeros((1, 4), np.float32), 2)


def test_smooth_is_the_running_mean():
    values = np.random.default_rng(0).normal(size=(2, 9))
    loop = np.stack([values[:, i : i + 4].mean(axis=1) for i in range(6)], axis=1)
    np.testing.assert_allclose(figures.smooth(values, 4), loop, rtol=1e-12)
    np.testing.assert_allclose(figures.smooth(values, 20), values.mean(axis=1, keepdims=True), rtol=1e-12)


def test_labels_are_spread_in_order():
    assert spread([1.0, 1.1, 1.2, 5.0], 0.5) == [1.0, 1.5, 2.0, 5.0]


@dataclasses.dataclass(frozen=True)
class Base(configuration.Config):
    LEAST: ClassVar[dict[str, int]] = {"batch_size": 1, "steps": 1}
    POSITIVE = ("learning_rate",)

    batch_size: int = 4
    steps: int = 2
    learning_rate: float = 0.1


@dataclasses.dataclass(frozen=True)
class Config(Base):
    LEAST: ClassVar[dict[str, int]] = {"batch_size": 2}
    CHOICES: ClassVar[dict] = {"cells": (("gru", "lstm"), ("gru",))}

    cells: tuple[str, ...] = ("gru",)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_size": 1}, "--batch-size: expected >= 2, got 1"),
        ({"steps": 0}, "--steps: expected >= 1, got 0"),
        ({"cells": ("lstm",)}, r"got \('lstm',\)"),
        ({"cells": ("gru", "rnn")}, r"got \('gru', 'rnn'\)"),
        ({"learning_rate": 0.0}, "--learning-rate: expected > 0, got 0.0"),
        ({"learning_rate": float("nan")}, "--learning-rate: expected > 0, got nan"),
    ],
)
def test_values_below_their_bound_are_rejected(changes, message):
    assert Config().batch_size == 4
    assert Base(batch_size=1).batch_size == 1
    with pytest.raises(ValueError, match=message):
        Config(**changes)
