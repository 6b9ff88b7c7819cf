"""Averages of the parameters along a run: arithmetic (stochastic weight averaging) and exponential."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxdl.arrays import widen
from jaxdl.checks import check_decay
from jaxdl.optim.numerics import increment, one_minus_power
from jaxdl.typing import Array, ArrayLike, PyTree


class Average(NamedTuple):
    """The number of trees averaged, and their average, which is zero before the first."""

    count: Array
    value: PyTree


def init(params: PyTree) -> Average:
    """Initialize an average at zero, with the shapes and shardings of the parameters, in at least float32."""
    zeros = jax.tree.map(lambda w: jnp.zeros_like(w, dtype=widen(w).dtype), params)
    return Average(jnp.zeros((), jnp.int32), zeros)


def arithmetic(average: Average, params: PyTree) -> Average:
    """Update the arithmetic mean: stochastic weight averaging (Izmailov et al., 2018).

    ``a_t = a_(t-1) + (w_t - a_(t-1)) / t``.

    >>> float(arithmetic(arithmetic(init(1.0), 1.0), 4.0).value)
    2.5
    """
    count = increment(average.count)
    return _towards(average, params, count, 1 / count.astype(float))


def exponential(average: Average, params: PyTree, decay: ArrayLike) -> Average:
    """Update the exponential mean, with its bias to zero corrected.

    ``a_t = a_(t-1) + (1 - decay) / (1 - decay^t) (w_t - a_(t-1))``. That is ``decay a_(t-1) + (1 - decay) w_t`` from
    zero, divided by the weight ``1 - decay^t`` that it has gathered. The first average is the first tree.

    Raises:
        ValueError: the decay is outside of [0, 1).

    >>> float(exponential(exponential(init(1.0), 1.0, decay=0.5), 4.0, decay=0.5).value)
    3.0
    """
    check_decay("decay", decay)
    count = increment(average.count)
    return _towards(average, params, count, jnp.divide(1 - decay, one_minus_power(decay, count)))


def _towards(average: Average, params: PyTree, count: Array, weight: Array) -> Average:
    def move(a, w):
        return a + weight.astype(a.dtype) * (widen(w).astype(a.dtype) - a)

    return Average(count, jax.tree.map(move, average.value, params))
