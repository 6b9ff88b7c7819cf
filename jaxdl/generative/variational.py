"""Variational inference over any encoder and decoder: lower bounds of ``ln p(x)``, and its estimate.

An encoder ``encode(x)`` returns the means and the logarithms of the deviations of a diagonal Gaussian ``q(z | x)``,
``[B, D]``; the prior is standard normal. ``log_likelihood(x, z)`` returns ``ln p(x | z)``, ``[B]``.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxdl import losses
from jaxdl.arrays import widen_floating
from jaxdl.checks import check_in_range, check_positive_integer
from jaxdl.generative.likelihoods import gaussian_log_likelihood
from jaxdl.typing import Array, ArrayLike, Key

Encoder = Callable[[Array], tuple[Array, Array]]
LogLikelihood = Callable[[Array, Array], Array]


class LowerBound(NamedTuple):
    """The parts of the evidence lower bound ``E_q ln p(x | z) - KL(q(z | x) || p(z))``.

    Attributes:
        log_likelihood: ``ln p(x | z)`` for a sample of ``q``, ``[B]``.
        kl: the divergence of every latent variable, ``[B, D]``.
    """

    log_likelihood: Array
    kl: Array

    @property
    def value(self) -> Array:
        """The bound of each example, ``[B]``."""
        return self.log_likelihood - jnp.sum(self.kl, axis=-1)


def evidence_lower_bound(encode: Encoder, log_likelihood: LogLikelihood, x: Array, noise: ArrayLike) -> LowerBound:
    """Estimate ``E_q ln p(x | z) - KL(q(z | x) || N(0, 1))`` by one sample ``z = m + s * noise``.

    Source: Kingma and Welling, "Auto-encoding variational Bayes" (2014).

    Args:
        encode: the encoder.
        log_likelihood: of the decoder.
        x: examples ``[B, ...]``.
        noise: standard normal, ``[B, D]``.

    >>> encode = lambda x: (x, jnp.zeros_like(x))
    >>> decoder = lambda x, z: gaussian_log_likelihood(z, x)
    >>> bound = evidence_lower_bound(encode, decoder, jnp.ones((1, 2)), jnp.zeros((1, 2)))
    >>> bound.kl.tolist(), bound.value.tolist()
    ([[0.5, 0.5]], [-2.837...])
    """
    mean, log_std = encode(x)
    z = mean + jnp.exp(log_std) * jnp.asarray(noise, mean.dtype)
    return LowerBound(log_likelihood(x, z), gaussian_kl_terms(mean, log_std))


def gaussian_kl_terms(mean: ArrayLike, log_std: ArrayLike) -> Array:
    """Compute ``KL(N(m, s^2) || N(0, 1))`` of every latent variable; `losses.gaussian_kl` sums over the last dimension.

    >>> gaussian_kl_terms(jnp.array([1.0, 0.0]), jnp.zeros(2)).tolist()
    [0.5, 0.0]
    """
    mean, log_std = widen_floating(mean), widen_floating(log_std)
    return losses.gaussian_kl(mean[..., None], log_std[..., None], reduction="none")


def free_bits(kl: ArrayLike, least: float) -> Array:
    """Compute ``sum_d max(least, kl_d)`` for the mean divergence of every latent variable (Kingma et al., 2016).

    A variable with less than ``least`` nats has no gradient that would reduce it further.

    Args:
        kl: the divergences averaged over the batch, ``[D]``.
        least: in nats, at least 0.

    >>> free_bits(jnp.array([0.1, 2.0]), 0.5).item()
    2.5
    """
    check_in_range("least", least)
    return jnp.sum(jnp.maximum(widen_floating(kl), least), axis=-1)


def importance_log_weights(encode: Encoder, log_likelihood: LogLikelihood, x: Array, noise: ArrayLike) -> Array:
    """Compute ``ln w = ln p(x | z) + ln p(z) - ln q(z | x)`` for samples ``z = m + s * noise``.

    Args:
        encode: the encoder.
        log_likelihood: of the decoder.
        x: examples ``[B, ...]``.
        noise: standard normal, ``[K, B, D]``.

    Returns:
        ``[K, B]``; the mean of ``w`` is an unbiased estimate of ``p(x)``.
    """
    mean, log_std = encode(x)

    def weigh(noise: Array) -> Array:
        z = mean + jnp.exp(log_std) * noise
        prior = gaussian_log_likelihood(jnp.zeros_like(z), z)
        return log_likelihood(x, z) + prior - gaussian_log_likelihood(mean, z, log_std)

    return jax.vmap(weigh)(jnp.asarray(noise, mean.dtype))


def importance_weighted_bound(log_weights: ArrayLike) -> Array:
    """Compute ``ln (1/K) sum_k w_k``, a lower bound of ``ln p(x)`` in expectation, tighter as ``K`` grows.

    With ``K = 1`` it is an estimate of the evidence lower bound (Burda et al., 2016).

    Args:
        log_weights: ``ln w``, ``[K, ...]``.

    Returns:
        ``[...]``.

    >>> importance_weighted_bound(jnp.log(jnp.array([[1.0], [3.0]]))).tolist()
    [0.693...]
    """
    log_weights = widen_floating(log_weights)
    return jax.nn.logsumexp(log_weights, axis=0) - jnp.log(jnp.asarray(log_weights.shape[0], log_weights.dtype))


def estimate_log_likelihood(
    encode: Encoder, log_likelihood: LogLikelihood, x: Array, key: Key, *, samples: int = 1000, chunk: int = 10
) -> Array:
    """Estimate ``ln p(x)`` by importance sampling, in memory for ``chunk`` samples at a time.

    Args:
        encode: the encoder.
        log_likelihood: of the decoder.
        x: examples ``[B, ...]``.
        key: of the samples.
        samples: ``K``, a multiple of ``chunk``.
        chunk: samples decoded at once.

    Returns:
        ``[B]``, on average below ``ln p(x)``.

    Raises:
        ValueError: ``samples`` is not a multiple of ``chunk``.
    """
    check_positive_integer("samples", samples)
    check_positive_integer("chunk", chunk)
    if samples % chunk:
        raise ValueError(f"expected samples to be a multiple of chunk {chunk}, got {samples}; change one of them")
    form = jax.eval_shape(encode, x)[0]

    def bound(key: Key) -> Array:
        noise = jax.random.normal(key, (chunk, *form.shape), form.dtype)
        return importance_weighted_bound(importance_log_weights(encode, log_likelihood, x, noise))

    return importance_weighted_bound(jax.lax.map(bound, jax.random.split(key, samples // chunk)))
