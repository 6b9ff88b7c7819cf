"""Checks and masks that metrics share."""

import jax.numpy as jnp
import numpy as np

from jaxdl.arrays import fit_mask, widen_floating, widen_integers
from jaxdl.typing import Array, ArrayLike


def broadcast_mask(mask: ArrayLike, shape: tuple[int, ...]) -> Array:
    """Broadcast a mask over leading dimensions to ``shape``."""
    return jnp.broadcast_to(fit_mask(mask, shape), shape)


def check_pair(name: str, values: ArrayLike, labels: ArrayLike) -> tuple[Array, Array]:
    """Widen two arrays of integers, and check that they have one shape."""
    values, labels = widen_integers(values), widen_integers(labels)
    if values.shape != labels.shape:
        raise ValueError(f"expected {name} and labels of one shape, got {values.shape} and {labels.shape}")
    return values, labels


def to_real(matrix: ArrayLike) -> Array:
    """Convert counts to floating-point numbers, as the sums and doubles of many pixels exceed the range of int32."""
    return widen_floating(np.asarray(matrix, np.float64) if isinstance(matrix, np.ndarray) else matrix)
