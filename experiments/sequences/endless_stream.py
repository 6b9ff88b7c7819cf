"""The memory of an LSTM without a forget gate grows on an endless stream until it saturates.

    python -m experiments run endless_stream

The task is a latch: return the number that was marked last, at every step. LSTMs of 16 units learn it from sequences of
40 steps with an empty initial memory, and then run on 2,000 steps: the cell of 1997, which only adds to its memory; the
same with its memory multiplied by 0.9 at every step; and the one with a forget gate (Gers et al., 2000). A memory is
saturated where the slope of tanh(c) is below a twentieth. The first 40 steps are compared with the last 40.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.harness.claims import Statement, judge_all
from experiments.harness.configuration import require
from experiments.harness.learning import check_learned, fit_samples
from experiments.harness.run_folder import Run, slug
from experiments.harness.sequences.recurrent import as_batch, readout_loss, readout_step, squared_error
from experiments.harness.sequences.settings import OnNewSequences
from experiments.sequences import drawings
from jaxdl import optim
from jaxdl.data.sources import sequences
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

    SMOKE = {**OnNewSequences.SMOKE, "length": 4, "stream": 8, "cells": (OLD, NEW)}
    CHOICES = {"cells": (CELLS, (OLD, NEW))}

    length: int = 40
    """Steps of a sequence in training."""
    stream: int = 2000
    """Steps of the stream of the test."""
    steps: int = 1000
    cells: tuple[str, ...] = tuple(CELLS)
    """Cells; those without and with a forget gate must be among them."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.stream >= 2 * self.length, "stream", f">= {2 * self.length}", self.stream)


def run(config: Config, run: Run) -> dict[str, float]:
    """Train every cell, run it on the stream, judge, draw."""
    keys = jax.random.split(jax.random.key(config.seed), config.seeds)
    learners = {name: jax.jit(jax.vmap(partial(learn, CELLS[name], config))) for name in config.cells}
    found = {name: jax.device_get(learn_all(keys)) for name, learn_all in learners.items()}
    check_learned([values["error"] for values in found.values()])
    parts = slice(0, config.length), slice(config.stream - config.length, None)
    early, late = (
        {name: {m: np.mean(value[:, part], axis=1) for m, value in values.items()} for name, values in found.items()}
        for part in parts
    )
    judge_all(run, statements(early, late))
    run.figure("stream", drawings.draw_memories(found, config.length, TITLES))
    return {
        slug(f"{measure}_{when}_{name.split(' (')[0]}"): float(np.mean(values[measure]))
        for when, part in (("early", early), ("late", late))
        for name, values in part.items()
        for measure in values
    }


def learn(cell: cells.LSTM, config: Config, key: Key) -> dict[str, Array]:
    """Train a network on short sequences and record its memory on a long one."""
    optimizer = optax.chain(optim.clip_by_global_norm(1.0), optim.adam(config.learning_rate))
    loss = readout_loss(cell, squared_error)
    cell_key, output_key, train_key, test_key = jax.random.split(key, 4)
    kernel = jax.random.normal(output_key, (HIDDEN, 1)) / HIDDEN**0.5
    params = {"cell": cells.init_cell(cell_key, cell, 2), "output": {"kernel": kernel, "bias": jnp.zeros(1)}}

    def sample(key: Key) -> Batch:
        return as_batch(sequences.latch(key, config.batch_size, config.length))

    keys = jax.random.split(train_key, config.steps)
    state, _ = fit_samples(loss, optimizer, {"params": params}, sample, keys, key)
    return record(cell, state.params, *sequences.latch(test_key, STREAMS, config.stream))


def record(cell: cells.LSTM, params: dict[str, PyTree], x: Array, y: Array) -> dict[str, Array]:
    """Record the error and the memory at every step of a stream."""
    step = readout_step(cell, params)

    def follow(state: cells.LSTMState, inputs: tuple[Array, Array]) -> tuple[cells.LSTMState, dict[str, Array]]:
        state, output = step(state, inputs[0])
        memory, slope = jnp.mean(jnp.abs(state.c)), 1 - jnp.square(jnp.tanh(state.c))
        error = jnp.mean(jnp.square(output - inputs[1]))
        return state, {"error": error, "memory": memory, "saturated": jnp.mean(slope < SLOPE)}

    return jax.lax.scan(follow, cell.init_carry((STREAMS,)), (x.swapaxes(0, 1), y.swapaxes(0, 1)))[1]


def statements(early: Found, late: Found) -> Iterator[Statement]:
    """State the parts of the claim, each by one number for every seed."""
    risen = {name: {m: late[name][m] - early[name][m] for m in late[name]} for name in late}
    measure = "share of saturated memories, the end of the stream minus the length of training"
    yield Statement(
        19, "an LSTM without forget gate saturates on long streams", measure, risen[OLD]["saturated"], within=(-1, 1)
    )
    measure = "share of saturated memories at the end, without minus with a forget gate"
    more = late[OLD]["saturated"] - late[NEW]["saturated"]
    yield Statement(19, "it saturates more than one with a forget gate", measure, more, within=(-1, 1))
    measure = "squared error, the end of the stream minus the length of training"
    yield Statement(19, "an LSTM without forget gate fails on long streams", measure, risen[OLD]["error"])
    measure = "rise of the squared error, without minus with a forget gate"
    more = risen[OLD]["error"] - risen[NEW]["error"]
    yield Statement(19, "it fails more than one with a forget gate", measure, more)
