"""Learning with any loss: against torch, with masks, extra arguments and metrics that accumulate."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen

from jaxdl import data, losses, metrics, models, optim, tasks, train
from tests.peers import torch

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(10, 3)).astype(np.float32)
Y = RANDOM.normal(size=(10, 2)).astype(np.float32)
KEY = jax.random.key(0)


class Linear(linen.Module):
    @linen.compact
    def __call__(self, x, train=False, gain=None):
        y = linen.Dense(2, name="output")(x)
        return y if gain is None else y * gain[:, None]


def regression(**options):
    return tasks.supervised(
        Linear(), losses.mean_squared_error, {"error": losses.mean_absolute_error}, inputs="x", target="y", **options
    )


def test_a_regression_is_that_of_torch():
    task = regression()
    loader = data.Loader({"x": X, "y": Y}, 5, shuffle=False)
    state = train.start(task, optim.sgd(0.1), loader)
    peer = torch().nn.Linear(3, 2)
    kernel, bias = (np.array(state.params["output"][name]) for name in ("kernel", "bias"))
    peer.weight.data, peer.bias.data = torch().from_numpy(kernel.T.copy()), torch().from_numpy(bias)
    optimizer = torch().optim.SGD(peer.parameters(), lr=0.1)
    for number in range(4):
        rows = slice(5 * (number % 2), 5 * (number % 2) + 5)
        optimizer.zero_grad()
        torch().nn.functional.mse_loss(peer(torch().from_numpy(X[rows])), torch().from_numpy(Y[rows])).backward()
        optimizer.step()
    step = train.make_step(task.loss, optim.sgd(0.1))
    state, history = train.fit(
        step, state, loader, epochs=2, evaluate=train.make_evaluation(task.measure, loader.arrays)
    )
    np.testing.assert_allclose(state.params["output"]["kernel"], peer.weight.detach().numpy().T, rtol=1e-5)
    expected = torch().nn.functional.l1_loss(peer(torch().from_numpy(X)), torch().from_numpy(Y)).item()
    assert history[-1]["evaluation/error"] == pytest.approx(expected, rel=1e-5)
    assert history[-1].keys() >= {"train/error", "train/loss", "evaluation/loss"}


def test_padding_counts_in_neither_loss_nor_metric():
    task = regression()
    variables = task.init(KEY, {"x": X, "y": Y})
    whole = train.make_evaluation(task.measure, {"x": X, "y": Y}, batch_size=10)(variables)
    parts = train.make_evaluation(task.measure, {"x": X, "y": Y}, batch_size=4)(variables)
    assert parts == pytest.approx(whole, rel=1e-6)
    masked = {
        "x": X,
        "y": np.where(np.arange(10)[:, None] < 6, Y, np.nan),
        "mask": (np.arange(10) < 6).astype(np.float32),
    }
    value, _ = task.loss(variables, masked, KEY)
    assert float(value) == pytest.approx(float(task.loss(variables, {"x": X[:6], "y": Y[:6]}, KEY)[0]), rel=1e-6)


def test_prepare_holds_in_training_and_evaluation():
    image = RANDOM.integers(256, size=(4, 8, 8, 1)).astype(np.uint8)
    batch = {"image": image, "label": np.arange(4)}

    def prepare(batch):
        return {**batch, "image": data.standardize(batch["image"], 127.5, 64.0)}

    plain, prepared = (tasks.classification(models.create("mlp"), **options) for options in ({}, {"prepare": prepare}))
    variables = prepared.init(KEY, batch)
    by_hand = prepare(batch)
    assert float(prepared.loss(variables, batch, KEY)[0]) == float(plain.loss(variables, by_hand, KEY)[0])
    assert prepared.measure(variables, batch)["loss"].total == plain.measure(variables, by_hand)["loss"].total


def test_extra_arguments_of_a_loss_are_part_of_the_state():
    def distillation(y, batch, mask, teacher, temperature):
        target = jax.nn.softmax(Linear().apply(teacher, batch["x"]) / temperature)
        return losses.cross_entropy(y / temperature, target, mask=mask), {"temperature": temperature}

    teacher = Linear().init(jax.random.key(1), X)
    extra = {"teacher": teacher, "temperature": 2.0}
    task = tasks.supervised(Linear(), distillation, inputs="x", target=None, extra=extra)
    loader = data.Loader({"x": X}, 5)
    optimizer = optim.adam(0.1)
    state, history = train.fit(
        train.make_step(task.loss, optimizer), train.start(task, optimizer, loader), loader, epochs=30
    )
    assert history[-1]["train/temperature"] == 2.0
    np.testing.assert_array_equal(state.collections["extra"]["teacher"]["params"]["output"]["bias"], np.zeros(2))
    logits, wanted = (
        jax.nn.softmax(Linear().apply({"params": v["params"]}, X) / 2) for v in (state.variables, teacher)
    )
    assert float(jnp.abs(logits - wanted).max()) < 0.05


def test_further_inputs_reach_the_model():
    task = regression(arguments={"gain": "gain"})
    batch = {"x": X, "y": Y, "gain": np.zeros(10, np.float32)}
    variables = task.init(KEY, batch)
    assert float(task.loss(variables, batch, KEY)[0]) == pytest.approx(np.mean(Y**2), rel=1e-6)
    with pytest.raises(ValueError, match="'gain', got 'x', 'y'"):
        task.loss(variables, {"x": X, "y": Y}, KEY)


def test_a_loss_of_rows_is_an_error():
    task = tasks.supervised(Linear(), lambda y, target, mask: (y - target) ** 2, inputs="x", target="y")
    with pytest.raises(TypeError, match=r"got shape \(10, 2\)"):
        task.loss(task.init(KEY, {"x": X, "y": Y}), {"x": X, "y": Y}, KEY)


def test_metrics_accumulate_as_scikit_learn_computes_them():
    sklearn = pytest.importorskip("sklearn.metrics", reason="parity with scikit-learn")
    labels = RANDOM.integers(3, size=50)
    predicted = np.where(RANDOM.random(50) < 0.6, labels, RANDOM.integers(3, size=50))
    probabilities = RANDOM.random(50).astype(np.float32)
    arrays = {"label": labels, "predicted": predicted, "p": probabilities}

    def measure(variables, batch):
        mask = batch["mask"]
        return {
            "matrix": metrics.running_confusion(batch["predicted"], batch["label"], 3, mask=mask),
            "f1": metrics.running_f1(batch["predicted"], batch["label"], 3, mask=mask),
            "auc": metrics.running_auc(batch["p"], batch["label"] == 1, mask=mask, bins=2**16),
        }

    found = train.make_evaluation(measure, arrays, batch_size=16)({})
    np.testing.assert_array_equal(found["matrix"], sklearn.confusion_matrix(labels, predicted))
    assert found["f1"] == pytest.approx(sklearn.f1_score(labels, predicted, average="macro"), rel=1e-6)
    assert found["auc"] == pytest.approx(sklearn.roc_auc_score(labels == 1, probabilities), rel=1e-6)
    assert np.isnan(metrics.running_auc(jnp.array([jnp.nan, 0.5]), jnp.array([0, 1])).value)
