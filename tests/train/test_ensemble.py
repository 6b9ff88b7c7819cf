"""Ensembles: joint training equals separate training, and averages match their equations."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl import data, losses, metrics, optim, train, tree
from jaxdl.train import ensemble
from jaxdl.train.report import summarise

MEMBERS, SIZE = 3, 24


@pytest.fixture(scope="module")
def arrays():
    generator = np.random.default_rng(0)
    x = generator.normal(size=(SIZE, 4)).astype(np.float32)
    return {"x": x, "label": np.argmax(x[:, :3], axis=1).astype(np.int32)}


def loss(variables, batch, key):
    kernel = variables["params"]["kernel"]
    # Noise in place of dropout: each member has its own random numbers.
    logits = batch["x"] @ kernel + 0.1 * jax.random.normal(key, (1, 3))
    return losses.cross_entropy(logits, batch["label"]), ({}, {})


optimizer = optim.adam(0.1)
step = train.make_step(loss, optimizer)
keys = jax.random.split(jax.random.key(1), MEMBERS)


@jax.jit
def create(key):
    params = {"kernel": jax.random.normal(key, (4, 3))}
    return train.TrainState.create({"params": params}, optimizer, key)


def assert_each_is(states, alone):
    for i, state in enumerate(alone):
        np.testing.assert_allclose(states.params["kernel"][i], state.params["kernel"], rtol=1e-5, atol=1e-6)


def test_joint_training_equals_separate_training(arrays):
    loader = data.Loader(arrays, 8)
    alone = [train.fit(step, create(key), loader, epochs=2)[0] for key in keys]
    states, history = train.fit(jax.vmap(step, in_axes=(0, None)), jax.vmap(create)(keys), loader, epochs=2)
    assert_each_is(states, alone)
    assert len(history[-1]["train/loss"]) == MEMBERS
    assert len(np.unique(np.asarray(states.params["kernel"])[:, 0, 0])) == MEMBERS


def test_a_sweep_of_learning_rates_equals_one_run_after_the_other(arrays):
    loader, rates = data.Loader(arrays, 8), np.float32([0.1, 0.01])

    def make(settings):
        optimizer = optim.adam(settings["rate"], b1=settings["b1"])
        return train.make_step(loss, optimizer, average=0.5)

    settings = {"rate": rates, "b1": np.float32([0.9, 0.5])}
    alone = [train.fit(make(tree.take(settings, i)), create(keys[0]), loader, epochs=2)[0] for i in range(2)]
    states = ensemble.repeat(create(keys[0]), 2)
    states, history = train.fit(ensemble.over_settings(make, settings), states, loader, epochs=2)
    assert_each_is(states, alone)
    for i, state in enumerate(alone):
        np.testing.assert_allclose(states.average["kernel"][i], state.average["kernel"], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(history[-1]["train/learning_rate"], rates)


def test_joint_evaluation_equals_separate_evaluation(arrays):
    def measure(variables, batch):
        logits = batch["x"] @ variables["params"]["kernel"]
        each = losses.cross_entropy(logits, batch["label"], reduction="none")
        hits = metrics.correct(logits, batch["label"])
        return {"loss": metrics.mean(each, batch["mask"]), "accuracy": metrics.mean(hits, batch["mask"])}

    states = jax.vmap(create)(keys)
    one = train.make_evaluation(measure, arrays, batch_size=7)
    alone = [one(tree.take(states.variables, member)) for member in range(MEMBERS)]
    together = train.make_evaluation(jax.vmap(measure, in_axes=(0, None)), arrays, batch_size=7)
    results = together(states.variables)
    for name in ("loss", "accuracy"):
        assert results[name] == pytest.approx([values[name] for values in alone], rel=1e-6)
    assert len(set(results["loss"])) == MEMBERS
    report = train.Report(3, 1.0, states, {}, results, 0.0, 0.0, 3, 3)
    assert summarise(report)["evaluation/loss"] == results["loss"]
    with pytest.raises(ValueError, match="got 3"):
        train.EarlyStopping(patience=1)(report)
    with pytest.raises(ValueError, match="got 3"):
        train.EarlyStopping(patience=1).replay([summarise(report)], like=states)


def test_bagging_equals_training_on_resampled_data(arrays):
    samples = ensemble.bootstrap(jax.random.key(2), MEMBERS, SIZE)
    alone = []
    for key, sample in zip(keys, np.asarray(samples), strict=True):
        alone.append(train.fit(step, create(key), data.Loader(tree.take(arrays, sample), 8), epochs=2)[0])
    loader = data.Loader({"index": np.arange(SIZE)}, 8)
    together = ensemble.on_samples(step, arrays, samples)
    assert_each_is(train.fit(together, jax.vmap(create)(keys), loader, epochs=2)[0], alone)


def test_a_bootstrap_omits_the_expected_fraction_of_the_examples():
    samples = ensemble.bootstrap(jax.random.key(0), 200, 50)
    omitted = np.mean([50 - len(np.unique(sample)) for sample in np.asarray(samples)]) / 50
    assert omitted == pytest.approx((1 - 1 / 50) ** 50, abs=0.01)


def test_average_predictions_match_means_of_probabilities():
    logits = np.random.default_rng(3).normal(size=(5, 2, 4)).astype(np.float32) * 3
    p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    arithmetic = np.exp(ensemble.average_predictions(logits))
    np.testing.assert_allclose(arithmetic, p.mean(0), rtol=1e-5)
    geometric = np.prod(p, axis=0) ** (1 / 5)
    expected = geometric / geometric.sum(-1, keepdims=True)
    np.testing.assert_allclose(np.exp(ensemble.average_predictions(logits, "geometric")), expected, rtol=1e-5)
    certain = jnp.array([[1e4, 0.0], [0.0, 1e4]])
    for average in ensemble.AVERAGES:
        np.testing.assert_allclose(ensemble.average_predictions(certain, average), np.log([0.5, 0.5]), rtol=1e-6)


def test_the_mean_of_parameters_predicts_the_mean_of_a_linear_model():
    members = {"kernel": jax.random.normal(jax.random.key(0), (4, 3, 2)), "half": jnp.ones((4, 1), jnp.bfloat16)}
    mean = ensemble.average_parameters(members)
    x = jnp.arange(3.0)[None]
    each = jax.vmap(lambda kernel: x @ kernel)(members["kernel"])
    np.testing.assert_allclose(x @ mean["kernel"], each.mean(0), rtol=1e-5)
    assert mean["half"].dtype == jnp.bfloat16


def test_snapshots_are_the_variables_at_the_ends_of_the_cycles(arrays):
    loader = data.Loader(arrays, 8)
    snapshots = ensemble.Snapshots(epochs=2)
    state, _ = train.fit(step, create(keys[0]), loader, epochs=4, hooks=[snapshots], report_every=2)
    first, last = snapshots.variables
    early, _ = train.fit(step, create(keys[0]), loader, epochs=2)
    np.testing.assert_allclose(first["params"]["kernel"], early.params["kernel"], rtol=1e-6)
    np.testing.assert_array_equal(last["params"]["kernel"], state.params["kernel"])
    assert tree.stack(snapshots.variables)["params"]["kernel"].shape == (2, 4, 3)


@pytest.mark.parametrize("members", [2, 5])
def test_the_error_of_an_average_is_its_formula(members):
    generator = np.random.default_rng(members)
    errors = generator.normal(size=(members, 2000)) + 0.7 * generator.normal(size=2000)
    variance, covariance = ensemble.error_moments(errors)
    measured = np.square(errors.mean(0)).mean()
    assert ensemble.squared_error_of_average(variance, covariance, members) == pytest.approx(measured, rel=1e-5)
    expected = ensemble.squared_error_of_average(1 + 0.49, 0.49, members)
    assert measured == pytest.approx(expected, rel=4.5 * np.sqrt(2 / 2000))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ensemble.bootstrap(jax.random.key(0), 0, 5), "got 0"),
        (lambda: ensemble.on_samples(step, {}, np.arange(3)), r"got .* \(3,\)"),
        (lambda: ensemble.on_samples(step, {}, np.ones((2, 3), int))(None, {"x": 0}), r"got \['x'\]"),
        (lambda: ensemble.average_predictions(np.ones((2, 3)), "median"), "got 'median'"),
        (lambda: ensemble.error_moments(np.ones((1, 3))), r"got shape \(1, 3\)"),
        (lambda: ensemble.Snapshots(0), "got 0"),
        (lambda: ensemble.repeat({}, 0), "got 0"),
        (lambda: ensemble.over_settings(optim.adam, {"a": np.ones(2), "b": np.ones(3)}), r"\(2,\).*\(3,\)"),
        (lambda: ensemble.over_settings(optim.adam, 0.1), r"got \(\)"),
    ],
)
def test_errors_have_the_offending_value(call, message):
    with pytest.raises(ValueError, match=message):
        call()
