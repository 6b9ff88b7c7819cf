"""Bounds against numerical integrals, a model with a known likelihood, and loops."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special, stats

from jaxdl import generative
from tests.peers import torch

RNG = np.random.default_rng(0)
LOADINGS, MEAN, NOISE = RNG.normal(size=(4, 2)), RNG.normal(size=4), 0.5
X = RNG.normal(size=(3, 4))
MODEL = generative.LinearGaussian(LOADINGS, MEAN, np.array(NOISE))


def encode(x):
    """Return a posterior that is not the exact one."""
    return x @ jnp.asarray(LOADINGS) / 4, jnp.full((*x.shape[:-1], 2), -0.3, x.dtype)


def log_likelihood(x, z):
    log_std = jnp.log(jnp.asarray(NOISE, x.dtype)) / 2
    return generative.gaussian_log_likelihood(z @ jnp.asarray(LOADINGS).T + jnp.asarray(MEAN)[None], x, log_std)


def test_likelihoods_are_those_of_scipy_and_torch(float64):
    logits, grey, log_std = RNG.normal(size=(3, 2, 2)), RNG.uniform(size=(3, 2, 2)), RNG.normal(size=(3, 2, 2))
    ours = generative.gaussian_log_likelihood(logits, grey, log_std)
    np.testing.assert_allclose(ours, stats.norm(logits, np.exp(log_std)).logpdf(grey).sum((1, 2)), rtol=1e-12)
    functional, tensor = torch().nn.functional, torch().tensor
    theirs = functional.binary_cross_entropy_with_logits(tensor(logits), tensor(grey), reduction="none")
    ours = generative.bernoulli_log_likelihood(logits, grey)
    np.testing.assert_allclose(ours, -theirs.sum((1, 2)), rtol=1e-12)
    counts = generative.bernoulli_log_likelihood(np.array([[100, -100]]), np.array([[1, 0]], np.uint8))
    assert counts.tolist() == pytest.approx([0.0], abs=1e-40)
    assert generative.bernoulli_log_likelihood(np.zeros((0, 3)), np.zeros((0, 3))).shape == (0,)
    with pytest.raises(ValueError, match=r"\(2, 3\)"):
        generative.bernoulli_log_likelihood(np.zeros((2, 3)), np.zeros((2, 3, 1)))
    with pytest.raises(ValueError, match=r"\(2,\)"):
        generative.gaussian_log_likelihood(np.zeros((2, 3)), np.zeros((2, 3)), np.zeros(2))


def test_the_mean_of_the_bound_is_the_one_without_sampling(float64):
    # Gauss-Hermite quadrature of the noise: exact for the quadratic integrand.
    nodes, weights = np.polynomial.hermite_e.hermegauss(3)
    noise = np.stack(np.meshgrid(nodes, nodes), -1).reshape(-1, 1, 2)
    weight = np.outer(weights, weights).ravel() / weights.sum() ** 2

    @jax.jit
    def run(x):
        at = lambda n: generative.evidence_lower_bound(encode, log_likelihood, x, jnp.broadcast_to(n, (3, 2)))  # noqa: E731
        bounds = jax.vmap(at)(noise)
        value = bounds.value
        gradient = jax.grad(lambda x: jnp.sum(weight[:, None] * jax.vmap(lambda n: at_x(x, n))(noise)))(x)
        exact = jax.grad(lambda x: jnp.sum(generative.linear_lower_bound(MODEL, x, *encode(x))))(x)
        return value, bounds.kl, generative.linear_lower_bound(MODEL, x, *encode(x)), gradient, exact

    def at_x(x, n):
        return generative.evidence_lower_bound(encode, log_likelihood, x, jnp.broadcast_to(n, (3, 2))).value

    value, kl, expected, gradient, exact_gradient = run(X)
    np.testing.assert_allclose(weight @ value, expected, rtol=1e-12)
    np.testing.assert_allclose(gradient, exact_gradient, rtol=1e-10)
    mean, log_std = encode(X)
    distributions, tensor = torch().distributions, lambda array: torch().tensor(np.asarray(array))
    theirs = distributions.kl_divergence(
        distributions.Normal(tensor(mean), tensor(np.exp(log_std))), distributions.Normal(0.0, 1.0)
    )
    np.testing.assert_allclose(kl[0], theirs, rtol=1e-12)


def test_importance_weighted_bounds_grow_to_the_exact_likelihood(float64):
    exact = stats.multivariate_normal(MEAN, LOADINGS @ LOADINGS.T + NOISE * np.eye(4)).logpdf(X)
    noise = np.random.default_rng(1).normal(size=(4096, 3, 2))
    log_weights = jax.jit(lambda x: generative.importance_log_weights(encode, log_likelihood, x, noise))(X)
    mean, log_std = map(np.asarray, encode(X))
    z = mean + np.exp(log_std) * noise[7]
    by_hand = stats.norm(z @ LOADINGS.T + MEAN, NOISE**0.5).logpdf(X).sum(1) + stats.norm.logpdf(z).sum(1)
    by_hand -= stats.norm(mean, np.exp(log_std)).logpdf(z).sum(1)
    np.testing.assert_allclose(log_weights[7], by_hand, rtol=1e-10)
    bounds = []
    for samples in (1, 8, 64, 4096):
        groups = np.asarray(log_weights).reshape(-1, samples, 3)
        bounds.append(special.logsumexp(groups, axis=1).mean(0) - np.log(samples))
    ours = generative.importance_weighted_bound(log_weights)
    np.testing.assert_allclose(ours, bounds[-1], rtol=1e-12)
    assert (np.diff(bounds, axis=0) > 0).all()
    np.testing.assert_allclose(bounds[-1], exact, atol=0.05)


def test_the_estimate_with_the_exact_posterior_has_no_error(float64):
    model = generative.probabilistic_components(
        generative.principal_components(np.random.default_rng(0).normal(size=(9, 4)), 2)
    )

    def posterior(x):
        mean, covariance = generative.exact_posterior(model, x)
        return mean, jnp.broadcast_to(jnp.log(jnp.diagonal(covariance)) / 2, mean.shape)

    def likelihood(x, z):
        mean = z @ model.loadings.T + model.mean[None]
        return generative.gaussian_log_likelihood(mean, x, jnp.log(model.noise_variance) / 2)

    estimate = jax.jit(
        lambda x: generative.estimate_log_likelihood(posterior, likelihood, x, jax.random.key(0), samples=6, chunk=3)
    )(X)
    np.testing.assert_allclose(estimate, generative.marginal_log_likelihood(model, X), rtol=1e-10)
    with pytest.raises(ValueError, match="got 7"):
        generative.estimate_log_likelihood(posterior, likelihood, X, jax.random.key(0), samples=7, chunk=3)


def test_free_bits_stop_the_gradient_below_the_least():
    kl = jnp.array([0.1, 0.5, 2.0])
    value, gradient = jax.value_and_grad(lambda kl: generative.free_bits(kl, 0.3))(kl)
    assert value == pytest.approx(2.8)
    assert gradient.tolist() == [0.0, 1.0, 1.0]
    with pytest.raises(ValueError, match="got -1"):
        generative.free_bits(kl, -1)


def test_narrow_and_integer_inputs_are_widened():
    kl = generative.gaussian_kl_terms(np.array([1, 2]), jnp.zeros(2, jnp.bfloat16))
    assert kl.dtype == jnp.float32
    assert kl.tolist() == [0.5, 2.0]
    assert generative.importance_weighted_bound(jnp.zeros((4, 2), jnp.float16)).dtype == jnp.float32
    assert np.isnan(generative.gaussian_kl_terms(np.array([np.nan]), np.zeros(1))).all()
