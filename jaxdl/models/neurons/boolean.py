"""Boolean functions: which a single threshold neuron can compute, and a network that computes any.

Truth is +1 and falsehood -1 at the inputs; a function of ``n`` inputs is a table of 0 and 1, ``[2^n]``, in the order of
``boolean_inputs(n)``.
"""

import math

import jax
import jax.numpy as jnp

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
        ValueError: ``n`` is not from 1 to 4; of five inputs there are four thousand million.

    >>> truth_tables(1).tolist()
    [[0, 0], [0, 1], [1, 0], [1, 1]]
    """
    if not 1 <= n <= 4:
        raise ValueError(f"n must lie between 1 and 4; got {n}")
    rows = 2**n
    return jnp.arange(2**rows)[:, None] >> jnp.arange(rows - 1, -1, -1)[None] & 1


def separable(tables: ArrayLike) -> Array:
    """Decide for each function whether one threshold neuron can compute it.

    The perceptron decides: with ``w.p >= 1`` at all points, the corners of the solutions have weights of at most ``m =
    (n + 1)^((n + 1) / 2) / 2^n`` (a ratio of determinants of signs; Muroga, 1971). So the margin on unit points is at
    least ``1 / ((n + 1) m)``, and a perceptron that makes more than ``(n + 1)^2 m^2`` mistakes will make mistakes
    for ever. The numbers are whole, hence exact.

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
    limit = (n + 1) ** (n + 3) // 4**n
    x = boolean_inputs(n)
    decide = jax.vmap(lambda table: learn_perceptron(x, table, max_mistakes=limit).converged)
    return decide(tables.reshape(-1, 2**n)).reshape(tables.shape[:-1])


def boolean_network(table: ArrayLike) -> PyTree:
    """Make the weights of one hidden layer of ``2^n`` perceptrons that computes any function of ``n`` inputs exactly.

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
        raise ValueError(f"a function of n inputs is a table of 2^n entries; got the shape {tables.shape}")
    return n
