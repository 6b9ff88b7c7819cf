"""Freezing and rates by path against the same optimizers on the parts alone."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxdl import optim, tree
from jaxdl.optim.freezing import discriminative_factors, freeze, scale_by_path


def make_params():
    random = np.random.RandomState(0)
    return {
        name: {"kernel": jnp.asarray(random.standard_normal((3, 2)), jnp.float32), "bias": jnp.ones(2)}
        for name in ("conv1", "conv2", "output")
    }


def learn(optimizer, params, steps=5):
    @jax.jit
    def step(params, state):
        gradients = jax.tree.map(lambda leaf: jnp.sin(leaf) + 0.1, params)
        updates, state = optimizer.update(gradients, state, params)
        return optax.apply_updates(params, updates), state

    state = optimizer.init(params)
    for _ in range(steps):
        params, state = step(params, state)
    return params, state


@pytest.mark.parametrize("as_tree", [False, True])
def test_what_is_frozen_stays_and_the_rest_learns_as_if_it_were_alone(as_tree):
    params = make_params()
    optimizer = optax.chain(optim.clip_by_global_norm(0.5), optim.adamw(0.1, weight_decay=0.1))
    mask = tree.select(params, "^conv") if as_tree else "^conv"
    learned, state = learn(freeze(optimizer, mask), params)
    alone, _ = learn(optimizer, {"output": params["output"]})
    for name in ("conv1", "conv2"):
        chex.assert_trees_all_equal(learned[name], params[name])
    chex.assert_trees_all_close(learned["output"], alone["output"], rtol=1e-6)
    moments = [leaf for leaf in jax.tree.leaves(state) if leaf.ndim == 2]
    assert len(moments) == 2  # of the one kernel that learns


def test_factors_multiply_the_rates_of_their_paths_and_the_first_pattern_wins():
    params = make_params()
    factors = {"^conv1/bias": 0.0, "^conv": 0.5}
    learned, _ = learn(optax.chain(optim.sgd(0.1), scale_by_path(factors)), params)
    rates = {"conv1/bias": 0.0, "conv1/kernel": 0.05, "conv2/kernel": 0.05, "conv2/bias": 0.05}
    for path, leaf in tree.flatten(params).items():
        alone, _ = learn(optim.sgd(rates.get(path, 0.1)), leaf)
        np.testing.assert_allclose(tree.flatten(learned)[path], alone, rtol=1e-6, err_msg=path)


def test_factors_may_be_traced_and_keep_the_dtype():
    updates = {"a": jnp.ones(2, jnp.bfloat16)}

    @jax.jit
    @jax.vmap
    def scaled(factor):
        transform = scale_by_path({"a": factor})
        return transform.update(updates, transform.init(updates))[0]["a"]

    result = scaled(jnp.array([0.5, 2.0]))
    assert result.dtype == jnp.bfloat16
    np.testing.assert_array_equal(result.astype(np.float32), [[0.5, 0.5], [2, 2]])


def test_mistakes_are_answered_with_what_was_expected():
    for optimizer in (freeze(optim.sgd(0.1), "^dense"), scale_by_path({"^dense": 0.1})):
        with pytest.raises(ValueError, match=r"got '\^dense'.*conv1/bias, conv1/kernel"):
            optimizer.init(make_params())
    with pytest.raises(ValueError, match=r"decay.*got 0"):
        discriminative_factors(["a"], decay=0)
