"""Type aliases shared by all parts of the library."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

Array = jax.Array
"""A JAX array, traced or concrete."""

ArrayLike = jax.Array | np.ndarray | float | int
"""An array, or a value that JAX functions accept as one."""

Key = jax.Array
"""A typed random key, the result of ``jax.random.key(seed)``."""

PyTree = Any
"""Any nesting of tuples, lists, dicts and registered classes with arrays at the leaves."""

Batch = Mapping[str, Array]
"""Named arrays with a common leading dimension ``[B, ...]``; ``"mask"`` is 0 for examples to ignore."""

Schedule = Callable[[ArrayLike], ArrayLike]
"""A function of the step: ``schedule(step) -> value``."""
