"""Principal components and their probabilistic form, which is the linear variational autoencoder.

The model ``x = W z + m + s n`` with standard normal ``z [K]`` and ``n [D]`` has the marginal ``N(m, W W^T + s^2 I)``.
Its maximum of the likelihood is given by the principal components, and its posterior is Gaussian, so that bounds of
the likelihood can be compared to the likelihood (Tipping and Bishop, 1999; Lucas et al., 2019).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxdl.arrays import expand_leading, widen_floating
from jaxdl.checks import check_positive_integer
from jaxdl.generative.likelihoods import gaussian_log_likelihood
from jaxdl.typing import Array, ArrayLike


class PrincipalComponents(NamedTuple):
    """The directions of largest variance.

    Attributes:
        mean: ``[D]``.
        directions: orthonormal rows ``[K, D]``, the largest variance first.
        variances: of the data along each, with the denominator ``N - 1``, ``[K]``.
        noise_variance: the mean variance along the other ``D - K`` directions, 0 if there is none. scikit-learn
            averages over ``min(N, D) - K``, which differs for fewer examples than dimensions.
    """

    mean: Array
    directions: Array
    variances: Array
    noise_variance: Array


class LinearGaussian(NamedTuple):
    """The model ``x = W z + m + s n``.

    Attributes:
        loadings: ``W``, ``[D, K]``.
        mean: ``m``, ``[D]``.
        noise_variance: ``s^2``, a number above 0.
    """

    loadings: Array
    mean: Array
    noise_variance: Array


def principal_components(x: ArrayLike, size: int) -> PrincipalComponents:
    """Compute the principal components of ``x [N, D]`` by a singular value decomposition.

    The largest element of each direction in magnitude is positive.

    Args:
        x: one example a row.
        size: number of components ``K``.

    Raises:
        ValueError: ``x`` is no matrix of at least two rows, or has fewer rows or columns than ``K``.

    >>> pca = principal_components(jnp.array([[1.0, 0.0], [3.0, 0.0], [5.0, 0.0]]), 1)
    >>> pca.directions.tolist(), pca.variances.round(3).tolist(), pca.noise_variance.item()
    ([[1.0, 0.0]], [4.0], 0.0)
    """
    check_positive_integer("size", size)
    x = widen_floating(x)
    if x.ndim != 2 or size > min(x.shape) or x.shape[0] < 2:
        raise ValueError(
            f"expected x [N, D] of at least {max(size, 2)} rows and {size} columns, got {x.shape}; lower size or "
            "flatten the examples"
        )
    mean = jnp.mean(x, axis=0)
    _, sigma, directions = jnp.linalg.svd(x - mean[None], full_matrices=False)
    largest = jnp.take_along_axis(directions, jnp.argmax(jnp.abs(directions), axis=1)[:, None], axis=1)
    variances = jnp.square(sigma) / (x.shape[0] - 1)
    others = x.shape[1] - size
    noise = jnp.sum(variances[size:]) / max(others, 1)
    return PrincipalComponents(mean, (directions * jnp.sign(largest))[:size], variances[:size], noise)


def project(components: PrincipalComponents, x: ArrayLike) -> Array:
    """Compute the coordinates ``U (x - m)``, ``[..., D]`` to ``[..., K]``.

    >>> pca = principal_components(jnp.array([[1.0, 0.0], [3.0, 0.0], [5.0, 0.0]]), 1)
    >>> project(pca, jnp.array([4.0, 7.0])).tolist()
    [1.0]
    """
    x = widen_floating(x)
    return (x - expand_leading(components.mean, x.ndim)) @ components.directions.T


def reconstruct(components: PrincipalComponents, z: ArrayLike) -> Array:
    """Compute ``U^T z + m``, ``[..., K]`` to ``[..., D]``: of all linear reconstructions the one of least error.

    >>> pca = principal_components(jnp.array([[1.0, 0.0], [3.0, 0.0], [5.0, 0.0]]), 1)
    >>> reconstruct(pca, jnp.array([1.0])).tolist()
    [4.0, 0.0]
    """
    z = widen_floating(z)
    return z @ components.directions + expand_leading(components.mean, z.ndim)


def probabilistic_components(components: PrincipalComponents) -> LinearGaussian:
    """Compute the model of largest likelihood, ``W = U^T (L - s^2 I)^(1/2)`` (Tipping and Bishop, 1999).

    ``L`` are the variances of the components and ``s^2`` is that of the noise, which must be above 0 for the model to
    have a density. With the denominator ``N - 1`` of the variances, as scikit-learn's, the likelihood is that of the
    unbiased covariance; multiply both by ``(N - 1) / N`` for the maximum.
    """
    scale = jnp.sqrt(jnp.maximum(components.variances - components.noise_variance, 0))
    return LinearGaussian(components.directions.T * scale[None], components.mean, components.noise_variance)


def marginal_log_likelihood(model: LinearGaussian, x: ArrayLike) -> Array:
    """Compute ``ln N(x; m, W W^T + s^2 I)``, ``[..., D]`` to ``[...]``, by the inverse of a ``[K, K]`` matrix.

    >>> model = LinearGaussian(jnp.zeros((2, 1)), jnp.zeros(2), jnp.ones(()))
    >>> marginal_log_likelihood(model, jnp.array([0.0, 1.0])).item()
    -2.337...
    """
    x = widen_floating(x)
    (size, rank), s2 = model.loadings.shape, model.noise_variance
    centred = x - expand_leading(model.mean, x.ndim)
    factor = jnp.linalg.cholesky(_inner(model))
    # Woodbury's identity as a sum of squares, |c - W z|^2 / s^2 + |z|^2 of the posterior mean z, in which nothing
    # cancels, and the determinant lemma
    flat = centred.reshape(-1, size)
    z = jax.scipy.linalg.cho_solve((factor, True), model.loadings.T @ flat.T).T  # [N, K]
    residual = flat - z @ model.loadings.T
    distance = jnp.sum(jnp.square(residual), axis=-1) / s2 + jnp.sum(jnp.square(z), axis=-1)
    log_determinant = 2 * jnp.sum(jnp.log(jnp.diagonal(factor))) + (size - rank) * jnp.log(s2)
    return -(distance.reshape(x.shape[:-1]) + log_determinant + size * jnp.log(2 * jnp.pi)) / 2


def exact_posterior(model: LinearGaussian, x: ArrayLike) -> tuple[Array, Array]:
    """Compute the mean ``M^-1 W^T (x - m)`` and the covariance ``s^2 M^-1`` of ``p(z | x)``, ``M = W^T W + s^2 I``.

    Args:
        model: the model.
        x: ``[..., D]``.

    Returns:
        ``[..., K]`` and ``[K, K]``; the covariance is the same for every example.
    """
    x = widen_floating(x)
    inverse = jnp.linalg.inv(_inner(model))
    centred = x - expand_leading(model.mean, x.ndim)
    return centred @ (inverse @ model.loadings.T).T, model.noise_variance * inverse


def linear_lower_bound(model: LinearGaussian, x: ArrayLike, mean: ArrayLike, log_std: ArrayLike) -> Array:
    """Compute the evidence lower bound for ``q(z | x) = N(m_q, diag s_q^2)`` without sampling::

        E_q ln p(x | z) = ln N(x; W m_q + m, s^2 I) - sum_k s_q,k^2 |W_k|^2 / (2 s^2)

    minus ``KL(q || N(0, I))``. It is the marginal log-likelihood if ``q`` is the exact posterior, which is diagonal if
    the columns of ``W`` are orthogonal.

    Args:
        model: the model.
        x: ``[..., D]``.
        mean: ``m_q``, ``[..., K]``.
        log_std: ``ln s_q``, ``[..., K]``.

    Returns:
        ``[...]``.
    """
    x, mean, log_std = widen_floating(x), widen_floating(mean), widen_floating(log_std)
    output = mean @ model.loadings.T + expand_leading(model.mean, x.ndim)
    leading, size = x.shape[:-1], x.shape[-1]
    log_noise = jnp.log(model.noise_variance) / 2
    fit = gaussian_log_likelihood(
        output.reshape(-1, size), x.reshape(-1, size), jnp.broadcast_to(log_noise, (x.size // size, size))
    )
    squares = expand_leading(jnp.sum(jnp.square(model.loadings), axis=0), x.ndim)
    spread = jnp.sum(jnp.exp(2 * log_std) * squares, axis=-1) / (2 * model.noise_variance)
    kl = jnp.sum(jnp.exp(2 * log_std) + jnp.square(mean) - 1 - 2 * log_std, axis=-1) / 2
    return fit.reshape(leading) - spread - kl


def _inner(model: LinearGaussian) -> Array:
    """Return ``M = W^T W + s^2 I``."""
    return model.loadings.T @ model.loadings + model.noise_variance * jnp.eye(model.loadings.shape[1])
