"""The next token: the most probable one, or a draw from a distribution whose tail is cut.

Logits are ``[..., V]``. A token that is ruled out gets ``-inf``, and so the probability 0.
"""

import jax
import jax.numpy as jnp

from jaxdl.arrays import widen
from jaxdl.typing import Array, ArrayLike, Key


def keep_top_k(logits: ArrayLike, k: int) -> Array:
    """Rule out all but the ``k`` most probable tokens, and those that are as probable as the last of them.

    Raises:
        ValueError: ``k`` is not positive.

    >>> keep_top_k(jnp.array([3.0, 1.0, 2.0]), 2).tolist()
    [3.0, -inf, 2.0]
    """
    logits = jnp.asarray(logits)
    if k < 1:
        raise ValueError(f"top_k is how many tokens are kept and must be at least 1; got {k}")
    least = jax.lax.top_k(logits, min(k, logits.shape[-1]))[0][..., -1:]
    return jnp.where(logits < least, -jnp.inf, logits)


def keep_top_p(logits: ArrayLike, p: ArrayLike) -> Array:
    """Rule out all but the nucleus: the fewest tokens that together have at least the probability ``p``.

    (Holtzman et al., 2020.) The most probable token is always kept, and so are those as probable as the last.

    Args:
        logits: ``[..., V]``.
        p: in (0, 1]; with 1 all tokens are kept.

    Raises:
        ValueError: ``p`` is outside of (0, 1].

    >>> keep_top_p(jnp.log(jnp.array([0.5, 0.125, 0.375])), 0.6).tolist()
    [-0.69..., -inf, -0.98...]
    """
    logits = jnp.asarray(logits)
    if isinstance(p, int | float) and not 0 < p <= 1:
        raise ValueError(f"top_p is the probability that is kept and must lie in (0, 1]; got {p}")
    falling = -jnp.sort(-logits, axis=-1)
    probabilities = jax.nn.softmax(widen(falling), axis=-1)
    before = jnp.cumsum(probabilities, axis=-1) - probabilities
    # The first is kept even where p is smaller than rounding leaves of 0.
    inside = (before < p).at[..., 0].set(True)
    least = jnp.min(jnp.where(inside, falling, jnp.inf), axis=-1, keepdims=True)
    return jnp.where((logits < least) & (jnp.asarray(p) < 1), -jnp.inf, logits)


def shape_logits(
    logits: ArrayLike, *, temperature: ArrayLike = 1.0, top_k: int | None = None, top_p: ArrayLike | None = None
) -> Array:
    """Divide by the temperature, then keep the ``top_k``, then of these the ``top_p``.

    Args:
        logits: ``[..., V]``.
        temperature: above 0; 1 leaves the distribution as it is, near 0 it is the most probable token alone.
        top_k: see ``keep_top_k``; None for all.
        top_p: see ``keep_top_p``; None for all.

    Raises:
        ValueError: a number is outside of its range.
    """
    if isinstance(temperature, int | float) and not temperature > 0:
        raise ValueError(f"temperature must be above 0; got {temperature}; for the most probable token take greedy")
    logits = widen(logits) / temperature
    logits = logits if top_k is None else keep_top_k(logits, top_k)
    return logits if top_p is None else keep_top_p(logits, top_p)


def greedy_token(key: Key | None, logits: ArrayLike) -> Array:
    """Return the most probable token, ``[...]``, the first of equals; the key is not used."""
    del key
    return jnp.argmax(jnp.asarray(logits), axis=-1).astype(jnp.int32)


def draw(
    key: Key,
    logits: ArrayLike,
    *,
    temperature: ArrayLike = 1.0,
    top_k: int | None = None,
    top_p: ArrayLike | None = None,
) -> Array:
    """Draw a token, ``[...]``, from the softmax of ``shape_logits``."""
    logits = shape_logits(logits, temperature=temperature, top_k=top_k, top_p=top_p)
    return jax.random.categorical(key, logits, axis=-1).astype(jnp.int32)
