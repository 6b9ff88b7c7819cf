"""The scan over time: any cell over sequences ``[..., T, D]``, with lengths or a mask, in one direction or in both.

For ``x_1 .. x_T`` it is the loop ``h_t, y_t = cell(parameters, h_(t-1), x_t)``. A masked step changes nothing: the
state stays, the output is 0 and no gradient flows, whatever the input is. Therefore a padded sequence in reverse starts
at its last valid step.
"""

from typing import Any

import jax
import jax.numpy as jnp

from jaxdl.checks import check_one_of
from jaxdl.nn.recurrent import cudnn
from jaxdl.nn.recurrent._checks import check_names, check_parameters, check_sequences, prepare_carry
from jaxdl.nn.recurrent._loops import make_loop
from jaxdl.nn.recurrent.cells.base import Cell, Parameters
from jaxdl.typing import Array, ArrayLike, PyTree

BACKENDS = ("scan", "cudnn")
DIRECTIONS = ("forward", "backward")


def scan(
    cell: Cell,
    parameters: Parameters,
    x: ArrayLike,
    carry: PyTree | None = None,
    *,
    lengths: ArrayLike | None = None,
    mask: ArrayLike | None = None,
    reverse: bool = False,
    remat_chunks: int = 1,
    tbptt_length: int | None = None,
    custom_vjp: bool = True,
    backend: str = "scan",
) -> tuple[PyTree, Array]:
    """Compute the last state and all outputs of a cell over a sequence, in the dtype of ``x``.

    Args:
        cell: the cell.
        parameters: of the cell, from ``init_cell``.
        x: ``[..., T, D]``.
        carry: the initial state; None for zeros.
        lengths: valid steps of every sequence, ``[...]``; the rest is padding.
        mask: ``[..., T]``, 0 for padding, which may be anywhere; in the place of ``lengths``.
        reverse: scan from the last time to the first; outputs stay aligned with inputs.
        remat_chunks: split the time into this many chunks, save the states between them alone, and recompute the rest
            for the gradient. ``sqrt(T)`` chunks need the least memory: ``sqrt(T)`` steps beside the input and the
            output.
        tbptt_length: stop the gradient, not the state, after every ``tbptt_length`` steps: truncated backpropagation
            through time (Williams and Peng, 1990). From ``T`` on nothing is truncated.
        custom_vjp: use the backward pass written for the cell, where there is one. With False, forward-mode
            differentiation works (``jax.jvp``).
        backend: ``"scan"`` supports every option; ``"cudnn"`` is NVIDIA's LSTM (``jaxdl.nn.recurrent.cudnn``),
            for the cell ``LSTM(H)`` in float32, with lengths of at least 1 or none.

    Returns:
        The state after the last time, and the outputs ``[..., T, H]``.

    Raises:
        ValueError: shapes do not match, a number is not positive, a length is greater than ``T`` (where it is
            known before tracing), or the backend does not support an option.

    >>> parameters = {"kernel": jnp.ones((1, 1)), "recurrent_kernel": jnp.ones((1, 1))}
    >>> from jaxdl.nn.recurrent.cells import Vanilla
    >>> h, y = scan(Vanilla(1, "identity"), parameters, jnp.array([[1.0], [2.0], [9.0]]), lengths=2)
    >>> h.tolist(), y.tolist()
    ([3.0], [[1.0], [3.0], [0.0]])
    """
    check_one_of("backend", backend, BACKENDS)
    sequences, valid = check_sequences(x, lengths, mask, remat_chunks, tbptt_length)
    batch_shape, (steps, size), dtype = sequences.shape[:-2], sequences.shape[-2:], sequences.dtype
    check_parameters(cell, parameters, size)
    state = prepare_carry(cell, carry, batch_shape, dtype)
    parameters = jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype), parameters)
    if valid is not None:
        sequences = jnp.where(valid[..., None], sequences, jnp.zeros((), dtype))
    sequences = sequences.reshape(-1, steps, size)  # [B, T, D]
    if backend == "cudnn":
        unsupported = {
            "remat_chunks": remat_chunks > 1,
            "tbptt_length": tbptt_length is not None,
            "custom_vjp": not custom_vjp,
        }
        lengths = None if lengths is None else jnp.asarray(lengths).ravel()
        cudnn.check(cell, sequences, lengths, mask, unsupported)
        state, y = cudnn.lstm(parameters, state, sequences, lengths, reverse)
    else:
        loop = make_loop(
            cell, steps, reverse=reverse, remat_chunks=remat_chunks, tbptt_length=tbptt_length, custom_vjp=custom_vjp
        )
        valid = None if valid is None else valid.reshape(-1, steps).T  # [T, B]
        state, y = loop(parameters, state, jnp.swapaxes(sequences, 0, 1), valid)
        y = jnp.swapaxes(y, 0, 1)
    state = jax.tree.map(lambda leaf: leaf.reshape(*batch_shape, leaf.shape[-1]), state)
    return state, y.reshape(*batch_shape, steps, y.shape[-1])


def bidirectional_scan(
    cell: Cell, parameters: PyTree, x: ArrayLike, carry: PyTree | None = None, **options: Any
) -> tuple[PyTree, Array]:
    """Scan forward and backward and concatenate the outputs (Schuster and Paliwal, 1997).

    Args:
        cell: the cell of both directions.
        parameters: ``{"forward": ..., "backward": ...}``.
        x: ``[..., T, D]``.
        carry: ``{"forward": ..., "backward": ...}``, or None.
        options: of ``scan``.

    Returns:
        The last state of each direction, for "backward" the one at the first time, and ``[..., T, 2 H]``.
    """
    check_names("a bidirectional scan", parameters, DIRECTIONS)
    carries = {"forward": None, "backward": None} if carry is None else carry
    forward, y = scan(cell, parameters["forward"], x, carries["forward"], **options)
    backward, y_backward = scan(cell, parameters["backward"], x, carries["backward"], reverse=True, **options)
    return {"forward": forward, "backward": backward}, jnp.concatenate([y, y_backward], axis=-1)
