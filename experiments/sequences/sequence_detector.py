"""Recurrent networks decide at every bit of a stream whether the string so far is in a regular language.

    python -m experiments run sequence_detector

Vanilla, LSTM and GRU with 16 units learn from random strings of 32 bits, new ones in every update, and are tested on
strings of 256. The languages are

- 1011: the last four bits are 1011 (occurrences may overlap);
- even: even numbers of zeros and of ones (the fifth language of Tomita, 1982);
- three: equal numbers of ones and zeros, modulo three (the sixth).

The first needs four bits of memory, the others an endless count. A string is right if all of its answers are. The goal
is 99 % of the long strings for LSTM and GRU with 1011, averaged over the seeds.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

from experiments.harness import configuration
from experiments.harness.figures import COLOURS
from experiments.harness.learning import check_learned, fit_samples
from experiments.harness.recurrent import chunk_means
from experiments.harness.run_folder import Run
from experiments.harness.seeds import init_each
from experiments.harness.sequence_plots import legend, panels, plot_variants
from experiments.harness.sequence_settings import OnNewSequences
from jaxdl import optim
from jaxdl.models.sequence.classifiers import Tagger
from jaxdl.nn.recurrent import cells
from jaxdl.optim import schedules
from jaxdl.tasks.sequences import tagging
from jaxdl.typing import Array, Batch, Key, PyTree

GOAL = {"1011_lstm_right": 0.99, "1011_gru_right": 0.99}
TESTED = 128
LONG = 8
STYLES = {"vanilla": "-", "lstm": "--", "gru": ":"}  # the lines coincide where all are correct
CELLS = {"vanilla": cells.Vanilla, "lstm": cells.LSTM, "gru": cells.GRU}


class Automaton(NamedTuple):
    """An automaton: the next state for each state and bit, ``[S, 2]``, and the accepting states."""

    moves: tuple[tuple[int, int], ...]
    accepted: tuple[int, ...]


LANGUAGES = {
    "1011": Automaton(((0, 1), (2, 1), (0, 3), (2, 4), (2, 1)), (4,)),
    "even": Automaton(((1, 2), (0, 3), (3, 0), (2, 1)), (0,)),
    "three": Automaton(((2, 1), (0, 2), (1, 0)), (0,)),
}


@dataclass(frozen=True)
class Config(OnNewSequences):
    """Three cells, three languages."""

    SMOKE = {
        "seeds": 1,
        "hidden_size": 2,
        "steps": 2,
        "length": 4,
        "batch_size": 2,
        "report_every": 1,
        "cells": ("vanilla", "gru"),
    }
    FORMER = {"units": "hidden_size"}
    LEAST_SEEDS = 1

    seeds: int = 6
    hidden_size: int = 16
    """Size of the state."""
    length: int = 32
    """Bits of a string in training; those of the test have eight times as many."""
    batch_size: int = 32
    learning_rate: float = 1e-2
    """Learning rate of Adam, with a cosine decay."""
    report_every: int = 50
    """Updates over which the accuracy is averaged."""
    cells: tuple[Literal["vanilla", "lstm", "gru"], ...] = ("vanilla", "lstm", "gru")
    """Recurrent cells."""

    def __post_init__(self) -> None:
        super().__post_init__()
        configuration.at_least(self, report_every=1)
        configuration.at_least(self, hidden_size=1, steps=self.report_every, length=4)


def run(config: Config, run: Run) -> dict[str, float]:
    """Train every cell on every language, test on longer strings, draw."""
    keys = jax.random.split(jax.random.key(config.seed), config.seeds)
    found = {}
    for name in config.cells:
        init, learn = make_run(CELLS[name](config.hidden_size), config)
        learn = jax.jit(jax.vmap(jax.vmap(learn, (None, 0, 0)), (0, None, None)))
        found[name] = jax.device_get(learn(jnp.arange(len(LANGUAGES)), init_each(init, keys), keys))
        check_learned(found[name]["probability"])
    result = {}
    for number, language in enumerate(LANGUAGES):
        for name, values in found.items():
            right = values["right"][number]
            result[f"{language}_{name}_accuracy"] = float(right.mean())
            result[f"{language}_{name}_right"] = float(right.all(axis=-1).mean())
            result[f"{language}_{name}_seeds_without_a_mistake"] = float(right.all(axis=(-2, -1)).mean())
    run.figure("learning", draw_learning(found, config.report_every))
    run.figure("stream", draw_stream(found))
    return result


def tables() -> tuple[Array, Array]:
    """Return the transitions of all automata, ``[L, S, 2]``, and the accepting states, ``[L, S]``, padded with 0."""
    states = max(len(automaton.moves) for automaton in LANGUAGES.values())
    moves, accepted = np.zeros((len(LANGUAGES), states, 2), np.int32), np.zeros((len(LANGUAGES), states), np.int32)
    for number, automaton in enumerate(LANGUAGES.values()):
        moves[number, : len(automaton.moves)] = automaton.moves
        accepted[number, list(automaton.accepted)] = 1
    return jnp.asarray(moves), jnp.asarray(accepted)


def draw(language: Array, key: Key, count: int, length: int) -> Batch:
    """Sample strings of random bits, labelled at every bit."""
    moves, accepted = (table[language] for table in tables())
    bits = jax.random.bernoulli(key, 0.5, (length, count)).astype(jnp.int32)

    def read(state: Array, bit: Array) -> tuple[Array, Array]:
        state = moves[state, bit]
        return state, accepted[state]

    _, answers = jax.lax.scan(read, jnp.zeros(count, jnp.int32), bits)
    return {"bit": jax.nn.one_hot(bits.T, 2), "label": answers.T}


def make_run(cell: cells.Cell, config: Config) -> tuple[Callable, Callable]:
    """Make the functions that initialize the variables and that train them on a language, with a test."""
    chunks = config.steps // config.report_every
    model = Tagger(None, 2, cell=cell, bidirectional=False)
    task = tagging(model, inputs="bit")
    optimizer = optim.adam(schedules.cosine_decay(config.learning_rate, chunks * config.report_every))

    def init(key: Key) -> PyTree:
        return task.init(key, {"bit": jnp.zeros((1, config.length, 2))})

    def learn(language: Array, variables: PyTree, key: Key) -> dict[str, Array]:
        def sample(key: Key) -> Batch:
            return draw(language, key, config.batch_size, config.length)

        data_key, test_key = jax.random.split(key)
        test = draw(language, test_key, TESTED, LONG * config.length)
        keys = jax.random.split(data_key, chunks * config.report_every)
        state, metrics = fit_samples(task.loss, optimizer, variables, sample, keys, key)
        logits = model.apply(state.variables, test["bit"])
        right = jnp.argmax(logits, axis=-1) == test["label"]
        return {
            "curve": chunk_means(metrics["accuracy"], chunks),
            "right": right,
            "probability": jax.nn.softmax(logits[0])[:, 1],
            "bits": jnp.argmax(test["bit"][0], axis=-1),
            "label": test["label"][0],
        }

    return init, learn


def draw_learning(found: dict[str, dict[str, np.ndarray]], report_every: int) -> Figure:
    """Draw the accuracy over the updates, and over the position in long strings."""
    figure, axes = panels(len(LANGUAGES), size=(11 / 3, 2.8), rows=2)
    for number, language in enumerate(LANGUAGES):
        curves = {name: values["curve"][number] for name, values in found.items()}
        updates = {name: report_every * np.arange(1, curve.shape[1] + 1) for name, curve in curves.items()}
        plot_variants(axes[0, number], curves, updates, styles=STYLES)
        for (name, values), colour in zip(found.items(), COLOURS, strict=False):
            right = values["right"][number]
            places = np.arange(1, right.shape[-1] + 1)
            axes[1, number].plot(places, right.mean(axis=(0, 1)), STYLES[name], color=colour, linewidth=1.4)
        axes[0, number].set(title=language, xlabel="updates", ylim=(0.45, 1.02))
        axes[1, number].axvline(right.shape[-1] / LONG, color="grey", linewidth=0.8, linestyle=":")
        axes[1, number].set(xlabel="bits read (dotted: length in training)", ylim=(0.45, 1.02), xscale="log")
    axes[0, 0].set_ylabel("accuracy in training")
    axes[1, 0].set_ylabel("accuracy on long strings")
    legend(axes[0, 0])
    return figure


def draw_stream(found: dict[str, dict[str, np.ndarray]]) -> Figure:
    """Draw the outputs of the first run of each cell for the first 64 bits of a string, and the labels."""
    figure, axes = panels(1, size=(11, 5 / 3), rows=len(LANGUAGES), sharex=True)
    for number, (axis, language) in enumerate(zip(axes[:, 0], LANGUAGES, strict=True)):
        first = next(iter(found.values()))
        bits, label = (first[part][number, 0][:64] for part in ("bits", "label"))
        axis.bar(np.arange(len(bits)), label, color="lightgrey", width=1.0)
        for (name, values), colour in zip(found.items(), COLOURS, strict=False):
            axis.plot(values["probability"][number, 0][:64], STYLES[name], linewidth=1.4, color=colour, label=name)
        for place, bit in enumerate(bits):
            axis.text(place, -0.22, str(bit), ha="center", fontsize=7)
        axis.set(ylabel=language, ylim=(-0.3, 1.05), yticks=[0, 1], xticks=[])
        axis.grid(visible=False)
    axes[0, 0].set_title("Probability that the string so far is in the language; grey: it is", fontsize=10)
    legend(axes[0, 0], fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
    return figure
