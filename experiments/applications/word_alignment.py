"""IBM model 1: words aligned by expectation-maximization, the baseline of attention.

    python -m experiments run word_alignment [--data-dir FOLDER] [--table FILE]

English sentences and their French translations: the names of numbers, whose dictionary is known, or with a folder the
messages of a gettext catalogue in it (fr/LC_MESSAGES/*.mo, such as those of the Debian package blender-data), or the
pairs of a TSV file. The probabilities of translations are learned without any gradient. The figures show the
alignments of eight sentences, comparable to the attention of `translation`, and the log-likelihood. Goal, for numbers:
of the words with one translation, 0.95 are translated right by the most probable word.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import jax
import numpy as np

from experiments.applications import drawings
from experiments.harness.applications.parallel_text import read_translations
from experiments.harness.applications.spellings import CHIFFRES, DIGITS, DIZAINES, TENS
from experiments.harness.configuration import Config as BaseConfig
from experiments.harness.errors import UsageError
from experiments.harness.results import table
from experiments.harness.run_folder import Run
from experiments.harness.sequences.plots import draw_alignments
from jaxdl import data
from jaxdl.data.bucketing import pad
from jaxdl.data.vocabulary import PAD, UNK, Vocabulary
from jaxdl.models.sequence import align, learn_translation

GOAL = {"dictionary_accuracy": 0.95}
EMPTY = "[empty]"
DICTIONARY = dict(zip(DIGITS[1:17] + TENS[:5], CHIFFRES[1:17] + DIZAINES[:5], strict=True))
DICTIONARY |= {"hundred": "cent", "thousand": "mille"}


@dataclass(frozen=True)
class Config(BaseConfig):
    """English and French."""

    SMOKE = {"pairs": 60, "iterations": 2}

    data_dir: Path | None = None
    """Folder with a gettext catalogue fr/LC_MESSAGES/*.mo; None for numbers."""
    table: Path | None = None
    """TSV file of sources and targets, in the place of a folder."""
    words: int = 8
    """Largest number of words of a message of a catalogue."""
    pairs: int = 6000
    """Largest number of pairs."""
    iterations: int = 30
    """Steps of expectation-maximization."""


def run(config: Config, run: Run) -> dict[str, float]:
    """Learn the probabilities, align, draw, look the words up."""
    pairs = read_translations(config.seed, config.pairs, config.data_dir, config.table, longest=config.words)
    if not pairs:
        raise UsageError("expected pairs of sentences, got none")
    order = data.permutation(len(pairs), config.seed, 0)[: config.pairs]
    sources, targets = zip(*(([EMPTY, *pairs[n][0]], pairs[n][1]) for n in order), strict=True)
    read, written = (Vocabulary.build([w for line in lines for w in line]) for lines in (sources, targets))
    source, target = (encode(*both) for both in ((read, sources), (written, targets)))
    masks = {"source_mask": source != read.pad_id, "target_mask": target != written.pad_id}
    sizes = len(read), len(written)
    learn = jax.jit(partial(learn_translation, sizes=sizes, iterations=config.iterations))
    p, likelihood = jax.device_get(learn(source, target, **masks))
    likelihood = likelihood / masks["target_mask"].sum()
    longest = np.argsort([-len(line) for line in sources[:200]], kind="stable")[:8]
    weights = np.asarray(align(p, source[longest], target[longest], masks["source_mask"][longest]))
    shown = [
        (weights[row][: len(targets[n]), : len(sources[n])], sources[n], targets[n]) for row, n in enumerate(longest)
    ]
    run.figure("alignments", draw_alignments(shown))
    run.figure("likelihood", drawings.draw_likelihood(likelihood))
    show_translations(run, p, read, written, source)
    result = {"pairs": len(sources), "log_likelihood_first": float(likelihood[0])}
    result["log_likelihood_last"] = float(likelihood[-1])
    if config.table is None and config.data_dir is None:
        known = [word for word in DICTIONARY if word in read]
        best = {word: written.tokens[int(np.argmax(p[read[word]]))] for word in known}
        result["dictionary_accuracy"] = float(np.mean([best[word] == DICTIONARY[word] for word in known]))
    return result


def encode(vocabulary: Vocabulary, lines: tuple[list[str], ...]) -> np.ndarray:
    """Return the ids of lines, padded, ``[N, T]``."""
    return pad([vocabulary.encode(line) for line in lines], value=vocabulary.pad_id)[0]


def show_translations(run: Run, p: np.ndarray, read: Vocabulary, written: Vocabulary, source: np.ndarray) -> None:
    """Print the most probable translations of the most frequent words."""
    counts = np.bincount(source.ravel(), minlength=len(read))
    words = [n for n in np.argsort(-counts, kind="stable") if read.tokens[n] not in (PAD, UNK)][:12]
    rows = [
        (read.tokens[n], ", ".join(f"{written.tokens[m]} {p[n, m]:.2f}" for m in np.argsort(-p[n])[:3])) for n in words
    ]
    run.console.print(table("translations", ("word", "most probable"), rows))
