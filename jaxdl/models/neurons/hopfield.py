"""Hopfield networks: memories that are recalled from a part of themselves.

The binary network has states of -1 and +1, ``s [..., N]``, symmetric weights ``W [N, N]`` and the energy
``-s^T W s / 2``, which no asynchronous update raises (Hopfield, 1982). The continuous network has any vectors as
memories, and its update is attention (Ramsauer et al., 2021).
"""

import jax
import jax.numpy as jnp

from jaxdl.arrays import to_floating, widen_floating
from jaxdl.checks import check_in_range, check_indices, check_positive_integer
from jaxdl.nn.attention.dot_product import dot_product_attention
from jaxdl.typing import Array, ArrayLike, Key


def hebbian_weights(patterns: ArrayLike) -> Array:
    """Store patterns by Hebb's rule, ``W = X^T X / N`` with a diagonal of 0.

    Random patterns are recalled up to a load of ``P / N = 0.138`` (Amit et al., 1985); correlated ones disturb each
    other long before.

    Args:
        patterns: ``X``, ``[P, N]`` of -1 and +1.

    Returns:
        ``W``, ``[N, N]``.

    Raises:
        ValueError: the patterns are not ``[P, N]``.

    >>> hebbian_weights([[1, -1], [1, 1], [1, 1]]).tolist()
    [[0.0, 0.5], [0.5, 0.0]]
    """
    patterns = _check_patterns(patterns)
    size = patterns.shape[1]
    return jnp.where(jnp.eye(size, dtype=bool), 0, patterns.T @ patterns / size)


def pseudo_inverse_weights(patterns: ArrayLike) -> Array:
    """Store patterns as the projection onto their span, ``W = X^+ X`` (Personnaz et al., 1986).

    ``W x = x`` for every stored pattern, so each is a fixed point, however correlated they are, for up to ``N``
    linearly independent ones. Near that number nearly every state is a fixed point too, and nothing is corrected.

    Arguments and errors as in `hebbian_weights`.

    >>> (3 * pseudo_inverse_weights([[1, 1, 1, 1], [1, 1, 1, -1]]))[2:].round().tolist()
    [[1.0, 1.0, 1.0, 0.0], [0.0, 0.0, 0.0, 3.0]]
    """
    patterns = _check_patterns(patterns)
    weights = jnp.linalg.pinv(patterns) @ patterns
    return (weights + weights.T) / 2  # symmetric but for rounding


def hopfield_energy(weights: ArrayLike, states: ArrayLike) -> Array:
    """Compute the energy ``-s^T W s / 2``.

    Args:
        weights: ``W``, ``[N, N]``.
        states: ``s``, ``[..., N]``.

    Returns:
        ``[...]``.

    >>> hopfield_energy(jnp.array([[0.0, 1.0], [1.0, 0.0]]), jnp.array([[1, 1], [1, -1]])).tolist()
    [-1.0, 1.0]
    """
    weights, states = _check_network(weights, states)
    return -jnp.sum((states @ weights) * states, axis=-1) / 2


def update_synchronously(weights: ArrayLike, states: ArrayLike) -> Array:
    """Update all units at once, ``s_i = sign(sum_j W_ij s_j)``; a sum of 0 leaves a unit as it is.

    The states may end in a cycle of two.

    Arguments and errors as in `hopfield_energy`.

    >>> update_synchronously(jnp.array([[0.0, 1.0], [1.0, 0.0]]), jnp.array([1.0, -1.0])).tolist()
    [-1.0, 1.0]
    """
    weights, states = _check_network(weights, states)
    return _signs(states @ weights, states)


def update_asynchronously(weights: ArrayLike, states: ArrayLike, order: ArrayLike) -> tuple[Array, Array]:
    """Update one unit after the other, ``s_i = sign(sum_j W_ij s_j)`` with the states that are already new.

    Where the weights are symmetric and no entry of the diagonal is negative, no update raises the energy, so the
    network comes to rest.

    Args:
        weights: ``W``, ``[N, N]``, symmetric.
        states: ``s``, ``[..., N]`` of -1 and +1.
        order: the units to update, ``[U]``; a permutation of ``N`` is a sweep.

    Returns:
        The states ``[..., N]``, and the energy before the first and after each update, ``[U + 1, ...]``.

    Raises:
        ValueError: the shapes do not fit, or the order is known to have a unit outside of ``0 .. N - 1``.

    >>> states, energies = update_asynchronously(jnp.array([[0.0, 1.0], [1.0, 0.0]]), jnp.array([1.0, -1.0]), [0, 1])
    >>> states.tolist(), energies.tolist()
    ([-1.0, -1.0], [1.0, -1.0, -1.0])
    """
    weights, states = _check_network(weights, states)
    check_indices("order", order, states.shape[-1])
    first = hopfield_energy(weights, states)

    def update(carry: tuple[Array, Array], unit: Array) -> tuple[tuple[Array, Array], Array]:
        states, energy = carry
        before, field = states[..., unit], states @ weights[unit]
        after = _signs(field, before)
        change = after - before
        energy = energy - change * field - change**2 * weights[unit, unit] / 2
        return (states.at[..., unit].set(after), energy), energy

    (states, _), energies = jax.lax.scan(update, (states, first), jnp.asarray(order))
    return states, jnp.concatenate([first[None], energies])


def recall(key: Key, weights: ArrayLike, states: ArrayLike, *, sweeps: int = 10) -> Array:
    """Recall memories from parts of them: update all units, in a new random order in each of ``sweeps``.

    Args:
        key: for the orders.
        weights: ``W``, ``[N, N]``, symmetric.
        states: the initial states, ``[..., N]`` of -1 and +1.
        sweeps: the number of updates of each unit; at rest further ones change nothing.

    Raises:
        ValueError: the shapes do not fit, or ``sweeps`` is not positive.

    >>> weights = hebbian_weights([[1, -1, 1, -1, 1, -1]])
    >>> recall(jax.random.key(0), weights, jnp.array([1.0, -1.0, 1.0, 1.0, 1.0, 1.0])).tolist()
    [1.0, -1.0, 1.0, -1.0, 1.0, -1.0]
    """
    check_positive_integer("sweeps", sweeps)
    weights, states = _check_network(weights, states)

    def sweep(states: Array, key: Key) -> tuple[Array, None]:
        return update_asynchronously(weights, states, jax.random.permutation(key, weights.shape[0]))[0], None

    return jax.lax.scan(sweep, states, jax.random.split(key, sweeps))[0]


def retrieve(memories: ArrayLike, states: ArrayLike, beta: float = 1.0) -> Array:
    """Update a continuous Hopfield network, ``x = X^T softmax(beta X x)``.

    It is attention with the memories as keys and values. One update retrieves a memory that differs enough from all
    others, and the number of those grows exponentially with ``D`` (Ramsauer et al., 2021). No update raises
    `continuous_energy`.

    Args:
        memories: ``X``, ``[P, D]``.
        states: ``x``, the queries, ``[B, D]``.
        beta: inverse temperature, above 0; a small one gives means of similar memories.

    Returns:
        ``[B, D]``.

    Raises:
        ValueError: the shapes do not fit, or ``beta`` is not above 0.

    >>> memories = jnp.array([[3.0, 0.0], [0.0, 3.0]])
    >>> retrieve(memories, jnp.array([[2.0, 1.0]]), beta=5.0).round(2).tolist()
    [[3.0, 0.0]]
    """
    check_in_range("beta", beta, includes_low=False)
    memories = to_floating(memories)
    return dot_product_attention(to_floating(states), memories, memories, scale=beta)


def continuous_energy(memories: ArrayLike, states: ArrayLike, beta: float = 1.0) -> Array:
    """Compute the energy ``-ln(sum_p e^(beta X_p x)) / beta + x^T x / 2`` of the continuous network.

    Args:
        memories: ``X``, ``[P, D]``.
        states: ``x``, ``[..., D]``.
        beta: inverse temperature, above 0.

    Returns:
        ``[...]``.

    >>> continuous_energy(jnp.zeros((1, 2)), jnp.array([[3.0, 4.0]])).tolist()
    [12.5]
    """
    check_in_range("beta", beta, includes_low=False)
    memories, states = _check_patterns(memories), widen_floating(states)
    return -jax.nn.logsumexp(beta * (states @ memories.T), axis=-1) / beta + jnp.sum(states**2, axis=-1) / 2


def _signs(field: Array, states: Array) -> Array:
    return jnp.where(field == 0, states, jnp.sign(field).astype(states.dtype))  # NaN stays


def _check_patterns(patterns: ArrayLike) -> Array:
    patterns = widen_floating(patterns)
    if patterns.ndim != 2:
        raise ValueError(f"expected patterns [P, N], got shape {patterns.shape}")
    return patterns


def _check_network(weights: ArrayLike, states: ArrayLike) -> tuple[Array, Array]:
    weights, states = widen_floating(weights), widen_floating(states)
    if states.ndim < 1 or weights.shape != (states.shape[-1],) * 2:
        raise ValueError(f"expected weights [N, N] and states [..., N], got {weights.shape} and {states.shape}")
    return weights, states
