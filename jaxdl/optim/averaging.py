"""Averages of the parameters along a run: arithmetic (stochastic weight averaging) and exponential.

`arithmetic` and `exponential` begin at zero and count their trees. `blend` begins at the first tree and counts nothing:
``train.make_step(average=...)`` uses it, with a decay or a schedule of decays such as `equal_weights`.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxdl.arrays import widen
from jaxdl.checks import check_decay, check_positive_integer
from jaxdl.optim.numerics import increment, one_minus_power
from jaxdl.typing import Array, ArrayLike, PyTree, Schedule


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


def blend(average: PyTree, params: PyTree, decay: ArrayLike) -> PyTree:
    """Move an average towards the parameters: ``a_t = decay a_(t-1) + (1 - decay) w_t``, in at least float32.

    From ``a_0 = w_0`` with a constant decay it is the exponential mean of timm's ``ModelEmaV2``, and of
    ``torch.optim.swa_utils`` if that reads the parameters before the first step too.

    >>> float(blend(1.0, 4.0, decay=0.5))
    2.5
    """
    weight = jnp.asarray(1 - decay)

    def move(a, w):
        a = widen(a)
        return a + weight.astype(a.dtype) * (widen(w).astype(a.dtype) - a)

    return jax.tree.map(move, average, params)


def equal_weights(start: int, every: int = 1) -> Schedule:
    """Make the schedule of decays of an arithmetic mean: stochastic weight averaging (Izmailov et al., 2018).

    The decay is ``(n - 1) / n`` at the ``n``-th averaged step ``t = start + (n - 1) every``, and 1 at the others.

    Args:
        start: the first step that is averaged, counted from 1; the paper begins after 3/4 of a run.
        every: steps between two that are averaged, those of an epoch in the paper.

    Raises:
        ValueError: ``start`` or ``every`` is below 1.

    >>> [float(equal_weights(start=2, every=2)(step)) for step in (1, 2, 3, 4)]
    [1.0, 0.0, 1.0, 0.5]
    """
    check_positive_integer("start", start)
    check_positive_integer("every", every)

    def decay(step: ArrayLike) -> Array:
        after = jnp.asarray(step) - start
        n = after // every + 1
        return jnp.where((after >= 0) & (after % every == 0), (n - 1) / jnp.maximum(n, 1), 1.0)

    return decay


def _towards(average: Average, params: PyTree, count: Array, weight: Array) -> Average:
    return Average(count, blend(average.value, params, 1 - weight))
