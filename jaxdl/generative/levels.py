"""Levels of pixels and the units of likelihoods: quantization, its reversal by noise, bits per dimension."""

import math

import jax
import jax.numpy as jnp
import numpy as np

from jaxdl.arrays import to_floating, widen_floating
from jaxdl.checks import is_integer, known_value
from jaxdl.typing import Array, ArrayLike, Key


def quantize(x: ArrayLike, levels: int) -> Array:
    """Round numbers from 0 to 1 to the nearest of ``0, 1 / (levels - 1), ..., 1`` and return its number.

    Raises:
        ValueError: there are less than two levels, or ``x`` are integers known to exceed 1, such as bytes.

    >>> quantize(jnp.array([0.0, 0.49, 1.0]), 3).tolist()
    [0, 1, 2]
    """
    check_levels(levels)
    known = known_value(x)
    if known is not None and np.issubdtype(known.dtype, np.integer) and known.max(initial=0) > 1:
        raise ValueError(f"expected numbers from 0 to 1, got {known.max()} of {known.dtype}; divide by the largest")
    return jnp.clip(jnp.round(widen_floating(x) * (levels - 1)), 0, levels - 1).astype(jnp.int32)


def dequantize(key: Key, numbers: ArrayLike, levels: int) -> Array:
    """Spread levels over bins of equal width: ``(number + u) / levels`` with ``u`` uniform in [0, 1).

    The logarithm of the density of the result, minus ``ln levels`` for each number, is on average a lower bound of the
    log-likelihood of the levels (Theis et al., 2016).

    Raises:
        ValueError: there are less than two levels.
    """
    check_levels(levels)
    numbers = to_floating(numbers)
    return (numbers + jax.random.uniform(key, numbers.shape, numbers.dtype)) / levels


def bits_per_dimension(log_likelihood: ArrayLike, dimensions: int, bins: int = 1) -> Array:
    """Return ``-log2 p / D``, for a density over bins of the width ``1 / bins`` that of a bin.

    Args:
        log_likelihood: ``ln p``, ``[...]``.
        dimensions: ``D``, the number of elements of an example.
        bins: in the unit interval; 1 where ``p`` is a probability.

    >>> bits_per_dimension(jnp.log(0.25), 2).item()
    1.0
    """
    return math.log2(bins) - widen_floating(log_likelihood) / (dimensions * math.log(2))


def check_levels(levels: int) -> None:
    """Check that there are two levels or more.

    Raises:
        ValueError: there are less.
    """
    if not is_integer(levels) or levels < 2:
        raise ValueError(f"expected levels to be an integer >= 2, got {levels}")
