"""Penalties on the parameters: L2 in the loss or as decoupled decay, L1 by its subgradient or its proximal operator."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax
from optax import GradientTransformation

from jaxdl.arrays import widen
from jaxdl.checks import check_in_range
from jaxdl.optim.numerics import at_step, check_params, increment, transformation
from jaxdl.tree import select
from jaxdl.typing import Array, ArrayLike, PyTree, Schedule

Mask = str | PyTree | Callable[[PyTree], PyTree] | None
"""A selection of parameters: a pattern searched in their paths, a tree of Booleans, a function that returns one."""


def masked(transform: GradientTransformation, mask: Mask) -> GradientTransformation:
    """Apply a transformation to the updates that a mask selects, and pass the others through.

    >>> decay = masked(add_decayed_weights(0.1), "kernel$")
    >>> params = {"kernel": jnp.ones(1), "bias": jnp.ones(1)}
    >>> gradients = jax.tree.map(jnp.zeros_like, params)
    >>> update, _ = decay.update(gradients, decay.init(params), params)
    >>> float(update["kernel"][0]) > 0, float(update["bias"][0])
    (True, 0.0)
    """
    if mask is None:
        return transform
    return optax.masked(transform, (lambda tree: select(tree, mask)) if isinstance(mask, str) else mask)


def add_decayed_weights(weight_decay: ArrayLike, mask: Mask = None) -> GradientTransformation:
    """Add the gradient of an L2 penalty, ``weight_decay ||w||^2 / 2``: ``g + weight_decay w``.

    Before the scaling of an adaptive method this is L2 in the loss (coupled); between scaling and learning rate it is
    decoupled weight decay, as in `adamw`. For `sgd` both are the same.

    Raises:
        ValueError: the decay is negative, or ``update`` was called without the parameters.

    >>> transform, w = add_decayed_weights(0.5), jnp.array([2.0, -4.0])
    >>> transform.update(jnp.ones(2), transform.init(w), w)[0]
    Array([ 2., -1.], dtype=float32)
    """
    check_in_range("weight_decay", weight_decay)
    return masked(_add_of_params("add_decayed_weights", lambda w: weight_decay * w), mask)


def add_l1_subgradient(strength: ArrayLike, mask: Mask = None) -> GradientTransformation:
    """Add a subgradient of an L1 penalty, ``strength ||w||_1``: ``g + strength sign(w)``, 0 at 0.

    Small parameters then oscillate around zero; `proximal_l1` makes them zero.

    Raises:
        ValueError: the strength is negative, or ``update`` was called without the parameters.

    >>> transform, w = add_l1_subgradient(0.5), jnp.array([2.0, -4.0, 0.0])
    >>> transform.update(jnp.ones(3), transform.init(w), w)[0]
    Array([1.5, 0.5, 1. ], dtype=float32)
    """
    check_in_range("strength", strength)
    return masked(_add_of_params("add_l1_subgradient", lambda w: strength * jnp.sign(w)), mask)


def proximal_l1(strength: ArrayLike, learning_rate: ArrayLike | Schedule, mask: Mask = None) -> GradientTransformation:
    """Apply the proximal operator of an L1 penalty, ``lr strength ||w||_1``, which makes small parameters zero.

    ``z = w + u``, ``u' = sign(z) max(|z| - lr strength, 0) - w``: proximal gradient descent, or ISTA (Daubechies,
    Defrise and De Mol, 2004). ``u`` is the final change of the parameters, so this must be the last of a chain, with
    the same learning rate: ``optax.chain(sgd(lr), proximal_l1(strength, lr))``. Behind an adaptive method each
    parameter is shrunk by the same ``lr strength``, whatever its own rate is.

    Raises:
        ValueError: the strength or the rate is negative, or ``update`` was called without the parameters.

    >>> transform, w = proximal_l1(1.0, learning_rate=0.5), jnp.array([0.25, 2.0])
    >>> updates, _ = transform.update(jnp.zeros(2), transform.init(w), w)
    >>> w + updates
    Array([0. , 1.5], dtype=float32)
    """
    check_in_range("strength", strength)
    check_in_range("learning_rate", learning_rate)

    def init(params):
        del params
        return optax.ScaleByScheduleState(jnp.zeros((), jnp.int32))

    def update(updates, state, params=None):
        check_params(params, "proximal_l1")
        threshold = at_step(learning_rate, state.count) * strength

        def shrink(u, w):
            z = widen(w) + widen(u)
            moved = jnp.sign(z) * jnp.maximum(jnp.abs(z) - threshold, 0)
            return (moved - widen(w)).astype(w.dtype)  # the parameter's own type: w + (0 - w) is exactly 0

        return jax.tree.map(shrink, updates, params), optax.ScaleByScheduleState(increment(state.count))

    return masked(transformation(init, update), mask)


def _add_of_params(name: str, term: Callable[[Array], ArrayLike]) -> GradientTransformation:
    """Add a function of the parameters to the gradients, and keep the gradients' dtype."""

    def update(updates, state, params=None):
        check_params(params, name)
        added = jax.tree.map(lambda g, w: (widen(g) + term(widen(w))).astype(g.dtype), updates, params)
        return added, state

    return transformation(lambda params: optax.EmptyState(), update)
