"""Score and flow matching: objectives in plain loops, samplers with the exact score and velocity of Gaussians."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl import generative

MEAN, STD = 2.0, 0.5


def test_score_matching_equals_a_plain_loop_and_prefers_the_true_score():
    rng = np.random.default_rng(0)
    x, noise, std = rng.normal(size=(4, 3)), rng.normal(size=(4, 3)), np.array([0.1, 0.5, 1.0, 2.0])

    def score(x, std):
        return -x / (1 + std[:, None] ** 2)

    found = jax.jit(lambda *a: generative.denoising_score_matching(score, *a))(x, std, noise)
    expected = [
        np.mean([(std[i] * -(x[i, j] + std[i] * noise[i, j]) / (1 + std[i] ** 2) + noise[i, j]) ** 2 for j in range(3)])
        for i in range(4)
    ]
    np.testing.assert_allclose(found, expected, rtol=1e-5)

    x, noise, std = rng.normal(size=20_000), rng.normal(size=20_000), np.ones(20_000)

    @jax.jit
    def losses(factors):
        def loss(factor):
            each = generative.denoising_score_matching(lambda x, s: -factor * x, x[:, None], std, noise[:, None])
            return jnp.mean(each)

        return jax.vmap(loss)(factors)

    factors = np.linspace(0.3, 0.7, 9)
    assert factors[np.argmin(losses(factors))] == 0.5  # of variance 1 + 1


def test_langevin_dynamics_reach_a_gaussian():
    def score(x, std):
        return (MEAN - x) / (STD**2 + std[:, None] ** 2)

    @jax.jit
    def run(x):
        return generative.sample_langevin(jax.random.key(0), score, x, np.array([2.0, 1.0, 0.5, 0.2]), step_size=0.3)

    found = run(np.full((3000, 1), -8.0, np.float32))
    # The last level is that of examples with noise of deviation 0.2.
    np.testing.assert_allclose([np.mean(found), np.std(found)], [MEAN, np.hypot(STD, 0.2)], atol=0.05)


def velocity(x, t):
    """The velocity of the straight lines from standard normal noise to a Gaussian, averaged where they cross."""
    t = t[:, None]
    variance = (1 - t) ** 2 + (t * STD) ** 2
    return MEAN + (t * STD**2 - (1 - t)) / variance * (x - t * MEAN)


@pytest.mark.usefixtures("float64")
def test_the_exact_velocity_transports_a_gaussian_and_heun_is_of_second_order():
    x = np.random.default_rng(0).normal(size=(50, 1))
    integrators = {"euler": generative.integrate_euler, "heun": generative.integrate_heun}

    @jax.jit
    def run(x):
        return {(name, n): integrate(velocity, x, n) for name, integrate in integrators.items() for n in (20, 40, 80)}

    errors = {case: np.abs(found - (MEAN + STD * x)).max() for case, found in run(x).items()}
    assert errors["euler", 80] < 0.05
    assert errors["heun", 80] < 1e-3
    for name, order in (("euler", 1), ("heun", 2)):
        orders = np.log2([errors[name, 20] / errors[name, 40], errors[name, 40] / errors[name, 80]])
        np.testing.assert_allclose(orders, order, atol=0.25, err_msg=name)


def test_flow_matching_equals_a_plain_loop_and_prefers_the_exact_velocity():
    rng = np.random.default_rng(0)
    x, noise, t = MEAN + STD * rng.normal(size=(4000, 1)), rng.normal(size=(4000, 1)), rng.uniform(size=4000)

    @jax.jit
    def run(x, t, noise):
        exact = generative.flow_matching(velocity, x, t, noise)
        return exact, generative.flow_matching(lambda x, t: velocity(x, t) + 0.3, x, t, noise)

    exact, other = run(x, t, noise)
    for i in range(5):
        between = (1 - t[i]) * noise[i, 0] + t[i] * x[i, 0]
        variance = (1 - t[i]) ** 2 + (t[i] * STD) ** 2
        slope = (t[i] * STD**2 - (1 - t[i])) / variance
        error = MEAN + slope * (between - t[i] * MEAN) - (x[i, 0] - noise[i, 0])
        np.testing.assert_allclose(exact[i], error**2, rtol=1e-3)
    assert abs(np.mean(other) - np.mean(exact) - 0.09) < 0.03


@pytest.mark.parametrize(
    ("call", "got"),
    [
        (lambda: generative.integrate_euler(velocity, jnp.zeros((1, 1)), 0), "got 0"),
        (lambda: generative.integrate_heun(velocity, jnp.zeros((1, 1)), 1.5), "got 1.5"),
        (
            lambda: generative.sample_langevin(
                jax.random.key(0), velocity, jnp.zeros((1, 1)), jnp.ones(1), step_size=0.0
            ),
            "got 0.0",
        ),
    ],
)
def test_invalid_arguments_raise(call, got):
    with pytest.raises(ValueError, match=got):
        call()


def test_integers_are_followed_as_numbers():
    def velocity(x, t):
        return 0.25 + 0 * x

    assert generative.integrate_euler(velocity, np.array([[1]]), 4).tolist() == [[1.25]]
    assert generative.integrate_heun(velocity, np.array([[1]], np.uint8), 4).tolist() == [[1.25]]
    key, stds = jax.random.key(0), np.array([2, 1])
    found, expected = (
        generative.sample_langevin(key, lambda x, std: -x, x, stds, num_steps=3) for x in ([[1, 2]], [[1.0, 2.0]])
    )
    np.testing.assert_array_equal(found, expected)
