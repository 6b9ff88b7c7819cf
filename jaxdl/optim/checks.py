"""What all transforms share: checks of hyper-parameters, and arithmetic in at least float32."""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from jaxdl.arrays import widen
from jaxdl.typing import Array, ArrayLike, PyTree, Schedule


def in_range(
    name: str,
    value: object,
    low: float = 0.0,
    high: float = math.inf,
    *,
    includes_low: bool = True,
    includes_high: bool = True,
) -> None:
    """Raise unless a number lies in its range; a schedule or a JAX array, which may be traced, passes unseen.

    Raises:
        ValueError: the number is outside of the range or not a number (nan).
        TypeError: the value is neither a number, nor an array, nor a schedule.
    """
    if isinstance(value, jax.Array) or callable(value):
        return
    if not isinstance(value, int | float | np.number | np.ndarray):
        raise TypeError(f"{name} must be a number or a function of the step, got {value!r}")
    above = np.all(np.greater_equal(value, low) if includes_low else np.greater(value, low))
    below = np.all(np.less_equal(value, high) if includes_high else np.less(value, high))
    if not (above and below):
        left, right = "[" if includes_low else "(", "]" if includes_high and high < math.inf else ")"
        raise ValueError(f"{name} must lie in {left}{low:g}, {high:g}{right}, got {value}")


def is_decay(name: str, value: object) -> None:
    """Raise unless a number lies in [0, 1), as the decay rate of an average does."""
    in_range(name, value, 0.0, 1.0, includes_high=False)


def positive_integer(name: str, value: object) -> None:
    """Raise unless the value is a whole number of at least one."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise ValueError(f"{name} must be an integer of at least 1, got {value!r}")


def one_of(name: str, value: object, choices: tuple) -> None:
    """Raise unless the value is one of the choices."""
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, choices))}, got {value!r}")


def require_params(params: PyTree | None, who: str) -> None:
    """Raise unless the parameters came with the gradients."""
    if params is None:
        raise ValueError(f"{who} needs the parameters: call update(gradients, state, params)")


def increment(count: Array) -> Array:
    """Count one step more, and stay at the largest integer rather than wrap around."""
    return count + (count < jnp.iinfo(count.dtype).max)


def at_step(value: ArrayLike | Schedule, count: Array) -> ArrayLike:
    """Return the value of a schedule at a step, or a number as it is."""
    return value(count) if callable(value) else value


def map_wide(function: Callable[..., Array], tree: PyTree, *rest: PyTree) -> PyTree:
    """Apply a function leaf by leaf in at least float32, each result in the dtype of the first tree's leaf.

    >>> map_wide(lambda g, v: g * v, {"a": jnp.ones(2, jnp.bfloat16)}, {"a": jnp.full(2, 0.5)})["a"].dtype
    dtype(bfloat16)
    """

    def apply(leaf, *leaves):
        return function(widen(leaf), *map(widen, leaves)).astype(jnp.asarray(leaf).dtype)

    return jax.tree.map(apply, tree, *rest)


def weight_of_average(decay: ArrayLike, t: Array) -> Array:
    """Return ``1 - decay^t``, the weight that an exponential average has gathered, without cancellation near 1."""
    is_array = isinstance(decay, jax.Array | np.ndarray)
    log = jnp.log(decay) if is_array or decay == 0 else math.log(decay)
    return -jnp.expm1(t.astype(float) * log)
