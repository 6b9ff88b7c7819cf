"""Hopfield networks: fixed points, energies that never rise, and attention against sums by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxdl.models import neurons

N = 8
RANDOM = np.random.default_rng(0)
asynchronously = jax.jit(neurons.update_asynchronously)


def signs(*shape):
    return RANDOM.choice([-1.0, 1.0], shape)


def test_hebbian_weights_are_a_sum_over_patterns(float64):
    patterns = signs(3, N)
    expected = np.array(
        [[sum(x[i] * x[j] for x in patterns) / N if i != j else 0.0 for j in range(N)] for i in range(N)]
    )
    np.testing.assert_allclose(neurons.hebbian_weights(patterns), expected, atol=1e-15)
    np.testing.assert_allclose(neurons.hebbian_weights(patterns.astype(np.int8)), expected, atol=1e-15)


def test_the_pseudo_inverse_stores_correlated_patterns(float64):
    patterns = np.ones((4, N))
    patterns[np.arange(1, 4), np.arange(1, 4)] = -1
    weights = neurons.pseudo_inverse_weights(patterns)
    np.testing.assert_allclose(weights, np.linalg.pinv(patterns) @ patterns, atol=1e-12)
    np.testing.assert_array_equal(neurons.update_synchronously(weights, patterns), patterns)


def test_a_synchronous_update_can_cycle_where_an_asynchronous_one_rests():
    weights, states = np.array([[0.0, 1.0], [1.0, 0.0]]), np.array([1.0, -1.0])
    twice = neurons.update_synchronously(weights, neurons.update_synchronously(weights, states))
    np.testing.assert_array_equal(twice, states)
    rest, _ = neurons.update_asynchronously(weights, states, [0, 1])
    np.testing.assert_array_equal(neurons.update_synchronously(weights, rest), rest)


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 2**32 - 1))
def test_no_asynchronous_update_raises_the_energy(seed):
    random = np.random.default_rng(seed)
    weights = random.normal(size=(N, N)).astype(np.float32)
    weights = weights + weights.T
    np.fill_diagonal(weights, random.choice([0, np.abs(weights[0, 0])]))
    states, order = random.choice([-1.0, 1.0], (2, N)).astype(np.float32), random.integers(0, N, 20)
    after, energies = asynchronously(weights, states, order)
    assert np.all(np.diff(energies, axis=0) <= 1e-5)
    np.testing.assert_allclose(energies[-1], neurons.hopfield_energy(weights, after), rtol=1e-4, atol=1e-4)


def test_updates_match_a_plain_loop():
    weights, states = neurons.hebbian_weights(signs(3, N)), signs(2, N)
    order = RANDOM.permutation(N)
    expected, W = states.copy(), np.asarray(weights)
    for row in expected:
        for unit in order:
            field = W[unit] @ row
            row[unit] = row[unit] if field == 0 else np.sign(field)
    np.testing.assert_array_equal(asynchronously(weights, states, order)[0], expected)


def test_recall_completes_a_half_and_works_under_vmap():
    patterns = signs(2, 40)
    halves = np.where(np.arange(40) < 20, patterns, -1)
    found = jax.jit(lambda key, s: neurons.recall(key, neurons.hebbian_weights(patterns), s))
    np.testing.assert_array_equal(found(jax.random.key(0), halves), patterns)
    keys = jax.random.split(jax.random.key(0), 2)
    np.testing.assert_array_equal(jax.vmap(found, (0, None))(keys, halves), [patterns, patterns])


def test_retrieval_is_attention_and_lowers_the_energy(float64):
    memories, states, beta = RANDOM.normal(size=(5, 3)), RANDOM.normal(size=(4, 3)), 1.7
    scores = np.exp(beta * states @ memories.T)
    expected = scores / scores.sum(axis=1, keepdims=True) @ memories

    def energy(states):
        return neurons.continuous_energy(memories, states, beta)

    found = neurons.retrieve(memories, states, beta)
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    slope = jax.grad(lambda states: energy(states).sum())(jnp.asarray(states))
    np.testing.assert_allclose(slope, states - expected, rtol=1e-10)  # an update is a step of 1 along the gradient
    assert np.all(energy(found) <= energy(states))


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: neurons.hebbian_weights(np.ones(3)), r"got shape \(3,\)"),
        (lambda: neurons.hopfield_energy(np.eye(3), np.ones(2)), r"got \(3, 3\) and \(2,\)"),
        (lambda: neurons.retrieve(np.ones((2, 2)), np.ones((1, 2)), 0.0), "got 0.0"),
        (lambda: neurons.recall(jax.random.key(0), np.eye(2), np.ones(2), sweeps=0), "got 0"),
        (lambda: neurons.maxout_pair(jnp.sin, 1.0, 1.0, 3), "got 1.0"),
        (lambda: neurons.maxout_pair(jnp.sin, 0.0, 1.0, 0), "got 0"),
    ],
)
def test_invalid_arguments_raise(call, match):
    with pytest.raises(ValueError, match=match):
        call()


def test_two_maxout_units_interpolate(float64):
    x = np.linspace(-2, 3, 101)
    for pieces in (1, 2, 7):
        knots = np.linspace(-2, 3, pieces + 1)
        params = neurons.maxout_pair(jnp.sin, -2.0, 3.0, pieces)
        np.testing.assert_allclose(
            neurons.apply_maxout_pair(params, x[:, None]), np.interp(x, knots, np.sin(knots)), atol=1e-12
        )


def test_the_maxout_units_are_convex_and_their_error_falls_by_the_square():
    def largest(pieces):
        params = neurons.maxout_pair(jnp.sin, -2.0, 3.0, pieces)
        return np.abs(neurons.apply_maxout_pair(params, x[:, None]) - np.sin(x)).max()

    x = np.linspace(-2, 3, 301, dtype=np.float32)
    assert largest(32) < largest(8) / 12
    for slopes in np.split(neurons.maxout_pair(jnp.sin, -2.0, 3.0, 8)["kernel"][0], 2):
        assert np.all(np.diff(slopes) >= 0)


def test_a_field_of_nan_is_no_state_and_an_unknown_unit_is_refused():
    weights, states = np.array([[0.0, np.nan], [1.0, 0.0]]), np.array([1.0, -1.0])
    assert np.isnan(neurons.update_synchronously(weights, states)).any()
    with pytest.raises(ValueError, match=r"order in 0 \.\. 1, got 2"):
        neurons.update_asynchronously(np.eye(2), states, [0, 2])
