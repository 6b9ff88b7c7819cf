"""Tagging of the words of Python code: forward and bidirectional networks, and a conditional random field.

    python -m experiments run tagging [--data-dir FOLDER]

The words are those of the lines of the standard library, the tags their roles: keyword, operator, name of a function,
target of an assignment, argument, attribute, and others, fourteen in all. The 300 most frequent words of the training
modules are known, all others are one unknown word, to be tagged by the context alone. Every fifth module is for the
test. With a folder, the files ``train*`` and ``test*`` in it are read (CoNLL: a word and its tag per line, sentences
separated by empty lines). An LSTM reads forward with 76 units, or in both directions with 48 each, with equal numbers
of parameters; the baselines are the most frequent tag of each word, of the known words and of all. Three epochs of Adam
at 3e-3, two seeds; the future helps if the bidirectional accuracy is larger for each seed. The BiLSTM-CRF, the same
network under a field, helps if its accuracy is larger for each seed and fewer of its pairs of tags are not in training.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import jax
import numpy as np

from experiments.harness import figures
from experiments.harness.errors import UsageError, preparing
from experiments.harness.members import predict_members, train_configured
from experiments.harness.run_folder import Run
from experiments.harness.sequences.baselines import most_frequent_tags
from experiments.harness.sequences.settings import OnExamples
from experiments.sequences import drawings
from jaxdl import metrics
from jaxdl.data.bucketing import pad
from jaxdl.data.sources.corpora import TaggedSentence, tagged_sentences
from jaxdl.data.sources.python_code import tagged_modules
from jaxdl.data.vocabulary import Vocabulary
from jaxdl.models.sequence.classifiers import Tagger
from jaxdl.models.sequence.crf import LinearChainCRF
from jaxdl.nn.crf import viterbi
from jaxdl.nn.recurrent import cells
from jaxdl.tasks.sequences import crf_tagging, tagging
from jaxdl.typing import PyTree


@dataclass(frozen=True)
class Config(OnExamples):
    """Two taggers and two tables."""

    SMOKE = {"lines": 40, "seeds": 1, "epochs": 1.0, "batch_size": 16, "hidden_size": 4}

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
        learned, tested = (
            read_folder(config.data_dir, config.lines) if config.data_dir else tagged_modules(config.seed, config.lines)
        )
    tags = sorted({tag for line in (*learned, *tested) for tag in line.tags})
    vocabulary = Vocabulary.build(chain.from_iterable(line.tokens for line in learned), max_size=config.known + 2)
    arrays, test = (encode(part, vocabulary, tags, config.length) for part in (learned, tested))
    mask, unknown = test["mask"] > 0, (test["mask"] > 0) & (test["token"] == vocabulary.unk_id)
    predictions = {}
    for name, both, units in (("forward", False, 76), ("both_directions", True, 48)):
        model = make_tagger(config, len(tags), both, units)
        members, _ = train_configured(tagging(model), arrays, config)
        predictions[name] = np.argmax(predict_members(model, members, test["token"], test["length"]), axis=-1)
    field = LinearChainCRF(make_tagger(config, len(tags), True, 48))
    members, _ = train_configured(crf_tagging(field), arrays, config)
    predictions["crf"] = predict_field(field, members, test)
    tables = {"known": set(vocabulary.tokens), "all": None}
    for name, words in tables.items():
        found = most_frequent_tags(learned, tested, words, tags[0])
        predictions[f"table_of_{name}_words"] = number_tags(found, tags, config.length)[None]
    right = {name: predicted == test["label"] for name, predicted in predictions.items()}
    shares = {name: each[:, mask].mean(axis=1) for name, each in right.items()}
    unseen = {name: unseen_pairs(each, test["length"], arrays, len(tags)) for name, each in predictions.items()}
    for line in range(min(4, len(tested))):
        length = test["length"][line]
        pairs = zip(tested[line].tokens[:length], predictions["crf"][0, line, :length], strict=True)
        run.console.print(" ".join(f"{word}/{tags[tag]}" for word, tag in pairs), highlight=False, markup=False)
    matrices = {
        name: np.asarray(metrics.confusion_matrix(each[0][mask], test["label"][mask], len(tags)))
        for name, each in predictions.items()
    }
    run.figure("tags", drawings.draw_tags({name: np.asarray(metrics.f1(m)) for name, m in matrices.items()}, tags))
    run.figure("confusion", figures.confusion_matrix(matrices["both_directions"], tags))
    return {
        **{f"{name}_accuracy": float(each.mean()) for name, each in shares.items()},
        **{f"{name}_accuracy_of_unknown_words": float(each[:, unknown].mean()) for name, each in right.items()},
        **{f"{name}_unseen_pairs": float(each.mean()) for name, each in unseen.items()},
        "unknown_words_share": float(unknown.sum() / mask.sum()),
        "lines": len(learned),
        "reading_on_helps": bool(np.all(shares["both_directions"] > shares["forward"])),
        "field_helps": bool(
            np.all(shares["crf"] > shares["both_directions"]) and np.all(unseen["crf"] < unseen["both_directions"])
        ),
    }


def read_folder(folder: Path, count: int) -> tuple[list[TaggedSentence], list[TaggedSentence]]:
    """Read files with a word and a tag per line."""
    parts = []
    for part in ("train", "test"):
        paths = sorted(folder.expanduser().glob(f"{part}*"))
        if not paths:
            raise UsageError(f"expected files {part}* in {folder}, with a word and its tag per line")
        parts.append(list(chain.from_iterable(tagged_sentences(path) for path in paths)))
    return parts[0][:count], parts[1]


def encode(
    lines: Sequence[TaggedSentence], vocabulary: Vocabulary, tags: list[str], length: int
) -> dict[str, np.ndarray]:
    """Encode words and tags, ``[N, T]``, with lengths and a mask."""
    token, lengths = pad([vocabulary.encode(line.tokens[:length]) for line in lines], length)
    label = number_tags([line.tags for line in lines], tags, length)
    mask = (np.arange(length) < lengths[:, None]).astype(np.float32)
    return {"token": token, "label": label, "length": lengths, "mask": mask}


def number_tags(sentences: Sequence[Sequence[str]], tags: list[str], length: int) -> np.ndarray:
    """Return the numbers of tags, cut and padded to ``[N, length]``."""
    return pad([np.array([tags.index(tag) for tag in each[:length]], np.int32) for each in sentences], length)[0]


def make_tagger(config: Config, classes: int, both: bool, units: int) -> Tagger:
    """Make a tagger that reads in one direction or in ``both``."""
    cell = cells.LSTM(units) if config.hidden_size is None else cells.Vanilla(config.hidden_size)
    return Tagger(config.known + 2, classes, cell=cell, bidirectional=both)


def predict_field(field: LinearChainCRF, members: list[PyTree], test: dict[str, np.ndarray]) -> np.ndarray:
    """Return the most probable tags of whole lines by every member, ``[members, N, T]``."""
    predict = jax.jit(lambda variables, x, lengths: viterbi(field.apply(variables, x, lengths), lengths)[0])
    return np.stack([predict(member, test["token"], test["length"]) for member in members])


def unseen_pairs(predicted: np.ndarray, lengths: np.ndarray, arrays: dict[str, np.ndarray], classes: int) -> np.ndarray:
    """Return the share of successive tags, of every member, that no training line has."""

    def pairs(labels: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        inside = np.arange(1, labels.shape[-1]) < lengths[:, None]
        return (labels[..., :-1] * classes + labels[..., 1:])[..., inside]

    seen = np.unique(pairs(arrays["label"], arrays["length"]))
    return 1 - np.isin(pairs(predicted, lengths), seen).mean(axis=-1)
