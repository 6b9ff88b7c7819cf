"""Decay, L1 and masks: exact zeros, scikit-learn's lasso, coupled and decoupled."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxdl import optim
from jaxdl.tree import select

PARAMS = {"dense": {"kernel": jnp.array([[2.0, -3.0]]), "bias": jnp.array([4.0])}}
ZEROS = jax.tree.map(jnp.zeros_like, PARAMS)


def update_once(transform, gradients=ZEROS):
    return transform.update(gradients, transform.init(PARAMS), PARAMS)[0]["dense"]


@pytest.mark.parametrize("mask", ["kernel$", select(PARAMS, "kernel"), lambda tree: select(tree, "kernel")])
def test_a_mask_is_a_pattern_a_tree_or_a_function(mask):
    update = update_once(optim.add_decayed_weights(0.5, mask))
    np.testing.assert_allclose(update["kernel"], [[1.0, -1.5]])
    np.testing.assert_allclose(update["bias"], [0.0])
    update = update_once(optim.adamw(0.1, weight_decay=0.5, mask=mask))
    np.testing.assert_allclose(update["kernel"], [[-0.1, 0.15]], rtol=1e-6)
    np.testing.assert_allclose(update["bias"], [0.0])


def test_the_subgradient_of_l1_is_a_sign():
    update = update_once(optim.add_l1_subgradient(0.5))
    np.testing.assert_allclose(update["kernel"], [[0.5, -0.5]])
    assert update_once(optim.add_l1_subgradient(0.5, "bias"))["kernel"][0, 0] == 0


def test_the_subgradient_equals_the_gradient_of_the_penalty():
    penalty = lambda params: 0.3 * sum(jnp.sum(jnp.abs(leaf)) for leaf in jax.tree.leaves(params))  # noqa: E731
    update = update_once(optim.add_l1_subgradient(0.3))
    chex.assert_trees_all_close(update, jax.grad(penalty)(PARAMS)["dense"], rtol=1e-7)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_the_proximal_step_gives_exact_zeros(dtype):
    params = jnp.array([0.03, -0.03, 0.3, -0.3, 0.0], dtype)
    optimizer = optax.chain(optim.sgd(0.1), optim.proximal_l1(0.5, 0.1))
    update, _ = optimizer.update(jnp.full(5, 0.1, dtype), optimizer.init(params), params)
    params = optax.apply_updates(params, update)
    assert params.dtype == dtype
    assert params.tolist()[:2] == [0.0, 0.0]
    assert params[4] == 0
    np.testing.assert_allclose(params[2:4].astype(float), [0.24, -0.26], rtol=1e-2)


def test_the_proximal_step_follows_the_schedule_and_the_mask():
    optimizer = optim.proximal_l1(1.0, optim.schedules.piecewise_constant([0.5, 0.25], [1]), mask="kernel")
    state = optimizer.init(PARAMS)
    update, state = optimizer.update(ZEROS, state, PARAMS)
    np.testing.assert_allclose(update["dense"]["kernel"], [[-0.5, 0.5]])
    np.testing.assert_allclose(update["dense"]["bias"], [0.0])
    update, state = optimizer.update(ZEROS, state, PARAMS)
    np.testing.assert_allclose(update["dense"]["kernel"], [[-0.25, 0.25]])


def test_proximal_gradient_descent_solves_the_lasso(float64):
    linear_model = pytest.importorskip("sklearn.linear_model", reason="the lasso of scikit-learn")
    rng = np.random.default_rng(0)
    x, truth = rng.normal(size=(40, 8)), np.array([2.0, 0, 0, -1.5, 0, 0, 0, 0.5])
    y = x @ truth + 0.1 * rng.normal(size=40)
    optimizer = optax.chain(optim.sgd(0.2), optim.proximal_l1(0.3, 0.2))

    @jax.jit
    def solve(w):
        def step(_, carry):
            w, state = carry
            update, state = optimizer.update(x.T @ (x @ w - y) / 40, state, w)
            return optax.apply_updates(w, update), state

        return jax.lax.fori_loop(0, 500, step, (w, optimizer.init(w)))[0]

    got = solve(jnp.zeros(8))
    want = linear_model.Lasso(alpha=0.3, fit_intercept=False, tol=1e-12, max_iter=10_000).fit(x, y).coef_
    np.testing.assert_allclose(got, want, atol=1e-7)
    assert np.sum(want == 0) >= 3
    np.testing.assert_array_equal(got == 0, want == 0)


def test_coupled_and_decoupled_decay_differ_for_adam_and_agree_for_sgd():
    gradients = jax.tree.map(jnp.ones_like, PARAMS)
    coupled, decay = optim.add_decayed_weights(0.1), optim.add_decayed_weights(0.1)
    adam = update_once(optax.chain(coupled, optim.adam(0.1)), gradients)
    adamw = update_once(optim.adamw(0.1, weight_decay=0.1), gradients)
    assert not np.allclose(adam["kernel"], adamw["kernel"])
    sgd = update_once(optax.chain(coupled, optim.sgd(0.1)), gradients)
    decoupled = update_once(optax.chain(optax.identity(), decay, optim.scale_by_learning_rate(0.1)), gradients)
    chex.assert_trees_all_close(sgd, decoupled, rtol=1e-6)


def test_decay_keeps_the_dtype_of_the_gradient():
    transform = optim.add_decayed_weights(0.1)
    gradient, params = jnp.ones(2, jnp.bfloat16), jnp.ones(2, jnp.float32)
    assert transform.update(gradient, transform.init(params), params)[0].dtype == jnp.bfloat16


@pytest.mark.parametrize(
    "transform", [optim.add_decayed_weights(0.1), optim.add_l1_subgradient(0.1), optim.proximal_l1(0.1, 0.1)]
)
def test_an_update_without_the_parameters_is_an_error(transform):
    with pytest.raises(ValueError, match=r"parameters.*got None"):
        transform.update(ZEROS, transform.init(PARAMS))


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: optim.add_decayed_weights(-0.1), "weight_decay"),
        (lambda: optim.add_l1_subgradient(-0.1), "strength"),
        (lambda: optim.proximal_l1(-0.1, 0.1), "strength"),
        (lambda: optim.proximal_l1(0.1, -0.1), "learning_rate"),
    ],
)
def test_a_bad_argument_is_named(make, name):
    with pytest.raises(ValueError, match=f"{name}.*got -0.1"):
        make()
