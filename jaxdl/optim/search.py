"""Search for a learning rate: on a logarithmic grid, on finer grids around its best, or by a rising rate.

A run is a pure function of the rate that trains and returns its final loss; all runs of a grid are one `jax.vmap`.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxdl.optim.checks import in_range, positive_integer
from jaxdl.typing import Array, ArrayLike, PyTree


class RateSearch(NamedTuple):
    """What was tried, in the order of the trials: ``[N]`` rates and their losses, and the best of them."""

    learning_rates: Array
    losses: Array
    best_learning_rate: Array
    best_loss: Array


def grid(run: Callable[[Array], Array], low: float, high: float, points: int = 8) -> RateSearch:
    """Make a run at ``points`` rates from ``low`` to ``high``, evenly spaced in their logarithm.

    A run that ends in nan counts as infinitely bad.

    Raises:
        ValueError: not ``0 < low < high``, or fewer than 2 points.

    >>> grid(lambda rate: (jnp.log10(rate) + 2) ** 2, 1e-4, 1.0, points=5).best_learning_rate.round(4)
    Array(0.01, dtype=float32)
    """
    return refine(run, low, high, points, levels=1)


def refine(run: Callable[[Array], Array], low: float, high: float, points: int = 8, levels: int = 2) -> RateSearch:
    """Search a grid, then as fine a grid between the neighbours of the best rate, ``levels`` grids in all.

    Raises:
        ValueError: not ``0 < low < high``, fewer than 2 points, or fewer than 1 level.
    """
    _check_range(low, high)
    positive_integer("levels", levels)
    positive_integer("points", points)
    if points < 2:
        raise ValueError(f"points must be an integer of at least 2, got {points}")
    run_all = jax.jit(jax.vmap(run))
    ends = jnp.log(jnp.asarray([low, high], float))
    tried = []
    for _ in range(levels):
        logarithms = jnp.linspace(ends[0], ends[1], points)
        losses = run_all(jnp.exp(logarithms))
        best = jnp.argmin(_finite(losses))
        ends = logarithms[jnp.clip(jnp.stack([best - 1, best + 1]), 0, points - 1)]
        tried.append((jnp.exp(logarithms), losses))
    return _result(*(jnp.concatenate(column) for column in zip(*tried, strict=True)))


def range_test(
    step: Callable[[PyTree, PyTree, Array], tuple[PyTree, Array]],
    state: PyTree,
    batches: PyTree,
    low: float,
    high: float,
) -> RateSearch:
    """Train once while the rate rises from ``low`` to ``high``, and watch the loss (Smith, 2017).

    The rate where the loss falls fastest is a good one, the rate where it rises is too large. The best rate here is
    the former: the one of the steepest fall from the loss before it to the loss after it.

    Args:
        step: ``step(state, batch, learning_rate) -> (state, loss)``.
        state: where to start.
        batches: tree of arrays ``[N, ...]``, one batch a step.
        low: first rate.
        high: last rate.

    Raises:
        ValueError: not ``0 < low < high``, or fewer than 3 batches.
    """
    _check_range(low, high)
    count = jax.tree.leaves(batches)[0].shape[0]
    if count < 3:
        raise ValueError(f"batches must hold at least 3 steps, got {count}")
    rates = jnp.asarray(np.geomspace(low, high, count), float)
    _, losses = jax.lax.scan(lambda state, now: step(state, *now), state, (batches, rates))
    fall = _finite(losses)[2:] - _finite(losses)[:-2]
    steepest = 1 + jnp.argmin(jnp.where(jnp.isnan(fall), jnp.inf, fall))
    return RateSearch(rates, losses, rates[steepest], losses[steepest])


def _check_range(low: ArrayLike, high: ArrayLike) -> None:
    in_range("low", low, includes_low=False)
    in_range("high", high, low, includes_low=False)


def _finite(losses: Array) -> Array:
    return jnp.where(jnp.isnan(losses), jnp.inf, losses)


def _result(learning_rates: Array, losses: Array) -> RateSearch:
    best = jnp.argmin(_finite(losses))
    return RateSearch(learning_rates, losses, learning_rates[best], losses[best])
