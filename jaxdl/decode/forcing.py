"""What a model reads in training: the true tokens, its own, or a mixture of both that changes with time."""

import jax
import jax.numpy as jnp

from jaxdl.decode.generate import Choice, StepFunction, check_start
from jaxdl.decode.sampling import most_probable
from jaxdl.typing import Array, ArrayLike, Key, PyTree, Schedule


def scheduled_sampling(
    key: Key,
    step_fn: StepFunction,
    carry: PyTree,
    first: ArrayLike,
    targets: ArrayLike,
    *,
    teacher_probability: ArrayLike = 1.0,
    choose: Choice = most_probable,
) -> tuple[PyTree, Array]:
    """Run the model along its targets; each next input is the true token with some probability, else the model's own.

    ``token_1 = first``; ``token_(t+1) = target_t`` with the probability ``p``, otherwise ``choose(key, logits_t)``
    (Bengio et al., 2015). ``p = 1`` is teacher forcing: the model never meets its own mistakes. ``p = 0`` is free
    running, as in use. A ``p`` that falls in the course of training leads from one to the other. The choice has no
    gradient; through the carry it flows.

    Args:
        key: for the coins and the choices.
        step_fn: ``(carry, token [B]) -> (carry, logits [B, V])``.
        carry: what the model starts from.
        first: ``[B]``.
        targets: the true tokens, ``[B, T]``.
        teacher_probability: ``p``, in [0, 1]; may be traced.
        choose: ``(key, logits) -> token``; the most probable, or a draw.

    Returns:
        The last carry, and the logits ``[B, T, V]`` for the loss against the targets.

    Raises:
        ValueError: the shapes do not fit each other, or ``p`` is outside of [0, 1].
    """
    targets = jnp.asarray(targets)
    first = check_start(first, targets.shape[-1])
    if targets.ndim != 2 or targets.shape[0] != first.shape[0]:
        raise ValueError(f"targets must be [B, T] for first [B] = {first.shape}; got {targets.shape}")
    if isinstance(teacher_probability, int | float) and not 0 <= teacher_probability <= 1:
        raise ValueError(f"teacher_probability must lie in [0, 1]; got {teacher_probability}")

    def step(state, inputs):
        (carry, token), (key, target) = state, inputs
        carry, logits = step_fn(carry, token)
        coin_key, choice_key = jax.random.split(key)
        forced = jax.random.bernoulli(coin_key, teacher_probability, token.shape)
        token = jnp.where(forced, target.astype(jnp.int32), choose(choice_key, logits).astype(jnp.int32))
        return (carry, token), logits

    keys = jax.random.split(key, targets.shape[1])
    (carry, _), logits = jax.lax.scan(step, (carry, first), (keys, targets.T))
    return carry, jnp.swapaxes(logits, 0, 1)


def inverse_sigmoid_decay(k: float) -> Schedule:
    """Return the schedule ``p = k / (k + e^(step / k))``, for ``teacher_probability`` (Bengio et al., 2015).

    It stays near 1 at first and passes one half at ``step = k ln k``.

    Args:
        k: at least 1, in steps.

    Raises:
        ValueError: ``k`` is below 1.

    >>> round(float(inverse_sigmoid_decay(10.0)(23.0259)), 3)
    0.5
    """
    if k < 1:
        raise ValueError(f"k must be at least 1; got {k}")
    # The same fraction as a sigmoid, which cannot overflow.
    return lambda step: jax.nn.sigmoid(jnp.log(k) - jnp.asarray(step) / k)
