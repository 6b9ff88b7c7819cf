"""The learning rate: the last factor of a chain, its reduction by the loss, and its value in a state."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from optax import GradientTransformation, GradientTransformationExtraArgs

from jaxdl.checks import check_in_range, check_positive_integer
from jaxdl.optim.numerics import at_step, check_inexact, increment, map_wide, transformation
from jaxdl.typing import Array, ArrayLike, PyTree, Schedule


class ScaleByLearningRateState(NamedTuple):
    """State of `scale_by_learning_rate`: the number of updates, and the rate of the latest (initially of the first)."""

    count: Array
    learning_rate: Array


def scale_by_learning_rate(learning_rate: ArrayLike | Schedule, *, flip_sign: bool = True) -> GradientTransformation:
    """Multiply by minus the learning rate, ``-lr_t g_t``, and store the rate in the state.

    Args:
        learning_rate: a number, or a schedule of the number of updates so far.
        flip_sign: whether to descend; False ascends.

    Raises:
        ValueError: the rate is negative.

    >>> transform = scale_by_learning_rate(0.5)
    >>> update, state = transform.update(jnp.ones(1), transform.init(jnp.zeros(1)))
    >>> float(update[0]), float(state.learning_rate)
    (-0.5, 0.5)
    """
    check_in_range("learning_rate", learning_rate)
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

    return transformation(init, update)


class ReduceOnPlateauState(NamedTuple):
    """State of `reduce_on_plateau` and `reduce_on_increase`.

    The scale, the reference, how many values did not improve, how many the cooldown still ignores, and the count and
    the mean of the losses in the running value.
    """

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
) -> GradientTransformationExtraArgs:
    """Multiply the updates by a scale that is reduced whenever the loss stops improving.

    ``update(gradients, state, params, value=loss)`` takes the loss; the mean of ``accumulation_size`` losses is one
    value. A value improves on the best so far, ``r``, where ``value < r - rtol |r| - atol``. After ``patience`` values
    in a row without improvement (torch's ``patience`` is one less) the scale is multiplied by ``factor``. Chain it
    behind an optimizer: ``optax.chain(adam(lr), reduce_on_plateau())``.

    Args:
        factor: of the reduction, in (0, 1).
        patience: how many values without improvement cause a reduction.
        rtol: relative improvement that counts.
        atol: absolute improvement that counts.
        cooldown: how many values are ignored after a reduction.
        accumulation_size: losses in one value.
        min_scale: the smallest scale.

    Raises:
        ValueError: an argument is outside of its range, or ``update`` was called without ``value``.

    >>> transform = reduce_on_plateau(patience=1)
    >>> state = transform.init(None)
    >>> for loss in (1.0, 1.0):
    ...     updates, state = transform.update(jnp.ones(1), state, value=loss)
    >>> updates
    Array([0.5], dtype=float32)
    """
    check_in_range("rtol", rtol, 0.0, 1.0, includes_high=False)
    check_in_range("atol", atol)

    def compare(value: Array, best: Array) -> tuple[Array, Array]:
        improved = value < jnp.where(best > 0, 1 - rtol, 1 + rtol) * best - atol
        return improved, jnp.where(improved, value, best)

    return _reduce_by_loss("reduce_on_plateau", compare, factor, patience, cooldown, accumulation_size, min_scale)


def reduce_on_increase(
    factor: float = 0.5,
    patience: int = 1,
    *,
    cooldown: int = 0,
    accumulation_size: int = 1,
    min_scale: float = 0.0,
) -> GradientTransformationExtraArgs:
    """Multiply the updates by a scale that is reduced whenever the loss is larger than the one before.

    As `reduce_on_plateau`, but a value improves where it is at most the value before it. With the loss of an epoch as
    the value, the rate is halved after each epoch of a larger error.

    Args:
        factor: of the reduction, in (0, 1).
        patience: how many increases in a row cause a reduction.
        cooldown: how many values are ignored after a reduction.
        accumulation_size: losses in one value.
        min_scale: the smallest scale.

    Raises:
        ValueError: an argument is outside of its range, or ``update`` was called without ``value``.

    >>> transform = reduce_on_increase()
    >>> state = transform.init(None)
    >>> for loss in (1.0, 2.0, 1.5):
    ...     updates, state = transform.update(jnp.ones(1), state, value=loss)
    >>> updates
    Array([0.5], dtype=float32)
    """

    def compare(value: Array, before: Array) -> tuple[Array, Array]:
        return value <= before, jnp.where(jnp.isnan(value), before, value)

    return _reduce_by_loss("reduce_on_increase", compare, factor, patience, cooldown, accumulation_size, min_scale)


def learning_rate(state: PyTree) -> Array | None:
    """Find the rate of the latest update (initially of the first) in an optimizer's state; None where there is none.

    The state may be nested as by `optax.chain`, `optax.multi_transform`, `optax.MultiSteps` and
    `optax.inject_hyperparams`; of several rates the first is returned, multiplied by the scale of a
    `reduce_on_plateau` or `reduce_on_increase` in the same chain.

    >>> from jaxdl import optim
    >>> float(learning_rate(optim.momentum(0.5).init(jnp.zeros(3))))
    0.5
    """
    rate, scale = _find(state)
    return None if rate is None else rate * scale


def _reduce_by_loss(
    name: str,
    compare: Callable[[Array, Array], tuple[Array, Array]],
    factor: float,
    patience: int,
    cooldown: int,
    accumulation_size: int,
    min_scale: float,
) -> GradientTransformationExtraArgs:
    """Reduce the scale when ``compare(value, reference) -> (improved, new reference)`` is false for too long."""
    check_in_range("factor", factor, 0.0, 1.0, includes_low=False, includes_high=False)
    check_in_range("cooldown", cooldown)
    check_in_range("min_scale", min_scale, 0.0, 1.0)
    check_positive_integer("patience", patience)
    check_positive_integer("accumulation_size", accumulation_size)

    def init(params):
        del params
        zero = jnp.zeros((), jnp.int32)
        return ReduceOnPlateauState(jnp.ones(()), jnp.full((), jnp.inf), zero, zero + 0, zero + 0, jnp.zeros(()))

    def judge(state: ReduceOnPlateauState) -> ReduceOnPlateauState:
        improved, reference = compare(state.mean_value, state.reference_value)
        ignored = state.cooldown_count > 0
        bad = jnp.where(improved | ignored, 0, increment(state.plateau_count))
        reduced = bad >= patience
        return ReduceOnPlateauState(
            scale=jnp.where(reduced, jnp.maximum(state.scale * factor, min_scale), state.scale),
            reference_value=reference,
            plateau_count=jnp.where(reduced, 0, bad),
            cooldown_count=jnp.where(reduced, cooldown, jnp.maximum(state.cooldown_count - 1, 0)),
            count=jnp.zeros_like(state.count),
            mean_value=jnp.zeros_like(state.mean_value),
        )

    def update(updates, state, params=None, *, value=None, **extra_args):
        del params, extra_args
        check_inexact("gradients", updates)
        if value is None:
            raise ValueError(f"expected a loss in {name}, got None; call update(gradients, state, params, value=loss)")
        count = state.count + 1
        mean = state.mean_value + (jnp.asarray(value, state.mean_value.dtype) - state.mean_value) / count
        state = state._replace(count=count, mean_value=mean)
        judged = judge(state)
        state = jax.tree.map(lambda new, old: jnp.where(count == accumulation_size, new, old), judged, state)
        return map_wide(lambda u: state.scale.astype(u.dtype) * u, updates), state

    return GradientTransformationExtraArgs(init, update)


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
