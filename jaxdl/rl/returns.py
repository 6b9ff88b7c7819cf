"""Returns of one trajectory: discounted, n-step, lambda-returns, and generalized advantages.

The step from state ``s_t`` by action ``a_t`` gives the reward ``r_t`` and leads to ``s_(t+1)``. Its discount ``d_t``
is 0 where the episode ends there, and else a constant below 1. ``values`` are those of the successors, ``v(s_(t+1))``.
All sequences are ``[T]``; `jax.vmap` maps over batches.
"""

import jax
import jax.numpy as jnp
import numpy as np

from jaxdl.checks import check_in_range, check_positive_integer
from jaxdl.rl._shared import check_shape, to_floats, to_sequences
from jaxdl.typing import Array, ArrayLike


def discounted_returns(rewards: ArrayLike, discounts: ArrayLike, bootstrap: ArrayLike = 0.0) -> Array:
    """Compute ``G_t = r_t + d_t G_(t+1)``, backwards from ``G_T``.

    Args:
        rewards: ``r``, ``[T]``.
        discounts: ``d``, ``[T]``.
        bootstrap: ``G_T``, a number: the value of the last successor of a trajectory that is cut off.

    Raises:
        ValueError: the sequences are of other shapes.

    >>> discounted_returns([1.0, 1.0, 1.0], [0.5, 0.5, 0.0]).tolist()
    [1.75, 1.5, 1.0]
    """
    rewards, discounts = to_sequences(rewards=rewards, discounts=discounts)
    check_shape("bootstrap", bootstrap, (), "[], one number")
    rewards, discounts, last = to_floats(rewards=rewards, discounts=discounts, bootstrap=bootstrap)
    return _accumulate(rewards, discounts, last)


def lambda_returns(rewards: ArrayLike, discounts: ArrayLike, values: ArrayLike, lambda_: ArrayLike) -> Array:
    """Compute ``G_t = r_t + d_t ((1 - l) v(s_(t+1)) + l G_(t+1))``, with ``G_T = v(s_T)``.

    ``l`` = 0 gives the targets of one step, ``l`` = 1 the discounted return.

    Args:
        rewards: ``r``, ``[T]``.
        discounts: ``d``, ``[T]``.
        values: ``v(s_(t+1))``, ``[T]``.
        lambda_: ``l`` in [0, 1], a number or ``[T]``.

    Raises:
        ValueError: the sequences are of other shapes, or ``lambda_`` is outside of its range.

    Source: Sutton and Barto, "Reinforcement learning", 2nd edition, 2018, section 12.1.

    >>> lambda_returns([1.0, 1.0], [0.5, 0.5], [2.0, 4.0], 0.5).tolist()
    [2.25, 3.0]
    """
    check_in_range("lambda_", lambda_, 0, 1)
    rewards, discounts, values = to_sequences(rewards=rewards, discounts=discounts, values=values)
    if np.ndim(lambda_):
        check_shape("lambda_", lambda_, rewards.shape, f"[] or [T] = {list(rewards.shape)}")
    rewards, discounts, values, mix = to_floats(rewards=rewards, discounts=discounts, values=values, lambda_=lambda_)
    return _accumulate(rewards + discounts * (1 - mix) * values, discounts * mix, values[-1])


def n_step_returns(rewards: ArrayLike, discounts: ArrayLike, values: ArrayLike, n: int) -> Array:
    """Compute ``G_t = r_t + d_t (r_(t+1) + d_(t+1) (... + d_(t+n-1) v(s_(t+n))))``.

    Near the end, where fewer than ``n`` steps are left, all of them count: the value is that of ``s_T``.

    Args:
        rewards: ``r``, ``[T]``.
        discounts: ``d``, ``[T]``.
        values: ``v(s_(t+1))``, ``[T]``.
        n: rewards before the value, at least 1.

    Raises:
        ValueError: the sequences are of other shapes, or ``n`` is below 1.

    >>> n_step_returns([1.0, 1.0, 1.0], [0.5, 0.5, 0.5], [4.0, 4.0, 4.0], n=2).tolist()
    [2.5, 2.5, 3.0]
    """
    check_positive_integer("n", n)
    rewards, discounts, values = to_sequences(rewards=rewards, discounts=discounts, values=values)
    steps = rewards.shape[0]
    ahead = min(n - 1, steps - 1)
    # Beyond the end a step has no reward and no discount, so that the last value is passed on.
    rewards = jnp.pad(rewards, (0, ahead))
    discounts = jnp.pad(discounts, (0, ahead), constant_values=1)
    returns = jnp.pad(values, (0, ahead), mode="edge")[ahead:]
    for k in range(ahead, -1, -1):
        returns = rewards[k : k + steps] + discounts[k : k + steps] * returns
    return returns


def generalized_advantages(rewards: ArrayLike, discounts: ArrayLike, values: ArrayLike, lambda_: ArrayLike) -> Array:
    """Compute ``A_t = e_t + d_t l A_(t+1)`` of the errors ``e_t = r_t + d_t v(s_(t+1)) - v(s_t)``.

    ``l`` = 1 gives the discounted return minus ``v(s_t)``, ``l`` = 0 the error of one step.

    Args:
        rewards: ``r``, ``[T]``.
        discounts: ``d``, ``[T]``.
        values: ``v(s_0) .. v(s_T)``, ``[T + 1]``.
        lambda_: ``l`` in [0, 1].

    Raises:
        ValueError: the sequences are of other shapes, or ``lambda_`` is outside of its range.

    Source: Schulman et al., "High-dimensional continuous control using generalized advantage estimation", 2016.

    >>> generalized_advantages([1.0, 1.0], [0.5, 0.0], [1.0, 2.0, 9.0], 0.5).tolist()
    [0.75, -1.0]
    """
    check_in_range("lambda_", lambda_, 0, 1)
    rewards, discounts = to_sequences(rewards=rewards, discounts=discounts)
    check_shape("values", values, (rewards.shape[0] + 1,), f"[T + 1] = [{rewards.shape[0] + 1}]")
    check_shape("lambda_", lambda_, (), "[], one number")
    rewards, discounts, v, mix = to_floats(rewards=rewards, discounts=discounts, values=values, lambda_=lambda_)
    return _accumulate(rewards + discounts * v[1:] - v[:-1], discounts * mix, jnp.zeros((), rewards.dtype))


def _accumulate(terms: Array, factors: Array, last: Array) -> Array:
    """Compute ``y_t = terms_t + factors_t y_(t+1)`` with ``y_T = last``."""

    def one(y: Array, inputs: tuple[Array, Array]) -> tuple[Array, Array]:
        term, factor = inputs
        y = term + factor * y
        return y, y

    return jax.lax.scan(one, last, (terms, factors), reverse=True)[1]
