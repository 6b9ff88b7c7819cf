"""Synthetic sequence tasks drawn from a random key: pure functions, so that ``jax.vmap`` over keys draws many tasks.

A supervised task returns ``(x, y)``: sequences ``[N, T, D]`` or tokens ``[N, T]`` (int32), and their targets. A
generator of sequences to model returns the sequences alone.
"""

import einops
import jax
import jax.numpy as jnp
import numpy as np

from jaxdl.typing import Array, ArrayLike, Key

SUBSTEPS = 8
"""Integration steps between two angles of a pendulum."""
MAX_SKIPPED = 20
"""Upper limit, exclusive, of the number of angles skipped before the first one."""


def adding(key: Key, count: int, steps: int) -> tuple[Array, Array]:
    """Draw the adding problem: output the sum of the two marked numbers at the end.

    Each step has a number from [0, 1) and a mark, 0 or 1; one number in each half is marked. The constant prediction 1
    has a mean squared error of 1/6. (Hochreiter and Schmidhuber, 1997; marks in the halves: Le et al., 2015)

    Returns:
        ``x [N, T, 2]`` and ``y [N, 1]``.

    Raises:
        ValueError: there are fewer than two steps.

    >>> x, y = adding(jax.random.key(0), 1, 2)
    >>> x[0, :, 1].tolist(), bool(y[0, 0] == x[0, 0, 0] + x[0, 1, 0])
    ([1.0, 1.0], True)
    """
    if steps < 2:
        raise ValueError(f"expected steps >= 2, since two numbers are marked, got {steps}")
    key_number, key_first, key_second = jax.random.split(key, 3)
    number = jax.random.uniform(key_number, (count, steps))
    first = jax.random.randint(key_first, (count,), 0, steps // 2)
    second = jax.random.randint(key_second, (count,), steps // 2, steps)
    mark = jax.nn.one_hot(first, steps) + jax.nn.one_hot(second, steps)
    return jnp.stack([number, mark], axis=-1), jnp.sum(number * mark, axis=1, keepdims=True)


def copy(key: Key, count: int, lag: int, *, length: int = 10, num_symbols: int = 8) -> tuple[Array, Array]:
    """Draw the copy task: remember symbols over a lag, and repeat them in order after a delimiter.

    The tokens are the blank 0, the symbols ``1 .. K`` and the delimiter ``K + 1``::

        x   s_1 .. s_n   0 .. 0 (lag)   K + 1   0 .. 0 (n - 1)
        y   0 .. 0 (n + lag)                    s_1 .. s_n

    so that each symbol must be remembered for ``n + lag`` steps. Without memory the cross-entropy is ``log K`` at the
    last ``n`` steps. (Hochreiter and Schmidhuber, 1997; in this form Arjovsky et al., 2016)

    Args:
        key: random key.
        count: ``N``.
        lag: number of blanks between the symbols and the delimiter.
        length: ``n``, length of the sequence of symbols.
        num_symbols: ``K``.

    Returns:
        ``x`` and ``y``, both ``[N, 2 n + lag]``.

    Raises:
        ValueError: the lag is negative, or one of the others is not positive.

    >>> x, y = copy(jax.random.key(0), 1, 1, length=2, num_symbols=1)
    >>> x.tolist(), y.tolist()
    ([[1, 1, 0, 2, 0]], [[0, 0, 0, 1, 1]])
    """
    if lag < 0 or length < 1 or num_symbols < 1:
        raise ValueError(f"expected lag >= 0, length >= 1 and num_symbols >= 1, got {lag}, {length} and {num_symbols}")
    symbols = jax.random.randint(key, (count, length), 1, num_symbols + 1, jnp.int32)
    cue = jnp.zeros((count, lag + length), jnp.int32).at[:, lag].set(num_symbols + 1)
    return jnp.concatenate([symbols, cue], axis=1), jnp.pad(symbols, ((0, 0), (length + lag, 0)))


def latch(key: Key, count: int, steps: int, *, probability: ArrayLike = 0.1) -> tuple[Array, Array]:
    """Draw the latch task, without a fixed end: output at every step the last marked number.

    Each step has a number from [-1, 1) and a mark, which is 1 with ``probability``; the target is 0 before the first
    mark. A mark replaces the remembered number, so an additive memory without forgetting cannot solve the task.

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
    target = jnp.where(last < 0, 0, jnp.take_along_axis(number, jnp.maximum(last, 0), axis=1))
    return jnp.stack([number, mark.astype(number.dtype)], axis=-1), target[..., None]


def markov(key: Key, count: int, steps: int, transition: ArrayLike) -> Array:
    """Draw sequences from a Markov chain of any order.

    ``P(x_t = j | .., x_(t-1)) = transition[x_(t-1), j]`` for the first order, with one more dimension for each further
    one: ``transition[x_(t-2), x_(t-1), j]``. The first tokens, as many as the order, are uniform.

    Args:
        key: random key.
        count: ``N``.
        steps: ``T``.
        transition: probabilities, ``[V, V]`` or ``[V, .., V]``, that sum to 1 along the last dimension.

    Returns:
        Tokens ``[N, T]``.

    Raises:
        ValueError: the dimensions of ``transition`` differ in size, or are fewer than two.

    >>> markov(jax.random.key(0), 1, 4, jnp.array([[0.0, 1.0], [0.0, 1.0]]))[0, 1:].tolist()
    [1, 1, 1]
    """
    transition = jnp.asarray(transition)
    order, size = transition.ndim - 1, transition.shape[-1] if transition.ndim else 0
    if order < 1 or set(transition.shape) != {size}:
        raise ValueError(f"expected transition [V, V], or [V, .., V] for higher orders, got shape {transition.shape}")
    logits = jnp.log(transition)
    key_first, key_rest = jax.random.split(key)
    first = jax.random.randint(key_first, (order, count), 0, size, jnp.int32)

    def step(history: Array, key: Key) -> tuple[Array, Array]:
        token = jax.random.categorical(key, logits[tuple(history)]).astype(jnp.int32)
        return jnp.concatenate([history[1:], token[None]]), token

    _, rest = jax.lax.scan(step, first, jax.random.split(key_rest, max(steps - order, 0)))
    return einops.rearrange(jnp.concatenate([first, rest])[:steps], "t n -> n t")


def random_transition(seed: int | np.random.Generator, num_symbols: int, order: int = 1) -> np.ndarray:
    """Draw non-uniform transition probabilities for `markov`, none of which is 0.

    Each distribution is Dirichlet with concentration 0.3, mixed with 5 % of the uniform one.

    Returns:
        ``[V] * (order + 1)`` float32.

    >>> random_transition(0, 3, order=2).sum(axis=-1).round(5).tolist()
    [[1.0, 1.0, 1.0], [1.0, 1.0, 1.0], [1.0, 1.0, 1.0]]
    """
    uneven = np.random.default_rng(seed).dirichlet(np.full(num_symbols, 0.3), (num_symbols,) * order)
    return (0.95 * uneven + 0.05 / num_symbols).astype(np.float32)


def local_pattern(key: Key, count: int, steps: int, *, num_symbols: int = 10) -> tuple[Array, Array]:
    """Draw a local task: does 1 2 3 occur side by side?

    All tokens are random, ``0 .. V - 1``; at a random place the sequences have 1 2 3 and 1 3 2 in turn. Chance
    occurrences of 1 2 3 count, too.

    Returns:
        Tokens ``[N, T]`` and labels ``[N]``.

    >>> local_pattern(jax.random.key(0), 2, 3)[0].tolist()
    [[1, 3, 2], [1, 2, 3]]
    """
    key_tokens, key_place = jax.random.split(key)
    token = jax.random.randint(key_tokens, (count, steps), 0, num_symbols)
    place = jax.random.randint(key_place, (count, 1), 0, steps - 2)
    planted = jnp.where(jnp.arange(count)[:, None] % 2 == 1, jnp.array([[1, 2, 3]]), jnp.array([[1, 3, 2]]))
    token = jnp.put_along_axis(token, place + jnp.arange(3)[None], planted, axis=1, inplace=False)
    found = (token[:, :-2] == 1) & (token[:, 1:-1] == 2) & (token[:, 2:] == 3)
    return token, jnp.any(found, axis=1).astype(jnp.int32)


def order_of_two(key: Key, count: int, steps: int, *, num_symbols: int = 10, margin: int = 4) -> tuple[Array, Array]:
    """Draw a task over any distance: is 2 before 1?

    Both occur once, at least ``margin`` steps from the ends; all other tokens are from ``3 .. V - 1``.

    Returns:
        Tokens ``[N, T]`` and labels ``[N]``.

    Raises:
        ValueError: there are fewer than two places between the margins.

    >>> x, y = order_of_two(jax.random.key(0), 1, 2, margin=0)
    >>> x.tolist() == [[2, 1] if y[0] else [1, 2]]
    True
    """
    key_tokens, key_first, key_distance = jax.random.split(key, 3)
    places = steps - 2 * margin
    if places < 2:
        raise ValueError(f"expected steps >= {2 * margin + 2}, two more than both margins, got {steps}")
    token = jax.random.randint(key_tokens, (count, steps), 3, num_symbols)
    first = jax.random.randint(key_first, (count,), 0, places)
    second = (first + jax.random.randint(key_distance, (count,), 1, places)) % places
    rows = jnp.arange(count)
    token = token.at[rows, margin + first].set(1).at[rows, margin + second].set(2)
    return token, (second < first).astype(jnp.int32)


def pendulum(key: Key, count: int, steps: int, *, interval: float = 0.4, amplitude: ArrayLike = 2.5) -> Array:
    """Draw the angles of swinging pendulums, ``angle'' = -sin(angle)``, sampled every ``interval``.

    Each starts at rest from an angle uniform in ``[-amplitude, amplitude)``, and the first sample is at a random time
    of its swing. One angle does not determine the next, two nearly do, and the period depends on the amplitude. The
    Stoermer-Verlet method (Verlet, 1967) takes eight steps between two samples.

    Args:
        key: random key.
        count: ``N``.
        steps: ``T``.
        interval: time between samples, in units in which a small swing takes ``2 pi``.
        amplitude: maximum amplitude in radians, below ``pi``.

    Returns:
        Angles in radians, ``[N, T, 1]``.
    """
    key_angle, key_start = jax.random.split(key)
    start = jax.random.randint(key_start, (count,), 0, MAX_SKIPPED)
    angle = jax.random.uniform(key_angle, (count,), minval=-amplitude, maxval=amplitude)
    substep = interval / SUBSTEPS

    def swing(state: tuple[Array, Array], _: None) -> tuple[tuple[Array, Array], Array]:
        def verlet(_: int, state: tuple[Array, Array]) -> tuple[Array, Array]:
            angle, velocity = state
            velocity = velocity - substep * jnp.sin(angle)
            return angle + substep * velocity, velocity

        return jax.lax.fori_loop(0, SUBSTEPS, verlet, state), state[0]

    at_rest = angle, substep / 2 * jnp.sin(angle)  # velocity half a step back, for symmetry in time
    _, angles = jax.lax.scan(swing, at_rest, None, length=MAX_SKIPPED + steps)
    return jnp.take_along_axis(angles.T, start[:, None] + jnp.arange(steps)[None], axis=1)[..., None]
