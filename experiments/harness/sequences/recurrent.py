"""Recurrent networks with a linear readout, trained on new sequences in every update."""

from collections.abc import Callable, Sequence

import jax
import numpy as np

from experiments.harness.learning import Loss, Metrics
from jaxdl import losses
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


def squared_error(outputs: Array, y: Array) -> tuple[Array, Metrics]:
    """Return the mean squared error, a measure without metrics."""
    return losses.mean_squared_error(outputs, y), {}


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


def initialize_readout(
    random: np.random.Generator, cell: cells.Cell, inputs: int, outputs: int, runs: int
) -> dict[str, PyTree]:
    """Initialize a cell and a linear readout for every run, ``[runs, ...]``, with NumPy, which compiles nothing.

    Kernels are normal with variance ``1 / inputs``, recurrent ones orthogonal per gate; biases are 0.
    """

    def normal(*shape: int) -> np.ndarray:
        return random.normal(0, shape[0] ** -0.5, (runs, *shape)).astype(np.float32)

    shapes = {name: shape for name, (_, shape) in cell.shapes(inputs).items()}
    drawn = {name: np.zeros((runs, *shape), np.float32) for name, shape in shapes.items()}
    orthogonal = orthogonal_gates(cell, lambda: normal(cell.hidden_size, cell.hidden_size))
    drawn |= {"kernel": normal(*shapes["kernel"]), "recurrent_kernel": orthogonal}
    output = {"kernel": normal(cell.hidden_size, outputs), "bias": np.zeros((runs, outputs), np.float32)}
    return {"cell": drawn, "output": output}


def initialize_spectral(
    random: np.random.Generator, inputs: int, hidden_size: int, outputs: int, runs: int
) -> dict[str, PyTree]:
    """Initialize vanilla networks with a readout, ``[runs, ...]``, with NumPy.

    Kernels are normal, of variance ``1 / inputs`` at the input and 1 at the output; the recurrent ones have the
    spectral radius 1. Biases are 0.
    """
    recurrent = random.normal(size=(runs, hidden_size, hidden_size))
    recurrent /= np.abs(np.linalg.eigvals(recurrent)).max(axis=-1)[:, None, None]
    cell = {
        "kernel": random.normal(0, inputs**-0.5, (runs, inputs, hidden_size)),
        "recurrent_kernel": recurrent,
        "bias": np.zeros((runs, hidden_size)),
    }
    output = {"kernel": random.normal(size=(runs, hidden_size, outputs)), "bias": np.zeros((runs, outputs))}
    return jax.tree.map(np.float32, {"cell": cell, "output": output})


def forget_gate(hidden_size: int) -> np.ndarray:
    """Return which biases ``[4 H]`` of an LSTM are those of the forget gate."""
    return np.repeat(np.array(cells.LSTM.gates) == "f", hidden_size)


def longest_solved(lags: Sequence[int], errors: np.ndarray, solved: float) -> np.ndarray:
    """Return the longest lag up to which all errors ``[runs, lags]`` are below ``solved``, 0 for none.

    >>> longest_solved([5, 10, 20], np.array([[0.0, 0.0, 0.0], [0.0, 0.3, 0.0]]), 0.1)
    array([20,  5])
    """
    count = np.cumprod(errors < solved, axis=1).sum(axis=1)
    return np.array([0, *lags])[count]


def chunk_means(values: Array, chunks: int) -> Array:
    """Return the means of consecutive chunks of values ``[steps]``."""
    return values.reshape(chunks, -1).mean(axis=1)
