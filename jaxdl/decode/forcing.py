"""Scheduled sampling: feed a model the truth, its own predictions, or a mixture that changes during training."""

import einops
import jax
import jax.numpy as jnp

from jaxdl.arrays import to_floating
from jaxdl.checks import check_in_range
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
    """Run a model along its targets, with the truth as next input with probability ``p``, else its own prediction.

    ``x_1 = first``; ``x_(t+1) = target_t`` with the probability ``p``, otherwise ``choose(key, y_t)`` (Bengio et al.,
    2015). ``p = 1`` is teacher forcing: the model never meets its own errors. ``p = 0`` is free running, as in use. A
    ``p`` that falls during training leads from one to the other, and a ``p`` for each time step lets the model run
    freely after a given prefix. No gradient flows through the default choices; it flows through the carry.

    Args:
        key: for the Bernoulli draws and the choices.
        step_fn: ``(carry, x_t) -> (carry, y_t)``: tokens ``[B]`` to logits ``[B, V]``, or vectors ``[B, D]`` to
            ``[B, D]``.
        carry: the initial carry.
        first: ``[B]`` or ``[B, D]``.
        targets: the truth, tokens ``[B, T]`` or vectors ``[B, T, D]``.
        teacher_probability: ``p`` in [0, 1], a scalar or ``[T]``; may be traced. Entry ``t`` decides on ``x_(t+1)``.
        choose: ``(key, y_t) -> x_(t+1)``; None for the most probable token (-1 where a logit is NaN), and for a vector
            itself. ``lambda key, y: y`` lets the gradient flow through vectors.

    Returns:
        The last carry, and the outputs ``[B, T, V]`` or ``[B, T, D]`` for the loss against the targets.

    Raises:
        ValueError: the shapes or dtypes do not fit each other, or ``p`` is outside of [0, 1].

    >>> def double(carry, x):
    ...     return carry, 2 * x
    >>> run = jax.jit(lambda p: scheduled_sampling(
    ...     jax.random.key(0), double, None, jnp.ones((1, 1)), jnp.full((1, 3, 1), 5.0), teacher_probability=p)[1])
    >>> run(jnp.zeros(3))[0, :, 0].tolist(), run(jnp.array([0.0, 1.0, 1.0]))[0, :, 0].tolist()
    ([2.0, 4.0, 8.0], [2.0, 4.0, 10.0])
    """
    first, targets = _check_inputs(first, targets, teacher_probability)
    choose = choose or (greedy_token if first.ndim == 1 else _identity)

    def step(state: tuple[PyTree, Array], inputs: tuple[Key, Array, Array]) -> tuple[tuple[PyTree, Array], Array]:
        (carry, x), (key, p, target) = state, inputs
        carry, y = step_fn(carry, x)
        coin_key, choice_key = jax.random.split(key)
        forced = jax.random.bernoulli(coin_key, p, x.shape[:1]).reshape(-1, *[1] * (x.ndim - 1))
        return (carry, jnp.where(forced, target, choose(choice_key, y)).astype(x.dtype)), y

    steps = targets.shape[1]
    probabilities = jnp.broadcast_to(to_floating(teacher_probability), (steps,))
    inputs = jax.random.split(key, steps), probabilities, einops.rearrange(targets, "b t ... -> t b ...")
    (carry, _), outputs = jax.lax.scan(step, (carry, first), inputs)
    return carry, einops.rearrange(outputs, "t b ... -> b t ...")


def continue_prompt(
    key: Key,
    step_fn: StepFunction,
    carry: PyTree,
    sequences: ArrayLike,
    prompt_length: int,
    *,
    teacher_probability: ArrayLike = 1.0,
    choose: Choice | None = None,
) -> Array:
    """Continue sequences by `scheduled_sampling`, with their first elements as a prompt that is always input.

    With ``teacher_probability`` 1 the outputs are those along the truth, with 0 those along the model's own outputs;
    the difference between their errors is the exposure gap.

    Args:
        key: for the Bernoulli draws and the choices.
        step_fn: as in `scheduled_sampling`.
        carry: the initial carry.
        sequences: tokens ``[B, T]`` or vectors ``[B, T, D]``.
        prompt_length: ``P``, from 1 to ``T - 1``.
        teacher_probability: ``p`` after the prompt, a scalar; may be traced.
        choose: as in `scheduled_sampling`.

    Returns:
        The outputs ``[B, T - P, V]`` or ``[B, T - P, D]``, for the elements after the prompt.

    Raises:
        ValueError: the prompt is not shorter than the sequences, or as for `scheduled_sampling`.

    >>> def double(carry, x):
    ...     return carry, 2 * x
    >>> continue_prompt(jax.random.key(0), double, None, jnp.ones((1, 5, 1)), 2, teacher_probability=0.0)[0, :, 0]
    Array([2., 4., 8.], dtype=float32)
    """
    sequences = jnp.asarray(sequences)
    if not 1 <= prompt_length < sequences.shape[1]:
        raise ValueError(f"expected prompt_length in 1 .. {sequences.shape[1] - 1}, got {prompt_length}")
    forced = jnp.arange(sequences.shape[1] - 1) < prompt_length - 1
    probability = jnp.where(forced, 1.0, teacher_probability)
    options = {"teacher_probability": probability, "choose": choose}
    _, outputs = scheduled_sampling(key, step_fn, carry, sequences[:, 0], sequences[:, 1:], **options)
    return outputs[:, prompt_length - 1 :]


def inverse_sigmoid_decay(k: float) -> Schedule:
    """Make the schedule ``p = k / (k + e^(step / k))`` for ``teacher_probability`` (Bengio et al., 2015).

    It starts near 1 and passes one half at ``step = k ln k``. The paper's other two schedules are
    ``optim.schedules.linear(1.0, least, steps)`` and ``exponential_decay(1.0, rate)``; a curriculum that forces the
    first steps only is ``optim.schedules.piecewise_constant([1.0, 0.0], [steps])``.

    Args:
        k: at least 1, in steps.

    Raises:
        ValueError: ``k`` is below 1.

    >>> round(float(inverse_sigmoid_decay(10.0)(23.0259)), 3)
    0.5
    """
    check_in_range("k", k, 1.0)
    # The same fraction as a sigmoid, which cannot overflow.
    return lambda step: jax.nn.sigmoid(jnp.log(k) - jnp.asarray(step) / k)


def _identity(key: Key, y: Array) -> Array:
    del key
    return jax.lax.stop_gradient(y)


def _check_inputs(first: ArrayLike, targets: ArrayLike, teacher_probability: ArrayLike) -> tuple[Array, Array]:
    first, targets = jnp.asarray(first), jnp.asarray(targets)
    if targets.ndim < 2 or targets.shape[1] < 1 or first.shape != (targets.shape[0], *targets.shape[2:]):
        raise ValueError(
            "expected targets [B, T] for first [B], or [B, T, D] for first [B, D], "
            f"got {targets.shape} for {first.shape}"
        )
    are_integers = {jnp.issubdtype(each.dtype, jnp.integer) for each in (first, targets)}
    if are_integers != {first.ndim == 1}:
        raise ValueError(f"expected integer tokens or floating-point vectors, got {targets.dtype} for {first.dtype}")
    check_in_range("teacher_probability", teacher_probability, 0.0, 1.0)
    if jnp.shape(teacher_probability) not in ((), (targets.shape[1],)):
        raise ValueError(
            f"expected teacher_probability to be a scalar or [T] = ({targets.shape[1]},), "
            f"got {jnp.shape(teacher_probability)}"
        )
    return (first.astype(jnp.int32) if first.ndim == 1 else first), targets
