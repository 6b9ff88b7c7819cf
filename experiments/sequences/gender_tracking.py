"""Tracking the gender of the last noun: a task for the forget gate.

    python -m experiments run gender_tracking

A sentence has nouns, female or male, pronouns, and words without gender; the gender of a pronoun is that of the last
noun, so a new noun makes all former ones obsolete. LSTMs of 16 units learn it from sentences of 60 words: with a forget
gate, and the form of 1997 without, whose memory only adds. Both are tested on the first and the last 60 words of new
texts of 600. The claim is reproduced if the LSTM with the gate has more than 0.95 of the pronouns right in both, the
one without fewer, and if the gates, as the mean over units, are more closed at a noun of the other gender than at words
without.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.harness.claims import Statement, judge_all
from experiments.harness.learning import Metrics, check_learned, fit_samples
from experiments.harness.run_folder import Run, slug
from experiments.harness.sequences.recurrent import as_batch, initialize_readout
from experiments.harness.sequences.settings import OnNewSequences
from experiments.sequences import drawings
from jaxdl import losses, metrics, optim
from jaxdl.nn import preactivations, scan
from jaxdl.nn.dense import linear
from jaxdl.nn.recurrent import cells
from jaxdl.typing import Array, Batch, Key, PyTree

CLAIMS = (32,)
HIDDEN, TESTED, LEARNED = 16, 50, 0.95
FEMALE = ("ship", "queen", "mother", "actress")
MALE = ("king", "captain", "father", "actor")
OTHER = ("the", "is", "a", "most", "beautiful", "and", "of", "pirates", "in", "was")
WORDS = (*FEMALE, *MALE, *OTHER, "[pronoun]")
NOUNS, PRONOUN = len(FEMALE) + len(MALE), len(WORDS) - 1
CELLS = {"forget gate": cells.LSTM(HIDDEN), "no forget gate (1997)": cells.ConstantForgetLSTM(HIDDEN)}
NEW, OLD = CELLS


@dataclass(frozen=True)
class Config(OnNewSequences):
    """Small LSTMs with and without a forget gate."""

    SMOKE = {**OnNewSequences.SMOKE, "length": 4, "long": 8}

    length: int = 60
    """Words of a sentence in training."""
    long: int = 600
    """Words of a text in the test."""
    steps: int = 1000


def run(config: Config, run: Run) -> dict[str, float]:
    """Train both cells, test at both lengths, judge, draw the gates."""
    keys = jax.random.split(jax.random.key(config.seed), config.seeds)
    random, found = np.random.default_rng(config.seed), {}
    for name, cell in CELLS.items():
        start = initialize_readout(random, cell, len(WORDS), 2, config.seeds)
        start["cell"]["bias"] += np.repeat([cell.gate_biases().get(gate, 0.0) for gate in cell.gates], HIDDEN)
        found[name] = jax.device_get(jax.jit(jax.vmap(partial(learn, cell, config)))(keys, start))
        check_learned(found[name]["loss"])
    judge_all(run, statements(found))
    start = found[NEW]["gender"][:, : drawings.WORDS]
    most = np.argmax(np.count_nonzero(np.diff(start), axis=1))  # of all texts, the one with the most turns
    shown = {name: found[NEW][name][most] for name in ("token", "gender", "gates")}
    run.figure("gates", drawings.draw_gates(shown, WORDS, found, config.length))
    return {
        slug(f"{m}_{name.split(' (')[0]}"): float(found[name][m].mean()) for name in CELLS for m in ("short", "long")
    }


def draw(key: Key, count: int, length: int) -> tuple[Array, Array]:
    """Sample sentences and the gender of the last noun, 0 or 1, both ``[N, T]``; the first word is a noun."""
    kind_key, noun_key, other_key = jax.random.split(key, 3)
    shape = (count, length)
    kind = jax.random.categorical(kind_key, jnp.log(jnp.array([0.08, 0.15, 0.77])), shape=shape).at[:, 0].set(0)
    noun = jax.random.randint(noun_key, shape, 0, NOUNS)
    other = jax.random.randint(other_key, shape, NOUNS, PRONOUN)
    last = jax.lax.cummax(jnp.where(kind == 0, jnp.arange(length)[None], 0), axis=1)
    gender = jnp.take_along_axis(noun, last, axis=1) // len(FEMALE)
    return jnp.where(kind == 0, noun, jnp.where(kind == 1, PRONOUN, other)), gender


def learn(cell: cells.LSTM, config: Config, key: Key, params: PyTree) -> dict[str, Array]:
    """Train a network; return its loss, its accuracies on pronouns, and the forget gates along a sentence."""
    optimizer = optax.chain(optim.clip_by_global_norm(1.0), optim.adam(config.learning_rate))
    train_key, test_key = jax.random.split(key)

    def predict(params: PyTree, token: Array) -> tuple[Array, Array]:
        x = jax.nn.one_hot(token, len(WORDS))
        _, h = scan(cell, params["cell"], x)
        return linear(h, **params["output"]), h

    def loss(variables: dict[str, PyTree], batch: Batch, key: Key) -> tuple[Array, tuple[dict, Metrics]]:
        logits, _ = predict(variables["params"], batch["x"])
        return losses.cross_entropy(logits, batch["y"], mask=batch["x"] == PRONOUN), ({}, {})

    def sample(key: Key) -> Batch:
        return as_batch(draw(key, config.batch_size, config.length))

    state, measured = fit_samples(
        loss, optimizer, {"params": params}, sample, jax.random.split(train_key, config.steps), key
    )
    token, gender = draw(test_key, TESTED, config.long)
    logits, h = predict(state.params, token)
    is_pronoun, ends = token == PRONOUN, {"short": slice(config.length), "long": slice(-config.length, None)}
    found = {
        name: metrics.accuracy(logits[:, part], gender[:, part], mask=is_pronoun[:, part])
        for name, part in ends.items()
    }
    gates = forget_gates(cell, state.params["cell"], token, h) if "f" in cell.gates else jnp.ones(token.shape)
    turns = jnp.pad(gender[:, 1:] != gender[:, :-1], ((0, 0), (1, 0)))
    neutral = (token >= NOUNS) & ~is_pronoun
    closed = mean_where(gates, neutral) - mean_where(gates, turns)
    return {
        **found,
        "loss": measured["loss"],
        "token": token[0],
        "gender": gender[0],
        "gates": gates[0],
        "closed": closed,
    }


def forget_gates(cell: cells.LSTM, params: PyTree, token: Array, h: Array) -> Array:
    """Return the mean forget gate at every word, ``[N, T]``."""
    before = jnp.pad(h[:, :-1], ((0, 0), (1, 0), (0, 0)))
    sums = preactivations(params, before, cell.project(params, jax.nn.one_hot(token, len(WORDS))))
    return jnp.mean(jax.nn.sigmoid(sums[cell.gates.index("f")]), axis=-1)


def mean_where(values: Array, chosen: Array) -> Array:
    """Return the mean of the chosen values, 0 if there are none."""
    return jnp.sum(values * chosen) / jnp.maximum(jnp.sum(chosen), 1)


def statements(found: dict[str, dict[str, np.ndarray]]) -> Iterator[Statement]:
    """State the accuracies of both cells at both lengths, and where the gates close."""
    for length, name in (("short", "the first words of a text"), ("long", "the last words of a text")):
        new, old = (found[cell][length] for cell in (NEW, OLD))
        yield Statement(32, f"{name}: an LSTM with a forget gate tracks gender", "pronouns right", new, LEARNED, (0, 1))
        yield Statement(32, f"{name}: one without does not", f"pronouns right, below {LEARNED} by", LEARNED - old)
        yield Statement(32, f"{name}: the gate helps", "pronouns right, with minus without", new - old)
    statement = "the forget gate closes at a noun of the other gender"
    yield Statement(32, statement, "mean gate, words without gender minus such nouns", found[NEW]["closed"])
