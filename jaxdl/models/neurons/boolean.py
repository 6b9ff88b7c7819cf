"""Boolean functions, their linear separability, and a network that computes any of them.

Truth is +1 and falsehood -1 at the inputs; a function of ``n`` inputs is a table of 0 and 1, ``[2^n]``, in the order of
``boolean_inputs(n)``.
"""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np

from jaxdl.models.neurons.perceptron_learning import learn_perceptron
from jaxdl.nn.activations import step
from jaxdl.typing import Array, ArrayLike, PyTree


def boolean_inputs(n: int) -> Array:
    """List all inputs of -1 and +1, ``[2^n, n]``; the last input changes fastest.

    >>> boolean_inputs(2).tolist()
    [[-1.0, -1.0], [-1.0, 1.0], [1.0, -1.0], [1.0, 1.0]]
    """
    bits = jnp.arange(2**n)[:, None] >> jnp.arange(n - 1, -1, -1)[None] & 1
    return 2.0 * bits - 1.0


def truth_tables(n: int) -> Array:
    """List all functions of ``n`` inputs, ``[2^(2^n), 2^n]`` of 0 and 1; the last entry changes fastest.

    Raises:
        ValueError: ``n`` is not from 1 to 4; five inputs have 2^32 functions.

    >>> truth_tables(1).tolist()
    [[0, 0], [0, 1], [1, 0], [1, 1]]
    """
    if not 1 <= n <= 4:
        raise ValueError(f"expected n from 1 to 4, got {n}")
    rows = 2**n
    return jnp.arange(2**rows)[:, None] >> jnp.arange(rows - 1, -1, -1)[None] & 1


def separable(tables: ArrayLike) -> Array:
    """Decide for each function whether one threshold neuron can compute it.

    A vertex of the solutions of ``w.p >= 1`` is a ratio of determinants of matrices of signs of order ``n + 1``, which
    are multiples of ``2^n``. So a separable function has integer weights of at most ``m = (n + 1)^((n + 1) / 2) / 2^n``
    by Hadamard's bound (Muroga, 1971). Up to ``n = 4`` all these weights are enumerated. Beyond, a perceptron learns
    the table: its margin on unit points is at least ``1 / ((n + 1) m)``, so after more than ``(n + 1)^2 m^2`` mistakes
    the function is not separable. All weights are integers, hence exact.

    Args:
        tables: functions ``[..., 2^n]`` of 0 and 1.

    Returns:
        Booleans ``[...]``.

    Raises:
        ValueError: the length of a table is not a power of two.

    >>> separable(jnp.array([[0, 0, 0, 1], [0, 1, 1, 0]])).tolist()
    [True, False]
    """
    tables = jnp.asarray(tables)
    n = _number_of_inputs(tables)
    if n <= 4:
        codes = (tables > 0) @ 2 ** jnp.arange(2**n)
        return jnp.asarray(_separable_codes(n))[codes]
    return _learnable(tables, n)


@functools.cache
def _separable_codes(n: int) -> np.ndarray:
    """Mark the separable functions of ``n`` inputs, ``[2^(2^n)]``; entry ``i`` of a table is bit ``i`` of its code."""
    largest = math.isqrt((n + 1) ** (n + 1) // 4**n)
    weights = np.indices((2 * largest + 1,) * (n + 1)).reshape(n + 1, -1).T - largest
    bits = np.arange(2**n)[:, None] >> np.arange(n - 1, -1, -1)[None] & 1
    products = weights[:, :1] + weights[:, 1:] @ (2 * bits - 1).T
    codes = (products > 0) @ 2 ** np.arange(2**n)
    separable_codes = np.zeros(2 ** (2**n), bool)
    separable_codes[codes[(products != 0).all(axis=1)]] = True
    return separable_codes


def _learnable(tables: Array, n: int) -> Array:
    """Decide for each table ``[..., 2^n]`` whether a perceptron learns it within the bound on its mistakes."""
    limit, x = (n + 1) ** (n + 3) // 4**n, boolean_inputs(n)
    decide = jax.vmap(lambda table: learn_perceptron(x, table, max_mistakes=limit).converged)
    return decide(tables.reshape(-1, 2**n)).reshape(tables.shape[:-1])


def boolean_network(table: ArrayLike) -> PyTree:
    """Construct the weights of one hidden layer of ``2^n`` perceptrons that computes a function of ``n`` inputs.

    Hidden perceptron ``k`` has the ``k``-th input as its weights and the bias ``-n``: ``w.x - n >= 0`` for that input
    alone. The output perceptron adds 1 where the function is true and -1 where it is false.

    Args:
        table: the function, ``[..., 2^n]`` of 0 and 1.

    Returns:
        ``{"hidden": {"kernel": [n, 2^n], "bias": [2^n]}, "output": {"kernel": [..., 2^n]}}``.

    Raises:
        ValueError: the length of the table is not a power of two.
    """
    table = jnp.asarray(table)
    n = _number_of_inputs(table)
    return {
        "hidden": {"kernel": boolean_inputs(n).T, "bias": jnp.full(2**n, -float(n))},
        "output": {"kernel": 2.0 * table - 1.0},
    }


def apply_boolean_network(params: PyTree, x: ArrayLike) -> Array:
    """Compute the function of a ``boolean_network`` at inputs of -1 and +1.

    Args:
        params: from ``boolean_network``, of one function.
        x: ``[..., n]``.

    Returns:
        0 and 1, ``[...]``.

    >>> apply_boolean_network(boolean_network(jnp.array([0, 1, 1, 0])), boolean_inputs(2)).tolist()
    [0.0, 1.0, 1.0, 0.0]
    """
    bias = params["hidden"]["bias"]
    x = jnp.asarray(x)
    hidden = step(x @ params["hidden"]["kernel"] + jnp.expand_dims(bias, tuple(range(x.ndim - 1))))
    return step(hidden @ params["output"]["kernel"])


def _number_of_inputs(tables: Array) -> int:
    n = int(math.log2(max(tables.shape[-1], 1))) if tables.ndim else 0
    if n < 1 or 2**n != tables.shape[-1]:
        raise ValueError(f"expected tables [..., 2^n], got {tables.shape}; list one entry for each input")
    return n
