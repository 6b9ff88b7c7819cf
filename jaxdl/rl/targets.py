"""Target networks: copies of the parameters that follow slowly, or from time to time."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxdl import optim
from jaxdl.checks import check_in_range, check_positive_integer
from jaxdl.typing import Array, PyTree

UpdateTarget = Callable[[PyTree, PyTree, Array], PyTree]
"""``update(target, params, step) -> target``."""


def follow_slowly(rate: float) -> UpdateTarget:
    """Make ``update(target, params, step)``, which is ``(1 - rate) target + rate params``.

    Raises:
        ValueError: the rate is outside of (0, 1].

    Source: Lillicrap et al., "Continuous control with deep reinforcement learning", 2016.

    >>> follow_slowly(0.25)({"w": jnp.array([0.0])}, {"w": jnp.array([4.0])}, jnp.array(1))["w"].tolist()
    [1.0]
    """
    check_in_range("rate", rate, 0, 1, includes_low=False)
    return lambda target, params, step: optim.averaging.blend(target, params, 1 - rate)


def copy_every(period: int) -> UpdateTarget:
    """Make ``update(target, params, step)``, which is ``params`` after every ``period``-th step, else ``target``.

    Raises:
        ValueError: the period is below 1.

    Source: Mnih et al., "Human-level control through deep reinforcement learning", 2015.

    >>> update = copy_every(10)
    >>> [update({"w": 0.0}, {"w": 4.0}, jnp.array(step))["w"].item() for step in (9, 10)]
    [0.0, 4.0]
    """
    check_positive_integer("period", period)

    def update(target: PyTree, params: PyTree, step: Array) -> PyTree:
        return jax.tree.map(lambda old, new: jnp.where(step % period == 0, new, old), target, params)

    return update
