"""Principal components and linear-Gaussian models against scikit-learn and SciPy; factorized kernels against NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree
from scipy import optimize, stats
from scipy.linalg import subspace_angles

from jaxdl import generative


@pytest.fixture
def x():
    rng = np.random.default_rng(0)
    return rng.normal(size=(40, 3)) @ rng.normal(size=(3, 6)) + 0.3 * rng.normal(size=(40, 6)) + rng.normal(size=6)


def fit(x, size):
    return jax.device_get(jax.jit(lambda x: generative.principal_components(x, size))(x))


def test_components_are_those_of_scikit_learn(x, float64):
    decomposition = pytest.importorskip("sklearn.decomposition", reason="parity with scikit-learn")
    peer = decomposition.PCA(2, svd_solver="full").fit(x)
    ours = fit(x, 2)
    np.testing.assert_allclose(ours.mean, peer.mean_, rtol=1e-12)
    np.testing.assert_allclose(ours.directions, peer.components_, atol=1e-12)
    np.testing.assert_allclose(ours.variances, peer.explained_variance_, rtol=1e-12)
    np.testing.assert_allclose(ours.noise_variance, peer.noise_variance_, rtol=1e-12)

    @jax.jit
    def run(pca, x):
        z = generative.project(pca, x)
        model = generative.probabilistic_components(pca)
        return z, generative.reconstruct(pca, z), generative.marginal_log_likelihood(model, x)

    z, x_hat, log_likelihood = run(ours, x)
    np.testing.assert_allclose(z, peer.transform(x), atol=1e-12)
    np.testing.assert_allclose(x_hat, peer.inverse_transform(peer.transform(x)), atol=1e-12)
    np.testing.assert_allclose(log_likelihood, peer.score_samples(x), rtol=1e-10)


def test_fewer_examples_than_dimensions_and_all_components(x, float64):
    few = fit(x[:4], 2)
    covariance = np.cov(x[:4], rowvar=False)
    values = np.linalg.eigvalsh(covariance)[::-1]
    np.testing.assert_allclose(few.variances, values[:2], rtol=1e-10)
    np.testing.assert_allclose(few.noise_variance, values[2:].sum() / 4, rtol=1e-10)
    everything = fit(x, 6)
    assert everything.noise_variance == 0
    z = generative.project(everything, x)
    np.testing.assert_allclose(generative.reconstruct(everything, z), x, atol=1e-10)


def test_the_likelihood_and_the_posterior_are_those_of_the_joint_gaussian(x, float64):
    rng = np.random.default_rng(1)
    loadings, mean, s2 = rng.normal(size=(6, 2)), rng.normal(size=6), np.array(0.4)
    model = generative.LinearGaussian(loadings, mean, s2)
    covariance = loadings @ loadings.T + s2 * np.eye(6)
    likelihood, (center, spread) = jax.jit(
        lambda x: (generative.marginal_log_likelihood(model, x), generative.exact_posterior(model, x))
    )(x)
    np.testing.assert_allclose(likelihood, stats.multivariate_normal(mean, covariance).logpdf(x), rtol=1e-10)
    gain = loadings.T @ np.linalg.inv(covariance)
    np.testing.assert_allclose(center, (x - mean) @ gain.T, rtol=1e-9)
    np.testing.assert_allclose(spread, np.eye(2) - gain @ loadings, atol=1e-12)


def test_the_bound_is_the_likelihood_at_the_exact_posterior_and_lower_elsewhere(x, float64):
    @jax.jit
    def run(x):
        model = generative.probabilistic_components(generative.principal_components(x, 2))
        mean, covariance = generative.exact_posterior(model, x)
        log_std = jnp.broadcast_to(jnp.log(jnp.diagonal(covariance)) / 2, mean.shape)
        bounds = [
            generative.linear_lower_bound(model, x, mean + shift, log_std + wider)
            for shift, wider in ((0, 0), (0.1, 0), (0, 0.1), (0, -0.1))
        ]
        return covariance, generative.marginal_log_likelihood(model, x), bounds

    covariance, likelihood, (best, *worse) = run(x)
    np.testing.assert_allclose(covariance - np.diag(np.diag(covariance)), 0, atol=1e-12)
    np.testing.assert_allclose(best, likelihood, rtol=1e-12)
    assert all((each < likelihood - 1e-3).all() for each in worse)


def test_learning_the_bound_by_gradients_reaches_the_maximum_of_the_likelihood(x, float64):
    centred = x - x.mean(0)

    def bound(params, x):
        model = generative.LinearGaussian(params["W"], params["m"], jnp.exp(params["log_s2"]))
        mean = (x - params["m"][None]) @ params["V"]
        log_std = jnp.broadcast_to(params["log_std"], mean.shape)
        return -jnp.mean(generative.linear_lower_bound(model, x, mean, log_std))

    rng = np.random.default_rng(2)
    params = {
        "W": rng.normal(size=(6, 2)),
        "m": np.zeros(6),
        "log_s2": np.zeros(()),
        "V": rng.normal(size=(6, 2)) / 3,
        "log_std": np.zeros(2),
    }
    flat, unravel = ravel_pytree(params)
    function = jax.jit(jax.value_and_grad(lambda w: bound(unravel(w), centred)))
    options = {"maxiter": 2000, "ftol": 1e-15, "gtol": 1e-9}
    result = optimize.minimize(
        lambda w: tuple(map(np.asarray, function(w))), np.asarray(flat), jac=True, method="L-BFGS-B", options=options
    )
    size = len(x)
    model = generative.probabilistic_components(generative.principal_components(centred, 2))
    scale = (size - 1) / size  # from the unbiased covariance to that of the maximum
    best = model._replace(loadings=model.loadings * scale**0.5, noise_variance=model.noise_variance * scale)
    expected = -jnp.mean(generative.marginal_log_likelihood(best, centred))
    np.testing.assert_allclose(result.fun, expected, rtol=1e-7)
    learned = unravel(result.x)["W"]
    assert subspace_angles(np.asarray(learned), np.asarray(model.loadings)).max() < 1e-3


@pytest.mark.parametrize(("shape", "size"), [((5,), 1), ((1, 4), 1), ((5, 4), 5), ((3, 4), 4)])
def test_components_that_cannot_be_are_refused(shape, size):
    with pytest.raises(ValueError, match=r"got \("):
        generative.principal_components(np.zeros(shape), size)
    with pytest.raises(ValueError, match="got 0"):
        generative.principal_components(np.zeros((4, 4)), 0)


def test_the_error_of_a_factorized_kernel_is_that_of_the_discarded_singular_values(float64):
    rng = np.random.default_rng(0)
    kernel = rng.normal(size=(9, 6))
    sigma = np.linalg.svd(kernel, compute_uv=False)
    for rank in (1, 4, 6):
        found = generative.factorize_kernel(kernel, rank)
        assert (found.first.shape, found.second.shape) == ((9, rank), (rank, 6))
        error = kernel - found.first @ found.second
        np.testing.assert_allclose(np.linalg.norm(error), np.linalg.norm(sigma[rank:]), atol=1e-12)
        np.testing.assert_allclose(np.linalg.norm(error, 2), max([*sigma[rank:], 0.0]), atol=1e-12)
        np.testing.assert_allclose(found.discarded, sigma[rank:], rtol=1e-12)
        error = np.linalg.norm(sigma[rank:]) / np.linalg.norm(sigma)
        assert generative.smallest_rank(kernel, error + 1e-9) == rank
    with pytest.raises(ValueError, match="7"):
        generative.factorize_kernel(kernel, 7)


@pytest.mark.parametrize("variance", [1.0, 1e-3])
def test_the_marginal_likelihood_does_not_cancel_where_the_noise_is_small(variance):
    rng = np.random.default_rng(0)
    loadings = 30 * rng.normal(size=(20, 3)).astype(np.float32)
    x = rng.normal(size=(5, 3)) @ loadings.T + np.sqrt(variance) * rng.normal(size=(5, 20))
    x, variance = x.astype(np.float32), np.float32(variance)
    covariance = loadings.astype(np.float64) @ loadings.T + variance * np.eye(20)
    solved, log_determinant = np.linalg.solve(covariance, x.T.astype(np.float64)), np.linalg.slogdet(covariance)[1]
    expected = -(np.sum(x.T * solved, axis=0) + log_determinant + 20 * np.log(2 * np.pi)) / 2
    model = generative.LinearGaussian(jnp.asarray(loadings), jnp.zeros(20), jnp.asarray(variance))
    np.testing.assert_allclose(generative.marginal_log_likelihood(model, x), expected, atol=1e-3, rtol=1e-4)
