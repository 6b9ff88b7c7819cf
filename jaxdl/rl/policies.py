"""Policies: epsilon-greedy choice, and the losses of policy gradients."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxdl.arrays import widen_floating
from jaxdl.checks import check_in_range, check_indices
from jaxdl.rl._shared import check_shape, masked_mean, to_floats
from jaxdl.typing import Array, ArrayLike, Key


def epsilon_greedy(key: Key, q: ArrayLike, epsilon: ArrayLike) -> Array:
    """Choose an action of largest value, or with probability ``epsilon`` any action.

    Args:
        key: of the choice.
        q: values ``[..., A]``; each row is chosen for independently.
        epsilon: in [0, 1].

    Returns:
        int32 ``[...]``. Among equal values the first is chosen.

    Raises:
        ValueError: there are no actions, or ``epsilon`` is outside of its range.

    >>> epsilon_greedy(jax.random.key(0), jnp.array([0.0, 2.0, 1.0]), 0.0).item()
    1
    """
    check_in_range("epsilon", epsilon, 0, 1)
    q = _values(q)
    explore_key, action_key = jax.random.split(key)
    explore = jax.random.uniform(explore_key, q.shape[:-1]) < epsilon
    anything = jax.random.randint(action_key, q.shape[:-1], 0, q.shape[-1])
    return jnp.where(explore, anything, jnp.argmax(q, axis=-1)).astype(jnp.int32)


def epsilon_greedy_probabilities(q: ArrayLike, epsilon: ArrayLike) -> Array:
    """Compute ``epsilon / A``, plus ``1 - epsilon`` for the first action of largest value, ``[..., A]``.

    Raises:
        ValueError: there are no actions, or ``epsilon`` is outside of its range.

    >>> epsilon_greedy_probabilities(jnp.array([0.0, 2.0]), 0.5).tolist()
    [0.25, 0.75]
    """
    check_in_range("epsilon", epsilon, 0, 1)
    q = _values(q)
    greedy = jax.nn.one_hot(jnp.argmax(q, axis=-1), q.shape[-1], dtype=q.dtype)
    epsilon = jnp.asarray(epsilon, q.dtype)
    return epsilon / q.shape[-1] + (1 - epsilon) * greedy


def entropy(logits: ArrayLike) -> Array:
    """Compute the entropy ``-sum_a p(a) ln p(a)`` of ``softmax(logits)`` in nats, ``[...]`` of ``[..., A]``.

    An action with the logit -inf has no part in it.

    Raises:
        ValueError: there are no actions.

    >>> entropy(jnp.zeros(2)).item()
    0.693...
    """
    log_p = jax.nn.log_softmax(_values(logits), axis=-1)
    finite = jnp.isfinite(log_p)
    return -jnp.sum(jnp.where(finite, jnp.exp(log_p) * jnp.where(finite, log_p, 0), 0), axis=-1)


def policy_gradient_loss(
    logits: ArrayLike, actions: ArrayLike, advantages: ArrayLike, mask: ArrayLike | None = None
) -> Array:
    """Compute ``-mean_t A_t ln p(a_t | s_t)``, whose gradient is minus that of the expected return.

    The gradient stops at the advantages: ``A_t = G_t`` is REINFORCE, ``A_t = G_t - v(s_t)`` has a baseline, which
    changes the variance but not the mean.

    Args:
        logits: of the policy, ``[T, A]``.
        actions: integers ``[T]``.
        advantages: ``[T]``.
        mask: 0 for steps that do not count, ``[T]``.

    Raises:
        ValueError: the arrays are of other shapes, or an action is known to be outside of ``0 .. A - 1``.

    Source: Williams, "Simple statistical gradient-following algorithms for connectionist reinforcement learning", 1992.

    >>> policy_gradient_loss(jnp.zeros((1, 2)), jnp.array([0]), jnp.array([2.0])).item()
    1.386...
    """
    check_shape("logits", logits, (None, None), "[T, A]")
    _check_steps(np.shape(logits)[0], actions=actions, advantages=advantages)
    check_indices("actions", actions, np.shape(logits)[1])
    logits, advantages = to_floats(logits=logits, advantages=advantages)
    log_p = jax.nn.log_softmax(logits, axis=-1)
    taken = jnp.take_along_axis(log_p, jnp.asarray(actions)[:, None], axis=-1)[:, 0]
    return masked_mean(-taken * jax.lax.stop_gradient(advantages), mask)


def clipped_surrogate_loss(
    ratios: ArrayLike, advantages: ArrayLike, epsilon: float, mask: ArrayLike | None = None
) -> Array:
    """Compute ``-mean_t min(w_t A_t, clip(w_t, 1 - e, 1 + e) A_t)``, the loss of proximal policy optimization.

    Args:
        ratios: ``w_t = p(a_t | s_t) / p_old(a_t | s_t)``, ``[T]``.
        advantages: ``A``, ``[T]``; the gradient stops there.
        epsilon: ``e``, above 0.
        mask: 0 for steps that do not count, ``[T]``.

    Raises:
        ValueError: the arrays are of other shapes, or ``epsilon`` is not above 0.

    Source: Schulman et al., "Proximal policy optimization algorithms", 2017.

    >>> clipped_surrogate_loss(jnp.array([1.5]), jnp.array([2.0]), epsilon=0.2).item()
    -2.4000...
    """
    check_in_range("epsilon", epsilon, 0, includes_low=False)
    check_shape("ratios", ratios, (None,), "[T]")
    _check_steps(np.shape(ratios)[0], advantages=advantages)
    ratios, advantages = to_floats(ratios=ratios, advantages=advantages)
    advantages = jax.lax.stop_gradient(advantages)
    clipped = jnp.clip(ratios, 1 - epsilon, 1 + epsilon)
    return masked_mean(-jnp.minimum(ratios * advantages, clipped * advantages), mask)


def _values(x: ArrayLike) -> Array:
    """Return values of actions as numbers, ``[..., A]``."""
    x = widen_floating(x)
    if not x.ndim or not x.shape[-1]:
        raise ValueError(f"expected [..., A] with at least one action, got shape {x.shape}")
    return x


def _check_steps(steps: int, **arrays: ArrayLike) -> None:
    for name, array in arrays.items():
        check_shape(name, array, (steps,), f"[T] = [{steps}]")
