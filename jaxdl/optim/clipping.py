"""Clipping of gradients by value, by the norm of each leaf, and by the global norm."""

import jax
import jax.numpy as jnp
from optax import EmptyState, GradientTransformation

from jaxdl.arrays import widen
from jaxdl.checks import check_in_range
from jaxdl.optim.numerics import transformation
from jaxdl.tree import norm
from jaxdl.typing import Array, ArrayLike, PyTree


def clip(max_delta: ArrayLike) -> GradientTransformation:
    """Clip each element to ``[-max_delta, max_delta]``.

    Raises:
        ValueError: the bound is negative.

    >>> transform, g = clip(1.0), jnp.array([3.0, -0.5])
    >>> transform.update(g, transform.init(g))[0]
    Array([ 1. , -0.5], dtype=float32)
    """
    check_in_range("max_delta", max_delta)

    def update(updates, state, params=None):
        del params
        return jax.tree.map(lambda g: jnp.clip(g, -max_delta, max_delta).astype(g.dtype), updates), state

    return transformation(_init, update)


def clip_by_norm(max_norm: ArrayLike) -> GradientTransformation:
    """Clip the norm of each leaf: ``g min(1, max_norm / ||g||)``.

    Raises:
        ValueError: the bound is negative.

    >>> transform, g = clip_by_norm(1.0), {"a": jnp.array([3.0, 4.0]), "b": jnp.array([0.5])}
    >>> transform.update(g, transform.init(g))[0]
    {'a': Array([0.6, 0.8], dtype=float32), 'b': Array([0.5], dtype=float32)}
    """
    check_in_range("max_norm", max_norm)

    def update(updates, state, params=None):
        del params
        return jax.tree.map(lambda g: _shrink(g, norm(g), max_norm), updates), state

    return transformation(_init, update)


def clip_by_global_norm(max_norm: ArrayLike) -> GradientTransformation:
    """Clip the norm of all leaves together (Pascanu et al., 2013): ``g min(1, max_norm / ||g||)``.

    The direction stays. A norm beyond the largest float gives a zero update; nan stays nan.

    Raises:
        ValueError: the bound is negative.

    >>> transform, g = clip_by_global_norm(1.0), {"a": jnp.array([3.0]), "b": jnp.array([4.0])}
    >>> transform.update(g, transform.init(g))[0]
    {'a': Array([0.6], dtype=float32), 'b': Array([0.8], dtype=float32)}
    """
    check_in_range("max_norm", max_norm)

    def update(updates, state, params=None):
        del params
        total = norm(updates)
        return jax.tree.map(lambda g: _shrink(g, total, max_norm), updates), state

    return transformation(_init, update)


def _init(params: PyTree) -> EmptyState:
    del params
    return EmptyState()


def _shrink(g: Array, size: Array, max_norm: ArrayLike) -> Array:
    factor = jnp.where(size > max_norm, max_norm / size, 1).astype(widen(g).dtype)
    return (factor * widen(g)).astype(g.dtype)
