"""Dropout and noise: expectations, thinned networks, and what training and testing do."""

from functools import partial
from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from jaxdl.nn import noise

SAMPLES = 4000


@pytest.mark.parametrize("scaling", noise.SCALINGS)
def test_the_mean_of_training_is_the_test(scaling, key):
    x = np.linspace(-2, 2, 8, dtype=np.float32)
    probabilities = np.float32([0.2, 0.5, 0.8])
    draw = jax.vmap(partial(noise.dropout, scaling=scaling), in_axes=(0, None, None))
    draws = jax.jit(jax.vmap(draw, in_axes=(None, None, 0)))(jax.random.split(key, SAMPLES), x, 1 - probabilities)
    draws = np.asarray(draws)
    test = np.stack([noise.dropout(None, x, 1 - float(p), train=False, scaling=scaling) for p in probabilities])
    kept = x[None] / probabilities[:, None] if scaling == "inverted" else np.tile(x, (3, 1))
    deviation = np.abs(kept) * np.sqrt(probabilities * (1 - probabilities))[:, None]
    assert (np.abs(draws.mean(1) - test) <= 4.5 * deviation / np.sqrt(SAMPLES) + 1e-6).all()
    assert ((draws == 0) | np.isclose(draws, kept[:, None], rtol=1e-6)).all()
    shares = (draws[..., :4] != 0).mean((1, 2))
    np.testing.assert_allclose(shares, probabilities, atol=0.02)


@pytest.mark.parametrize("p", [0.5, 0.8])
@pytest.mark.usefixtures("float64")
def test_the_average_of_all_thinned_linear_layers_is_the_test(p):
    generator = np.random.default_rng(0)
    x, w = generator.normal(size=6), generator.normal(size=(6, 3))
    average = np.zeros(3)
    for mask in map(np.array, product([0, 1], repeat=6)):
        average += p ** mask.sum() * (1 - p) ** (6 - mask.sum()) * (mask * x) @ w
    test = noise.dropout(None, x, 1 - p, train=False, scaling="test_time") @ w
    np.testing.assert_allclose(average, test, rtol=1e-12)


@pytest.mark.usefixtures("float64")
def test_the_geometric_mean_of_all_thinned_softmax_layers_is_the_test():
    """Goodfellow, Bengio and Courville (2016), equation 7.66: exact for one layer and a half of the units."""
    generator = np.random.default_rng(1)
    x, w = generator.normal(size=5), generator.normal(size=(5, 4))
    masks = np.array(list(product([0, 1], repeat=5)))
    mean = np.exp(np.log(jax.nn.softmax((masks * x) @ w)).mean(0))
    test = jax.nn.softmax(noise.dropout(None, x, 0.5, train=False, scaling="test_time") @ w)
    np.testing.assert_allclose(mean / mean.sum(), test, rtol=1e-12)


def test_shared_axes_drop_whole_channels(key):
    x = np.ones((4, 5, 5, 8), np.float32)
    y = np.asarray(noise.dropout(key, x, 0.5, shared_axes=(1, -2)))
    assert ((y == 0).all((1, 2)) | (y == 2).all((1, 2))).all()
    assert 0 < (y == 0).mean() < 1


def test_what_is_dropped_has_no_gradient_and_its_nan_is_gone(key):
    x = np.ones(64, np.float32)
    x[::2] = np.nan

    @jax.jit
    def run(x):
        y, pull = jax.vjp(lambda x: noise.dropout(key, x, 0.75), x)
        return y, *pull(jnp.ones(64))

    y, gradient = run(x)
    dropped = np.asarray(y) == 0
    assert 0 < dropped.sum() < 64
    np.testing.assert_array_equal(gradient, np.where(dropped, 0, 4))


def test_the_moments_of_gaussian_noise(key):
    x = np.full((SAMPLES, 4), 3.0, np.float32)
    y = np.asarray(jax.jit(noise.gaussian_noise)(key, x, np.float32(0.5)))
    np.testing.assert_allclose(y.mean(0), 3.0, atol=4.5 * 0.5 / np.sqrt(SAMPLES))
    np.testing.assert_allclose(y.std(0), 0.5, rtol=4.5 / np.sqrt(2 * SAMPLES))


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float32])
def test_the_dtype_stays(dtype, key):
    def run(x, rate):
        rested = noise.dropout(key, x, rate, scaling="test_time", train=False)
        return noise.dropout(key, x, 0.2), rested, noise.gaussian_noise(key, x, 0.1)

    forms = jax.eval_shape(run, np.ones(4, dtype), np.float32(0.2))
    assert {form.dtype for form in forms} == {jnp.dtype(dtype)}
    assert jax.eval_shape(lambda x: noise.dropout(key, x, 0.5), np.arange(3)).dtype == jnp.float32


class Noisy(nn.Module):
    rate: float

    @nn.compact
    def __call__(self, x, *, train):
        x = noise.GaussianNoise(0.1)(x, train=train)
        return noise.Dropout(self.rate)(x, train=train)


def test_modules_draw_in_training_only(key):
    x = np.ones((8, 8), np.float32)
    np.testing.assert_array_equal(Noisy(0.5).apply({}, x, train=False), x)
    first = Noisy(0.5).apply({}, x, train=True, rngs={"dropout": key})
    again = Noisy(0.5).apply({}, x, train=True, rngs={"dropout": key})
    np.testing.assert_array_equal(first, again)
    assert 16 < (np.asarray(first) == 0).sum() < 48
    np.testing.assert_array_equal(noise.Dropout(0.0).apply({}, x, train=True), x)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda key: noise.dropout(key, 1.0, 1.0), r"got 1\.0"),
        (lambda key: noise.dropout(key, 1.0, -0.5), r"got -0\.5"),
        (lambda key: noise.dropout(key, 1.0, scaling="late"), "got 'late'"),
        (lambda key: noise.dropout(None, 1.0), "got None"),
        (lambda key: noise.dropout(key, jnp.ones(3), shared_axes=(1,)), r"got \(1,\)"),
        (lambda key: noise.gaussian_noise(key, 1.0, -1.0), "got -1"),
        (lambda key: noise.gaussian_noise(None, 1.0), "got None"),
    ],
)
def test_invalid_arguments_raise(call, message, key):
    with pytest.raises(ValueError, match=message):
        call(key)
