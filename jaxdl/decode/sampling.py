"""Choose the next token from logits ``[..., V]``: the most probable, or a sample from a truncated distribution.

A token that is ruled out gets the logit -inf, and so the probability 0. Where a logit is NaN, or all tokens are ruled
out, no token is chosen: the result is -1, which is outside of every vocabulary.
"""

import jax
import jax.numpy as jnp

from jaxdl.arrays import to_floating, widen, widen_floating
from jaxdl.checks import check_in_range, check_positive_integer, known_value
from jaxdl.typing import Array, ArrayLike, Key


def keep_top_k(logits: ArrayLike, k: int) -> Array:
    """Rule out all but the ``k`` most probable tokens, and the ties of the last of them.

    Raises:
        ValueError: ``k`` is not positive.

    >>> keep_top_k(jnp.array([3.0, 1.0, 2.0]), 2).tolist()
    [3.0, -inf, 2.0]
    """
    logits = to_floating(logits)
    check_positive_integer("top_k", k)
    least = jax.lax.top_k(logits, min(k, logits.shape[-1]))[0][..., -1:]
    return jnp.where(logits < least, -jnp.inf, logits)


def keep_top_p(logits: ArrayLike, p: ArrayLike) -> Array:
    """Rule out all but the nucleus, the fewest tokens with a total probability of at least ``p``.

    (Holtzman et al., 2020.) The most probable token always remains, as do the ties of the last.

    Args:
        logits: ``[..., V]``.
        p: in (0, 1]; 1 keeps all tokens.

    Raises:
        ValueError: ``p`` is outside of (0, 1].

    >>> keep_top_p(jnp.log(jnp.array([0.5, 0.125, 0.375])), 0.6).tolist()
    [-0.69..., -inf, -0.98...]
    """
    logits = to_floating(logits)
    check_in_range("top_p", p, 0.0, 1.0, includes_low=False)
    descending = jnp.sort(logits, axis=-1, descending=True)
    probabilities = jax.nn.softmax(widen(descending), axis=-1)
    before = jnp.cumsum(probabilities, axis=-1) - probabilities
    # Keep the first token even where p is smaller than the rounding error of 0.
    inside = (before < p).at[..., 0].set(True)
    least = jnp.min(jnp.where(inside, descending, jnp.inf), axis=-1, keepdims=True)
    return jnp.where((logits < least) & (jnp.asarray(p) < 1), -jnp.inf, logits)


def shape_logits(
    logits: ArrayLike, *, temperature: ArrayLike = 1.0, top_k: int | None = None, top_p: ArrayLike | None = None
) -> Array:
    """Divide by the temperature, then apply `keep_top_k`, then `keep_top_p`.

    Args:
        logits: ``[..., V]``.
        temperature: above 0; 1 leaves the distribution unchanged. A traced temperature of 0 is the limit: it rules out
            all but the most probable token, the first of equals.
        top_k: see `keep_top_k`; None for all tokens.
        top_p: see `keep_top_p`; None for all tokens.

    Raises:
        ValueError: an argument is out of range.
    """
    check_in_range("temperature", temperature, includes_low=False)
    logits = widen_floating(logits)
    if known_value(temperature) is None:
        first = jax.nn.one_hot(jnp.argmax(logits, axis=-1), logits.shape[-1], dtype=bool)
        coldest = jnp.where(first | jnp.isnan(logits), logits, -jnp.inf)
        logits = jnp.where(temperature == 0, coldest, logits / jnp.where(temperature == 0, 1, temperature))
    else:
        logits = logits / temperature
    logits = logits if top_k is None else keep_top_k(logits, top_k)
    return logits if top_p is None else keep_top_p(logits, top_p)


def greedy_token(key: Key | None, logits: ArrayLike) -> Array:
    """Choose the most probable token, ``[...]``, the first of equals, or -1 for none; the key is not used.

    >>> greedy_token(None, jnp.array([[1.0, 3.0, 3.0], [0.0, jnp.nan, 1.0]])).tolist()
    [1, -1]
    """
    del key
    logits = to_floating(logits)
    return _if_any(logits, jnp.argmax(logits, axis=-1))


def sample_token(
    key: Key,
    logits: ArrayLike,
    *,
    temperature: ArrayLike = 1.0,
    top_k: int | None = None,
    top_p: ArrayLike | None = None,
) -> Array:
    """Sample a token, ``[...]``, from the softmax of `shape_logits`; -1 for none."""
    logits = shape_logits(logits, temperature=temperature, top_k=top_k, top_p=top_p)
    return _if_any(logits, jax.random.categorical(key, logits, axis=-1))


def _if_any(logits: Array, token: Array) -> Array:
    """Replace a token by -1 where a logit is NaN or all are -inf."""
    largest = jnp.max(logits, axis=-1)
    return jnp.where(jnp.isnan(largest) | (largest == -jnp.inf), -1, token).astype(jnp.int32)
