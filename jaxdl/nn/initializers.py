"""Initializers of parameters, functions ``(key, shape, dtype) -> array``.

``n_in`` (fan-in) and ``n_out`` (fan-out) are computed from the shape: the last two dimensions are channels in and out,
and those before them, the window of a convolution, multiply both. A kernel ``[H, W, C_in, C_out]`` has ``n_in = H W
C_in`` and ``n_out = H W C_out``.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.nn.initializers as jax_initializers
import jax.numpy as jnp

from jaxdl.typing import Array, Key

Initializer = Callable[[Key, Sequence[int], Any], Array]

zeros = jax_initializers.zeros
"""Zeros, for biases. Units of a layer with equal kernels would stay equal."""

ones = jax_initializers.ones
"""Ones, for scales. Units of a layer with equal kernels would stay equal."""


def constant(value: float) -> Initializer:
    """Return an initializer with all values equal to ``value``, such as 1 for the bias of a forget gate.

    >>> import jax
    >>> constant(0.5)(jax.random.key(0), (2,)).tolist()
    [0.5, 0.5]
    """
    return jax_initializers.constant(value)


def uniform_fan_in() -> Initializer:
    """Draw from ``U(-1 / sqrt(n_in), 1 / sqrt(n_in))``, of variance ``1 / (3 n_in)``."""
    return jax_initializers.variance_scaling(1 / 3, "fan_in", "uniform")


def normal(stddev: float = 0.01) -> Initializer:
    """Draw from ``N(0, stddev^2)``."""
    return jax_initializers.normal(stddev)


def lecun_normal() -> Initializer:
    """Draw from a normal distribution of variance ``1 / n_in``, truncated at two deviations (LeCun et al., 1998)."""
    return jax_initializers.lecun_normal()


def xavier_uniform() -> Initializer:
    """Draw from ``U(-a, a)`` with ``a = sqrt(6 / (n_in + n_out))`` (Glorot and Bengio, 2010)."""
    return jax_initializers.glorot_uniform()


def xavier_normal() -> Initializer:
    """Draw from ``N(0, 2 / (n_in + n_out))`` (Glorot and Bengio, 2010)."""
    return jax_initializers.variance_scaling(1, "fan_avg", "normal")


def he_uniform() -> Initializer:
    """Draw from ``U(-a, a)`` with ``a = sqrt(6 / n_in)`` (He et al., 2015), for rectified units."""
    return jax_initializers.he_uniform()


def he_normal() -> Initializer:
    """Draw from ``N(0, 2 / n_in)`` (He et al., 2015), for rectified units."""
    return jax_initializers.variance_scaling(2, "fan_in", "normal")


def orthogonal(scale: float = 1.0) -> Initializer:
    """Draw ``W`` with ``W^T W = scale^2 I``, or ``W W^T`` for fewer rows than columns (Saxe et al., 2014).

    The rows of ``W`` are all dimensions but the last. Dtypes narrower than float32 are rounded from float32.
    """
    draw = jax_initializers.orthogonal(scale)

    def orthogonal(key: Key, shape: Sequence[int], dtype: Any = jnp.float32) -> Array:
        # Sequential under vmap: concurrent factorizations can deadlock on few threads.
        wide = jnp.promote_types(dtype, jnp.float32)
        return jax.custom_batching.sequential_vmap(lambda key: draw(key, shape, wide))(key).astype(dtype)

    return orthogonal


glorot_uniform = xavier_uniform
glorot_normal = xavier_normal
