"""The LSTM by NVIDIA's cuDNN, through ``jax.experimental.rnn``: an explicit choice, ``scan(..., backend="cudnn")``.

It has one cell, one number format, and lengths in the place of masks. What it cannot do is refused before anything is
traced. Its numbers agree with those of the scan up to the rounding of a GPU's products.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import rnn

from jaxdl.nn.recurrent.cells import LSTM, Cell, LSTMState, Parameters
from jaxdl.typing import Array


def check(cell: Cell, x: Array, lengths: Array | None, mask: Array | None, options: dict[str, bool]) -> None:
    """Refuse what cuDNN, or this machine, cannot do.

    Args:
        cell: to be run.
        x: the input.
        lengths: of the sequences.
        mask: as ``scan`` got it.
        options: what else was asked of ``scan`` that only the scan can do, by name.

    Raises:
        ValueError: the first thing that does not fit, and what to do instead.
    """
    asked = [name for name, given in options.items() if given]
    known = lengths is not None and lengths.size and not isinstance(lengths, jax.core.Tracer)
    problems = {
        f"only LSTM cells with activation 'tanh'; got {cell}": type(cell) is not LSTM or cell.activation != "tanh",
        f"float32; got {x.dtype}": x.dtype != jnp.float32,
        "lengths in the place of a mask": mask is not None,
        "lengths of at least 1; got 0": known and not np.asarray(lengths).all(),
        f"none of the scan's options {asked}": bool(asked),
        f"an NVIDIA GPU; JAX runs on {jax.default_backend()!r}": jax.default_backend() not in ("gpu", "cuda"),
    }
    for problem, found in problems.items():
        if found:
            raise ValueError(f"backend='cudnn' takes {problem}; backend='scan' does everything")


def pack(parameters: Parameters) -> Array:
    """Put the parameters of an LSTM into the order of cuDNN: ``W^T, U^T, b`` and a second bias, which is 0.

    The gates are ``i, f, g, o`` on both sides.

    >>> parameters = {"kernel": jnp.ones((1, 4)), "recurrent_kernel": 2 * jnp.ones((1, 4)), "bias": 3 * jnp.ones(4)}
    >>> pack(parameters).tolist()
    [1.0, 1.0, 1.0, 1.0, 2.0, 2.0, 2.0, 2.0, 3.0, 3.0, 3.0, 3.0, 0.0, 0.0, 0.0, 0.0]
    """
    W, U = parameters["kernel"], parameters["recurrent_kernel"]
    nothing = jnp.zeros(W.shape[-1], W.dtype)
    return jnp.concatenate([W.T.ravel(), U.T.ravel(), parameters.get("bias", nothing), nothing])


def lstm(
    parameters: Parameters,
    carry: LSTMState,
    x: Array,
    lengths: Array | None,
    reverse: bool,
    run: Callable[..., Any] = rnn.lstm,
) -> tuple[LSTMState, Array]:
    """Run an LSTM over ``[N, T, D]``, from its last true time to the first if ``reverse``.

    Args:
        parameters: of the cell.
        carry: the state before the first time, ``[N, H]`` each.
        x: ``[N, T, D]``.
        lengths: ``[N]``, at least 1; None where nothing is padded.
        reverse: as in ``scan``.
        run: does the work, with the arguments of ``jax.experimental.rnn.lstm``.

    Returns:
        The state after the last time, and the outputs ``[N, T, H]``, 0 in the padding.
    """
    (batch, steps, size), features = x.shape, carry.h.shape[-1]
    lengths = jnp.full(batch, steps, jnp.int32) if lengths is None else lengths.astype(jnp.int32)
    turn = partial(_turned, lengths=lengths) if reverse else lambda sequence: sequence
    y, h, c = run(turn(x), carry.h[None], carry.c[None], pack(parameters), lengths, size, features, 1, 0.0, False)
    return LSTMState(c[0], h[0]), turn(y)


def _turned(x: Array, lengths: Array) -> Array:
    """Turn the true times of ``[N, T, D]`` around; padding stays where it is."""
    time = jnp.arange(x.shape[1])[None]
    source = jnp.where(time < lengths[:, None], lengths[:, None] - 1 - time, time)
    return jnp.take_along_axis(x, source[..., None], axis=1)
