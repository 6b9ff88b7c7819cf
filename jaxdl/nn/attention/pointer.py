"""Pointers into a source: probabilities of its tokens by attention, mixed with those of a vocabulary."""

import jax
import jax.numpy as jnp

from jaxdl.arrays import widen
from jaxdl.checks import check_indices
from jaxdl.typing import Array, ArrayLike


def copy_probabilities(weights: ArrayLike, tokens: ArrayLike, size: int) -> Array:
    """Compute ``p_tw = sum_(s: x_s = w) a_ts``, the attention that each token receives over its places in the source.

    Args:
        weights: ``a``, ``[B, T, S]``.
        tokens: ``x``, integers below ``size``, ``[B, S]``; those of padding, whose weights are 0, do not matter.
        size: the number of tokens, ``V``.

    Returns:
        ``p``, ``[B, T, V]``.

    Raises:
        ValueError: the shapes do not match, or a token is known to be outside of the vocabulary.

    >>> copy_probabilities(jnp.array([[[0.5, 0.25, 0.25]]]), jnp.array([[2, 0, 2]]), 4).tolist()
    [[[0.25, 0.0, 0.75, 0.0]]]
    """
    weights, tokens = jnp.asarray(weights), jnp.asarray(tokens)
    if weights.ndim != 3 or tokens.shape != (weights.shape[0], weights.shape[2]):
        raise ValueError(f"expected weights [B, T, S] and tokens [B, S], got {weights.shape} and {tokens.shape}")
    check_indices("tokens", tokens, size)
    empty = jnp.zeros((weights.shape[1], size), weights.dtype)
    return jax.vmap(lambda a, x: empty.at[:, x].add(a))(weights, tokens)


def mix_copies(logits: ArrayLike, gate: ArrayLike, copied: ArrayLike) -> Array:
    """Compute ``log(g softmax(logits) + (1 - g) copied)`` with ``g = sigmoid(gate)`` (See et al., 2017).

    Tokens beyond the vocabulary can be copied alone. The result is finite: the logarithm of a probability of 0 is that
    of the smallest normal number.

    Args:
        logits: of the ``V`` tokens of the vocabulary, ``[..., V]``.
        gate: the logit of generating and not copying, ``[...]``.
        copied: the probabilities of ``V`` tokens or more, ``[..., V + K]``; see `copy_probabilities`.

    Returns:
        Log-probabilities ``[..., V + K]``, of at least float32.

    Raises:
        ValueError: the shapes do not match.

    >>> jnp.exp(mix_copies(jnp.zeros(2), jnp.zeros(()), jnp.array([0.0, 0.5, 0.5]))).round(2).tolist()
    [0.25, 0.5, 0.25]
    """
    logits, gate, copied = widen(jnp.asarray(logits)), widen(jnp.asarray(gate)), widen(jnp.asarray(copied))
    size = logits.shape[-1]
    if logits.shape[:-1] != gate.shape or copied.shape[:-1] != gate.shape or copied.shape[-1] < size:
        raise ValueError(
            "expected logits [..., V], a gate [...] and copied [..., V + K], got "
            f"{logits.shape}, {gate.shape} and {copied.shape}"
        )
    log_copied = jnp.log(jax.nn.sigmoid(-gate)[..., None] * copied + jnp.finfo(copied.dtype).tiny)
    generated = jax.nn.log_sigmoid(gate)[..., None] + jax.nn.log_softmax(logits)
    return jnp.concatenate([jnp.logaddexp(generated, log_copied[..., :size]), log_copied[..., size:]], axis=-1)
