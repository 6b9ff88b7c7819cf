"""Names for what travels between the parts of the library."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

Array = jax.Array
"""A JAX array, traced or concrete."""

ArrayLike = jax.Array | np.ndarray | float | int
"""What a JAX function accepts in place of an array."""

Key = jax.Array
"""A typed random key, as ``jax.random.key(seed)`` makes it."""

PyTree = Any
"""Any nesting of tuples, lists, dicts and registered classes with arrays at the leaves."""

Batch = Mapping[str, Array]
"""Named arrays with a common leading dimension ``[B, ...]``; ``"mask"`` marks the examples that count."""

Schedule = Callable[[ArrayLike], ArrayLike]
"""A value for every step: ``schedule(step) -> value``."""
