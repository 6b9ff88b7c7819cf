"""A recurrent network says at every bit of a stream whether what it has read until then is in a language.

    python -m experiments run sequence_detector

Vanilla, LSTM and GRU with 16 units learn from random strings of 32 bits, drawn anew for every update, and are then
given strings of 256. The languages are those of small automata

- 1011: the last four bits are 1011, as a detector in a circuit says it (a pattern may begin within another);
- even: even numbers of zeros and of ones (the fifth language of Tomita, 1982);
- three: as many ones as zeros, up to a multiple of three (the sixth).

The first asks for four bits of memory, the others for a count that never ends. A string is right if all its answers
are. Goal, set beforehand: LSTM and GRU get 99 % of the long strings right in the detector of 1011, on the mean.

Result, the share of the 768 long strings of six runs that are right from the first bit to the last:

              vanilla   LSTM    GRU
    1011       1.000   1.000   1.000
    even       0.833   1.000   0.999
    three      1.000   0.889   0.500

Being right in 32 bits is not yet having found the automaton: all LSTMs are, in the last language, and one of the six
goes astray on longer strings. Gates do not decide who learns to count: one vanilla cell fails at even numbers, three
GRUs at threes. Changed after earlier runs: bits are given as they are, one-hot, for with learned vectors one of the six
starts failed with every cell in the last language; and 1,500 updates took the place of 2,000. A minute.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from experiments.harness import configuration
from experiments.harness.figures import COLOURS
from experiments.harness.run_folder import Run
from experiments.harness.seeds import draw_each, plot_runs
from jaxdl import optim, train
from jaxdl.models.sequence.classifiers import Tagger
from jaxdl.nn.recurrent import cells
from jaxdl.optim import schedules
from jaxdl.tasks.sequences import tagging
from jaxdl.typing import Array, Batch, Key, PyTree

GOAL = {"1011_lstm_right": 0.99, "1011_gru_right": 0.99}
TESTED = 128
LONG = 8
STYLES = {"vanilla": "-", "lstm": "--", "gru": ":"}  # their lines lie on one another where all are right
STRETCH = 50
CELLS = {"vanilla": cells.Vanilla, "lstm": cells.LSTM, "gru": cells.GRU}


class Automaton(NamedTuple):
    """A language: where each bit leads from each state, ``[S, 2]``, and in which states the string is in it."""

    moves: tuple[tuple[int, int], ...]
    accepted: tuple[int, ...]


LANGUAGES = {
    "1011": Automaton(((0, 1), (2, 1), (0, 3), (2, 4), (2, 1)), (4,)),
    "even": Automaton(((1, 2), (0, 3), (3, 0), (2, 1)), (0,)),
    "three": Automaton(((2, 1), (0, 2), (1, 0)), (0,)),
}


@dataclass(frozen=True)
class Config(configuration.Config):
    """Three cells, three languages."""

    seeds: int = 6
    """Independent runs of each."""
    units: int = 16
    """Numbers of the state."""
    steps: int = 1500
    """Updates."""
    length: int = 32
    """Bits of a string in training; those of the test are eight times as long."""
    batch_size: int = 32
    """Strings in an update."""
    learning_rate: float = 1e-2
    """Of Adam, at first; it goes to 0 as a cosine."""

    def __post_init__(self) -> None:
        super().__post_init__()
        configuration.at_least(self, seeds=1, units=1, steps=STRETCH, length=4, batch_size=1)
        configuration.positive(self, "learning_rate")


def run(config: Config, run: Run) -> dict[str, float]:
    """Train every cell on every language, test on longer strings, draw."""
    seeds, chunks, steps = (1, 2, 2) if run.smoke else (config.seeds, config.steps // STRETCH, STRETCH)
    keys = jax.random.split(jax.random.key(config.seed), seeds)
    found = {}
    for name in ("vanilla", "gru") if run.smoke else CELLS:
        init, learn = make_run(CELLS[name](config.units), config, chunks, steps)
        learn = jax.jit(jax.vmap(jax.vmap(learn, (None, 0, 0)), (0, None, None)))
        found[name] = jax.device_get(learn(jnp.arange(len(LANGUAGES)), draw_each(init, keys), keys))
    result = {}
    for number, language in enumerate(LANGUAGES):
        for name, values in found.items():
            right = values["right"][number]
            result[f"{language}_{name}_accuracy"] = float(right.mean())
            result[f"{language}_{name}_right"] = float(right.all(axis=-1).mean())
            result[f"{language}_{name}_seeds_without_a_mistake"] = float(right.all(axis=(-2, -1)).mean())
    run.figure("learning", draw_learning(found))
    run.figure("stream", draw_stream(found))
    return result


def tables() -> tuple[Array, Array]:
    """Return the moves of all automata, ``[L, S, 2]``, and which states are accepted, ``[L, S]``, filled up with 0."""
    states = max(len(automaton.moves) for automaton in LANGUAGES.values())
    moves, accepted = np.zeros((len(LANGUAGES), states, 2), np.int32), np.zeros((len(LANGUAGES), states), np.int32)
    for number, automaton in enumerate(LANGUAGES.values()):
        moves[number, : len(automaton.moves)] = automaton.moves
        accepted[number, list(automaton.accepted)] = 1
    return jnp.asarray(moves), jnp.asarray(accepted)


def draw(language: Array, key: Key, count: int, length: int) -> Batch:
    """Draw strings of random bits, with the answer at every bit."""
    moves, accepted = (table[language] for table in tables())
    bits = jax.random.bernoulli(key, 0.5, (length, count)).astype(jnp.int32)

    def read(state: Array, bit: Array) -> tuple[Array, Array]:
        state = moves[state, bit]
        return state, accepted[state]

    _, answers = jax.lax.scan(read, jnp.zeros(count, jnp.int32), bits)
    return {"bit": jax.nn.one_hot(bits.T, 2), "label": answers.T}


def make_run(cell: cells.Cell, config: Config, chunks: int, steps: int) -> tuple[Callable, Callable]:
    """Make the functions that draw the variables from a key, and that learn a language with them.

    The latter reads longer strings at the end.
    """
    model = Tagger(None, 2, cell=cell, bidirectional=False)
    task = tagging(model, inputs="bit")
    rate = schedules.cosine_decay(config.learning_rate, chunks * steps)
    optimizer = optim.adam(rate)
    update = train.make_step(task.loss, optimizer)

    def init(key: Key) -> PyTree:
        return task.init(key, {"bit": jnp.zeros((1, config.length, 2))})

    def learn(language: Array, variables: PyTree, key: Key) -> dict[str, Array]:
        def one(state: train.TrainState, key: Key) -> tuple[train.TrainState, dict[str, Array]]:
            return update(state, draw(language, key, config.batch_size, config.length))

        data_key, test_key = jax.random.split(key)
        test = draw(language, test_key, TESTED, LONG * config.length)
        start = train.TrainState.create(variables, optimizer, key)
        state, metrics = jax.lax.scan(one, start, jax.random.split(data_key, chunks * steps))
        logits = model.apply(state.variables, test["bit"])
        said = jax.nn.softmax(logits[0])[:, 1]
        right = jnp.argmax(logits, axis=-1) == test["label"]
        return {
            "curve": jnp.mean(metrics["accuracy"].reshape(chunks, steps), axis=1),
            "right": right,
            "said": said,
            "bits": jnp.argmax(test["bit"][0], axis=-1),
            "label": test["label"][0],
        }

    return init, learn


def draw_learning(found: dict[str, dict[str, np.ndarray]]) -> Figure:
    """Draw the accuracy over the updates, every seed and the mean, and over the place in a long string."""
    figure, axes = plt.subplots(2, len(LANGUAGES), figsize=(11, 5.6), squeeze=False)
    for number, language in enumerate(LANGUAGES):
        for (name, values), colour in zip(found.items(), COLOURS, strict=False):
            curve, right = values["curve"][number], values["right"][number]
            updates = STRETCH * np.arange(1, curve.shape[1] + 1)
            plot_runs(axes[0, number], curve, colour, x=updates, style=STYLES[name], label=name)
            places = np.arange(1, right.shape[-1] + 1)
            axes[1, number].plot(places, right.mean(axis=(0, 1)), STYLES[name], color=colour, linewidth=1.4)
        axes[0, number].set(title=language, xlabel="updates", ylim=(0.45, 1.02))
        axes[1, number].axvline(right.shape[-1] / LONG, color="grey", linewidth=0.8, linestyle=":")
        axes[1, number].set(xlabel="bits read (dotted: length in training)", ylim=(0.45, 1.02), xscale="log")
    axes[0, 0].set_ylabel("accuracy in training")
    axes[1, 0].set_ylabel("accuracy on long strings")
    axes[0, 0].legend(frameon=False)
    return figure


def draw_stream(found: dict[str, dict[str, np.ndarray]]) -> Figure:
    """Draw what the first run of each cell says of the first 64 bits of a string, and the truth."""
    figure, axes = plt.subplots(len(LANGUAGES), 1, figsize=(11, 5), sharex=True, squeeze=False)
    for number, (axis, language) in enumerate(zip(axes[:, 0], LANGUAGES, strict=True)):
        first = next(iter(found.values()))
        bits, label = (first[part][number, 0][:64] for part in ("bits", "label"))
        axis.bar(np.arange(len(bits)), label, color="lightgrey", width=1.0)
        for (name, values), colour in zip(found.items(), COLOURS, strict=False):
            axis.plot(values["said"][number, 0][:64], STYLES[name], linewidth=1.4, color=colour, label=name)
        for place, bit in enumerate(bits):
            axis.text(place, -0.22, str(bit), ha="center", fontsize=7)
        axis.set(ylabel=language, ylim=(-0.3, 1.05), yticks=[0, 1], xticks=[])
        axis.grid(visible=False)
    axes[0, 0].set_title("Probability that the string so far is in the language; grey: it is", fontsize=10)
    axes[0, 0].legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
    return figure
