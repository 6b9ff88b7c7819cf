"""The memory of an LSTM without a forget gate grows on an endless stream until it saturates.

    python -m experiments run endless_stream

The task is a latch: return the number that was marked last, at every step. LSTMs of 16 units learn it from sequences of
40 steps with an empty initial memory, and then run on 2,000 steps: the cell of 1997, which only adds to its memory; the
same with its memory multiplied by 0.9 at every step; and the one with a forget gate (Gers et al., 2000). A memory is
saturated where the slope of tanh(c) is below a twentieth. The first 40 steps are compared with the last 40.
"""

from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import optax
from matplotlib.figure import Figure

from experiments.harness import configuration
from experiments.harness.claims import judge
from experiments.harness.figures import smooth
from experiments.harness.learning import fit_samples
from experiments.harness.recurrent import as_batch, readout_loss
from experiments.harness.run_folder import Run, slug
from experiments.harness.sequence_plots import legend, panels, plot_variants
from experiments.harness.sequence_settings import OnNewSequences
from jaxdl import losses, optim
from jaxdl.data.sources import sequences
from jaxdl.nn.dense import linear
from jaxdl.nn.recurrent import cells
from jaxdl.typing import Array, Batch, Key, PyTree

CLAIMS = (19,)
HIDDEN, STREAMS, SLOPE = 16, 10, 0.05
CELLS = {
    "no forget gate (1997)": cells.ConstantForgetLSTM(HIDDEN),
    "constant factor 0.9": cells.ConstantForgetLSTM(HIDDEN, forget=0.9),
    "forget gate": cells.LSTM(HIDDEN),
}
OLD, _, NEW = CELLS
TITLES = {
    "memory": "Mean absolute memory",
    "saturated": f"Share of memories where tanh' < {SLOPE:g}",
    "error": "Mean squared error",
}
Found = dict[str, dict[str, np.ndarray]]


@dataclass(frozen=True)
class Config(OnNewSequences):
    """Small LSTMs, trained on short sequences with Adam and clipped gradients, then run on a long stream."""

    SMOKE = {"seeds": 2, "steps": 2, "length": 4, "stream": 8, "batch_size": 2, "cells": (OLD, NEW)}
    LEAST = {"length": 1}

    length: int = 40
    """Steps of a sequence in training."""
    stream: int = 2000
    """Steps of the stream of the test."""
    steps: int = 1000
    cells: tuple[str, ...] = tuple(CELLS)
    """Cells; those without and with a forget gate must be among them."""

    def __post_init__(self) -> None:
        super().__post_init__()
        known = {OLD, NEW} <= set(self.cells) <= CELLS.keys()
        configuration.require(known, "cells", f"{OLD!r}, {NEW!r} and others", self.cells)
        configuration.require(self.stream >= 2 * self.length, "stream", f">= {2 * self.length}", self.stream)


def run(config: Config, run: Run) -> dict[str, float]:
    """Train every cell, run it on the stream, judge, draw."""
    keys = jax.random.split(jax.random.key(config.seed), config.seeds)
    found = {name: jax.device_get(jax.jit(jax.vmap(make_learn(CELLS[name], config)))(keys)) for name in config.cells}
    parts = slice(0, config.length), slice(config.stream - config.length, None)
    early, late = ({name: over(values, part) for name, values in found.items()} for part in parts)
    assess(run, early, late)
    run.figure("stream", draw(found, config.length))
    return {
        slug(f"{measure}_{when}_{name.split(' (')[0]}"): float(np.mean(values[measure]))
        for when, part in (("early", early), ("late", late))
        for name, values in part.items()
        for measure in values
    }


def make_learn(cell: cells.LSTM, config: Config) -> Callable[[Key], dict[str, Array]]:
    """Make the function that trains a network on short sequences and records its memory on a long one."""
    optimizer = optax.chain(optim.clip_by_global_norm(1.0), optim.adam(config.learning_rate))
    loss = readout_loss(cell, lambda outputs, y: (losses.mean_squared_error(outputs, y), {}))

    def follow(params: PyTree, batch: Batch) -> dict[str, Array]:
        def step(state: cells.LSTMState, inputs: tuple[Array, Array]) -> tuple[cells.LSTMState, dict[str, Array]]:
            x, y = inputs
            state, h = cell(params["cell"], state, x)
            error = jnp.mean(jnp.square(linear(h, **params["output"]) - y))
            memory, slope = jnp.mean(jnp.abs(state.c)), 1 - jnp.square(jnp.tanh(state.c))
            return state, {"error": error, "memory": memory, "saturated": jnp.mean(slope < SLOPE)}

        inputs = jax.tree.map(lambda leaf: jnp.moveaxis(leaf, 1, 0), (batch["x"], batch["y"]))
        return jax.lax.scan(step, cell.init_carry((STREAMS,)), inputs)[1]

    def learn(key: Key) -> dict[str, Array]:
        cell_key, output_key, train_key, test_key = jax.random.split(key, 4)
        kernel = jax.random.normal(output_key, (HIDDEN, 1)) / HIDDEN**0.5
        params = {"cell": cells.init_cell(cell_key, cell, 2), "output": {"kernel": kernel, "bias": jnp.zeros(1)}}

        def sample(key: Key) -> Batch:
            return as_batch(sequences.latch(key, config.batch_size, config.length))

        keys = jax.random.split(train_key, config.steps)
        state, _ = fit_samples(loss, optimizer, {"params": params}, sample, keys, key)
        return follow(state.params, as_batch(sequences.latch(test_key, STREAMS, config.stream)))

    return learn


def over(values: dict[str, np.ndarray], part: slice) -> dict[str, np.ndarray]:
    """Return the means ``[seeds]`` over a part of the stream."""
    return {name: np.mean(value[:, part], axis=1) for name, value in values.items()}


def assess(run: Run, early: Found, late: Found) -> None:
    """Judge the parts of the claim, each by one number for every seed."""
    risen = {name: {m: late[name][m] - early[name][m] for m in late[name]} for name in late}
    measure = "share of saturated memories, the end of the stream minus the length of training"
    run.claim(judge(19, "an LSTM without forget gate saturates on long streams", measure, risen[OLD]["saturated"]))
    measure = "share of saturated memories at the end, without minus with a forget gate"
    more = late[OLD]["saturated"] - late[NEW]["saturated"]
    run.claim(judge(19, "it saturates more than one with a forget gate", measure, more))
    measure = "squared error, the end of the stream minus the length of training"
    run.claim(judge(19, "an LSTM without forget gate fails on long streams", measure, risen[OLD]["error"]))
    measure = "rise of the squared error, without minus with a forget gate"
    more = risen[OLD]["error"] - risen[NEW]["error"]
    run.claim(judge(19, "it fails more than one with a forget gate", measure, more))


def draw(found: Found, length: int) -> Figure:
    """Draw memory, saturation and error along the stream, every seed and the mean."""
    figure, axes = panels(3, size=(13 / 3, 3.6))
    for axis, (measure, title) in zip(axes[0], TITLES.items(), strict=True):
        curves = {name: smooth(values[measure], length) for name, values in found.items()}
        plot_variants(axis, curves, {name: length + np.arange(curve.shape[1]) for name, curve in curves.items()})
        axis.axvline(length, color="black", linewidth=0.8, linestyle=":")
        axis.set(xscale="log", xlabel="step of the stream; dotted: length in training", title=title)
        axis.set_yscale("linear" if measure == "saturated" else "log")
    legend(axes[0, 0])
    return figure
