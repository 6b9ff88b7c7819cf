"""What experiments with many runs share: first values, choices that do not look at what is judged, and refusals."""

import dataclasses

import jax
import numpy as np
import pytest
from flax import linen as nn

from experiments.harness import configuration, seeds
from experiments.harness.language import spread
from experiments.vision import plain_vs_residual
from jaxdl.models.vision.resnet import ResNet
from jaxdl.nn.normalization import BatchNorm


class Network(nn.Module):
    @nn.compact
    def __call__(self, x):
        x = BatchNorm(name="norm")(nn.Conv(30, (3, 3), name="conv")(x), False)
        return nn.Dense(20, name="dense")(x.mean(axis=(1, 2)))


def test_first_values_have_the_variance_that_flax_gives_them():
    image, runs = np.zeros((1, 4, 4, 10), np.float32), 8
    scaled = nn.initializers.variance_scaling
    peers = {
        "conv": (seeds.he, scaled(2.0, "fan_in", "normal")),
        "dense": (seeds.xavier, scaled(1.0, "fan_avg", "normal")),
    }
    for layer, (variance, peer) in peers.items():
        drawn = seeds.first_values(np.random.default_rng(0), Network(), image, runs, variance)
        kernel = drawn["params"][layer]["kernel"]
        theirs = np.asarray(peer(jax.random.key(0), kernel.shape[1:]))
        np.testing.assert_allclose(kernel.std(axis=tuple(range(1, kernel.ndim))), theirs.std(), rtol=0.15)
    np.testing.assert_array_equal(drawn["batch_stats"]["norm"]["var"], np.ones((runs, 30)))
    np.testing.assert_array_equal(drawn["params"]["norm"]["scale"], np.ones((runs, 30)))
    np.testing.assert_array_equal(drawn["params"]["conv"]["bias"], np.zeros((runs, 30)))


def test_a_dimension_of_scanned_blocks_does_not_count_as_inputs():
    model = ResNet(num_classes=10, stem="cifar", scan_blocks=True, depths=(5,), widths=(16,))
    drawn = seeds.first_values(np.random.default_rng(0), model, np.zeros((1, 8, 8, 1), np.float32), 2)
    scanned = [leaf for leaf in jax.tree.leaves(drawn) if leaf.ndim == 6]
    assert scanned
    for leaf in scanned:
        assert leaf.std() == pytest.approx((2 / (9 * 16)) ** 0.5, rel=0.05)


@pytest.mark.parametrize("shape", [(5, 4, 3), (3,), (5, 2, 2, 2, 4, 3)])
def test_a_kernel_whose_inputs_cannot_be_told_is_refused(shape):
    class Scanned(nn.Module):
        @nn.compact
        def __call__(self, x):
            return self.param("kernel", nn.initializers.zeros, shape)

    with pytest.raises(ValueError, match=r"params/kernel is \[[\d, ]+\], of which it is open what counts as inputs"):
        seeds.first_values(np.random.default_rng(0), Scanned(), np.zeros((1, 4), np.float32), 2)


def test_a_curve_is_smoothed_as_by_a_loop_and_a_short_one_to_its_mean():
    values = np.random.default_rng(0).normal(size=(2, 9))
    loop = np.stack([values[:, i : i + 4].mean(axis=1) for i in range(6)], axis=1)
    np.testing.assert_allclose(seeds.smooth(values, 4), loop, rtol=1e-12)
    np.testing.assert_allclose(seeds.smooth(values, 20), values.mean(axis=1, keepdims=True), rtol=1e-12)


def test_the_rate_is_chosen_by_other_runs_than_those_that_are_judged():
    def learn(rate, variables, batches):
        loss = (rate - variables) ** 2 + 0.0 * batches
        return {"loss": loss, "wrong": loss}

    best = np.array([1.0, 2.0, 3.0, 3.0, 3.0], np.float32)  # of each run; the first two search
    found = plain_vs_residual.at_best(learn, np.array([1.5, 3.0], np.float32), best, np.zeros((5, 20), np.float32), 2)
    assert found["rate"] == 1.5
    assert found["wrong"].shape == (3, 20)
    np.testing.assert_allclose(found["error"], 2.25)


def test_labels_get_room_in_their_order():
    assert spread([1.0, 1.1, 1.2, 5.0], 0.5) == [1.0, 1.5, 2.0, 5.0]


@dataclasses.dataclass(frozen=True)
class Config(configuration.Config):
    batch_size: int = 4
    learning_rate: float = 0.1

    def __post_init__(self):
        super().__post_init__()
        configuration.at_least(self, batch_size=2)
        configuration.positive(self, "learning_rate")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_size": 1}, "--batch-size: expected >= 2, got 1"),
        ({"learning_rate": 0.0}, "--learning-rate: expected > 0, got 0.0"),
        ({"learning_rate": float("nan")}, "--learning-rate: expected > 0, got nan"),
    ],
)
def test_what_is_below_its_bound_is_refused_by_its_flag(changes, message):
    assert Config().batch_size == 4
    with pytest.raises(ValueError, match=message):
        Config(**changes)
