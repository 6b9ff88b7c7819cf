"""Recurrent networks with a linear readout, trained on new sequences in every update."""

from collections.abc import Callable

import jax
import numpy as np

from experiments.harness.learning import Loss, Metrics
from jaxdl.decode import StepFunction
from jaxdl.nn import recurrent
from jaxdl.nn.dense import linear
from jaxdl.nn.recurrent import cells
from jaxdl.typing import Array, Batch, Key, PyTree

Measure = Callable[[Array, Array], tuple[Array, Metrics]]
"""``(outputs, y) -> (loss, metrics)``."""


def readout_loss(cell: cells.Cell, measure: Measure, select: Callable[[Array], Array] = lambda h: h) -> Loss:
    """Make the loss of a cell with the parameters ``{"cell": ..., "output": ...}`` on batches with ``x`` and ``y``.

    ``select`` maps the outputs ``h [B, T, H]`` of the cell to what the linear layer reads.
    """

    def loss(variables: dict[str, PyTree], batch: Batch, key: Key) -> tuple[Array, tuple[dict, Metrics]]:
        params = variables["params"]
        _, h = recurrent.scan(cell, params["cell"], batch["x"])
        value, metrics = measure(linear(select(h), **params["output"]), batch["y"])
        return value, ({}, metrics)

    return loss


def readout_step(cell: cells.Cell, params: dict[str, PyTree]) -> StepFunction:
    """Make the step ``(carry, x_t) -> (carry, y_t)`` of a cell with such parameters; tokens ``[N]`` become one-hot."""

    def step(carry: PyTree, x: Array) -> tuple[PyTree, Array]:
        size = params["cell"]["kernel"].shape[0]
        carry, h = cell(params["cell"], carry, jax.nn.one_hot(x, size) if x.ndim == 1 else x)
        return carry, linear(h, **params["output"])

    return step


def as_batch(examples: tuple[Array, Array]) -> Batch:
    """Convert a pair of inputs and targets to a batch with ``x`` and ``y``."""
    return dict(zip(("x", "y"), examples, strict=True))


def orthogonal_gates(cell: cells.Cell, draw: Callable[[], np.ndarray]) -> np.ndarray:
    """Return recurrent kernels that are orthogonal for each gate, of the square matrices that ``draw`` samples."""
    return np.concatenate([np.linalg.qr(draw())[0] for _ in cell.gates], axis=-1)


def forget_gate(hidden_size: int) -> np.ndarray:
    """Return which biases ``[4 H]`` of an LSTM are those of the forget gate."""
    return np.repeat(np.array(cells.LSTM.gates) == "f", hidden_size)


def chunk_means(values: Array, chunks: int) -> Array:
    """Return the means of consecutive chunks of values ``[steps]``."""
    return values.reshape(chunks, -1).mean(axis=1)
