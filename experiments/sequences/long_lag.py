"""The lags that vanilla networks, LSTM and GRU learn, and the effect of the initial forget bias.

    python -m experiments run long_lag

Two tasks: the sum of two marked numbers among many (adding, over 10, 20 and 40 steps), and the repetition of three of
four symbols after a delay (copy, of 5 to 40 steps). Networks of 16 units with orthogonal recurrent kernels have 1,500
updates of Adam on 20 new examples each, with gradients clipped to norm 1. The initial forget bias of the LSTM is -1, 0,
1 or 3. A task is solved if the squared error is below a tenth of that without memory, or fewer than a tenth of the
symbols are wrong; the result of a run is the longest lag up to which it solves all.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Literal, NamedTuple

import jax
import numpy as np
import optax

from experiments.harness.claims import Statement, judge_all
from experiments.harness.learning import Metrics, check_learned, fit_samples
from experiments.harness.run_folder import Run, slug
from experiments.harness.sequences.recurrent import (
    Measure,
    as_batch,
    forget_gate,
    initialize_readout,
    longest_solved,
    readout_loss,
)
from experiments.harness.sequences.settings import OnNewSequences
from experiments.sequences import drawings
from jaxdl import losses, metrics, optim
from jaxdl.data.sources import sequences
from jaxdl.nn.recurrent import cells
from jaxdl.typing import Array, Batch, Key, PyTree

CLAIMS = (18, 20)
HIDDEN, SYMBOLS, LENGTH, TESTED, SOLVED = 16, 4, 3, 400, 0.1
CELLS = {"vanilla": cells.Vanilla(HIDDEN), "GRU": cells.GRU(HIDDEN), "LSTM": cells.LSTM(HIDDEN)}
BIASES = {"LSTM, bias -1": -1.0, "LSTM, bias 0": 0.0, "LSTM, bias 1": 1.0, "LSTM, bias 3": 3.0}
NETWORKS = ("vanilla", "GRU", *BIASES)
Found = dict[str, np.ndarray]


class Task(NamedTuple):
    """A task with a lag.

    ``draw(key, count, lag)`` samples ``x [N, T, D]`` and ``y``; ``measure(outputs [N, T, K], y)`` returns the loss and
    the relative ``"error"``.
    """

    lags: tuple[int, ...]
    inputs: int
    outputs: int
    draw: Callable[[Key, int, int], tuple[Array, Array]]
    measure: Measure


def adding_error(outputs: Array, y: Array) -> tuple[Array, Metrics]:
    """Return the mean squared error at the last step, and relative to the error without memory."""
    loss = losses.mean_squared_error(outputs[:, -1], y)
    return loss, {"error": 6 * loss}


def draw_copy(key: Key, count: int, lag: int) -> tuple[Array, Array]:
    """Sample the copy task with one-hot inputs and the symbols to repeat as classes."""
    x, y = sequences.copy(key, count, lag, length=LENGTH, num_symbols=SYMBOLS)
    return jax.nn.one_hot(x, SYMBOLS + 2), y[:, -LENGTH:] - 1


def copy_error(outputs: Array, y: Array) -> tuple[Array, Metrics]:
    """Return the cross-entropy of the repeated symbols and their error rate."""
    outputs = outputs[:, -LENGTH:]
    return losses.cross_entropy(outputs, y), {"error": 1 - metrics.accuracy(outputs, y)}


TASKS = {
    "adding": Task((10, 20, 40), 2, 1, sequences.adding, adding_error),
    "copy": Task((5, 10, 20, 40), SYMBOLS + 2, SYMBOLS, draw_copy, copy_error),
}


@dataclass(frozen=True)
class Config(OnNewSequences):
    """Small recurrent networks, trained with Adam and clipped gradients on new examples."""

    SMOKE = {"seeds": 2, "steps": 2, "batch_size": 2, "tasks": ("adding",), "lags": 1}

    seeds: int = 10
    tasks: tuple[Literal["adding", "copy"], ...] = ("adding", "copy")
    """Tasks."""
    lags: int | None = None
    """Number of lags of each task, from the shortest; all by default."""


def run(config: Config, run: Run) -> dict[str, float]:
    """Train all networks at all lags, judge, draw."""
    keys = jax.random.split(jax.random.fold_in(jax.random.key(config.seed), 1), config.seeds)
    random = np.random.default_rng(config.seed)
    errors: dict[str, Found] = {}
    for name in config.tasks:
        task = TASKS[name]
        start = initialize(random, task, config.seeds)
        by_lag = [train_all(task, lag, config, keys, start) for lag in task.lags[: config.lags]]
        errors[name] = {network: np.stack([found[network] for found in by_lag], axis=1) for network in NETWORKS}
        check_learned(list(errors[name].values()))
    learned = {
        task: {name: longest_solved(TASKS[task].lags, each, SOLVED) for name, each in found.items()}
        for task, found in errors.items()
    }
    for task, found in learned.items():
        judge_all(run, statements(task, found))
    run.figure("lags", drawings.draw_lags(errors, {name: task.lags for name, task in TASKS.items()}, SOLVED))
    return {
        slug(f"{task}_{network}"): float(np.mean(lags))
        for task, found in learned.items()
        for network, lags in found.items()
    }


def initialize(random: np.random.Generator, task: Task, seeds: int) -> dict[str, PyTree]:
    """Initialize every network for every seed; the LSTMs of a seed differ in the forget bias only."""
    start = {name: initialize_readout(random, cell, task.inputs, task.outputs, seeds) for name, cell in CELLS.items()}
    lstm = start.pop("LSTM")
    for name, value in BIASES.items():
        bias = lstm["cell"]["bias"] + np.float32(value) * forget_gate(HIDDEN)
        start[name] = {**lstm, "cell": {**lstm["cell"], "bias": bias}}
    return start


def train_all(task: Task, lag: int, config: Config, keys: Key, start: dict[str, PyTree]) -> Found:
    """Return the error ``[seeds]`` of every network after training at a lag."""
    found = {}
    for kind, cell in CELLS.items():
        learn_all = jax.jit(jax.vmap(jax.vmap(partial(learn, cell, task, lag, config)), (None, 0)))
        names = [name for name in NETWORKS if name.startswith(kind)]
        stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *(start[name] for name in names))
        found |= dict(zip(names, np.asarray(learn_all(keys, stacked)), strict=True))
    return found


def learn(cell: cells.Cell, task: Task, lag: int, config: Config, key: Key, params: PyTree) -> Array:
    """Train a network and return its error on new examples."""
    optimizer = optax.chain(optim.clip_by_global_norm(1.0), optim.adam(config.learning_rate))
    loss = readout_loss(cell, task.measure)

    def sample(key: Key, count: int = config.batch_size) -> Batch:
        return as_batch(task.draw(key, count, lag))

    train_key, test_key = jax.random.split(key)
    keys = jax.random.split(train_key, config.steps)
    state, _ = fit_samples(loss, optimizer, {"params": params}, sample, keys, key)
    _, (_, measured) = loss(state.variables, sample(test_key, TESTED), key)
    return measured["error"]


def statements(task: str, found: Found) -> Iterator[Statement]:
    """State the claims by the longest lags of each seed."""
    open_, vanilla = found["LSTM, bias 1"], found["vanilla"]
    for name, longer in (("LSTM", open_), ("GRU", found["GRU"])):
        statement = f"{task}: the {name} learns longer lags than a vanilla network"
        yield Statement(18, statement, f"steps longer, of {vanilla.mean():.3g}", longer - vanilla)
    for name in ("LSTM, bias 0", "LSTM, bias -1"):
        statement = f"{task}: forget bias 1 learns longer lags than {name.split()[-1]}"
        yield Statement(20, statement, f"steps longer, of {found[name].mean():.3g}", open_ - found[name])
