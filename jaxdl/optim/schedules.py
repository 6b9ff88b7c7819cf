"""Learning rates, and other numbers, as functions of the step: ``schedule(step) -> value``.

Steps count from 0; a step may be a number, an array or traced. To schedule by epochs, multiply by the steps per epoch.
"""

from collections.abc import Sequence
from itertools import pairwise

import jax.numpy as jnp
import numpy as np

from jaxdl.optim.checks import in_range, one_of, positive_integer
from jaxdl.typing import Array, ArrayLike, Schedule


def constant(value: float) -> Schedule:
    """Return ``value`` at every step."""
    in_range("value", value)
    return lambda step: jnp.full_like(_real(step), value)


def linear(initial_value: float, final_value: float, steps: int) -> Schedule:
    """Go from ``initial_value`` to ``final_value`` along a line of ``steps`` steps, and stay."""
    in_range("initial_value", initial_value)
    in_range("final_value", final_value)
    positive_integer("steps", steps)
    return lambda step: initial_value + (final_value - initial_value) * jnp.clip(_real(step) / steps, 0, 1)


def step_decay(initial_value: float, every: int, factor: float = 0.5) -> Schedule:
    """Multiply by ``factor`` (halve) every so many steps: ``initial_value factor^floor(t / every)``.

    >>> float(step_decay(0.1, every=5)(10))
    0.025...
    """
    in_range("initial_value", initial_value)
    in_range("factor", factor)
    positive_integer("every", every)
    return lambda step: initial_value * factor ** _real(jnp.asarray(step) // every)


def exponential_decay(initial_value: float, rate: float) -> Schedule:
    """Decay as ``initial_value exp(-rate t)``."""
    in_range("initial_value", initial_value)
    in_range("rate", rate)
    return lambda step: initial_value * jnp.exp(-rate * _real(step))


def inverse_time_decay(initial_value: float, rate: float) -> Schedule:
    """Decay as ``initial_value / (1 + rate t)``."""
    in_range("initial_value", initial_value)
    in_range("rate", rate)
    return lambda step: initial_value / (1 + rate * _real(step))


def sutskever_momentum(maximum: float = 0.999, every: int = 250) -> Schedule:
    """Raise a momentum as ``min(1 - 2^(-1 - log2(floor(t / every) + 1)), maximum)`` (Sutskever et al., 2013).

    The power is ``1 / (2 (floor(t / every) + 1))``: 0.5, then 0.75, 0.833, ... The paper takes ``maximum`` from
    0.999, 0.995, 0.99, 0.9 and 0.
    """
    in_range("maximum", maximum, 0.0, 1.0, includes_high=False)
    positive_integer("every", every)
    return lambda step: jnp.minimum(1 - 0.5 / (_real(jnp.asarray(step) // every) + 1), maximum)


def triangular(minimum: float, maximum: float, half_period: int) -> Schedule:
    """Rise from ``minimum`` to ``maximum`` in ``half_period`` steps, fall back in as many, and repeat (Smith, 2017)."""
    _ordered("minimum", minimum, "maximum", maximum)
    positive_integer("half_period", half_period)

    def schedule(step):
        position = _real(jnp.asarray(step) % (2 * half_period)) / half_period
        return minimum + (maximum - minimum) * (1 - jnp.abs(position - 1))

    return schedule


def cosine_decay(initial_value: float, steps: int, final_value: float = 0.0) -> Schedule:
    """Fall along half a cosine: ``final + (initial - final) (1 + cos(pi t / steps)) / 2``, and stay at ``final``."""
    in_range("initial_value", initial_value)
    in_range("final_value", final_value)
    positive_integer("steps", steps)
    return lambda step: _cosine(jnp.clip(_real(step) / steps, 0, 1), initial_value, final_value)


def cosine_restarts(
    maximum: float, period: int, minimum: float = 0.0, *, multiplier: int = 1, variant: str = "paper"
) -> Schedule:
    """Fall along half a cosine, restart, and repeat (SGDR, Loshchilov and Hutter, 2017).

    ``minimum + (maximum - minimum) (1 + cos(pi t' / T)) / 2``, where ``t'`` counts from the last restart. With
    ``variant="paper"`` a cycle has ``T = period`` steps, ``t' = t mod T``, and the minimum itself is not reached; in
    the lecture-note form, ``variant="lecture"``, it has one step more, ``t' = t mod (T + 1)``, and both ends are
    reached. Each cycle's ``T`` is ``multiplier`` times the one before.

    >>> cosine_restarts(1.0, 2, variant="lecture")(jnp.arange(4)).round(3) + 0.0
    Array([1. , 0.5, 0. , 1. ], dtype=float32)
    """
    _ordered("minimum", minimum, "maximum", maximum)
    positive_integer("period", period)
    positive_integer("multiplier", multiplier)
    one_of("variant", variant, ("paper", "lecture"))
    extra = 1 if variant == "lecture" else 0
    if multiplier == 1:
        return lambda step: _cosine(_real(jnp.asarray(step) % (period + extra)) / period, maximum, minimum)
    periods = [period]
    while sum(periods) < np.iinfo(np.int32).max // (multiplier + 1):
        periods.append(periods[-1] * multiplier)
    starts = np.cumsum([0, *(length + extra for length in periods[:-1])], dtype=np.int32)

    def schedule(step):
        cycle = _interval(step, starts[1:])
        position = jnp.asarray(step) - jnp.asarray(starts)[cycle]
        return _cosine(_real(position) / jnp.asarray(periods)[cycle], maximum, minimum)

    return schedule


def piecewise_constant(values: Sequence[float], boundaries: Sequence[int]) -> Schedule:
    """Return ``values[i]`` from the step ``boundaries[i - 1]`` on, and before the step ``boundaries[i]``."""
    for value in values:
        in_range("values", value)
    limits = _boundaries(boundaries, "values", len(values))
    return lambda step: jnp.asarray(values, float)[_interval(step, limits)]


def join(schedules: Sequence[Schedule], boundaries: Sequence[int]) -> Schedule:
    """Follow one schedule after the other: the i-th from the step ``boundaries[i - 1]`` on, counting anew from 0."""
    limits = _boundaries(boundaries, "schedules", len(schedules))

    def schedule(step):
        step = jnp.asarray(step)
        value = schedules[0](step)
        for start, following in zip(limits, schedules[1:], strict=True):
            value = jnp.where(step >= start, following(step - start), value)
        return value

    return schedule


def warmup(schedule: Schedule, steps: int, initial_value: float = 0.0) -> Schedule:
    """Rise in ``steps`` steps from ``initial_value`` to where the schedule begins, then follow it from its step 0.

    >>> warmup(constant(1.0), 4)(jnp.arange(6))
    Array([0.  , 0.25, 0.5 , 0.75, 1.  , 1.  ], dtype=float32)
    """
    in_range("initial_value", initial_value)
    positive_integer("steps", steps)

    def rise(step):
        return initial_value + (schedule(0) - initial_value) * (_real(step) / steps)

    return join([rise, schedule], [steps])


def _real(step: ArrayLike) -> Array:
    step = jnp.asarray(step)
    return step if jnp.issubdtype(step.dtype, jnp.floating) else step.astype(float)


def _cosine(fraction: Array, maximum: float, minimum: float) -> Array:
    return minimum + (maximum - minimum) * 0.5 * (1 + jnp.cos(jnp.pi * fraction))


def _interval(step: ArrayLike, boundaries: np.ndarray) -> Array:
    """Count the boundaries that a step has reached."""
    return jnp.searchsorted(jnp.asarray(boundaries), jnp.asarray(step), side="right")


def _ordered(low_name: str, low: float, high_name: str, high: float) -> None:
    in_range(low_name, low)
    in_range(high_name, high)
    if low > high:
        raise ValueError(f"{low_name} must be at most {high_name}, got {low} and {high}")


def _boundaries(boundaries: Sequence[int], pieces_name: str, pieces: int) -> np.ndarray:
    """Check that the boundaries are rising steps, one fewer than the pieces between them."""
    if len(boundaries) == 0 or len(boundaries) != pieces - 1:
        raise ValueError(
            f"boundaries must be at least one step, one fewer than the {pieces} {pieces_name}, got {boundaries}"
        )
    for boundary in boundaries:
        positive_integer("boundaries", boundary)
    if any(later <= earlier for earlier, later in pairwise(boundaries)):
        raise ValueError(f"boundaries must rise strictly, got {boundaries}")
    return np.asarray(boundaries, np.int32)
