"""The learning rate: the factor that ends every chain, its reduction on a plateau, and how to find it in a state."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from optax import GradientTransformation, GradientTransformationExtraArgs

from jaxdl.optim.checks import at_step, in_range, increment, map_wide, one_of, positive_integer
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


class ReduceOnPlateauState(NamedTuple):
    """The scale now, the value to improve on, the counts of bad and of resting periods, and the running mean."""

    scale: Array
    reference_value: Array
    plateau_count: Array
    cooldown_count: Array
    count: Array
    mean_value: Array


def reduce_on_plateau(
    factor: float = 0.5,
    patience: int = 10,
    rtol: float = 1e-4,
    atol: float = 0.0,
    *,
    cooldown: int = 0,
    accumulation_size: int = 1,
    min_scale: float = 0.0,
    reference: str = "best",
) -> GradientTransformationExtraArgs:
    """Multiply the updates by a scale that falls by ``factor`` whenever the loss stops improving.

    ``update(gradients, state, params, value=loss)`` takes the loss. The mean of ``accumulation_size`` losses is
    compared with the reference ``r``: it improves where ``value < (1 - rtol) r - atol``. After ``patience`` means
    without improvement (torch counts one more) the scale is reduced, and ``cooldown`` means are then ignored.
    The reference is the best mean so far, or with ``reference="previous"`` the one before, which need not be beaten
    but met: with ``patience=1, rtol=0`` the rate is halved when the error is more than at the end of the epoch before,
    the lecture-note form. Chain it behind an optimizer: ``optax.chain(adam(lr), reduce_on_plateau())``.

    Raises:
        ValueError: an argument is outside of its range, or ``update`` came without ``value``.
    """
    in_range("factor", factor, 0.0, 1.0, includes_low=False, includes_high=False)
    in_range("rtol", rtol, 0.0, 1.0, includes_high=False)
    in_range("atol", atol)
    in_range("cooldown", cooldown)
    in_range("min_scale", min_scale, 0.0, 1.0)
    positive_integer("patience", patience)
    positive_integer("accumulation_size", accumulation_size)
    one_of("reference", reference, ("best", "previous"))

    def init(params):
        del params
        zero = jnp.zeros((), jnp.int32)
        return ReduceOnPlateauState(jnp.ones(()), jnp.full((), jnp.inf), zero, zero + 0, zero + 0, jnp.zeros(()))

    def judge(state: ReduceOnPlateauState) -> ReduceOnPlateauState:
        value, best = state.mean_value, state.reference_value
        threshold = (1 - rtol) * best - atol
        improved = value < threshold if reference == "best" else value <= threshold
        renewed = improved if reference == "best" else ~jnp.isnan(value)
        resting = state.cooldown_count > 0
        bad = jnp.where(improved | resting, 0, increment(state.plateau_count))
        reduced = bad >= patience
        return ReduceOnPlateauState(
            scale=jnp.where(reduced, jnp.maximum(state.scale * factor, min_scale), state.scale),
            reference_value=jnp.where(renewed, value, best),
            plateau_count=jnp.where(reduced, 0, bad),
            cooldown_count=jnp.where(reduced, cooldown, jnp.maximum(state.cooldown_count - 1, 0)),
            count=jnp.zeros_like(state.count),
            mean_value=jnp.zeros_like(value),
        )

    def update(updates, state, params=None, *, value=None, **extra_args):
        del params, extra_args
        if value is None:
            raise ValueError("reduce_on_plateau needs the loss: call update(gradients, state, params, value=loss)")
        count = state.count + 1
        mean = state.mean_value + (jnp.asarray(value, state.mean_value.dtype) - state.mean_value) / count
        state = state._replace(count=count, mean_value=mean)
        judged = judge(state)
        state = jax.tree.map(lambda new, old: jnp.where(count == accumulation_size, new, old), judged, state)
        return map_wide(lambda u: state.scale.astype(u.dtype) * u, updates), state

    return GradientTransformationExtraArgs(init, update)


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
    """Make a strong-typed scalar (a weak type would compile the next step again), and a copy (states are donated)."""
    dtype = jnp.result_type(value)
    return jnp.array(value, dtype if jnp.issubdtype(dtype, jnp.floating) else float)


def _find(state: Any) -> tuple[Array | None, ArrayLike]:
    """Return the first rate in a state and the product of the plateaus' scales that apply to it."""
    if isinstance(state, ScaleByLearningRateState):
        return state.learning_rate, 1
    if isinstance(state, ReduceOnPlateauState):
        return None, state.scale
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
