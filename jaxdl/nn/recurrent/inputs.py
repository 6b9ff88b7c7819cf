"""Lengths of sequences as masks."""

import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from jaxdl.typing import Array, ArrayLike


def valid_steps(lengths: ArrayLike, steps: int) -> Array:
    """Return a mask of the valid steps: lengths ``[...]`` to Booleans ``[..., T]`` with ``T = steps``.

    Raises:
        ValueError: the lengths are not integers, or known to be less than 0 or greater than ``steps``.

    >>> valid_steps(jnp.array([2, 0]), 3).astype(int).tolist()
    [[1, 1, 0], [0, 0, 0]]
    """
    lengths = jnp.asarray(lengths)
    if not jnp.issubdtype(lengths.dtype, jnp.integer):
        raise ValueError(f"expected integer lengths, got {lengths.dtype}")
    if lengths.size and not isinstance(lengths, Tracer):
        shortest, longest = np.asarray(lengths).min(), np.asarray(lengths).max()
        if shortest < 0 or longest > steps:
            raise ValueError(f"expected lengths from 0 to {steps}, the steps of x, got {shortest} to {longest}")
    return jnp.arange(steps).reshape((1,) * lengths.ndim + (steps,)) < lengths[..., None]
