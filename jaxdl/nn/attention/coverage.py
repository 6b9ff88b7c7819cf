"""Coverage: how much attention every key has received over all queries."""

import jax.numpy as jnp

from jaxdl.typing import Array, ArrayLike


def attention_penalty(weights: Array, mask: ArrayLike) -> Array:
    """Compute ``sum_s (1 - sum_t a_ts)^2``, ``[B]``: 0 where every position got attention once (Xu et al., 2015).

    With ``sum_s a_ts = 1`` for every step this makes attention doubly stochastic, up to the number of steps.

    Args:
        weights: ``a``, ``[B, T, S]``.
        mask: ``[B, T]``, 0 for steps that do not count.

    >>> attention_penalty(jnp.array([[[1.0, 0.0], [1.0, 0.0]]]), jnp.array([[1, 1]])).tolist()
    [2.0]
    """
    total = jnp.sum(jnp.where(jnp.asarray(mask)[..., None] != 0, weights, 0), axis=-2)
    return jnp.sum((1 - total) ** 2, axis=-1)


def earlier_attention(weights: Array) -> Array:
    """Compute ``c_ts = sum_(u < t) a_us``, ``[B, T, S]``: the coverage of See et al. (2017) before each step ``t``.

    >>> earlier_attention(jnp.array([[[1.0, 0.0], [0.5, 0.5], [0.0, 1.0]]])).tolist()
    [[[0.0, 0.0], [1.0, 0.0], [1.5, 0.5]]]
    """
    return jnp.concatenate([jnp.zeros_like(weights[..., :1, :]), jnp.cumsum(weights[..., :-1, :], axis=-2)], axis=-2)


def coverage_loss(weights: Array, mask: ArrayLike) -> Array:
    """Compute ``sum_t sum_s min(a_ts, c_ts)``, ``[B]``, ``c`` of `earlier_attention`: repeated attention.

    It is 0 where no position gets attention twice, and less than 1 a step (See et al., 2017).

    Args:
        weights: ``a``, ``[B, T, S]``.
        mask: ``[B, T]``, 0 for steps that do not count.

    >>> coverage_loss(jnp.array([[[1.0, 0.0], [0.75, 0.25]]]), jnp.array([[1, 1]])).tolist()
    [0.75]
    """
    repeated = jnp.sum(jnp.minimum(weights, earlier_attention(weights)), axis=-1)
    return jnp.sum(jnp.where(jnp.asarray(mask) != 0, repeated, 0), axis=-1)
