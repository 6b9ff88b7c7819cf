"""Errors of temporal-difference and Q-learning on one transition, or on one trajectory for the lambda forms.

Each function returns ``target - prediction``. The gradient stops at the target, so that the gradient of half the square
is minus the error times that of the prediction. ``discount`` is 0 where the episode ends, and else a constant below 1.
`jax.vmap` maps over batches.
"""

import jax
import jax.numpy as jnp
import numpy as np

from jaxdl.checks import check_in_range, check_indices
from jaxdl.rl._shared import check_shape, to_floats
from jaxdl.rl.returns import lambda_returns
from jaxdl.typing import Array, ArrayLike


def td_learning(value: ArrayLike, reward: ArrayLike, discount: ArrayLike, next_value: ArrayLike) -> Array:
    """Compute ``r + d v(s') - v(s)``, the error of TD(0).

    Raises:
        ValueError: an argument is no number.

    Source: Sutton, "Learning to predict by the methods of temporal differences", 1988.

    >>> float(td_learning(value=1.0, reward=2.0, discount=0.5, next_value=4.0))
    3.0
    """
    for name, number in {"value": value, "next_value": next_value}.items():
        check_shape(name, number, (), "[], one number")
    value, reward, discount, next_value = _numbers(value, reward, discount, next_value)
    return jax.lax.stop_gradient(reward + discount * next_value) - value


def td_lambda(
    values: ArrayLike, rewards: ArrayLike, discounts: ArrayLike, next_values: ArrayLike, lambda_: ArrayLike
) -> Array:
    """Compute ``G_t - v(s_t)`` for the `lambda_returns` of a trajectory, ``[T]``.

    Raises:
        ValueError: the sequences are of other shapes, or ``lambda_`` is outside of [0, 1].

    >>> td_lambda([1.0, 1.0], [1.0, 1.0], [0.5, 0.5], [2.0, 4.0], 0.5).tolist()
    [1.25, 2.0]
    """
    targets = lambda_returns(rewards, discounts, next_values, lambda_)
    check_shape("values", values, targets.shape, f"[T] = {list(targets.shape)}")
    targets, values = to_floats(targets=targets, values=values)
    return jax.lax.stop_gradient(targets) - values


def sarsa(
    q: ArrayLike,
    action: ArrayLike,
    reward: ArrayLike,
    discount: ArrayLike,
    next_q: ArrayLike,
    next_action: ArrayLike,
) -> Array:
    """Compute ``r + d q(s', a') - q(s, a)`` with the next action taken.

    Raises:
        ValueError: ``q`` or ``next_q`` is not ``[A]``, or an action is known to be outside of ``0 .. A - 1``.

    >>> float(sarsa([1.0, 0.0], 0, reward=1.0, discount=0.5, next_q=[2.0, 4.0], next_action=0))
    1.0
    """
    check_shape("next_q", next_q, np.shape(q), "[A], as q")
    return _error(q, action, reward, discount, _at(next_q, next_action, "next_action"))


def expected_sarsa(
    q: ArrayLike,
    action: ArrayLike,
    reward: ArrayLike,
    discount: ArrayLike,
    next_q: ArrayLike,
    next_probabilities: ArrayLike,
) -> Array:
    """Compute ``r + d sum_a' p(a' | s') q(s', a') - q(s, a)`` with the policy's probabilities ``[A]``.

    Raises:
        ValueError: an array is not ``[A]``, or the action is known to be outside of ``0 .. A - 1``.

    >>> float(expected_sarsa([1.0, 0.0], 0, 1.0, 0.5, next_q=[2.0, 4.0], next_probabilities=[0.5, 0.5]))
    1.5
    """
    for name, array in {"next_q": next_q, "next_probabilities": next_probabilities}.items():
        check_shape(name, array, np.shape(q), "[A], as q")
    next_q, p = to_floats(next_q=next_q, p=next_probabilities)
    return _error(q, action, reward, discount, jnp.sum(next_q * p))


def q_learning(q: ArrayLike, action: ArrayLike, reward: ArrayLike, discount: ArrayLike, next_q: ArrayLike) -> Array:
    """Compute ``r + d max_a' q(s', a') - q(s, a)``.

    With ``reward`` and ``discount`` of `n_step_transitions` it is n-step Q-learning.

    Args:
        q: ``q(s, .)``, ``[A]``.
        action: ``a``, an integer.
        reward: ``r``.
        discount: ``d``.
        next_q: ``q(s', .)``, ``[A]``, of a target network for instance.

    Raises:
        ValueError: ``q`` or ``next_q`` is not ``[A]``, or the action is known to be outside of ``0 .. A - 1``.

    Source: Watkins and Dayan, "Q-learning", 1992; Mnih et al., "Human-level control through deep reinforcement
    learning", 2015.

    >>> float(q_learning([1.0, 0.0], 0, reward=1.0, discount=0.5, next_q=[2.0, 4.0]))
    2.0
    """
    check_shape("next_q", next_q, np.shape(q), "[A], as q")
    return _error(q, action, reward, discount, jnp.max(jnp.asarray(next_q)))


def double_q_learning(
    q: ArrayLike,
    action: ArrayLike,
    reward: ArrayLike,
    discount: ArrayLike,
    next_q: ArrayLike,
    selector: ArrayLike,
) -> Array:
    """Compute ``r + d q(s', argmax_a' u(s', a')) - q(s, a)``: one function chooses the action, another values it.

    The maximum of noisy values is too large on average; a choice independent of the noise is not.

    Args:
        q: ``q(s, .)``, ``[A]``.
        action: ``a``, an integer.
        reward: ``r``.
        discount: ``d``.
        next_q: ``q(s', .)``, ``[A]``, of the target network.
        selector: ``u(s', .)``, ``[A]``, of the network that learns.

    Raises:
        ValueError: an array is not ``[A]``, or the action is known to be outside of ``0 .. A - 1``.

    Source: van Hasselt, Guez and Silver, "Deep reinforcement learning with double Q-learning", 2016.

    >>> float(double_q_learning([1.0, 0.0], 0, 1.0, 0.5, next_q=[2.0, 4.0], selector=[1.0, 0.0]))
    1.0
    """
    for name, array in {"next_q": next_q, "selector": selector}.items():
        check_shape(name, array, np.shape(q), "[A], as q")
    next_q, selector = to_floats(next_q=next_q, selector=selector)
    chosen = jnp.where(jnp.isnan(jnp.max(selector)), jnp.nan, next_q[jnp.argmax(selector)])  # no order with NaN
    return _error(q, action, reward, discount, chosen)


def q_lambda(
    q: ArrayLike,
    actions: ArrayLike,
    rewards: ArrayLike,
    discounts: ArrayLike,
    next_q: ArrayLike,
    lambda_: ArrayLike,
) -> Array:
    """Compute ``G_t - q(s_t, a_t)`` for the `lambda_returns` with the values ``max_a q(s_(t+1), a)``, ``[T]``.

    Args:
        q: ``[T, A]``.
        actions: integers ``[T]``.
        rewards: ``[T]``.
        discounts: ``[T]``.
        next_q: ``q(s_(t+1), .)``, ``[T, A]``.
        lambda_: in [0, 1], a number or ``[T]``.

    Raises:
        ValueError: the arrays are of other shapes, or ``lambda_`` is outside of its range.

    Source: Peng and Williams, "Incremental multi-step Q-learning", 1994.

    >>> q_lambda([[1.0, 0.0]], [0], [1.0], [0.5], [[2.0, 4.0]], 0.5).tolist()
    [2.0]
    """
    check_in_range("lambda_", lambda_, 0, 1)
    check_shape("q", q, (None, None), "[T, A]")
    check_shape("next_q", next_q, np.shape(q), "[T, A], as q")
    check_shape("actions", actions, np.shape(q)[:1], "[T]")
    check_indices("actions", actions, np.shape(q)[1])
    q, next_q = to_floats(q=q, next_q=next_q)
    targets = lambda_returns(rewards, discounts, jnp.max(next_q, axis=1), lambda_)
    taken = jnp.take_along_axis(q, jnp.asarray(actions)[:, None], axis=1)[:, 0]
    return jax.lax.stop_gradient(targets) - taken


def dueling(value: ArrayLike, advantages: ArrayLike) -> Array:
    """Compute ``q(s, a) = v(s) + A(s, a) - mean_a A(s, a)``, the head of a duelling network.

    Args:
        value: ``v``, ``[..., 1]``.
        advantages: ``A``, ``[..., A]``.

    Raises:
        ValueError: the value is not ``[..., 1]`` with the leading dimensions of the advantages.

    Source: Wang et al., "Dueling network architectures for deep reinforcement learning", 2016.

    >>> dueling(jnp.array([2.0]), jnp.array([1.0, 3.0])).tolist()
    [1.0, 3.0]
    """
    value, advantages = jnp.asarray(value), jnp.asarray(advantages)
    if not advantages.ndim or value.shape != (*advantages.shape[:-1], 1):
        raise ValueError(f"expected a value [..., 1] for advantages {advantages.shape}, got {value.shape}")
    return value + advantages - jnp.mean(advantages, axis=-1, keepdims=True)


def _numbers(*numbers: ArrayLike) -> list[Array]:
    return to_floats(**{str(place): number for place, number in enumerate(numbers)})


def _at(q: ArrayLike, action: ArrayLike, name: str) -> Array:
    """Return the value of an action."""
    check_shape("q", q, (None,), "[A]")
    check_shape(name, action, (), "[], one integer")
    check_indices(name, action, np.shape(q)[0])
    return jnp.asarray(q)[jnp.asarray(action)]


def _error(q: ArrayLike, action: ArrayLike, reward: ArrayLike, discount: ArrayLike, next_value: Array) -> Array:
    return td_learning(_at(q, action, "action"), reward, discount, next_value)
