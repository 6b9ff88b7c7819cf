"""Recipes: what is given wins, the rest is the recipe's; and images of the size that a model takes."""

import numpy as np
import pytest

from experiments.harness.errors import UsageError
from experiments.harness.supervised import Optimizer, OptimizerChanges, resized, standardized
from experiments.vision.image_classification import RECIPES, Config
from jaxdl import data, optim


@pytest.mark.parametrize(("source", "recipe"), [("cifar10", "cifar"), ("digits", "digits"), ("mnist", "digits")])
def test_the_default_recipe_depends_on_the_data(source, recipe):
    settled = Config(data=source).settled()
    assert settled.optimizer == RECIPES[recipe].optimizer
    assert (settled.epochs, settled.batch_size, settled.augment) == tuple(vars(RECIPES[recipe]).values())[:3]
    assert Config(data=source, recipe="cifar_cosine").settled().epochs == 100


def test_given_values_override_the_recipe():
    changes = OptimizerChanges(learning_rate=0.5, weight_decay=0.0)
    settled = Config(recipe="cifar", epochs=2.0, augment="none", patience=3, optimizer=changes).settled()
    assert settled.optimizer == Optimizer("momentum", 0.5, "step", weight_decay=0.0)
    assert (settled.epochs, settled.batch_size, settled.augment, settled.patience) == (2.0, 128, "none", 3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": 0.0}, "--epochs: expected > 0"),
        ({"size": 0}, "--size: expected >= 1, got 0"),
        ({"optimizer": OptimizerChanges(momentum=1.0)}, r"--optimizer.momentum: expected in \[0, 1\)"),
        ({"model": "lenet6"}, "did you mean 'lenet5'"),
    ],
)
def test_invalid_settings_are_rejected(changes, message):
    with pytest.raises((ValueError, UsageError), match=message):
        Config(**changes)


def images(side):
    part = {"image": np.linspace(0, 1, 4 * side * side, dtype=np.float32).reshape(4, side, side, 1)}
    return data.Dataset("ramps", part, part, ("a", "b"))


def test_images_are_resized_if_the_model_does_not_accept_them():
    assert resized(images(28), "lenet5", None).train["image"].shape == (4, 28, 28, 1)
    assert resized(images(8), "lenet5", None).test["image"].shape == (4, 32, 32, 1)
    assert resized(images(8), "mlp", None).test["image"].shape == (4, 8, 8, 1)
    assert resized(images(8), "mlp", 5).test["image"].shape == (4, 5, 5, 1)
    with pytest.raises(ValueError, match="28, 28"):
        resized(images(8), "lenet5", 20)


def test_images_are_standardized_by_the_training_images():
    part = images(6)
    test = {"image": part.test["image"] + 1}
    scaled = standardized(data.Dataset("ramps", part.train, test, ("a", "b")))
    np.testing.assert_allclose([scaled.train["image"].mean(), scaled.train["image"].std()], [0, 1], atol=1e-5)
    np.testing.assert_allclose(scaled.test["image"].mean(), 1 / part.train["image"].std(), rtol=1e-5)


def test_the_step_schedule_divides_by_ten_at_half_and_three_quarters():
    optimizer = Optimizer("sgd", learning_rate=0.1, schedule="step", warmup=0.2, weight_decay=0.0).make(10)
    params, rates = {"kernel": np.ones(1, np.float32)}, []
    state = optimizer.init(params)
    for _ in range(10):
        _, state = optimizer.update(params, state, params)
        rates.append(float(optim.learning_rate(state)))
    np.testing.assert_allclose(rates, [0.0, 0.05] + [0.1] * 4 + [0.01] * 2 + [0.001] * 2, rtol=1e-5)


@pytest.mark.parametrize(("name", "decayed"), [("sgd", True), ("momentum", True), ("nesterov", True), ("adam", False)])
def test_weight_decay_applies_to_kernels_only(name, decayed):
    optimizer = Optimizer(name, learning_rate=0.5, schedule="constant", weight_decay=0.1).make(10)
    params = {"kernel": np.full(1, 2.0, np.float32), "bias": np.full(1, 2.0, np.float32)}
    zeros = {leaf: np.zeros(1, np.float32) for leaf in params}
    update, _ = optimizer.update(zeros, optimizer.init(params), params)
    factor = {"nesterov": 1.9}.get(name, 1.0)
    np.testing.assert_allclose(update["kernel"], [-0.5 * 0.1 * 2 * factor if decayed else 0], rtol=1e-5)
    np.testing.assert_array_equal(update["bias"], [0])
