"""Divergences of distributions, in closed form."""

import jax.numpy as jnp

from jaxdl.arrays import fit_mask, widen_floating
from jaxdl.losses._shared import reduce, zero_masked
from jaxdl.typing import Array, ArrayLike


def gaussian_kl(
    mean: ArrayLike,
    log_std: ArrayLike,
    prior_mean: ArrayLike = 0.0,
    prior_log_std: ArrayLike = 0.0,
    *,
    mask: ArrayLike | None = None,
    reduction: str = "mean",
) -> Array:
    """Return the Kullback-Leibler divergence ``KL(q || p)`` of Gaussians with diagonal covariances::

        sum_d  ln(s_p / s_q) + (s_q^2 + (m_q - m_p)^2) / (2 s_p^2) - 1/2

    Args:
        mean: ``m_q``, ``[..., D]``.
        log_std: ``ln s_q``, of the same shape.
        prior_mean: ``m_p``, of the same shape or a number.
        prior_log_std: ``ln s_p``, of the same shape or a number.
        mask: weights ``[...]`` over the leading dimensions.
        reduction: over the leading dimensions, ``"mean"``, ``"sum"`` or ``"none"``.

    Raises:
        ValueError: the shapes differ, the mask does not match, or the reduction is unknown.

    >>> gaussian_kl(jnp.array([1.0, 0.0]), jnp.zeros(2)).item()
    0.5
    """
    given = [widen_floating(each) for each in (mean, log_std, prior_mean, prior_log_std)]
    shape = given[0].shape
    if not shape or any(each.shape not in (shape, ()) for each in given):
        raise ValueError(f"expected means and deviations [..., D] of one shape, got {[each.shape for each in given]}")
    weights = None if mask is None else fit_mask(mask, shape[:-1])
    m_q, log_q, m_p, log_p = (zero_masked(jnp.broadcast_to(each, shape), weights) for each in given)
    squares = jnp.exp(2 * (log_q - log_p)) + jnp.square((m_q - m_p) * jnp.exp(-log_p))
    return reduce(jnp.sum(log_p - log_q + (squares - 1) / 2, axis=-1), weights, reduction)
