"""Line searches for the step size ``s`` of ``w + s d``; the loss at the result is never larger than at ``w``.

The direction ``d`` is an update as an optimizer computes it, with its sign.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxdl.arrays import widen
from jaxdl.checks import check_in_range, check_positive_integer
from jaxdl.optim.numerics import check_inexact, nan_to_infinity
from jaxdl.tree import dot
from jaxdl.typing import Array, ArrayLike, PyTree


class LineSearch(NamedTuple):
    """Result of a line search: the parameters, the step size (0 where no step was better), and the loss there."""

    params: PyTree
    step_size: Array
    loss: Array


def best_candidate(
    loss: Callable[[PyTree], Array], params: PyTree, direction: PyTree, step_sizes: ArrayLike
) -> LineSearch:
    """Evaluate all step sizes, 0 included, under one `jax.vmap`, and take that of the smallest loss.

    A step whose loss is nan is not taken.

    Args:
        loss: scalar function of the parameters.
        params: ``w``.
        direction: ``d``, a tree like the parameters.
        step_sizes: ``[N]``.

    Raises:
        ValueError: ``step_sizes`` is not one-dimensional, or empty.

    >>> best_candidate(lambda w: (w - 3.0) ** 2, jnp.zeros(()), jnp.ones(()), [1.0, 2.0, 8.0]).step_size
    Array(2., dtype=float32)
    """
    step_sizes = jnp.asarray(step_sizes, float)
    if step_sizes.ndim != 1 or step_sizes.size == 0:
        raise ValueError(f"expected step_sizes [N] with N >= 1, got the shape {step_sizes.shape}")
    step_sizes = jnp.concatenate([jnp.zeros(1, step_sizes.dtype), step_sizes])
    losses = jax.vmap(lambda size: loss(_move(params, direction, size)))(step_sizes)
    best = jnp.argmin(nan_to_infinity(losses))
    return LineSearch(_move(params, direction, step_sizes[best]), step_sizes[best], losses[best])


def backtracking(
    loss: Callable[[PyTree], Array],
    params: PyTree,
    direction: PyTree,
    gradient: PyTree,
    *,
    initial_step: ArrayLike = 1.0,
    factor: ArrayLike = 0.5,
    slope: ArrayLike = 1e-4,
    max_steps: int = 30,
) -> LineSearch:
    """Shorten the step until the loss decreases sufficiently (Armijo, 1966).

    Takes the first ``s`` of ``initial_step factor^i``, ``i < max_steps``, with
    ``loss(w + s d) <= loss(w) + slope s <g, d>``; no step where none holds, or where ``<g, d>`` is not negative.

    Args:
        loss: scalar function of the parameters.
        params: ``w``.
        direction: ``d``, a tree like the parameters.
        gradient: ``g``, the gradient of the loss at the parameters.
        initial_step: the first ``s``.
        factor: of the reduction of ``s``, in (0, 1).
        slope: the required share of the decrease that the gradient predicts, in [0, 1).
        max_steps: the largest number of steps that are evaluated.

    Raises:
        ValueError: an argument is outside of its range.

    >>> backtracking(jnp.square, jnp.array(1.0), jnp.array(-4.0), jnp.array(2.0)).step_size
    Array(0.25, dtype=float32)
    """
    check_in_range("initial_step", initial_step, includes_low=False)
    check_in_range("factor", factor, 0.0, 1.0, includes_low=False, includes_high=False)
    check_in_range("slope", slope, 0.0, 1.0, includes_high=False)
    check_positive_integer("max_steps", max_steps)
    start = loss(params)
    derivative = dot(gradient, direction)
    downhill = derivative < 0

    def fails(search):
        step_size, value, _ = search
        return ~(value <= start + (slope * step_size * derivative).astype(start.dtype))  # nan fails too

    def shorten(search):
        step_size, _, evaluated = search
        step_size = step_size * factor
        return step_size, loss(_move(params, direction, step_size)), evaluated + 1

    first = jnp.asarray(initial_step, jnp.result_type(float))
    search = (first, loss(_move(params, direction, first)), jnp.ones((), jnp.int32))
    search = jax.lax.while_loop(lambda search: downhill & fails(search) & (search[2] < max_steps), shorten, search)
    failed = fails(search) | ~downhill
    step_size = jnp.where(failed, 0, search[0])
    return LineSearch(_move(params, direction, step_size), step_size, jnp.where(failed, start, search[1]))


def _move(params: PyTree, direction: PyTree, step_size: Array) -> PyTree:
    check_inexact("parameters", params)

    def move(w, d):
        return (widen(w) + step_size.astype(widen(w).dtype) * widen(d)).astype(jnp.asarray(w).dtype)

    return jax.tree.map(move, params, direction)
