"""Discrete latent variables with gradients: relaxed samples of categorical variables, and vectors of a codebook."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxdl.arrays import to_floating, widen_floating
from jaxdl.checks import check_in_range
from jaxdl.models.generative.vae import nearest_vectors
from jaxdl.typing import Array, ArrayLike, Key


def straight_through(forward: ArrayLike, backward: ArrayLike) -> Array:
    """Return the value of ``forward`` with the gradient of ``backward`` (Bengio et al., 2013).

    >>> value, slope = jax.value_and_grad(lambda x: straight_through(jnp.round(x), 3 * x))(0.7)
    >>> value.item(), slope.item()
    (1.0, 3.0)
    """
    forward, backward = to_floating(forward), to_floating(backward)
    # backward - stop_gradient(backward) is 0, so that the value is that of forward to the last bit
    return jax.lax.stop_gradient(forward) + (backward - jax.lax.stop_gradient(backward))


def gumbel_softmax(key: Key, logits: ArrayLike, temperature: ArrayLike = 1.0) -> Array:
    """Draw relaxed one-hot vectors ``softmax((logits + g) / t)`` with standard Gumbel noise ``g``.

    As ``t`` tends to 0 they tend to samples of ``softmax(logits)`` (Jang et al., 2017; Maddison et al., 2017).

    Args:
        key: of the noise.
        logits: ``[..., K]``.
        temperature: ``t``, above 0.

    Raises:
        ValueError: the temperature is not positive.

    >>> gumbel_softmax(jax.random.key(0), jnp.zeros((2, 3))).sum(axis=-1).round(3).tolist()
    [1.0, 1.0]
    """
    check_in_range("temperature", temperature, includes_low=False)
    logits = widen_floating(logits)
    noise = jax.random.gumbel(key, logits.shape, logits.dtype)
    return jax.nn.softmax((logits + noise) / jnp.asarray(temperature, logits.dtype))


def straight_through_gumbel_softmax(key: Key, logits: ArrayLike, temperature: ArrayLike = 1.0) -> Array:
    """Draw one-hot vectors of ``softmax(logits)``, with the gradient of `gumbel_softmax` for the same noise.

    >>> sorted(straight_through_gumbel_softmax(jax.random.key(0), jnp.zeros(3)).tolist())
    [0.0, 0.0, 1.0]
    """
    relaxed = gumbel_softmax(key, logits, temperature)
    return straight_through(jax.nn.one_hot(jnp.argmax(relaxed, axis=-1), relaxed.shape[-1]), relaxed)


def categorical_kl_terms(logits: ArrayLike) -> Array:
    """Compute ``KL(q || uniform) = ln K + sum_k q_k ln q_k`` with ``q = softmax(logits)``, ``[..., K]`` to ``[...]``.

    >>> categorical_kl_terms(jnp.array([[0.0, 0.0], [-100.0, 100.0]])).tolist()
    [0.0, 0.693...]
    """
    log_q = jax.nn.log_softmax(widen_floating(logits))
    q = jnp.exp(log_q)
    entropy = -jnp.sum(jnp.where(q == 0, 0, q * jnp.where(q == 0, 0, log_q)), axis=-1)
    return jnp.log(jnp.asarray(log_q.shape[-1], log_q.dtype)) - entropy


class Quantized(NamedTuple):
    """Vectors replaced by the nearest of a codebook.

    Attributes:
        vectors: the vectors of the codebook ``[..., D]``; their gradient passes to the vectors that they replace.
        indices: which, ``[...]``.
        codebook_loss: ``|stop(z) - e|^2``, which moves the codebook, ``[...]``.
        commitment_loss: ``|z - stop(e)|^2``, which moves the encoder, ``[...]``.
    """

    vectors: Array
    indices: Array
    codebook_loss: Array
    commitment_loss: Array


def quantize_vectors(z: ArrayLike, codebook: ArrayLike) -> Quantized:
    """Replace vectors by the nearest of a codebook (van den Oord et al., 2017).

    Args:
        z: ``[..., D]``.
        codebook: ``[K, D]``.

    Raises:
        ValueError: the shapes do not match.

    >>> found = quantize_vectors(jnp.array([[0.9, 0.0]]), jnp.array([[0.0, 0.0], [1.0, 0.0]]))
    >>> found.vectors.tolist(), found.indices.tolist(), found.commitment_loss.tolist()
    ([[1.0, 0.0]], [1], [0.0100...])
    """
    z, codebook = widen_floating(z), widen_floating(codebook)
    if codebook.ndim != 2 or z.ndim < 1 or z.shape[-1] != codebook.shape[1]:
        raise ValueError(f"expected z [..., D] and a codebook [K, D], got {z.shape} and {codebook.shape}")
    stop = jax.lax.stop_gradient
    indices = nearest_vectors(stop(z), stop(codebook))
    e = codebook[indices]
    codebook_loss = jnp.sum(jnp.square(stop(z) - e), axis=-1)
    return Quantized(straight_through(e, z), indices, codebook_loss, jnp.sum(jnp.square(z - stop(e)), axis=-1))


def codebook_perplexity(indices: ArrayLike, size: int, *, mask: ArrayLike | None = None) -> Array:
    """Compute ``exp(-sum_k p_k ln p_k)`` of the shares ``p`` of the indices: how many vectors are used, effectively.

    Args:
        indices: ``[...]``.
        size: vectors in the codebook.
        mask: weights of the indices, of their shape.

    >>> codebook_perplexity(jnp.array([0, 0, 3, 3]), 4).item()
    2.0
    """
    indices = jnp.asarray(indices).ravel()
    weights = jnp.ones(indices.shape) if mask is None else jnp.asarray(mask, jnp.float32).ravel()
    counts = jnp.zeros(size).at[indices].add(weights)
    shares = counts / jnp.maximum(jnp.sum(counts), jnp.finfo(counts.dtype).tiny)
    return jnp.exp(-jnp.sum(jnp.where(shares > 0, shares * jnp.log(jnp.where(shares > 0, shares, 1)), 0)))
