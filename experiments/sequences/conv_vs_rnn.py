"""Convolution over time against recurrence: a local pattern, and an order over any distance.

    python -m experiments run conv_vs_rnn

Networks of about 6,000 parameters on embeddings of 16 dimensions: convolutions of widths 3, 4 and 5 with the maximum
over time, an LSTM, and three convolutions of width 5 with dilations 1, 4 and 16, a receptive field of 85 tokens. They
learn from new sequences of 40 tokens in every update whether 1 2 3 occurs side by side, where 1 3 2 occurs otherwise
(pattern), and whether 1 or 2, each of which occurs once, is first (order). Adam at 3e-3, 32 sequences per batch.
Convolution wins on the pattern if the 95 % interval of its accuracy minus the LSTM's is above -0.01 and it takes less
time to 95 %; recurrence wins on the order if the interval of the LSTM's accuracy minus that of the widths is above 0.
"""

import time
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen

from experiments.harness.claims import interval
from experiments.harness.learning import check_learned, fit_samples
from experiments.harness.run_folder import Run
from experiments.harness.seeds import init_each
from experiments.harness.sequences.recurrent import chunk_means
from experiments.harness.sequences.settings import Reported
from experiments.sequences import drawings
from jaxdl import data, optim
from jaxdl.models.sequence.classifiers import ConvolutionalClassifier, RecurrentClassifier
from jaxdl.nn.convolution.convolution import Conv
from jaxdl.nn.recurrent import cells
from jaxdl.tasks import Task, sequence_classification
from jaxdl.typing import Array, Batch, Key, PyTree

TOKENS = 10
WIDTH = 16
LEARNED = 0.95
SHORTEST = 10  # the order has a margin of 4, or the padding would show a kernel of width 5 on which side the 1 is


class DilatedStack(linen.Module):
    """Convolutions with a dilation that grows fourfold per layer, and the maximum over time."""

    channels: int = 20
    layers: int = 3

    @linen.compact
    def __call__(self, x: Array, lengths: Array | None = None, train: bool = False) -> Array:
        """Return the logits ``[B, 2]`` of tokens ``[B, T]`` without padding."""
        x = linen.Embed(TOKENS, WIDTH, name="embedding")(x)
        for layer in range(self.layers):
            x = linen.relu(Conv(self.channels, (5,), padding="same", dilation=4**layer, name=f"conv{layer}")(x))
        return linen.Dense(2, name="output")(jnp.max(x, axis=1))


NETWORKS: dict[str, linen.Module] = {
    "convolution": ConvolutionalClassifier(TOKENS, embedding_dim=WIDTH, num_filters=32, dropout_rate=0.0),
    "lstm": RecurrentClassifier(TOKENS, embedding_dim=WIDTH, cell=cells.LSTM(32)),
    "dilated": DilatedStack(),
}
COMPARED = ("convolution", "lstm")


TASKS = {"pattern": data.sequences.local_pattern, "order": data.sequences.order_of_two}


@dataclass(frozen=True)
class Config(Reported):
    """Three networks on two tasks."""

    SMOKE = {**Reported.SMOKE, "length": SHORTEST, "networks": COMPARED}
    LEAST = {"length": SHORTEST}
    CHOICES = {"networks": (NETWORKS, COMPARED)}

    seeds: int = 5
    steps: int = 600
    length: int = 40
    """Length of a sequence in tokens."""
    batch_size: int = 32
    learning_rate: float = 3e-3
    networks: tuple[str, ...] = tuple(NETWORKS)
    """Networks; convolution and lstm must be among them."""


def run(config: Config, run: Run) -> dict[str, float]:
    """Train all networks on both tasks, compare, draw."""
    keys = jax.random.split(jax.random.key(config.seed), config.seeds)
    found, milliseconds = {task: {} for task in TASKS}, {}
    for name in config.networks:
        task = sequence_classification(NETWORKS[name])
        start = init_each(partial(task.init, batch={"token": jnp.zeros((1, config.length), int)}), keys)
        learn_all = jax.vmap(jax.vmap(partial(learn, task, config), (None, 0, 0)), (0, None, None))
        inputs = jnp.arange(len(TASKS)), start, keys
        learn_all = jax.jit(learn_all).lower(*inputs).compile()
        started = time.perf_counter()
        curves = np.asarray(learn_all(*inputs))
        check_learned(curves)
        milliseconds[name] = 1e3 * (time.perf_counter() - started) / (curves.size * config.report_every)
        run.console.print(f"{name}: {milliseconds[name]:.2f} ms for an update")
        for task, curve in zip(TASKS, curves, strict=True):
            found[task][name] = curve
    run.figure("learning", drawings.draw_speed(found, milliseconds, config.report_every))
    result = {}
    for name in config.networks:
        result[f"{name}_milliseconds"] = milliseconds[name]
        for task in TASKS:
            result[f"{task}_{name}_accuracy"] = float(found[task][name][:, -1].mean())
            result[f"{task}_{name}_updates"] = float(np.median(updates_to(found[task][name], config.report_every)))
    return result | compare(found, result)


def learn(task: Task, config: Config, number: Array, variables: PyTree, key: Key) -> Array:
    """Train on the task of an index; return the accuracies over chunks of new batches, each before its update."""

    def sample(key: Key) -> Batch:
        draws = [partial(draw, key, config.batch_size, config.length) for draw in TASKS.values()]
        return dict(zip(("token", "label"), jax.lax.switch(number, draws), strict=True))

    optimizer = optim.adam(config.learning_rate)
    keys = jax.random.split(key, config.chunks * config.report_every)
    _, metrics = fit_samples(task.loss, optimizer, variables, sample, keys, key)
    accuracy = jnp.where(jnp.isfinite(metrics["loss"]), metrics["accuracy"], jnp.nan)  # for check_learned
    return chunk_means(accuracy, config.chunks)


def updates_to(curve: np.ndarray, report_every: int) -> np.ndarray:
    """Return the updates until the accuracy reaches 95 %, a multiple of ``report_every``; infinity if it never does."""
    reached = curve >= LEARNED
    return np.where(reached.any(axis=1), float(report_every) * (1 + reached.argmax(axis=1)), np.inf)


def compare(found: dict[str, dict[str, np.ndarray]], result: dict[str, float]) -> dict[str, float | bool]:
    """Apply the rule of the comparison."""
    gain = found["pattern"]["convolution"][:, -1] - found["pattern"]["lstm"][:, -1]
    loss = found["order"]["lstm"][:, -1] - found["order"]["convolution"][:, -1]
    seconds = {name: result[f"pattern_{name}_updates"] * result[f"{name}_milliseconds"] / 1e3 for name in COMPARED}
    return {
        **{f"pattern_{name}_seconds": value for name, value in seconds.items()},
        "pattern_convolution_less_lstm": float(gain.mean()),
        "order_lstm_less_convolution": float(loss.mean()),
        "convolution_wins_on_the_pattern": bool(interval(gain)[1] > -0.01 and seconds["convolution"] < seconds["lstm"]),
        "recurrence_wins_on_the_order": bool(interval(loss)[1] > 0),
    }
