"""Training of many runs as one program: scans equal loops, and rates are chosen by other runs than the judged ones."""

import chex
import jax
import jax.numpy as jnp
import numpy as np

from experiments.harness import catalogue
from experiments.harness.learning import draw_batches, fit_batches, fit_one_batch, fit_samples, search_rate_then_measure
from jaxdl import optim, train

EXAMPLES = {"x": np.random.default_rng(0).normal(size=(12, 3)).astype(np.float32), "label": np.arange(12) % 2}
VARIABLES = {"params": {"w": jnp.ones(3)}}


def loss(variables, batch, key):
    return jnp.mean((batch["x"] @ variables["params"]["w"] - batch["label"]) ** 2), ({}, {})


def fit_by_a_loop(batches, key):
    step = train.make_step(loss, optim.momentum(0.1, 0.9))
    state, losses = train.TrainState.create(VARIABLES, optim.momentum(0.1, 0.9), key), []
    for batch in batches:
        state, metrics = step(state, batch)
        losses.append(metrics["loss"])
    return state.params, np.array(losses)


def test_fit_batches_equals_a_loop():
    indices = draw_batches(0, EXAMPLES, (5, 4))
    examples = jax.device_put(EXAMPLES)
    fit = jax.jit(lambda batches: fit_batches(loss, optim.momentum(0.1, 0.9), VARIABLES, examples, batches))
    state, metrics = fit(indices)
    batches = [{name: values[row] for name, values in EXAMPLES.items()} for row in indices]
    chex.assert_trees_all_close((state.params, metrics["loss"]), fit_by_a_loop(batches, jax.random.key(0)), rtol=1e-5)


def test_fit_batches_follows_the_state_after_every_step():
    indices, examples = draw_batches(0, EXAMPLES, (5, 4)), jax.device_put(EXAMPLES)

    def fit(batches):
        follow = {"follow": lambda state: {"w": state.params["w"]}}
        return fit_batches(loss, optim.momentum(0.1, 0.9), VARIABLES, examples, batches, **follow)

    state, metrics = jax.jit(fit)(indices)
    chex.assert_shape(metrics["w"], (5, 3))
    chex.assert_trees_all_equal(metrics["w"][-1], state.params["w"])


def test_fit_one_batch_equals_a_loop():
    key = jax.random.key(0)
    fit = jax.jit(lambda batch: fit_one_batch(loss, optim.momentum(0.1, 0.9), VARIABLES, batch, 5, key))
    state, metrics = fit(EXAMPLES)
    chex.assert_trees_all_close((state.params, metrics["loss"]), fit_by_a_loop([EXAMPLES] * 5, key), rtol=1e-5)


def test_fit_samples_equals_a_loop():
    def sample(key):
        x = jax.random.normal(key, (4, 3))
        return {"x": x, "label": x[:, 0]}

    keys = jax.random.split(jax.random.key(1), 5)
    fit = jax.jit(lambda keys: fit_samples(loss, optim.momentum(0.1, 0.9), VARIABLES, sample, keys, jax.random.key(0)))
    state, metrics = fit(keys)
    expected = fit_by_a_loop([sample(key) for key in keys], jax.random.key(0))
    chex.assert_trees_all_close((state.params, metrics["loss"]), expected, rtol=1e-5)


def test_the_rate_is_chosen_by_other_runs_than_the_judged_ones():
    def learn(rate, run):
        best, steps = run
        return {"loss": (rate - best) ** 2 + 0.0 * steps}

    best = np.array([1.0, 2.0, 3.0, 3.0, 3.0], np.float32)  # of each run; the first two search
    rates, runs = np.array([1.5, 3.0], np.float32), (best, np.zeros((5, 20), np.float32))
    rate, curves = search_rate_then_measure(learn, rates, runs, 2, lambda curves: curves["loss"].mean(axis=1))
    assert rate == 1.5
    np.testing.assert_allclose(curves["loss"], np.full((3, 20), 2.25))


def test_no_experiment_trains_at_a_given_rate_without_a_guard():
    guards = {"train.fit(": "StopAtNonfinite", "fit_one_batch(": "check_learned", "fit_samples(": "check_learned"}
    for name in catalogue.names():
        text = catalogue.source(name)
        for call, guard in guards.items():
            compares_rates = "rates: tuple" in text or "RateSearch" in text
            assert call not in text or guard in text or compares_rates, f"{name} calls {call}...) without {guard}"
