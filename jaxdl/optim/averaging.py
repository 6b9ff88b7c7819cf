"""Averages of parameters along the way: arithmetic (stochastic weight averaging) and exponential."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxdl.arrays import widen
from jaxdl.optim.checks import increment, is_decay, weight_of_average
from jaxdl.typing import Array, ArrayLike, PyTree


class Average(NamedTuple):
    """The number of trees averaged, and their average (zeros before the first)."""

    count: Array
    value: PyTree


def start(params: PyTree) -> Average:
    """Return the average of nothing, with the shapes and shardings of the parameters, in at least float32."""
    zeros = jax.tree.map(lambda w: jnp.zeros_like(w, dtype=widen(w).dtype), params)
    return Average(jnp.zeros((), jnp.int32), zeros)


def arithmetic(average: Average, params: PyTree) -> Average:
    """Take one tree more into the arithmetic mean: ``a_t = a_(t-1) + (w_t - a_(t-1)) / t`` (Izmailov et al., 2018).

    >>> float(arithmetic(arithmetic(start(1.0), 1.0), 4.0).value)
    2.5
    """
    count = increment(average.count)
    return _towards(average, params, count, 1 / count.astype(float))


def exponential(average: Average, params: PyTree, decay: ArrayLike) -> Average:
    """Take one tree more into the exponential mean: ``a_t = a_(t-1) + (1 - decay) / (1 - decay^t) (w_t - a_(t-1))``.

    That is ``decay a_(t-1) + (1 - decay) w_t`` from zero, divided by the weight ``1 - decay^t`` that it has gathered:
    it has no bias to zero, and the first average is the first tree.

    Raises:
        ValueError: the decay is outside of [0, 1).
    """
    is_decay("decay", decay)
    count = increment(average.count)
    return _towards(average, params, count, (1 - decay) / weight_of_average(decay, count))


def _towards(average: Average, params: PyTree, count: Array, share: Array) -> Average:
    def move(a, w):
        return a + share.astype(a.dtype) * (widen(w).astype(a.dtype) - a)

    return Average(count, jax.tree.map(move, average.value, params))
