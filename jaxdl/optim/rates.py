"""The learning rate: the factor that ends every chain, and how to find it in a state."""

from typing import Any, NamedTuple

import jax.numpy as jnp
from optax import GradientTransformation

from jaxdl.optim.checks import at_step, in_range, increment, map_wide
from jaxdl.typing import Array, ArrayLike, PyTree, Schedule


class ScaleByLearningRateState(NamedTuple):
    """The number of updates made, and the rate of the latest of them (before any: of the first)."""

    count: Array
    learning_rate: Array


def scale_by_learning_rate(learning_rate: ArrayLike | Schedule, *, flip_sign: bool = True) -> GradientTransformation:
    """Multiply by minus the learning rate, ``u_t = -lr_t g_t``, and keep the rate in the state.

    Args:
        learning_rate: a number, or a schedule that is called with the number of updates made so far.
        flip_sign: descend; False ascends.

    Raises:
        ValueError: the rate is negative.

    >>> transform = scale_by_learning_rate(0.5)
    >>> update, state = transform.update(jnp.ones(1), transform.init(jnp.zeros(1)))
    >>> float(update[0]), float(state.learning_rate)
    (-0.5, 0.5)
    """
    in_range("learning_rate", learning_rate)
    sign = -1.0 if flip_sign else 1.0

    def init(params):
        del params
        count = jnp.zeros((), jnp.int32)
        return ScaleByLearningRateState(count, _as_rate(at_step(learning_rate, count)))

    def update(updates, state, params=None):
        del params
        rate = _as_rate(at_step(learning_rate, state.count))
        updates = map_wide(lambda u: sign * rate.astype(u.dtype) * u, updates)
        return updates, ScaleByLearningRateState(increment(state.count), rate)

    return GradientTransformation(init, update)


def learning_rate(state: PyTree) -> Array | None:
    """Return the rate of the latest update (before any: of the first), or None where a state holds no rate.

    The state may be nested in any way, as `optax.chain`, `optax.multi_transform`, `optax.MultiSteps` and
    `optax.inject_hyperparams` nest it; of several rates the first one is returned. A rate that
    `reduce_on_plateau` has reduced in the same chain is returned as reduced.

    >>> from jaxdl import optim
    >>> float(learning_rate(optim.momentum(0.5).init(jnp.zeros(3))))
    0.5
    """
    rate, scale = _find(state)
    return None if rate is None else rate * scale


def _as_rate(value: ArrayLike) -> Array:
    dtype = jnp.result_type(value)  # named, so that no weak type makes a later step compile again
    return jnp.asarray(value, dtype if jnp.issubdtype(dtype, jnp.floating) else float)


def _find(state: Any) -> tuple[Array | None, ArrayLike]:
    """Return the first rate in a state and the product of the plateaus' scales that apply to it."""
    if isinstance(state, ScaleByLearningRateState):
        return state.learning_rate, 1
    injected = getattr(state, "hyperparams", None)
    if isinstance(injected, dict) and "learning_rate" in injected:
        return jnp.asarray(injected["learning_rate"]), _find(state.inner_state)[1]
    if isinstance(state, dict):  # groups of parameters beside each other: each has its own rate and scale
        found = (_find(child) for child in state.values())
        return next(((rate, scale) for rate, scale in found if rate is not None), (None, 1))
    if isinstance(state, tuple | list):  # transforms after each other: their scales multiply
        found = [_find(child) for child in state]
        rate = next((rate for rate, _ in found if rate is not None), None)
        scale = 1
        for _, factor in found:
            scale = scale * factor
        return rate, scale
    return None, 1
