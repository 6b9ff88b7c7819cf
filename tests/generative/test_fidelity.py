"""Fréchet distance against SciPy's matrix square root, precision and recall against scikit-learn's neighbours."""

import jax
import numpy as np
import pytest
import scipy.linalg
from sklearn.neighbors import NearestNeighbors

from jaxdl import generative


@pytest.mark.parametrize("size", [40, 3])
@pytest.mark.usefixtures("float64")
def test_the_frechet_distance_matches_scipy(size):
    rng = np.random.default_rng(size)
    real = rng.normal(size=(size, 5)) @ rng.normal(size=(5, 5))
    generated = 1 + rng.normal(size=(size + 2, 5)) @ rng.normal(size=(5, 5))
    found, itself = jax.jit(lambda a, b: (generative.frechet_distance(a, b), generative.frechet_distance(a, a)))(
        real, generated
    )
    covariances = [np.cov(x, rowvar=False) for x in (real, generated)]
    root = scipy.linalg.sqrtm(covariances[0] @ covariances[1]).real
    expected = np.sum((real.mean(axis=0) - generated.mean(axis=0)) ** 2) + np.trace(sum(covariances) - 2 * root)
    np.testing.assert_allclose(found, expected, rtol=1e-6 if size == 40 else 1e-5)
    np.testing.assert_allclose(itself, 0, atol=1e-6)


def test_precision_and_recall_match_the_neighbours_of_scikit_learn():
    rng = np.random.default_rng(0)
    real, generated = rng.normal(size=(60, 3)), 0.6 * rng.normal(size=(50, 3))
    found = jax.jit(lambda a, b: generative.precision_recall(a, b, k=3))(real, generated)

    def share(points, others):
        radii = NearestNeighbors(n_neighbors=4).fit(others).kneighbors(others)[0][:, 3]
        return np.mean([np.any(np.linalg.norm(others - point, axis=1) <= radii) for point in points])

    np.testing.assert_allclose([found.precision, found.recall], [share(generated, real), share(real, generated)])
    assert 0.3 < found.recall < found.precision
    apart = generative.precision_recall(real, real + 100)
    assert (apart.precision, apart.recall) == (0, 0)
    same = generative.precision_recall(real, real)
    assert (same.precision, same.recall) == (1, 1)


@pytest.mark.parametrize(
    ("call", "got"),
    [
        (lambda: generative.frechet_distance(np.zeros((1, 2)), np.zeros((5, 2))), r"\(1, 2\)"),
        (lambda: generative.frechet_distance(np.zeros((5, 3)), np.zeros((5, 2))), r"\(5, 3\)"),
        (lambda: generative.precision_recall(np.zeros((3, 2)), np.zeros((5, 2))), r"\(3, 2\)"),
        (lambda: generative.precision_recall(np.zeros((3, 2)), np.zeros((5, 2)), k=0), "got 0"),
    ],
)
def test_invalid_features_raise(call, got):
    with pytest.raises(ValueError, match=got):
        call()


@pytest.mark.parametrize("count", [20, 200])
def test_the_frechet_distance_is_exact_in_float32(count):
    rng = np.random.default_rng(0)
    real, generated = (rng.normal(size=(count, 128)) * rng.uniform(0.1, 3, size=128) + 50 for _ in range(2))
    covariances = np.cov(real.T), np.cov(generated.T)
    cross = np.sqrt(np.maximum(np.linalg.eigvals(covariances[0] @ covariances[1]).real, 0)).sum()
    expected = np.sum((real.mean(0) - generated.mean(0)) ** 2) + np.trace(sum(covariances)) - 2 * cross
    found = generative.frechet_distance(real.astype(np.float32), generated.astype(np.float32))
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    assert abs(generative.frechet_distance(real, real)) < 1e-3
