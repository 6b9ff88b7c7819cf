"""Mu-law companding of audio (ITU-T G.711): few quantization levels, denser at low amplitudes.

Samples are floating-point numbers in [-1, 1], or the integers of a sound file: int8 and int16 are divided by 128 and
32,768; uint8, whose silence is 128, less 128, is divided by 128.
"""

import jax.numpy as jnp
import numpy as np

from jaxdl.arrays import to_floating, widen
from jaxdl.checks import check_indices, known_value
from jaxdl.typing import Array, ArrayLike

LEVELS = 256


def mu_law_compress(x: ArrayLike, mu: float = 255.0) -> Array:
    """Compute ``sign(x) ln(1 + mu |x|) / ln(1 + mu)``; -1, 0 and 1 are fixed points.

    Args:
        x: samples, ``[...]``.
        mu: strength of the compression, positive.

    Raises:
        ValueError: ``mu`` is not positive.
        TypeError: the samples are integers of another width, or Booleans.

    >>> [round(y, 3) for y in mu_law_compress(jnp.array([-1.0, 0.0, 0.01, 0.5])).tolist()]
    [-1.0, 0.0, 0.228, 0.876]
    """
    wide, wide_mu, dtype = _widen_both(_samples(x), mu)
    return (jnp.sign(wide) * jnp.log1p(wide_mu * jnp.abs(wide)) / jnp.log1p(wide_mu)).astype(dtype)


def mu_law_expand(y: ArrayLike, mu: float = 255.0) -> Array:
    """Compute ``sign(y) ((1 + mu)^|y| - 1) / mu``, the inverse of `mu_law_compress`.

    Raises:
        ValueError: ``mu`` is not positive.

    >>> [round(x, 3) for x in mu_law_expand(mu_law_compress(jnp.array([-1.0, 0.0, 0.01, 0.5]))).tolist()]
    [-1.0, 0.0, 0.01, 0.5]
    """
    wide, wide_mu, dtype = _widen_both(y, mu)
    return (jnp.sign(wide) * jnp.expm1(jnp.abs(wide) * jnp.log1p(wide_mu)) / wide_mu).astype(dtype)


def mu_law_encode(x: ArrayLike, num_levels: int = LEVELS) -> Array:
    """Quantize audio: ``floor((mu_law_compress(x) + 1) mu / 2 + 1 / 2)`` with ``mu = num_levels - 1``.

    Args:
        x: samples, ``[...]``; floating-point ones are clipped to [-1, 1].
        num_levels: number of quantization levels, at least 2.

    Returns:
        Integer codes in [0, num_levels), ``[...]``.

    Raises:
        ValueError: there are fewer than two levels.
        TypeError: the samples are integers of another width, or Booleans.

    >>> mu_law_encode(jnp.array([-32768, 0, 328], jnp.int16)).tolist()
    [0, 128, 157]
    >>> mu_law_encode(jnp.array([-1.0, -0.001, 0.0, 0.01, 1.0])).tolist()
    [0, 122, 128, 157, 255]
    """
    mu = _mu(num_levels)
    samples = widen(_samples(x))
    known = known_value(samples)
    if known is not None and np.isnan(known).any():
        raise ValueError("expected samples that are numbers, got nan")
    y = mu_law_compress(jnp.clip(samples, -1, 1), mu)
    return jnp.floor((y + 1) * (mu / 2) + 0.5).astype(jnp.int32)


def mu_law_decode(codes: ArrayLike, num_levels: int = LEVELS, dtype: jnp.dtype | type = jnp.float32) -> Array:
    """Reconstruct audio from its codes: ``mu_law_expand(2 codes / mu - 1)`` with ``mu = num_levels - 1``.

    Args:
        codes: integers in [0, num_levels), ``[...]``; others give nan where they are traced.
        num_levels: number of levels of the encoding.
        dtype: type of the result.

    Returns:
        Samples in [-1, 1], ``[...]``.

    Raises:
        ValueError: there are fewer than two levels, or a code is known to be outside of them.

    >>> [round(x, 4) for x in mu_law_decode(jnp.array([0, 127, 128, 157, 255])).tolist()]
    [-1.0, -0.0001, 0.0001, 0.0102, 1.0]
    """
    mu = _mu(num_levels)
    wide = jnp.promote_types(dtype, jnp.float32)
    check_indices("codes", codes, num_levels)
    codes = jnp.asarray(codes, wide)
    codes = jnp.where((codes >= 0) & (codes <= mu), codes, jnp.nan)
    return mu_law_expand(2 * codes / mu - 1, mu).astype(dtype)


def _widen_both(x: ArrayLike, mu: float) -> tuple[Array, Array, jnp.dtype]:
    """Cast both to float32 or wider; return the floating-point type of the result too."""
    if not mu > 0:
        raise ValueError(f"expected mu > 0, got {mu}")
    x = to_floating(x)
    wide = widen(x)
    return wide, jnp.asarray(mu, wide.dtype), x.dtype


def _samples(x: ArrayLike) -> Array:
    """Scale the integers of a sound file to [-1, 1)."""
    x = to_floating(x) if type(x) is int else jnp.asarray(x)
    if x.dtype in (jnp.int8, jnp.int16):
        return to_floating(x) / 2.0 ** (8 * x.dtype.itemsize - 1)
    if x.dtype == jnp.uint8:
        return (to_floating(x) - 128) / 128
    if not jnp.issubdtype(x.dtype, jnp.floating):
        raise TypeError(
            f"expected floating-point samples in [-1, 1], int8, int16 or uint8, got {x.dtype}; divide by the largest "
            "amplitude"
        )
    return x


def _mu(num_levels: int) -> float:
    if num_levels < 2:
        raise ValueError(f"expected num_levels >= 2, got {num_levels}")
    return float(num_levels - 1)
