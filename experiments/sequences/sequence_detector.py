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

from dataclasses import dataclass
from functools import partial
from typing import Literal

import jax
import jax.numpy as jnp

from experiments.harness.learning import check_learned, fit_samples
from experiments.harness.run_folder import Run
from experiments.harness.seeds import init_each
from experiments.harness.sequences.recurrent import chunk_means
from experiments.harness.sequences.settings import Reported
from experiments.sequences import drawings
from jaxdl import optim
from jaxdl.data.sources import automata
from jaxdl.models.sequence.classifiers import Tagger
from jaxdl.nn.recurrent import cells
from jaxdl.optim import schedules
from jaxdl.tasks import Task, tagging
from jaxdl.typing import Array, Batch, Key, PyTree

GOAL = {"1011_lstm_right": 0.99, "1011_gru_right": 0.99}
TESTED, LONG = 128, 8
LANGUAGES = {
    "1011": automata.ends_in_1011(),
    "even": automata.even_counts(),
    "three": automata.equal_modulo_three(),
}
STYLES = {"vanilla": "-", "lstm": "--", "gru": ":"}  # the lines coincide where all are correct
CELLS = {"vanilla": cells.Vanilla, "lstm": cells.LSTM, "gru": cells.GRU}


@dataclass(frozen=True)
class Config(Reported):
    """Three cells, three languages."""

    SMOKE = {**Reported.SMOKE, "seeds": 1, "hidden_size": 2, "length": 4, "cells": ("vanilla", "gru")}
    FORMER = {"units": "hidden_size"}
    LEAST = {"seeds": 1, "length": 4}

    seeds: int = 6
    hidden_size: int = 16
    """Size of the state."""
    length: int = 32
    """Bits of a string in training; those of the test have eight times as many."""
    batch_size: int = 32
    learning_rate: float = 1e-2
    """Learning rate of Adam, with a cosine decay."""
    cells: tuple[Literal["vanilla", "lstm", "gru"], ...] = ("vanilla", "lstm", "gru")
    """Recurrent cells."""


def run(config: Config, run: Run) -> dict[str, float]:
    """Train every cell on every language, test on longer strings, draw."""
    keys = jax.random.split(jax.random.key(config.seed), config.seeds)
    languages, found = automata.stack_automata([*LANGUAGES.values()]), {}
    for name in config.cells:
        model = Tagger(None, 2, cell=CELLS[name](config.hidden_size), bidirectional=False)
        task = tagging(model, inputs="bit")
        start = init_each(partial(task.init, batch={"bit": jnp.zeros((1, config.length, 2))}), keys)
        learn_all = jax.vmap(jax.vmap(partial(learn, model, task, config), (None, 0, 0)), (0, None, None))
        found[name] = jax.device_get(jax.jit(learn_all)(languages, start, keys))
        check_learned(found[name]["probability"])
    result = {}
    for number, language in enumerate(LANGUAGES):
        for name, values in found.items():
            right = values["right"][number]
            result[f"{language}_{name}_accuracy"] = float(right.mean())
            result[f"{language}_{name}_right"] = float(right.all(axis=-1).mean())
            result[f"{language}_{name}_seeds_without_a_mistake"] = float(right.all(axis=(-2, -1)).mean())
    names = tuple(LANGUAGES)
    run.figure("learning", drawings.draw_languages(found, names, config.report_every, STYLES, config.length))
    run.figure("stream", drawings.draw_language_stream(found, names, STYLES))
    return result


def learn(
    model: Tagger, task: Task, config: Config, language: automata.Automaton, variables: PyTree, key: Key
) -> dict[str, Array]:
    """Train on a language, and test on longer strings."""
    steps = config.chunks * config.report_every
    optimizer = optim.adam(schedules.cosine_decay(config.learning_rate, steps))

    def sample(key: Key, count: int = config.batch_size, length: int = config.length) -> Batch:
        bits, label = automata.labelled_strings(key, count, length, language)
        return {"bit": jax.nn.one_hot(bits, 2), "label": label}

    data_key, test_key = jax.random.split(key)
    test = sample(test_key, TESTED, LONG * config.length)
    keys = jax.random.split(data_key, steps)
    state, metrics = fit_samples(task.loss, optimizer, variables, sample, keys, key)
    logits = model.apply(state.variables, test["bit"])
    return {
        "curve": chunk_means(metrics["accuracy"], config.chunks),
        "right": jnp.argmax(logits, axis=-1) == test["label"],
        "probability": jax.nn.softmax(logits[0])[:, 1],
        "bits": jnp.argmax(test["bit"][0], axis=-1),
        "label": test["label"][0],
    }
