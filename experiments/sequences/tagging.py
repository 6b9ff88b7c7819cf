"""Tagging of the words of Python code: forward and bidirectional networks.

    python -m experiments run tagging [--data-dir FOLDER]

The words are those of the lines of the standard library, the tags their roles: keyword, operator, name of a function,
target of an assignment, argument, attribute, and others, fourteen in all. The 300 most frequent words of the training
modules are known, all others are one unknown word, to be tagged by the context alone. Every fifth module is for the
test. With a folder, the files ``train*`` and ``test*`` in it are read (CoNLL: a word and its tag per line, sentences
separated by empty lines). An LSTM reads forward with 76 units, or in both directions with 48 each, with equal numbers
of parameters; the baselines are the most frequent tag of each word, of the known words and of all. Three epochs of Adam
at 3e-3, two seeds; the future helps if the bidirectional accuracy is larger for each seed.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from experiments.harness import figures
from experiments.harness.errors import UsageError, preparing
from experiments.harness.members import predict_members, train_configured
from experiments.harness.run_folder import Run
from experiments.harness.sequence_plots import grouped_bars, legend, panels
from experiments.harness.sequence_settings import OnExamples
from jaxdl import metrics
from jaxdl.data.bucketing import pad
from jaxdl.data.epochs import permutation
from jaxdl.data.sources.corpora import TaggedSentence, tagged_sentences
from jaxdl.data.sources.python_code import standard_library, tagged_lines
from jaxdl.data.vocabulary import Vocabulary
from jaxdl.models.sequence.classifiers import Tagger
from jaxdl.nn.recurrent import cells
from jaxdl.tasks.sequences import tagging
from jaxdl.typing import PyTree

TESTED = 5  # every fifth module is for the test


@dataclass(frozen=True)
class Config(OnExamples):
    """Two taggers and two tables."""

    SMOKE = {"lines": 40, "seeds": 1, "epochs": 1.0, "batch_size": 16, "hidden_size": 4}
    LEAST = {"lines": 1, "length": 1, "known": 1}

    data_dir: Path | None = None
    """Folder with the files train* and test*, with a word and its tag per line."""
    lines: int = 20_000
    """Maximal number of training lines, or sentences."""
    length: int = 32
    """Maximal number of words of a line."""
    known: int = 300
    """Number of known words."""
    epochs: float = 3.0
    hidden_size: int | None = None
    """Size of vanilla cells in place of the LSTMs."""


def run(config: Config, run: Run) -> dict[str, float | bool]:
    """Read the lines, train the taggers, compare them with the tables, draw."""
    with preparing():
        learned, tested = read_folder(config) if config.data_dir else read_library(config)
    tags = sorted({tag for line in (*learned, *tested) for tag in line.tags})
    vocabulary = Vocabulary.build(chain.from_iterable(line.tokens for line in learned), max_size=config.known + 2)
    arrays, test = (encode(part, vocabulary, tags, config.length) for part in (learned, tested))
    mask, unknown = test["mask"] > 0, (test["mask"] > 0) & (test["token"] == vocabulary.unk_id)
    predictions = {}
    for name, both, units in (("forward", False, 76), ("both_directions", True, 48)):
        model, members = learn(config, arrays, len(tags), both, units)
        predictions[name] = np.argmax(predict_members(model, members, test["token"], test["length"]), axis=-1)
    tables = {"known": set(vocabulary.tokens), "all": None}
    for name, words in tables.items():
        predictions[f"table_of_{name}_words"] = look_up(learned, tested, words, tags, config.length)[None]
    right = {name: predicted == test["label"] for name, predicted in predictions.items()}
    shares = {name: each[:, mask].mean(axis=1) for name, each in right.items()}
    run.figure(
        "tags",
        draw_tags({name: f1_of(p[0][mask], test["label"][mask], len(tags)) for name, p in predictions.items()}, tags),
    )
    matrix = metrics.confusion_matrix(predictions["both_directions"][0][mask], test["label"][mask], len(tags))
    run.figure("confusion", figures.confusion_matrix(np.asarray(matrix), tags))
    return {
        **{f"{name}_accuracy": float(each.mean()) for name, each in shares.items()},
        **{f"{name}_accuracy_of_unknown_words": float(each[:, unknown].mean()) for name, each in right.items()},
        "unknown_words_share": float(unknown.sum() / mask.sum()),
        "lines": len(learned),
        "reading_on_helps": bool(np.all(shares["both_directions"] > shares["forward"])),
    }


def read_library(config: Config) -> tuple[list[TaggedSentence], list[TaggedSentence]]:
    """Read the modules of the standard library in a random order, every fifth for the test."""
    paths = standard_library()
    order = [paths[i] for i in permutation(len(paths), config.seed, 0)]
    parts: tuple[list[TaggedSentence], list[TaggedSentence]] = ([], [])
    wanted = config.lines
    for number, path in enumerate(order):
        if min(len(parts[0]) / wanted, len(parts[1]) / wanted * (TESTED - 1)) >= 1:
            break
        parts[number % TESTED == 0].extend(tagged_lines(path.read_text(encoding="utf-8")))
    return parts[0][:wanted], parts[1][: max(1, wanted // (TESTED - 1))]


def read_folder(config: Config) -> tuple[list[TaggedSentence], list[TaggedSentence]]:
    """Read files with a word and a tag per line."""
    parts = []
    for part in ("train", "test"):
        paths = sorted(config.data_dir.expanduser().glob(f"{part}*"))
        if not paths:
            raise UsageError(f"expected files {part}* in {config.data_dir}, with a word and its tag per line")
        parts.append(list(chain.from_iterable(tagged_sentences(path) for path in paths)))
    return parts[0][: config.lines], parts[1]


def encode(
    lines: Sequence[TaggedSentence], vocabulary: Vocabulary, tags: list[str], length: int
) -> dict[str, np.ndarray]:
    """Encode words and tags, ``[N, T]``, with lengths and a mask."""
    number = {tag: i for i, tag in enumerate(tags)}
    token, lengths = pad([vocabulary.encode(line.tokens[:length]) for line in lines], length)
    label, _ = pad([np.array([number[tag] for tag in line.tags[:length]], np.int32) for line in lines], length)
    mask = (np.arange(length) < lengths[:, None]).astype(np.float32)
    return {"token": token, "label": label, "length": lengths, "mask": mask}


def learn(
    config: Config, arrays: dict[str, np.ndarray], classes: int, both: bool, units: int
) -> tuple[Tagger, list[PyTree]]:
    """Train a tagger with every seed."""
    cell = cells.LSTM(units) if config.hidden_size is None else cells.Vanilla(config.hidden_size)
    model = Tagger(config.known + 2, classes, cell=cell, bidirectional=both)
    return model, train_configured(tagging(model), arrays, config)[0]


def look_up(
    learned: Sequence[TaggedSentence],
    tested: Sequence[TaggedSentence],
    known: set[str] | None,
    tags: list[str],
    length: int,
) -> np.ndarray:
    """Return the most frequent tag of each word in training, that of rare words for unknown ones, ``[N, T]``."""
    counts: defaultdict[str | None, Counter[str]] = defaultdict(Counter)
    frequency = Counter(chain.from_iterable(line.tokens for line in learned))
    for line in learned:
        for word, tag in zip(line.tokens, line.tags, strict=True):
            counts[word if known is None or word in known else None][tag] += 1
            if known is None and frequency[word] == 1:
                counts[None][tag] += 1
    best = {word: tags.index(count.most_common(1)[0][0]) for word, count in counts.items()}
    rare = best.get(None, 0)
    return pad([np.array([best.get(word, rare) for word in line.tokens[:length]]) for line in tested], length)[0]


def f1_of(predicted: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
    """Return the F1 score of each tag."""
    return np.asarray(metrics.f1(metrics.confusion_matrix(predicted, labels, classes)))


def draw_tags(scores: dict[str, np.ndarray], tags: list[str]) -> Figure:
    """Draw the F1 scores of every tag for the taggers and the tables."""
    figure, ((axis,),) = panels(1, size=(11, 3.8))
    grouped_bars(axis, scores, tags)
    axis.set(ylabel="F1", ylim=(0, 1.02))
    legend(axis, fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
    return figure
