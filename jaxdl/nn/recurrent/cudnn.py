"""The LSTM by NVIDIA's cuDNN, through ``jax.experimental.rnn``: an explicit choice, ``scan(..., backend="cudnn")``.

It supports one cell, one dtype, and lengths in the place of masks; everything else raises an error before tracing. Its
results agree with those of the scan up to the rounding of a GPU's products.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.core import Tracer
from jax.experimental import rnn

from jaxdl.nn.recurrent.cells.base import Cell, Parameters
from jaxdl.nn.recurrent.cells.lstm import LSTM, LSTMState
from jaxdl.typing import Array, ArrayLike


def check(cell: Cell, x: Array, lengths: Array | None, mask: ArrayLike | None, unsupported: Mapping[str, bool]) -> None:
    """Check that cuDNN, on this machine, supports the arguments of ``scan``.

    Args:
        cell: the cell.
        x: the input.
        lengths: of the sequences.
        mask: of ``scan``.
        unsupported: whether each option that cuDNN lacks is in use, by name.

    Raises:
        ValueError: an argument is not supported.
    """
    used = [name for name, in_use in unsupported.items() if in_use]
    shortest = 1 if lengths is None or not lengths.size or isinstance(lengths, Tracer) else lengths.min()
    problems = {
        f"the cell LSTM with activation 'tanh', got {cell}": type(cell) is not LSTM or cell.activation != "tanh",
        f"float32, got {x.dtype}": x.dtype != jnp.float32,
        "lengths, got a mask": mask is not None,
        f"lengths >= 1, got {shortest}": int(shortest) < 1,
        f"none of the scan's options, got {used}": bool(used),
        f"an NVIDIA GPU, got the platform {jax.default_backend()!r}": jax.default_backend() not in ("gpu", "cuda"),
    }
    for problem, found in problems.items():
        if found:
            raise ValueError(f"backend='cudnn' expected {problem}; use backend='scan'")


def pack(parameters: Parameters) -> Array:
    """Flatten the parameters of an LSTM in the order of cuDNN: ``W^T, U^T, b`` and a second bias, 0.

    Both order the gates ``i, f, g, o``.

    >>> parameters = {"kernel": jnp.ones((1, 4)), "recurrent_kernel": 2 * jnp.ones((1, 4)), "bias": 3 * jnp.ones(4)}
    >>> pack(parameters).tolist()
    [1.0, 1.0, 1.0, 1.0, 2.0, 2.0, 2.0, 2.0, 3.0, 3.0, 3.0, 3.0, 0.0, 0.0, 0.0, 0.0]
    """
    W, U = parameters["kernel"], parameters["recurrent_kernel"]
    zeros = jnp.zeros(W.shape[-1], W.dtype)
    return jnp.concatenate([W.T.ravel(), U.T.ravel(), parameters.get("bias", zeros), zeros])


def lstm(
    parameters: Parameters,
    carry: LSTMState,
    x: Array,
    lengths: Array | None,
    reverse: bool,
    run: Callable[..., Any] = rnn.lstm,
) -> tuple[LSTMState, Array]:
    """Run an LSTM over ``[B, T, D]``, from the last valid step to the first if ``reverse``.

    Args:
        parameters: of the cell.
        carry: the initial state, ``[B, H]`` each.
        x: ``[B, T, D]``.
        lengths: ``[B]``, at least 1; None without padding.
        reverse: as in ``scan``.
        run: a function with the arguments of ``jax.experimental.rnn.lstm``.

    Returns:
        The state after the last time, and the outputs ``[B, T, H]``, 0 in the padding.
    """
    (batch, steps, input_size), hidden_size = x.shape, carry.h.shape[-1]
    lengths = jnp.full(batch, steps, jnp.int32) if lengths is None else lengths.astype(jnp.int32)
    orient = partial(_reverse_valid, lengths=lengths) if reverse else lambda sequence: sequence
    y, h, c = run(
        orient(x), carry.h[None], carry.c[None], pack(parameters), lengths, input_size, hidden_size, 1, 0.0, False
    )
    return LSTMState(c[0], h[0]), orient(y)


def _reverse_valid(x: Array, lengths: Array) -> Array:
    """Reverse the valid steps of ``[B, T, D]``; padding stays in place."""
    time = jnp.arange(x.shape[1])[None]
    source = jnp.where(time < lengths[:, None], lengths[:, None] - 1 - time, time)
    return jnp.take_along_axis(x, source[..., None], axis=1)
