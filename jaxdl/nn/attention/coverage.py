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
