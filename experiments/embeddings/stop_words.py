"""Stop words dominate raw counts of contexts; PPMI and its factorization repair it.

    python -m experiments run stop_words [--text FILE_OR_FOLDER]

Contexts within two words are counted in two halves of a part of a text, for several parts. Vectors are the raw counts,
PPMI, or a truncated SVD of either. Measured are the share of the squared length of content words that lies in contexts
of stop words (scikit-learn's list), the mean cosine of two content words at random, and whether a word of one half is
found in the other: whether, of all content words there, it is nearest to itself.
"""

from dataclasses import dataclass

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

from experiments.harness import configuration
from experiments.harness.claims import judge
from experiments.harness.embeddings.words import Corpus, OnText, read_corpus
from experiments.harness.figures import COLOURS
from experiments.harness.plots import plot_groups
from experiments.harness.results import means
from experiments.harness.run_folder import Run
from jaxdl import embeddings

CLAIMS = (25,)
Found = dict[str, dict[str, np.ndarray]]


@dataclass(frozen=True)
class Config(OnText):
    """Counts of contexts in parts of a text."""

    SMOKE = {"characters": 40_000, "vocab_size": 40, "parts": 2, "size": 2}

    characters: int = 15_000_000
    """Maximal number of characters of the text."""
    vocab_size: int = 1500
    """Number of words, the most frequent."""
    parts: int = 6
    """Parts of the text, which are independent samples."""
    window: int = 2
    """Largest distance of a context."""
    size: int = 50
    """Size of the factorized vectors."""

    def __post_init__(self) -> None:
        super().__post_init__()
        configuration.at_least(self, parts=2)


def run(config: Config, run: Run) -> dict[str, float]:
    """Count, compare and judge."""
    corpus = read_corpus(config)
    stop = np.array([word in ENGLISH_STOP_WORDS for word in corpus.vocabulary])
    rows = [measure(config, corpus, stop, part) for part in range(config.parts)]
    found = {name: {kind: np.array([row[name][kind] for row in rows]) for kind in rows[0][name]} for name in rows[0]}
    assess(run, found)
    run.figure("stop_words", draw(found))
    return {"stop_words": int(stop.sum()), **means(**found)}


def measure(config: Config, corpus: Corpus, stop: np.ndarray, part: int) -> dict[str, dict[str, float]]:
    """Measure every kind of vectors in the two halves of a part."""
    sentences = corpus.sentences[part :: config.parts]
    middle = len(sentences) // 2
    halves = [represent(config, corpus, stop, half) for half in (sentences[:middle], sentences[middle:])]
    seen = np.logical_and(*(half["counts"].any(axis=1) for half in halves)) & ~stop
    units = {kind: [embeddings.unit(half[kind][seen]) for half in halves] for kind in halves[0]}
    cosines = {kind: first @ second.T for kind, (first, second) in units.items()}
    off = ~np.eye(seen.sum(), dtype=bool)
    return {
        "share": {kind: float(np.mean(np.sum(units[kind][0][:, stop] ** 2, axis=1))) for kind in ("counts", "PPMI")},
        "cosine": {kind: float(np.mean((first @ first.T)[off])) for kind, (first, _) in units.items()},
        "found": {kind: float(np.mean(c.argmax(axis=1) == np.arange(len(c)))) for kind, c in cosines.items()},
    }


def represent(config: Config, corpus: Corpus, stop: np.ndarray, sentences: list[list[str]]) -> dict[str, np.ndarray]:
    """Return all kinds of vectors; factorized ones are in coordinates of the contexts, which both halves share."""
    counts = embeddings.cooccurrence(sentences, corpus.vocabulary, window=config.window).astype(float)
    kinds = {"counts": counts, "PPMI": np.asarray(embeddings.ppmi(counts), float)}
    for kind, matrix in list(kinds.items()):
        words, contexts = embeddings.truncated_svd(matrix, config.size, power=1.0)
        kinds[f"SVD of {kind}"] = words @ contexts.T
    return kinds


def assess(run: Run, found: Found) -> None:
    """Judge both parts of the claim."""
    measure = "share of the squared length of content words in stop words"
    run.claim(judge(25, "stop words dominate raw counts", measure, found["share"]["counts"], above=0.5, within=(0, 1)))
    less = found["share"]["counts"] - found["share"]["PPMI"]
    run.claim(judge(25, "PPMI repairs it", "the same share, raw counts minus PPMI", less, within=(-1, 1)))
    for kind, base in (("PPMI", "counts"), ("SVD of PPMI", "SVD of counts")):
        statement = f"random words are more distinct with {kind} than with {base}"
        run.claim(judge(25, statement, "mean cosine, difference", found["cosine"][base] - found["cosine"][kind]))
        statement = f"a word is found again more often with {kind} than with {base}"
        more = found["found"][kind] - found["found"][base]
        run.claim(judge(25, statement, "share of words, difference", more, within=(-1, 1)))


def draw(found: Found) -> Figure:
    """Draw every measure for every kind of vectors."""
    figure, axes = plt.subplots(1, 3, figsize=(13, 3.6), width_ratios=(2, 4, 4))
    titles = {"share": "squared length in stop words", "cosine": "cosine of random words", "found": "found again"}
    for axis, (name, groups) in zip(axes, found.items(), strict=True):
        plot_groups(axis, {kind.replace("SVD of", "SVD of\n"): x for kind, x in groups.items()}, COLOURS[: len(groups)])
        axis.set(title=titles[name], ylim=(0, 1))
    return figure
