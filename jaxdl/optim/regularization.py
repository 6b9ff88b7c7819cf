"""Penalties on the parameters: L2 in the loss or decoupled, L1 by its subgradient or by its proximal operator."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax
from optax import GradientTransformation

from jaxdl.arrays import widen
from jaxdl.optim.checks import at_step, in_range, increment, require_params
from jaxdl.tree import select
from jaxdl.typing import ArrayLike, PyTree, Schedule

Mask = str | PyTree | Callable[[PyTree], PyTree] | None
"""Which parameters take part: a pattern searched in their paths, a tree of Booleans, a function that returns one."""


def masked(transform: GradientTransformation, mask: Mask) -> GradientTransformation:
    """Apply a transformation to the parameters that the mask selects, and pass the others through.

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
    """Add the gradient of ``weight_decay ||w||^2 / 2``: ``g + weight_decay w``.

    Before the scaling of an adaptive method this is L2 in the loss (coupled); between scaling and learning rate it is
    decoupled weight decay, as in `adamw`. For `sgd` both are the same.

    Raises:
        ValueError: the decay is negative, or ``update`` came without the parameters.
    """
    in_range("weight_decay", weight_decay)
    return masked(_add_of_params("add_decayed_weights", lambda w: weight_decay * w), mask)


def add_l1_subgradient(strength: ArrayLike, mask: Mask = None) -> GradientTransformation:
    """Add a subgradient of ``strength ||w||_1``: ``g + strength sign(w)``, 0 at 0.

    It drives parameters near zero, around which they then jitter; `proximal_l1` makes them zero.

    Raises:
        ValueError: the strength is negative, or ``update`` came without the parameters.
    """
    in_range("strength", strength)
    return masked(_add_of_params("add_l1_subgradient", lambda w: strength * jnp.sign(w)), mask)


def proximal_l1(strength: ArrayLike, learning_rate: ArrayLike | Schedule, mask: Mask = None) -> GradientTransformation:
    """Follow the step by the proximal operator of ``lr strength ||w||_1``, which makes small parameters exactly zero.

    ``z = w + u``, ``u' = sign(z) max(|z| - lr strength, 0) - w``: proximal gradient descent, or ISTA (Daubechies,
    Defrise and De Mol, 2004). It works on the final change of the parameters, so it must come last:
    ``optax.chain(sgd(lr), proximal_l1(strength, lr))``, with the same learning rate. Behind an adaptive method each
    parameter is shrunk by the same ``lr strength``, whatever its own rate is.

    Raises:
        ValueError: the strength or the rate is negative, or ``update`` came without the parameters.
    """
    in_range("strength", strength)
    in_range("learning_rate", learning_rate)

    def init(params):
        del params
        return optax.ScaleByScheduleState(jnp.zeros((), jnp.int32))

    def update(updates, state, params=None):
        require_params(params, "proximal_l1")
        threshold = at_step(learning_rate, state.count) * strength

        def shrink(u, w):
            z = widen(w) + widen(u)
            moved = jnp.sign(z) * jnp.maximum(jnp.abs(z) - threshold, 0)
            return (moved - widen(w)).astype(w.dtype)  # the parameter's own type: w + (0 - w) is exactly 0

        return jax.tree.map(shrink, updates, params), optax.ScaleByScheduleState(increment(state.count))

    return masked(GradientTransformation(init, update), mask)


def _add_of_params(name: str, term: Callable[[jax.Array], jax.Array]) -> GradientTransformation:
    """Add a function of the parameters to the gradients, and keep the gradients' dtype."""

    def update(updates, state, params=None):
        require_params(params, name)
        added = jax.tree.map(lambda g, w: (widen(g) + term(widen(w))).astype(g.dtype), updates, params)
        return added, state

    return GradientTransformation(lambda params: optax.EmptyState(), update)
