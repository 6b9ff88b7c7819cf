"""Autoencoders that learn more than a copy: corruption of the input, and penalties of the code.

A penalty is a function ``penalty(encode, x, mask)`` of an encoder; `jaxdl.tasks.autoencoding` adds it to the loss.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxdl.arrays import fit_mask, to_floating, widen, widen_floating
from jaxdl.checks import check_in_range
from jaxdl.typing import Array, ArrayLike, Key

Encoder = Callable[[Array], Array]
"""``encode(x)`` maps examples ``[B, ...]`` to codes ``[B, ...]``, each by itself."""


def masking_noise(key: Key, x: ArrayLike, rate: ArrayLike = 0.3) -> Array:
    """Set each element to 0 with probability ``rate`` (Vincent et al., 2008); unlike dropout, the others stay.

    Raises:
        ValueError: the rate is outside of [0, 1].

    >>> sorted(set(masking_noise(jax.random.key(0), jnp.full(50, 3.0), 0.5).tolist()))
    [0.0, 3.0]
    """
    x = to_floating(x)
    check_in_range("rate", rate, 0.0, 1.0)
    return jnp.where(jax.random.bernoulli(key, rate, x.shape), jnp.zeros((), x.dtype), x)


def salt_and_pepper_noise(key: Key, x: ArrayLike, rate: ArrayLike = 0.3) -> Array:
    """Set each element to 0 or 1, with probability ``rate / 2`` each (Vincent et al., 2010).

    Raises:
        ValueError: the rate is outside of [0, 1].

    >>> sorted(set(salt_and_pepper_noise(jax.random.key(0), jnp.full(50, 3.0), 0.5).tolist()))
    [0.0, 1.0, 3.0]
    """
    x = to_floating(x)
    check_in_range("rate", rate, 0.0, 1.0)
    chance, rate = jax.random.uniform(key, x.shape), jnp.asarray(rate, jnp.float32)
    return jnp.where(chance < rate, (chance < rate / 2).astype(x.dtype), x)


def sparsity_penalty(codes: ArrayLike, target: float = 0.05, *, mask: ArrayLike | None = None) -> Array:
    """Compute ``sum_j rho ln(rho / r_j) + (1 - rho) ln((1 - rho) / (1 - r_j))`` (Ng, 2011).

    ``r_j`` is the mean activation of unit ``j`` over the batch: the divergence of Bernoulli distributions is 0 if each
    unit is active in a share ``rho`` of the examples. Since it is no mean over examples, the penalty of a batch in
    parts is not that of the whole.

    Args:
        codes: activations in [0, 1], of sigmoid units, ``[B, H]``.
        target: ``rho``, in (0, 1).
        mask: weights of the examples, ``[B]``.

    Raises:
        ValueError: the codes are not ``[B, H]``, or the target is not in (0, 1).

    >>> sparsity_penalty(jnp.array([[0.0], [1.0]]), 0.5).item()
    0.0
    """
    h = widen_floating(codes)
    if h.ndim != 2:
        raise ValueError(f"expected codes [B, H], got {h.shape}; flatten them")
    check_in_range("target", target, 0.0, 1.0, includes_low=False, includes_high=False)
    mean = _mean(h, mask)
    # A unit that is 0 or 1 for all examples has a large, finite penalty, and a gradient.
    least = jnp.finfo(h.dtype).eps
    mean = least + (1 - 2 * least) * mean
    terms = target * jnp.log(target / mean) + (1 - target) * jnp.log((1 - target) / (1 - mean))
    return jnp.sum(terms)


def contractive_penalty(encode: Encoder, x: ArrayLike, mask: ArrayLike | None = None) -> Array:
    """Compute ``|| dh / dx ||_F^2``, averaged over the examples (Rifai et al., 2011).

    The Jacobian of each example is computed by as many products as the code has elements.

    Args:
        encode: the encoder.
        x: examples ``[B, ...]``.
        mask: weights of the examples, ``[B]``.

    >>> x = jnp.array([[1.0, 2.0], [0.0, 3.0]])
    >>> contractive_penalty(lambda x: 2 * x, x).item()
    8.0
    """
    x = widen_floating(x)

    def squares(example: Array) -> Array:
        return jnp.sum(jnp.square(widen(jax.jacrev(lambda x: encode(x[None])[0])(example))))

    return _mean(jax.vmap(squares)(x), mask)


def sparse(weight: float, target: float = 0.05) -> Callable[[Encoder, Array, Array | None], Array]:
    """Make the penalty ``weight * sparsity_penalty`` for `jaxdl.tasks.autoencoding`.

    >>> sparse(2.0, 0.5)(lambda x: x, jnp.array([[0.0], [1.0]]), None).item()
    0.0
    """
    check_in_range("weight", weight)
    return lambda encode, x, mask: weight * sparsity_penalty(encode(x), target, mask=mask)


def contractive(weight: float) -> Callable[[Encoder, Array, Array | None], Array]:
    """Make the penalty ``weight * contractive_penalty`` for `jaxdl.tasks.autoencoding`.

    >>> contractive(0.5)(lambda x: 2 * x, jnp.ones((3, 2)), None).item()
    4.0
    """
    check_in_range("weight", weight)
    return lambda encode, x, mask: weight * contractive_penalty(encode, x, mask)


def _mean(values: Array, mask: ArrayLike | None) -> Array:
    """Average over the examples, the first dimension; masked ones may hold anything."""
    if mask is None:
        return jnp.mean(values, axis=0)
    weights = jnp.broadcast_to(fit_mask(mask, values.shape), values.shape[:1] + (1,) * (values.ndim - 1))
    total = jnp.sum(weights)
    kept = jnp.where(weights != 0, values, 0) * weights.astype(values.dtype)
    return jnp.sum(kept, axis=0) / jnp.where(total == 0, 1, total)
