"""Gradient flow through time and depth: norms of Jacobians, their bound, spectral radii, the paths of an LSTM.

The functions take the step of one example, ``step(state, x_t) -> state``; for a cell it is ``lambda state, x:
cell(parameters, state, x)[0]``. For ``s_t = g(x_t W + s_(t-1) U + b)`` the gradient between two times is the product

    d s_t / d s_k = J_t J_(t-1) .. J_(k+1)        J_t = diag(g'(a_t)) U^T

whose norm is at most ``(gamma lambda)^(t-k)``, with the largest slope ``gamma`` of ``g`` and the largest singular value
``lambda`` of ``U``: below 1 the gradient vanishes, above 1 it may explode (Pascanu et al., 2013).
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from jaxdl import tree
from jaxdl.checks import check_one_of
from jaxdl.typing import Array, ArrayLike, PyTree

Step = Callable[[PyTree, PyTree], PyTree]

LARGEST_SLOPES = {"identity": 1.0, "relu": 1.0, "sigmoid": 0.25, "tanh": 1.0}
"""``gamma``, the largest slope, of the activations of recurrent networks."""


def jacobians(step: Step, state: PyTree, inputs: PyTree) -> Array:
    """Compute ``J_t = d s_t / d s_(t-1)`` along the trajectory of the inputs.

    Args:
        step: ``(s_(t-1), x_t) -> s_t`` of one example, differentiable in forward mode.
        state: ``s_0``, a tree of arrays with ``N`` elements in total.
        inputs: ``x_1 .. x_T``, arrays ``[T, ...]``.

    Returns:
        ``[T, N, N]``, with ``s_t`` in the rows.
    """
    flat, restore = ravel_pytree(state)

    def flat_step(flat: Array, x: PyTree) -> Array:
        return ravel_pytree(step(restore(flat), x))[0]

    _, previous = jax.lax.scan(lambda flat, x: (flat_step(flat, x), flat), flat, inputs)
    return jax.vmap(jax.jacfwd(flat_step))(previous, inputs)


def jacobian_norms(step: Step, state: PyTree, inputs: PyTree, *, order: int | str = 2) -> Array:
    """Compute the norms of ``d s_t / d s_k`` for all times ``t, k = 0 .. T``.

    Args:
        step: as in ``jacobians``.
        state: ``s_0``.
        inputs: ``[T, ...]``.
        order: 2 for the largest singular value, "fro" for the Frobenius norm.

    Returns:
        ``[T + 1, T + 1]`` with ``t`` in the rows; 0 for ``k > t``.

    >>> norms = jax.jit(lambda x: jacobian_norms(lambda s, x: 0.5 * s + x, jnp.zeros(1), x))(jnp.zeros((2, 1)))
    >>> norms.tolist()
    [[1.0, 0.0, 0.0], [0.5, 1.0, 0.0], [0.25, 0.5, 1.0]]
    """
    J = jacobians(step, state, inputs)
    steps, size, _ = J.shape
    start = jnp.zeros((steps + 1, size, size), J.dtype).at[0].set(jnp.eye(size, dtype=J.dtype))

    def extend(since, inputs):  # since[k] = d s_t / d s_k
        t, J_t = inputs
        since = (J_t[None] @ since).at[t].set(jnp.eye(size, dtype=J.dtype))
        return since, _norms(since, order)

    _, norms = jax.lax.scan(extend, start, (jnp.arange(1, steps + 1), J))
    return jnp.concatenate([_norms(start, order)[None], norms])


def jacobian_bound(recurrent_kernel: ArrayLike, lags: ArrayLike, activation: str = "tanh") -> Array:
    """Compute ``(gamma lambda)^lag``, an upper bound of the norm of ``d s_t / d s_k`` of a vanilla network.

    Args:
        recurrent_kernel: ``U``, ``[H, H]``.
        lags: ``t - k``, of any shape.
        activation: the name of ``g``.

    Raises:
        ValueError: the largest slope of the activation is unknown.

    >>> jacobian_bound(2 * jnp.eye(2), jnp.arange(3), "sigmoid").tolist()
    [1.0, 0.5, 0.25]
    """
    check_one_of("activation", activation, LARGEST_SLOPES)
    largest = jnp.linalg.norm(jnp.asarray(recurrent_kernel), ord=2)
    return (LARGEST_SLOPES[activation] * largest) ** jnp.asarray(lags)


def within_bound(norms: ArrayLike, bound: ArrayLike, *, tolerance: float = 1e-4) -> np.ndarray:
    """Return for each network whether all its norms are within a bound by lag, up to rounding in float32.

    Args:
        norms: of ``d s_t / d s_k``, ``[N, T + 1, T + 1]`` as `jacobian_norms` returns them.
        bound: for the lags ``0 .. T``, ``[N, T + 1]`` as `jacobian_bound` returns it.
        tolerance: relative excess that counts as rounding.

    >>> within_bound([[[1.0, 0.0], [0.5, 1.0]]], [[1.0, 0.4]]).tolist()
    [False]
    """
    norms, bound = np.asarray(norms), np.asarray(bound)
    lags = np.subtract.outer(np.arange(norms.shape[-1]), np.arange(norms.shape[-1]))
    allowed = np.where(lags >= 0, bound[:, np.abs(lags)], 0)
    return np.all(norms <= allowed * (1 + tolerance), axis=(1, 2))


def mean_log10_by_lag(norms: ArrayLike) -> np.ndarray:
    """Average ``log10`` of norms ``[N, T + 1, T + 1]`` over all pairs of times with the same lag, ``[N, T + 1]``.

    >>> mean_log10_by_lag([[[1.0, 0.0], [0.01, 1.0]]]).tolist()
    [[0.0, -2.0]]
    """
    with np.errstate(divide="ignore"):
        logarithm = np.log10(np.asarray(norms))
    lags = range(logarithm.shape[1])
    return np.stack([np.diagonal(logarithm, -lag, 1, 2).mean(axis=-1) for lag in lags], axis=1)


def spectral_radius(matrix: ArrayLike, *, squarings: int = 24) -> Array:
    """Compute ``max_i |lambda_i|`` as ``lim |A^n|^(1/n)`` with ``n = 2^squarings`` (Gelfand, 1941).

    It runs on every device and under ``vmap``, unlike the eigenvalues of matrices that are not symmetric.

    Args:
        matrix: ``[..., N, N]``.
        squarings: number of squarings of the power.

    Raises:
        ValueError: the matrix is not square.

    >>> round(float(spectral_radius(jnp.array([[0.0, 2.0], [-2.0, 0.0]]))), 4)
    2.0
    """
    power = jnp.asarray(matrix)
    if power.ndim < 2 or power.shape[-1] != power.shape[-2]:
        raise ValueError(f"expected square matrices [..., N, N], got {power.shape}")

    def square(carry, n):
        power, logarithm = carry
        norm = jnp.linalg.norm(power, axis=(-2, -1), keepdims=True)
        power = power / jnp.where(norm == 0, 1, norm)
        return (power @ power, logarithm + jnp.log(norm[..., 0, 0]) * 0.5**n), None

    start = power, jnp.zeros(power.shape[:-2], power.dtype)
    (_, logarithm), _ = jax.lax.scan(square, start, jnp.arange(squarings, dtype=power.dtype))
    return jnp.exp(logarithm)


class Paths(NamedTuple):
    """Norms of the parts of ``d c_T / d c_k`` for ``k = 0 .. T``, each ``[T + 1]``."""

    forget: Array
    output: Array
    total: Array


def lstm_paths(step: Step, state: tuple[Array, Array], inputs: PyTree, *, order: int | str = 2) -> Paths:
    """Split the gradient between memories of an LSTM into its two paths.

    ``d c_T / d c_k`` is a sum over all paths from ``c_k`` to ``c_T``. The forget path stays in the memory, and is the
    product of the forget gates, ``diag(f_T) .. diag(f_(k+1))``. All others, together the output path, leave it at least
    once through an output gate, ``h_t = o_t * tanh(c_t)``, and return through the gates of the next time. The norm of
    the total is at most the sum of the norms.

    Args:
        step: ``((c, h), x_t) -> (c, h)`` of one example.
        state: ``(c_0, h_0)``, both ``[H]``.
        inputs: ``[T, ...]``.
        order: as in ``jacobian_norms``.
    """
    J, size = jacobians(step, state, inputs), jnp.shape(state[0])[-1]
    J_c = J[:, :size, :size]

    def extend(until, inputs):  # until = d (c_T, h_T) / d (c_k, h_k), and the forget path alone
        (total, forget), (J_k, J_c_k) = until, inputs
        until = total @ J_k, forget @ J_c_k
        return until, until

    start = jnp.eye(2 * size, dtype=J.dtype), jnp.eye(size, dtype=J.dtype)
    _, until = jax.lax.scan(extend, start, (J, J_c), reverse=True)
    total, forget = (jnp.concatenate([a, end[None]]) for a, end in zip(until, start, strict=True))
    total = total[:, :size, :size]
    return Paths(_norms(forget, order), _norms(total - forget, order), _norms(total, order))


def leaf_norms(gradients: PyTree) -> dict[str, Array]:
    """Compute the Euclidean norm of every leaf, by path: for gradients, their flow through depth.

    >>> leaf_norms({"layer0": {"kernel": jnp.array([3.0, 4.0])}})["layer0/kernel"].tolist()
    5.0
    """
    return {path: tree.norm(leaf) for path, leaf in tree.flatten(gradients).items()}


def _norms(matrices: Array, order: int | str) -> Array:
    return jnp.linalg.norm(matrices, ord=order, axis=(-2, -1))
