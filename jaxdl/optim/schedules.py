"""Schedules of learning rates and other hyper-parameters: ``schedule(step) -> value``.

Steps count from 0; a step may be a number, an array or traced. To schedule by epochs, multiply by the steps per epoch.
"""

from collections.abc import Sequence
from itertools import pairwise

import jax.numpy as jnp
import numpy as np

from jaxdl.checks import check_in_range, check_positive_integer
from jaxdl.typing import Array, ArrayLike, Schedule


def constant(value: float) -> Schedule:
    """Return ``value`` at every step.

    >>> float(constant(0.5)(10))
    0.5
    """
    check_in_range("value", value)
    return lambda step: jnp.full_like(_real(step), value)


def linear(initial_value: float, final_value: float, steps: int) -> Schedule:
    """Interpolate from ``initial_value`` to ``final_value`` in ``steps`` steps, and stay.

    >>> linear(1.0, 0.0, 4)(jnp.array([0, 1, 4, 5]))
    Array([1.  , 0.75, 0.  , 0.  ], dtype=float32)
    """
    check_in_range("initial_value", initial_value)
    check_in_range("final_value", final_value)
    check_positive_integer("steps", steps)
    return lambda step: initial_value + (final_value - initial_value) * jnp.clip(_real(step) / steps, 0, 1)


def step_decay(initial_value: float, every: int, factor: float = 0.5) -> Schedule:
    """Multiply by ``factor`` every ``every`` steps: ``initial_value factor^floor(t / every)``.

    >>> float(step_decay(0.1, every=5)(10))
    0.025...
    """
    check_in_range("initial_value", initial_value)
    check_in_range("factor", factor)
    check_positive_integer("every", every)
    return lambda step: initial_value * factor ** _real(jnp.asarray(step) // every)


def exponential_decay(initial_value: float, rate: float) -> Schedule:
    """Decay exponentially, as ``initial_value exp(-rate t)``.

    >>> float(exponential_decay(1.0, 0.5)(2))
    0.3678...
    """
    check_in_range("initial_value", initial_value)
    check_in_range("rate", rate)
    return lambda step: initial_value * jnp.exp(-rate * _real(step))


def inverse_time_decay(initial_value: float, rate: float) -> Schedule:
    """Decay inversely with time, as ``initial_value / (1 + rate t)``.

    >>> float(inverse_time_decay(1.0, 0.5)(2))
    0.5
    """
    check_in_range("initial_value", initial_value)
    check_in_range("rate", rate)
    return lambda step: initial_value / (1 + rate * _real(step))


def sutskever_momentum(maximum: float = 0.999, every: int = 250) -> Schedule:
    """Raise a momentum as ``min(1 - 2^(-1 - log2(floor(t / every) + 1)), maximum)`` (Sutskever et al., 2013).

    The power is ``1 / (2 (floor(t / every) + 1))``. The paper takes ``maximum`` from 0.999, 0.995, 0.99, 0.9 and 0.

    >>> sutskever_momentum(every=1)(jnp.arange(4))
    Array([0.5      , 0.75     , 0.8333333, 0.875    ], dtype=float32)
    """
    check_in_range("maximum", maximum, 0.0, 1.0, includes_high=False)
    check_positive_integer("every", every)
    return lambda step: jnp.minimum(1 - 0.5 / (_real(jnp.asarray(step) // every) + 1), maximum)


def triangular(minimum: float, maximum: float, half_period: int) -> Schedule:
    """Cycle linearly between ``minimum`` and ``maximum``, ``half_period`` steps each way (Smith, 2017).

    >>> triangular(0.0, 1.0, 2)(jnp.arange(6))
    Array([0. , 0.5, 1. , 0.5, 0. , 0.5], dtype=float32)
    """
    _check_ordered("minimum", minimum, "maximum", maximum)
    check_positive_integer("half_period", half_period)

    def schedule(step):
        position = _real(jnp.asarray(step) % (2 * half_period)) / half_period
        return minimum + (maximum - minimum) * (1 - jnp.abs(position - 1))

    return schedule


def cosine_decay(initial_value: float, steps: int, final_value: float = 0.0) -> Schedule:
    """Anneal along half a cosine, ``final + (initial - final) (1 + cos(pi t / steps)) / 2``, and stay at ``final``.

    >>> cosine_decay(1.0, 2)(jnp.arange(4)).round(3) + 0.0
    Array([1. , 0.5, 0. , 0. ], dtype=float32)
    """
    check_in_range("initial_value", initial_value)
    check_in_range("final_value", final_value)
    check_positive_integer("steps", steps)
    return lambda step: _cosine(jnp.clip(_real(step) / steps, 0, 1), initial_value, final_value)


def cosine_restarts(maximum: float, period: int, minimum: float = 0.0, *, multiplier: int = 1) -> Schedule:
    """Anneal along half a cosine with warm restarts: SGDR (Loshchilov and Hutter, 2017).

    ``minimum + (maximum - minimum) (1 + cos(pi t' / T)) / 2``, where ``t'`` counts the steps from the last restart. A
    cycle has ``T`` steps, so the minimum itself is not reached. ``T`` is ``period`` in the first cycle, and
    ``multiplier`` times as long in each of the next.

    >>> cosine_restarts(1.0, 2)(jnp.arange(4)).round(3)
    Array([1. , 0.5, 1. , 0.5], dtype=float32)
    """
    return _cosine_cycles(maximum, period, minimum, multiplier, extra=0)


def cosine_restarts_inclusive(maximum: float, period: int, minimum: float = 0.0, *, multiplier: int = 1) -> Schedule:
    """Anneal along half a cosine with warm restarts, down to the minimum itself.

    As `cosine_restarts`, but a cycle has ``T + 1`` steps, so both the maximum and the minimum are reached.

    >>> cosine_restarts_inclusive(1.0, 2)(jnp.arange(4)).round(3) + 0.0
    Array([1. , 0.5, 0. , 1. ], dtype=float32)
    """
    return _cosine_cycles(maximum, period, minimum, multiplier, extra=1)


def piecewise_constant(values: Sequence[float], boundaries: Sequence[int]) -> Schedule:
    """Return ``values[i]`` from the step ``boundaries[i - 1]`` on, and before the step ``boundaries[i]``.

    >>> piecewise_constant([1.0, 0.5], [2])(jnp.arange(4))
    Array([1. , 1. , 0.5, 0.5], dtype=float32)
    """
    for value in values:
        check_in_range("values", value)
    limits = _check_boundaries(boundaries, "values", len(values))
    return lambda step: jnp.asarray(values, float)[_interval(step, limits)]


def join(schedules: Sequence[Schedule], boundaries: Sequence[int]) -> Schedule:
    """Join schedules in sequence: the i-th starts at the step ``boundaries[i - 1]``, which is its step 0.

    >>> join([constant(1.0), linear(1.0, 0.0, 4)], [2])(jnp.arange(5))
    Array([1.  , 1.  , 1.  , 0.75, 0.5 ], dtype=float32)
    """
    limits = _check_boundaries(boundaries, "schedules", len(schedules))

    def schedule(step):
        step = jnp.asarray(step)
        value = schedules[0](step)
        for start, following in zip(limits, schedules[1:], strict=True):
            value = jnp.where(step >= start, following(step - start), value)
        return value

    return schedule


def warmup(schedule: Schedule, steps: int, initial_value: float = 0.0) -> Schedule:
    """Warm up linearly in ``steps`` steps from ``initial_value`` to a schedule's first value, then follow the schedule.

    >>> warmup(constant(1.0), 4)(jnp.arange(6))
    Array([0.  , 0.25, 0.5 , 0.75, 1.  , 1.  ], dtype=float32)
    """
    check_in_range("initial_value", initial_value)
    check_positive_integer("steps", steps)

    def rise(step):
        return initial_value + (schedule(0) - initial_value) * (_real(step) / steps)

    return join([rise, schedule], [steps])


def _cosine_cycles(maximum: float, period: int, minimum: float, multiplier: int, extra: int) -> Schedule:
    """Repeat half a cosine in cycles of ``T + extra`` steps."""
    _check_ordered("minimum", minimum, "maximum", maximum)
    check_positive_integer("period", period)
    check_positive_integer("multiplier", multiplier)
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


def _real(step: ArrayLike) -> Array:
    step = jnp.asarray(step)
    return step if jnp.issubdtype(step.dtype, jnp.floating) else step.astype(float)


def _cosine(fraction: Array, maximum: float, minimum: float) -> Array:
    return minimum + (maximum - minimum) * 0.5 * (1 + jnp.cos(jnp.pi * fraction))


def _interval(step: ArrayLike, boundaries: np.ndarray) -> Array:
    """Count the boundaries that a step has reached."""
    return jnp.searchsorted(jnp.asarray(boundaries), jnp.asarray(step), side="right")


def _check_ordered(low_name: str, low: float, high_name: str, high: float) -> None:
    check_in_range(low_name, low)
    check_in_range(high_name, high)
    if low > high:
        raise ValueError(f"expected {low_name} <= {high_name}, got {low} and {high}; exchange them")


def _check_boundaries(boundaries: Sequence[int], pieces_name: str, pieces: int) -> np.ndarray:
    """Check that the boundaries are rising steps, one fewer than the pieces between them."""
    if len(boundaries) == 0 or len(boundaries) != pieces - 1:
        raise ValueError(
            f"expected at least one boundary, one fewer than the {pieces} {pieces_name}, got boundaries {boundaries}"
        )
    for boundary in boundaries:
        check_positive_integer("boundaries", boundary)
    if any(later <= earlier for earlier, later in pairwise(boundaries)):
        raise ValueError(f"expected boundaries that strictly increase, got {boundaries}; sort them")
    return np.asarray(boundaries, np.int32)
