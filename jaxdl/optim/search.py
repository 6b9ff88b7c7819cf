"""Search for a learning rate: on a logarithmic grid, on refined grids, or by a learning rate range test.

A run is a pure function of the rate that trains and returns its final loss; all runs of a grid are one `jax.vmap`.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxdl.checks import check_in_range, check_positive_integer
from jaxdl.optim.numerics import nan_to_infinity
from jaxdl.typing import Array, PyTree


class RateSearch(NamedTuple):
    """Result of a search: the rates ``[N]`` in the order of evaluation, their losses ``[N]``, and the best rate."""

    learning_rates: Array
    losses: Array
    best_learning_rate: Array
    best_loss: Array


def grid(run: Callable[[Array], Array], low: float, high: float, points: int = 8) -> RateSearch:
    """Search ``points`` rates from ``low`` to ``high``, evenly spaced in their logarithm.

    A loss of nan counts as infinity.

    Raises:
        ValueError: not ``0 < low < high``, or fewer than 2 points.

    >>> grid(lambda rate: (jnp.log10(rate) + 2) ** 2, 1e-4, 1.0, points=5).best_learning_rate.round(4)
    Array(0.01, dtype=float32)
    """
    return refine(run, low, high, points, levels=1)


def refine(run: Callable[[Array], Array], low: float, high: float, points: int = 8, levels: int = 2) -> RateSearch:
    """Search a logarithmic grid, then another between the neighbours of the best rate, ``levels`` grids in all.

    Raises:
        ValueError: not ``0 < low < high``, fewer than 2 points, or fewer than 1 level.

    >>> result = refine(lambda rate: (jnp.log10(rate) + 2.5) ** 2, 1e-4, 1.0, points=5)
    >>> result.losses.shape, round(float(result.best_learning_rate), 5)
    ((10,), 0.00316)
    """
    _check_range(low, high)
    check_positive_integer("levels", levels)
    check_positive_integer("points", points)
    if points < 2:
        raise ValueError(f"expected points to be an integer >= 2, got {points}")
    run_all = jax.jit(jax.vmap(run))
    ends = jnp.log(jnp.asarray([low, high], float))
    searched = []
    for _ in range(levels):
        logarithms = jnp.linspace(ends[0], ends[1], points)
        losses = run_all(jnp.exp(logarithms))
        best = jnp.argmin(nan_to_infinity(losses))
        ends = logarithms[jnp.clip(jnp.stack([best - 1, best + 1]), 0, points - 1)]
        searched.append((jnp.exp(logarithms), losses))
    return _result(*(jnp.concatenate(column) for column in zip(*searched, strict=True)))


def range_test(
    step: Callable[[PyTree, PyTree, Array], tuple[PyTree, Array]],
    state: PyTree,
    batches: PyTree,
    low: float,
    high: float,
) -> RateSearch:
    """Run a learning rate range test: train once while the rate rises from ``low`` to ``high`` (Smith, 2017).

    The best rate is that of the steepest descent, from the loss before it to the loss after it; where the loss rises,
    the rate is too large.

    Args:
        step: ``step(state, batch, learning_rate) -> (state, loss)``.
        state: the initial state.
        batches: tree of arrays ``[N, ...]``, one batch a step.
        low: first rate.
        high: last rate.

    Raises:
        ValueError: not ``0 < low < high``, or fewer than 3 batches.

    >>> step = lambda w, batch, rate: (w - rate * 2 * w, w**2)
    >>> round(float(range_test(step, jnp.ones(()), jnp.zeros(5), 1e-4, 1.0).best_learning_rate), 4)
    0.1
    """
    _check_range(low, high)
    count = jax.tree.leaves(batches)[0].shape[0]
    if count < 3:
        raise ValueError(f"expected batches of at least 3 steps, got {count}; the descent is measured between 3 losses")
    rates = jnp.asarray(np.geomspace(low, high, count), float)
    _, losses = jax.lax.scan(lambda state, now: step(state, *now), state, (batches, rates))
    comparable = nan_to_infinity(losses)
    steepest = 1 + jnp.argmin(nan_to_infinity(comparable[2:] - comparable[:-2]))
    return RateSearch(rates, losses, rates[steepest], losses[steepest])


def _check_range(low: float, high: float) -> None:
    check_in_range("low", low, includes_low=False)
    check_in_range("high", high, low, includes_low=False)


def _result(learning_rates: Array, losses: Array) -> RateSearch:
    best = jnp.argmin(nan_to_infinity(losses))
    return RateSearch(learning_rates, losses, learning_rates[best], losses[best])
