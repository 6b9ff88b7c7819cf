"""Mu-law companding (ITU-T G.711): sound in few levels, which lie closer together where it is soft."""

import jax.numpy as jnp

from jaxdl.arrays import widen
from jaxdl.typing import Array, ArrayLike

LEVELS = 256


def compress(x: ArrayLike, mu: float = 255.0) -> Array:
    """Return ``sign(x) ln(1 + mu |x|) / ln(1 + mu)``, which keeps -1, 0 and 1 where they are and spreads what is soft.

    Args:
        x: sound in [-1, 1], ``[...]``.
        mu: how much; above 0.

    Raises:
        ValueError: ``mu`` is not positive.

    >>> [round(y, 3) for y in compress(jnp.array([-1.0, 0.0, 0.01, 0.5])).tolist()]
    [-1.0, 0.0, 0.228, 0.876]
    """
    wide, mu, dtype = _of(x, mu)
    return (jnp.sign(wide) * jnp.log1p(mu * jnp.abs(wide)) / jnp.log1p(mu)).astype(dtype)


def expand(y: ArrayLike, mu: float = 255.0) -> Array:
    """Return ``sign(y) ((1 + mu)^|y| - 1) / mu``, the inverse of `compress`.

    Raises:
        ValueError: ``mu`` is not positive.

    >>> [round(x, 3) for x in expand(compress(jnp.array([-1.0, 0.0, 0.01, 0.5]))).tolist()]
    [-1.0, 0.0, 0.01, 0.5]
    """
    wide, mu, dtype = _of(y, mu)
    return (jnp.sign(wide) * jnp.expm1(jnp.abs(wide) * jnp.log1p(mu)) / mu).astype(dtype)


def mu_law_encode(x: ArrayLike, levels: int = LEVELS) -> Array:
    """Return the nearest of ``levels`` levels, ``floor((compress(x) + 1) mu / 2 + 1 / 2)`` with ``mu = levels - 1``.

    Args:
        x: sound, ``[...]``; beyond -1 and 1 it is cut.
        levels: how many; at least 2.

    Returns:
        Integers in [0, levels), ``[...]``.

    Raises:
        ValueError: there are fewer than two levels.

    >>> mu_law_encode(jnp.array([-1.0, -0.001, 0.0, 0.01, 1.0])).tolist()
    [0, 122, 128, 157, 255]
    """
    mu = _mu(levels)
    y = compress(jnp.clip(widen(x), -1, 1), mu)
    return jnp.floor((y + 1) * (mu / 2) + 0.5).astype(jnp.int32)


def mu_law_decode(codes: ArrayLike, levels: int = LEVELS, dtype: jnp.dtype = jnp.float32) -> Array:
    """Return the sound of levels, ``expand(2 codes / mu - 1)`` with ``mu = levels - 1``.

    Args:
        codes: integers in [0, levels), ``[...]``.
        levels: as they were encoded.
        dtype: of the sound.

    Returns:
        Numbers in [-1, 1], ``[...]``.

    Raises:
        ValueError: there are fewer than two levels.

    >>> [round(x, 4) for x in mu_law_decode(jnp.array([0, 127, 128, 157, 255])).tolist()]
    [-1.0, -0.0001, 0.0001, 0.0102, 1.0]
    """
    mu = _mu(levels)
    wide = jnp.promote_types(dtype, jnp.float32)
    return expand(2 * jnp.asarray(codes, wide) / mu - 1, mu).astype(dtype)


def _of(x: ArrayLike, mu: float) -> tuple[Array, Array, jnp.dtype]:
    """Make floating-point numbers of both, of float32 or wider, and tell the dtype that x has as such."""
    if not mu > 0:
        raise ValueError(f"mu says how much is compressed and must be positive; got {mu}")
    x = jnp.asarray(x)
    x = x if jnp.issubdtype(x.dtype, jnp.floating) else x.astype(jnp.result_type(float))
    wide = widen(x)
    return wide, jnp.asarray(mu, wide.dtype), x.dtype


def _mu(levels: int) -> float:
    if levels < 2:
        raise ValueError(f"levels is how many codes there are and must be at least 2; got {levels}")
    return float(levels - 1)
