"""An LSTM without a forget gate meets a stream that does not end: its memory grows until it is saturated.

    python -m experiments run endless_stream

The task is a latch: say at every time the number that was marked last. LSTMs of 16 units learn it from sequences of 40
steps, which begin with an empty memory, and are then run over 2,000 steps: the cell of 1997, which only adds to its
memory; the same with its memory multiplied by 0.9 at every step; and the one with a forget gate. A memory is saturated
where the slope of tanh(c) is below a twentieth. Compared are the first 40 steps and the last 40. All set beforehand.

Seen, in 25 seconds: without a forget gate the memory grows in proportion to the time, from 3 to 322 in the mean; 40 %
of it is saturated within the length of training already, 69 % at the end, and the squared error rises from 0.002 to
0.015. With the gate the memory stays at 0.2, nothing saturates, and the error stays below 0.001. The constant factor
bounds the memory too (0.6), but forgets what is still needed: its error is 0.004.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
import numpy as np
import optax
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from experiments.harness import configuration
from experiments.harness.claims import judge
from experiments.harness.figures import COLOURS
from experiments.harness.run_folder import Run
from experiments.harness.seeds import plot_runs, smooth
from jaxdl import losses, optim, train
from jaxdl.data.sources import sequences
from jaxdl.nn import recurrent
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
Found = dict[str, dict[str, np.ndarray]]


@dataclass(frozen=True)
class Config(configuration.Config):
    """Small LSTMs that learn from short pieces, by Adam with clipped gradients, and are then run on."""

    seeds: int = 8
    """Independent runs of each cell."""
    length: int = 40
    """Times of a sequence in training."""
    stream: int = 2000
    """Times of the stream on which they are tested."""
    steps: int = 1000
    """Updates."""
    batch_size: int = 20
    """Sequences in an update, always new."""
    learning_rate: float = 0.01
    """Of Adam."""

    def __post_init__(self) -> None:
        super().__post_init__()
        configuration.at_least(self, seeds=2, length=1, steps=1, batch_size=1)
        configuration.positive(self, "learning_rate")
        configuration.require(self.stream >= 2 * self.length, "stream", f">= {2 * self.length}", self.stream)


def run(config: Config, run: Run) -> dict[str, float]:
    """Train every cell, run it on the stream, judge, draw."""
    if run.smoke:
        config = replace(config, seeds=2, steps=3, stream=2 * config.length)
    keys = jax.random.split(jax.random.key(config.seed), config.seeds)
    found = {
        name: jax.device_get(jax.jit(jax.vmap(make_learn(cell, config)))(keys))
        for name, cell in CELLS.items()
        if not run.smoke or name in (OLD, NEW)
    }
    parts = slice(0, config.length), slice(config.stream - config.length, None)
    early, late = ({name: over(values, part) for name, values in found.items()} for part in parts)
    assess(run, early, late)
    run.figure("stream", draw(found, config.length))
    return {
        f"{measure}_{when}_{name.split(' (')[0]}".replace(" ", "_"): float(np.mean(values[measure]))
        for when, part in (("early", early), ("late", late))
        for name, values in part.items()
        for measure in values
    }


def make_learn(cell: cells.LSTM, config: Config) -> Callable[[Key], dict[str, Array]]:
    """Make the function that trains a network on short sequences and follows it over long ones."""
    optimizer = optax.chain(optim.clip_by_global_norm(1.0), optim.adam(config.learning_rate))

    def loss(variables: dict[str, PyTree], batch: Batch, key: Key) -> tuple[Array, tuple[dict, dict]]:
        params = variables["params"]
        _, h = recurrent.scan(cell, params["cell"], batch["x"])
        return losses.mean_squared_error(linear(h, **params["output"]), batch["y"]), ({}, {})

    def draw(key: Key, count: int, length: int) -> Batch:
        return dict(zip(("x", "y"), sequences.latch(key, count, length), strict=True))

    def follow(params: PyTree, batch: Batch) -> dict[str, Array]:
        def step(state: cells.LSTMState, inputs: tuple[Array, Array]) -> tuple[cells.LSTMState, dict[str, Array]]:
            x, y = inputs
            state, h = cell(params["cell"], state, x)
            squared = jnp.square(linear(h, **params["output"]) - y)
            slope = 1 - jnp.square(jnp.tanh(state.c))
            return state, {
                "error": jnp.mean(squared),
                "memory": jnp.mean(jnp.abs(state.c)),
                "saturated": jnp.mean(slope < SLOPE),
            }

        inputs = jax.tree.map(lambda leaf: jnp.moveaxis(leaf, 1, 0), (batch["x"], batch["y"]))
        return jax.lax.scan(step, cell.init_carry((STREAMS,)), inputs)[1]

    update = train.make_step(loss, optimizer)

    def learn(key: Key) -> dict[str, Array]:
        cell_key, output_key, train_key, test_key = jax.random.split(key, 4)
        kernel = jax.random.normal(output_key, (HIDDEN, 1)) / HIDDEN**0.5
        params = {"cell": cells.init_cell(cell_key, cell, 2), "output": {"kernel": kernel, "bias": jnp.zeros(1)}}
        state = train.TrainState.create({"params": params}, optimizer, key)

        def one(state: train.TrainState, key: Key) -> tuple[train.TrainState, dict[str, Array]]:
            return update(state, draw(key, config.batch_size, config.length))

        state, _ = jax.lax.scan(one, state, jax.random.split(train_key, config.steps))
        return follow(state.params, draw(test_key, STREAMS, config.stream))

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
    figure, axes = plt.subplots(1, 3, figsize=(13, 3.6))
    titles = {
        "memory": "Mean absolute memory",
        "saturated": f"Share of memories where tanh' < {SLOPE:g}",
        "error": "Mean squared error",
    }
    for axis, (measure, title) in zip(axes, titles.items(), strict=True):
        for (name, values), colour in zip(found.items(), COLOURS, strict=False):
            curves = smooth(values[measure], length)
            plot_runs(axis, curves, colour, x=length + np.arange(curves.shape[1]), label=name)
        axis.axvline(length, color="black", linewidth=0.8, linestyle=":")
        axis.set(xscale="log", xlabel="time in the stream; dotted: length in training", title=title)
    axes[0].set_yscale("log")
    axes[2].set_yscale("log")
    axes[0].legend(frameon=False)
    return figure
