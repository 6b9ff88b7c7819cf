"""Teacher forcing of networks with output recurrence: step by step, or at all steps at once.

Under teacher forcing the last output that a step reads is the true one, which is known beforehand.
"""

import jax
import jax.numpy as jnp

from jaxdl.arrays import to_floating
from jaxdl.nn.recurrent._checks import check_parameters
from jaxdl.nn.recurrent.cells.base import Parameters
from jaxdl.nn.recurrent.cells.vanilla import Jordan, JordanState
from jaxdl.typing import Array, ArrayLike


def forced_scan(
    cell: Jordan, parameters: Parameters, x: ArrayLike, targets: ArrayLike, first: ArrayLike | None = None
) -> Array:
    """Compute the outputs of a `Jordan` cell step by step, each from the true output before it.

    ``h_t = g(x_t W + z_(t-1) R [+ h_(t-1) U] + b)``, ``y_t = o(h_t V + c)`` with the targets ``z``.

    Args:
        cell: the cell, also one with ``hidden_recurrence``.
        parameters: of the cell, from ``init_cell``.
        x: ``[..., T, D]``.
        targets: ``z``, the true outputs, ``[..., T, K]``.
        first: ``z_0``, ``[..., K]``; None for zeros.

    Returns:
        ``y``, ``[..., T, K]``.

    Raises:
        ValueError: the shapes do not fit each other.

    >>> parameters = {"kernel": jnp.zeros((1, 1)), "output_recurrent_kernel": jnp.ones((1, 1))}
    >>> parameters["output_kernel"] = jnp.ones((1, 1))
    >>> cell, z = Jordan(1, activation="identity"), jnp.array([[1.0], [2.0], [3.0]])
    >>> forced_scan(cell, parameters, jnp.zeros((3, 1)), z).ravel().tolist()
    [0.0, 1.0, 2.0]
    """
    x, previous = _prepare(cell, parameters, x, targets, first)
    state = cell.init_carry(x.shape[:-2], x.dtype)

    def step(h: Array, inputs: tuple[Array, Array]) -> tuple[Array, Array]:
        x, z = inputs
        (h, _), y = cell(parameters, JordanState(h, z), x)
        return h, y

    _, y = jax.lax.scan(step, state.h, (jnp.moveaxis(x, -2, 0), jnp.moveaxis(previous, -2, 0)))
    return jnp.moveaxis(y, 0, -2)


def forced_parallel(
    cell: Jordan, parameters: Parameters, x: ArrayLike, targets: ArrayLike, first: ArrayLike | None = None
) -> Array:
    """Compute the outputs of `forced_scan` at all steps at once, for a cell without recurrence of its hidden state.

    No step depends on another one, so there is neither a loop nor backpropagation through time; the values and the
    gradients are those of the loop.

    Arguments as in `forced_scan`.

    Raises:
        ValueError: the cell has ``hidden_recurrence``, or the shapes do not fit each other.

    >>> parameters = {"kernel": jnp.zeros((1, 1)), "output_recurrent_kernel": jnp.ones((1, 1))}
    >>> parameters["output_kernel"] = jnp.ones((1, 1))
    >>> cell, z = Jordan(1, activation="identity"), jnp.array([[1.0], [2.0], [3.0]])
    >>> forced_parallel(cell, parameters, jnp.zeros((3, 1)), z, first=jnp.array([5.0])).ravel().tolist()
    [5.0, 1.0, 2.0]
    """
    if cell.hidden_recurrence:
        raise ValueError("expected a cell without hidden recurrence, got hidden_recurrence=True; use forced_scan")
    x, previous = _prepare(cell, parameters, x, targets, first)
    state = cell.init_carry(x.shape[:-1], x.dtype)
    _, y = cell(parameters, JordanState(state.h, previous), x)
    return y


def _prepare(
    cell: Jordan, parameters: Parameters, x: ArrayLike, targets: ArrayLike, first: ArrayLike | None
) -> tuple[Array, Array]:
    """Return the inputs and the true outputs before each, ``[..., T, D]`` and ``[..., T, K]``."""
    x = to_floating(x)
    targets = jnp.asarray(targets, x.dtype)
    if x.ndim < 2 or targets.shape != (*x.shape[:-1], cell.output_size):
        raise ValueError(
            f"expected x [..., T, D] and targets [..., T, {cell.output_size}], got {x.shape} and {targets.shape}"
        )
    check_parameters(cell, parameters, x.shape[-1])
    shape = (*x.shape[:-2], cell.output_size)
    first = jnp.zeros(shape, x.dtype) if first is None else jnp.asarray(first, x.dtype)
    if first.shape != shape:
        raise ValueError(f"expected first {shape}, got {first.shape}")
    return x, jnp.concatenate([first[..., None, :], targets[..., :-1, :]], axis=-2)
