"""Small tasks on sequences drawn from a random key: pure functions, so ``jax.vmap`` over keys gives one for every seed.

A task returns ``(x, y)``: sequences ``[N, T, D]`` or tokens ``[N, T]`` (int32), and what is to be said of them. A
source, which is to be continued, returns the sequences alone.
"""

import jax
import jax.numpy as jnp

from jaxdl.typing import Array, ArrayLike, Key

INNER = 8
"""Steps of the rule between two angles of a pendulum."""
SKIPPED = 20
"""So many angles at most may lie before the first that is seen."""


def adding(key: Key, count: int, steps: int) -> tuple[Array, Array]:
    """Draw the adding problem: at the end, say the sum of the two numbers that were marked.

    At each time stand a number from [0, 1) and a mark, 0 or 1; one number in either half is marked. Who always says 1
    has the mean squared error 1/6. (Hochreiter and Schmidhuber, 1997; with marks in the halves: Le et al., 2015)

    Returns:
        ``x [N, T, 2]`` and ``y [N, 1]``.

    Raises:
        ValueError: there are not two times.

    >>> x, y = adding(jax.random.key(0), 1, 2)
    >>> x[0, :, 1].tolist(), bool(y[0, 0] == x[0, 0, 0] + x[0, 1, 0])
    ([1.0, 1.0], True)
    """
    if steps < 2:
        raise ValueError(f"steps must be at least 2, since two numbers are marked; got {steps}")
    key_number, key_first, key_second = jax.random.split(key, 3)
    number = jax.random.uniform(key_number, (count, steps))
    first = jax.random.randint(key_first, (count,), 0, steps // 2)
    second = jax.random.randint(key_second, (count,), steps // 2, steps)
    mark = jax.nn.one_hot(first, steps) + jax.nn.one_hot(second, steps)
    return jnp.stack([number, mark], axis=-1), jnp.sum(number * mark, axis=1, keepdims=True)


def copy(key: Key, count: int, lag: int, *, length: int = 10, symbols: int = 8) -> tuple[Array, Array]:
    """Draw the copy task: keep some symbols for a while, and repeat them in order when told to.

    The tokens are the blank 0, the symbols ``1 .. K`` and the sign to repeat, ``K + 1``::

        x   s_1 .. s_n   0 .. 0 (lag)   K + 1   0 .. 0 (n - 1)
        y   0 .. 0 (n + lag)                    s_1 .. s_n

    so that each symbol is to be kept for ``n + lag`` steps. Who remembers nothing has the cross-entropy ``log K`` at
    the ``n`` last times. (Hochreiter and Schmidhuber, 1997; in this form Arjovsky et al., 2016)

    Args:
        key: for the symbols.
        count: ``N``.
        lag: blanks between the symbols and the sign.
        length: ``n``, how many symbols.
        symbols: ``K``, how many there are to choose from.

    Returns:
        ``x`` and ``y``, both ``[N, 2 n + lag]``.

    Raises:
        ValueError: the lag is negative, or there are no symbols.

    >>> x, y = copy(jax.random.key(0), 1, 1, length=2, symbols=1)
    >>> x.tolist(), y.tolist()
    ([[1, 1, 0, 2, 0]], [[0, 0, 0, 1, 1]])
    """
    if lag < 0 or length < 1 or symbols < 1:
        raise ValueError(f"lag must be at least 0, length and symbols at least 1; got {lag}, {length} and {symbols}")
    kept = jax.random.randint(key, (count, length), 1, symbols + 1, jnp.int32)
    told = jnp.zeros((count, lag + length), jnp.int32).at[:, lag].set(symbols + 1)
    return jnp.concatenate([kept, told], axis=1), jnp.pad(kept, ((0, 0), (length + lag, 0)))


def latch(key: Key, count: int, steps: int, *, probability: ArrayLike = 0.1) -> tuple[Array, Array]:
    """Draw a stream without end to the task: say at every time the number that was marked last.

    At each time stand a number from [-1, 1) and a mark, which is 1 with the ``probability``; before the first mark 0 is
    to be said. What is kept has to be thrown away at the next mark: a memory that only adds cannot do it.

    Returns:
        ``x [N, T, 2]`` and ``y [N, T, 1]``.

    >>> x, y = latch(jax.random.key(0), 1, 3, probability=1.0)
    >>> bool((y[..., 0] == x[..., 0]).all())
    True
    """
    key_number, key_mark = jax.random.split(key)
    number = jax.random.uniform(key_number, (count, steps), minval=-1.0, maxval=1.0)
    mark = jax.random.bernoulli(key_mark, probability, (count, steps))
    last = jax.lax.cummax(jnp.where(mark, jnp.arange(steps)[None], -1), axis=1)
    kept = jnp.where(last < 0, 0, jnp.take_along_axis(number, jnp.maximum(last, 0), axis=1))
    return jnp.stack([number, mark.astype(number.dtype)], axis=-1), kept[..., None]


def markov(key: Key, count: int, steps: int, transition: ArrayLike) -> Array:
    """Draw sequences from a Markov chain, whose probabilities are known at every time.

    ``P(x_t = j | .., x_(t-1)) = transition[x_(t-1), j]``, and with one more dimension for each time further back:
    ``transition[x_(t-2), x_(t-1), j]``. The first tokens, as many as the chain looks back, are drawn evenly.

    Args:
        key: for the draws.
        count: ``N``.
        steps: ``T``.
        transition: probabilities, ``[V, V]`` or ``[V, .., V]``, that sum to 1 along the last dimension.

    Returns:
        Tokens ``[N, T]``.

    Raises:
        ValueError: the dimensions of ``transition`` are not all of one size, or are fewer than two.

    >>> markov(jax.random.key(0), 1, 4, jnp.array([[0.0, 1.0], [0.0, 1.0]]))[0, 1:].tolist()
    [1, 1, 1]
    """
    transition = jnp.asarray(transition)
    order, size = transition.ndim - 1, transition.shape[-1] if transition.ndim else 0
    if order < 1 or set(transition.shape) != {size}:
        raise ValueError(f"transition must be [V, V], or [V, .., V] with a longer memory; got {transition.shape}")
    logits = jnp.log(transition)
    key_first, key_rest = jax.random.split(key)
    before = jax.random.randint(key_first, (order, count), 0, size, jnp.int32)

    def step(before: Array, key: Key) -> tuple[Array, Array]:
        token = jax.random.categorical(key, logits[tuple(before)]).astype(jnp.int32)
        return jnp.concatenate([before[1:], token[None]]), token

    _, rest = jax.lax.scan(step, before, jax.random.split(key_rest, max(steps - order, 0)))
    return jnp.concatenate([before, rest])[:steps].T


def pendulum(key: Key, count: int, steps: int, *, interval: float = 0.4, amplitude: ArrayLike = 2.5) -> Array:
    """Draw the angles of swinging pendulums, ``angle'' = -sin(angle)``, seen every ``interval``.

    Each is let go at rest from an angle drawn evenly from ``[-amplitude, amplitude)`` and is first seen at a random
    time of its swing. One angle does not tell the next, two nearly do, and the period depends on the amplitude. Eight
    steps of Stoermer's rule (Verlet, 1967) lie between two angles.

    Args:
        key: for the amplitudes and the times.
        count: ``N``.
        steps: ``T``.
        interval: in units in which a small swing takes ``2 pi``.
        amplitude: the largest, in radians, below ``pi``.

    Returns:
        Angles in radians, ``[N, T, 1]``.
    """
    key_angle, key_start = jax.random.split(key)
    start = jax.random.randint(key_start, (count,), 0, SKIPPED)
    angle = jax.random.uniform(key_angle, (count,), minval=-amplitude, maxval=amplitude)
    fine = interval / INNER

    def swing(state: tuple[Array, Array], _: None) -> tuple[tuple[Array, Array], Array]:
        def rule(_: int, state: tuple[Array, Array]) -> tuple[Array, Array]:
            angle, velocity = state
            velocity = velocity - fine * jnp.sin(angle)
            return angle + fine * velocity, velocity

        return jax.lax.fori_loop(0, INNER, rule, state), state[0]

    at_rest = angle, fine / 2 * jnp.sin(angle)  # half a step back, so that the rule is symmetric in time
    _, angles = jax.lax.scan(swing, at_rest, None, length=SKIPPED + steps)
    return jnp.take_along_axis(angles.T, start[:, None] + jnp.arange(steps)[None], axis=1)[..., None]
