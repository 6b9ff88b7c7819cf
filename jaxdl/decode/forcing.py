"""What a model reads in training: the truth, what it said itself, or a mixture of both that changes with time."""

import jax
import jax.numpy as jnp

from jaxdl.decode.generation import Choice, StepFunction
from jaxdl.decode.sampling import greedy_token
from jaxdl.typing import Array, ArrayLike, Key, PyTree, Schedule


def scheduled_sampling(
    key: Key,
    step_fn: StepFunction,
    carry: PyTree,
    first: ArrayLike,
    targets: ArrayLike,
    *,
    teacher_probability: ArrayLike = 1.0,
    choose: Choice | None = None,
) -> tuple[PyTree, Array]:
    """Run the model along its targets; each next input is the truth with some probability, else the model's own choice.

    ``x_1 = first``; ``x_(t+1) = target_t`` with the probability ``p``, otherwise ``choose(key, y_t)`` (Bengio et al.,
    2015). ``p = 1`` is teacher forcing: the model never meets its own mistakes. ``p = 0`` is free running, as in use. A
    ``p`` that falls in the course of training leads from one to the other, and one for each time lets the model run
    freely after a beginning that is given. The default choices have no gradient; through the carry it flows.

    Args:
        key: for the coins and the choices.
        step_fn: ``(carry, x_t) -> (carry, y_t)``: tokens ``[B]`` to logits ``[B, V]``, or vectors ``[B, D]`` to
            ``[B, D]``.
        carry: what the model starts from.
        first: ``[B]`` or ``[B, D]``.
        targets: the truth, tokens ``[B, T]`` or vectors ``[B, T, D]``.
        teacher_probability: ``p`` in [0, 1], one or one for each time, ``[T]``; may be traced. The coin of time ``t``
            decides on ``x_(t+1)``.
        choose: ``(key, y_t) -> x_(t+1)``; None for the most probable token, and for a vector as it is. ``lambda key, y:
            y`` would let the gradient flow through the vectors too.

    Returns:
        The last carry, and the outputs ``[B, T, V]`` or ``[B, T, D]`` for the loss against the targets.

    Raises:
        ValueError: the shapes or kinds do not fit each other, or ``p`` is outside of [0, 1].

    >>> def double(carry, x):
    ...     return carry, 2 * x
    >>> run = jax.jit(lambda p: scheduled_sampling(
    ...     jax.random.key(0), double, None, jnp.ones((1, 1)), jnp.full((1, 3, 1), 5.0), teacher_probability=p)[1])
    >>> run(jnp.zeros(3))[0, :, 0].tolist(), run(jnp.array([0.0, 1.0, 1.0]))[0, :, 0].tolist()
    ([2.0, 4.0, 8.0], [2.0, 4.0, 10.0])
    """
    first, targets = _check(first, targets, teacher_probability)
    choose = choose or (greedy_token if first.ndim == 1 else _as_it_is)

    def step(state, inputs):
        (carry, x), (key, p, target) = state, inputs
        carry, y = step_fn(carry, x)
        coin_key, choice_key = jax.random.split(key)
        forced = jax.random.bernoulli(coin_key, p, x.shape[:1]).reshape(-1, *[1] * (x.ndim - 1))
        return (carry, jnp.where(forced, target, choose(choice_key, y)).astype(x.dtype)), y

    steps = targets.shape[1]
    inputs = jax.random.split(key, steps), jnp.broadcast_to(teacher_probability, (steps,)), jnp.moveaxis(targets, 1, 0)
    (carry, _), outputs = jax.lax.scan(step, (carry, first), inputs)
    return carry, jnp.moveaxis(outputs, 0, 1)


def inverse_sigmoid_decay(k: float) -> Schedule:
    """Return the schedule ``p = k / (k + e^(step / k))``, for ``teacher_probability`` (Bengio et al., 2015).

    It stays near 1 at first and passes one half at ``step = k ln k``. The paper's other two are
    ``optim.schedules.linear(1.0, least, steps)`` and ``exponential_decay(1.0, rate)``.

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


def _as_it_is(key: Key, y: Array) -> Array:
    del key
    return jax.lax.stop_gradient(y)


def _check(first: ArrayLike, targets: ArrayLike, teacher_probability: ArrayLike) -> tuple[Array, Array]:
    first, targets = jnp.asarray(first), jnp.asarray(targets)
    if targets.ndim < 2 or targets.shape[1] < 1 or first.shape != (targets.shape[0], *targets.shape[2:]):
        raise ValueError(
            f"targets must be [B, T] tokens for first [B], or [B, T, D] vectors for first [B, D]; "
            f"got {targets.shape} for {first.shape}"
        )
    kinds = {jnp.issubdtype(each.dtype, jnp.integer) for each in (first, targets)}
    if kinds != {first.ndim == 1}:
        raise ValueError(f"tokens are integers, vectors are not; got {targets.dtype} for {first.dtype} [B, ...]")
    if isinstance(teacher_probability, int | float):
        if not 0 <= teacher_probability <= 1:
            raise ValueError(f"teacher_probability must lie in [0, 1]; got {teacher_probability}")
    elif jnp.shape(teacher_probability) not in ((), (targets.shape[1],)):
        raise ValueError(
            f"teacher_probability must be one number or [T] = ({targets.shape[1]},); "
            f"got {jnp.shape(teacher_probability)}"
        )
    return (first.astype(jnp.int32) if first.ndim == 1 else first), targets
