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
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen
from matplotlib.figure import Figure

from experiments.harness import configuration
from experiments.harness.claims import interval
from experiments.harness.learning import fit_samples
from experiments.harness.recurrent import chunk_means
from experiments.harness.run_folder import Run
from experiments.harness.seeds import init_each
from experiments.harness.sequence_plots import legend, panels, plot_variants
from experiments.harness.sequence_settings import OnNewSequences
from jaxdl import optim
from jaxdl.models.sequence.classifiers import ConvolutionalClassifier, RecurrentClassifier
from jaxdl.nn.convolution.convolution import Conv
from jaxdl.nn.recurrent import cells
from jaxdl.tasks.sequences import sequence_classification
from jaxdl.typing import Array, Batch, Key, PyTree

TOKENS = 10
WIDTH = 16
LEARNED = 0.95
MARGIN = 4  # or the padding would show a kernel of width 5 on which side the 1 is
SHORTEST = 2 * MARGIN + 2


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


def draw_pattern(key: Key, count: int, steps: int) -> Batch:
    """Draw sequences that contain 1 2 3 or 1 3 2; chance occurrences of 1 2 3 count, too."""
    key_tokens, key_place = jax.random.split(key)
    token = jax.random.randint(key_tokens, (count, steps), 0, TOKENS)
    place = jax.random.randint(key_place, (count, 1), 0, steps - 2)
    planted = jnp.where(jnp.arange(count)[:, None] % 2 == 1, jnp.array([[1, 2, 3]]), jnp.array([[1, 3, 2]]))
    token = jnp.put_along_axis(token, place + jnp.arange(3)[None], planted, axis=1, inplace=False)
    found = (token[:, :-2] == 1) & (token[:, 1:-1] == 2) & (token[:, 2:] == 3)
    return {"token": token, "label": jnp.any(found, axis=1).astype(jnp.int32)}


def draw_order(key: Key, count: int, steps: int) -> Batch:
    """Draw sequences that contain 1 and 2 once each, not near the ends, labelled by whether 2 is first."""
    key_tokens, key_first, key_distance = jax.random.split(key, 3)
    token = jax.random.randint(key_tokens, (count, steps), 3, TOKENS)
    places = steps - 2 * MARGIN
    first = jax.random.randint(key_first, (count,), 0, places)
    second = (first + jax.random.randint(key_distance, (count,), 1, places)) % places
    rows = jnp.arange(count)
    token = token.at[rows, MARGIN + first].set(1).at[rows, MARGIN + second].set(2)
    return {"token": token, "label": (second < first).astype(jnp.int32)}


TASKS = {"pattern": draw_pattern, "order": draw_order}


@dataclass(frozen=True)
class Config(OnNewSequences):
    """Three networks on two tasks."""

    SMOKE = {"seeds": 2, "steps": 2, "length": SHORTEST, "batch_size": 2, "report_every": 1, "networks": COMPARED}
    LEAST = {"report_every": 1}

    seeds: int = 5
    steps: int = 600
    length: int = 40
    """Length of a sequence in tokens."""
    batch_size: int = 32
    learning_rate: float = 3e-3
    report_every: int = 50
    """Updates over which the accuracy is averaged."""
    networks: tuple[str, ...] = tuple(NETWORKS)
    """Networks; convolution and lstm must be among them."""

    def __post_init__(self) -> None:
        super().__post_init__()
        configuration.at_least(self, steps=self.report_every, length=SHORTEST)
        known = set(COMPARED) <= set(self.networks) <= NETWORKS.keys()
        configuration.require(known, "networks", f"{', '.join(COMPARED)} and others", self.networks)


def run(config: Config, run: Run) -> dict[str, float]:
    """Train all networks on both tasks, compare, draw."""
    keys = jax.random.split(jax.random.key(config.seed), config.seeds)
    found, result = {}, {}
    for name in config.networks:
        model = NETWORKS[name]
        init, learn = make_run(model, config)
        inputs = jnp.arange(len(TASKS)), init_each(init, keys), keys
        learn = jax.jit(jax.vmap(jax.vmap(learn, (None, 0, 0)), (0, None, None))).lower(*inputs).compile()
        started = time.perf_counter()
        curves = np.asarray(learn(*inputs))
        milliseconds = 1e3 * (time.perf_counter() - started) / (curves.size * config.report_every)
        result[f"{name}_milliseconds"] = milliseconds
        run.console.print(f"{name}: {milliseconds:.2f} ms for an update")
        for task, curve in zip(TASKS, curves, strict=True):
            found[task, name] = curve
            result[f"{task}_{name}_accuracy"] = float(curve[:, -1].mean())
            result[f"{task}_{name}_updates"] = float(np.median(updates_to(curve, config.report_every)))
    result |= compare(found, result)
    run.figure("learning", draw_learning(found, result, config.report_every))
    return result


def make_run(model: linen.Module, config: Config) -> tuple[Callable, Callable]:
    """Make the functions that initialize the variables and that train them on a task.

    The latter returns the accuracies, averaged over ``report_every`` new batches, each before the update.
    """
    task = sequence_classification(model)
    optimizer = optim.adam(config.learning_rate)
    chunks = config.steps // config.report_every

    def init(key: Key) -> PyTree:
        return task.init(key, {"token": jnp.zeros((1, config.length), int)})

    def learn(number: Array, variables: PyTree, key: Key) -> Array:
        def sample(key: Key) -> Batch:
            draws = [partial(draw, key, config.batch_size, config.length) for draw in TASKS.values()]
            return jax.lax.switch(number, draws)

        keys = jax.random.split(key, chunks * config.report_every)
        _, metrics = fit_samples(task.loss, optimizer, variables, sample, keys, key)
        return chunk_means(metrics["accuracy"], chunks)

    return init, learn


def updates_to(curve: np.ndarray, report_every: int) -> np.ndarray:
    """Return the updates until the accuracy reaches 95 %, a multiple of ``report_every``; infinity if it never does."""
    reached = curve >= LEARNED
    return np.where(reached.any(axis=1), float(report_every) * (1 + reached.argmax(axis=1)), np.inf)


def compare(found: dict[tuple[str, str], np.ndarray], result: dict[str, float]) -> dict[str, float | bool]:
    """Apply the rule of the comparison."""
    gain = found["pattern", "convolution"][:, -1] - found["pattern", "lstm"][:, -1]
    loss = found["order", "lstm"][:, -1] - found["order", "convolution"][:, -1]
    seconds = {name: result[f"pattern_{name}_updates"] * result[f"{name}_milliseconds"] / 1e3 for name in COMPARED}
    return {
        **{f"pattern_{name}_seconds": value for name, value in seconds.items()},
        "pattern_convolution_less_lstm": float(gain.mean()),
        "order_lstm_less_convolution": float(loss.mean()),
        "convolution_wins_on_the_pattern": bool(interval(gain)[1] > -0.01 and seconds["convolution"] < seconds["lstm"]),
        "recurrence_wins_on_the_order": bool(interval(loss)[1] > 0),
    }


def draw_learning(found: dict[tuple[str, str], np.ndarray], result: dict[str, float], report_every: int) -> Figure:
    """Draw the accuracies over updates and over time, every seed and the mean."""
    figure, axes = panels(2, size=(4.5, 3), rows=2, sharey=True)
    for row, task in zip(axes, TASKS, strict=True):
        curves = {name: found[task, name] for name in NETWORKS if (task, name) in found}
        steps = {name: report_every * np.arange(1, curve.shape[1] + 1) for name, curve in curves.items()}
        plot_variants(row[0], curves, steps)
        plot_variants(row[1], curves, {name: x * result[f"{name}_milliseconds"] / 1e3 for name, x in steps.items()})
        row[0].set(xlabel="updates", ylabel="accuracy on new sequences", title=task, ylim=(0.45, 1.02))
        row[1].set(xlabel="seconds of training", title=task, xscale="log")
    legend(axes[0, 0])
    return figure
