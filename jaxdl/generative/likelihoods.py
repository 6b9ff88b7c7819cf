"""Log-likelihoods of an example under the output of a decoder: one number an example, summed over its elements."""

import jax.numpy as jnp
import numpy as np

from jaxdl import losses
from jaxdl.arrays import widen_floating
from jaxdl.typing import Array, ArrayLike


def bernoulli_log_likelihood(logits: ArrayLike, x: ArrayLike) -> Array:
    """Compute ``sum_d x_d ln p_d + (1 - x_d) ln(1 - p_d)`` with ``p = sigmoid(logits)``.

    For ``x`` strictly between 0 and 1, grey pixels for instance, it is no log-likelihood, but the negative
    cross-entropy that is often used in its place.

    Args:
        logits: ``[B, ...]``.
        x: in [0, 1], of the same shape.

    Returns:
        ``[B]``.

    Raises:
        ValueError: the shapes differ, or there is no dimension of examples.

    >>> bernoulli_log_likelihood(jnp.zeros((1, 2)), jnp.array([[0.0, 1.0]])).tolist()
    [-1.386...]
    """
    z, y = _pair(logits, x)
    return -_sum(losses.binary_cross_entropy(z, y, reduction="none"))


def gaussian_log_likelihood(mean: ArrayLike, x: ArrayLike, log_std: ArrayLike = 0.0) -> Array:
    """Compute ``sum_d -((x_d - m_d) / s_d)^2 / 2 - ln s_d - ln(2 pi) / 2``.

    Args:
        mean: ``m``, ``[B, ...]``.
        x: of the same shape.
        log_std: ``ln s``, of the same shape or a number.

    Returns:
        ``[B]``.

    Raises:
        ValueError: the shapes differ, or there is no dimension of examples.

    >>> gaussian_log_likelihood(jnp.zeros((1, 2)), jnp.array([[0.0, 1.0]])).tolist()
    [-2.337...]
    """
    m, y = _pair(mean, x)
    log_s = widen_floating(log_std)
    if log_s.shape not in ((), m.shape):
        raise ValueError(f"expected log_std to be a number or of shape {m.shape}, got {log_s.shape}")
    log_s = jnp.broadcast_to(log_s, m.shape)
    return _sum(-jnp.square((y - m) * jnp.exp(-log_s)) / 2 - log_s - np.log(2 * np.pi) / 2)


def _pair(output: ArrayLike, x: ArrayLike) -> tuple[Array, Array]:
    output, x = widen_floating(output), widen_floating(x)
    if output.shape != x.shape or x.ndim == 0:
        raise ValueError(f"expected outputs and examples [B, ...] of one shape, got {output.shape} and {x.shape}")
    return output, x


def _sum(x: Array) -> Array:
    return jnp.sum(x, axis=tuple(range(1, x.ndim)))
