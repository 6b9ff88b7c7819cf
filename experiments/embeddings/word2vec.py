"""Word vectors of a text by word2vec, with evaluation, neighbours and a map.

    python -m experiments run word2vec [--text FILE_OR_FOLDER]

Skip-gram or CBOW with negative sampling learns from the sources of Python's standard library, or from any text:
lower-case words, subsampled, in random windows that end with the sentence. The run folder has ``vectors.txt`` in the
format of word2vec, which `jaxdl.embeddings.load` and gensim read, ``neighbours.txt``, the loss and a map of frequent
words by t-SNE. ``--pairs`` are files of judgements such as WordSim-353 and SimLex-999, ``--analogies`` is
``questions-words.txt``.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import jax
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from experiments.harness import configuration
from experiments.harness.embeddings.words import Corpus, OnText, read_corpus, show_vectors
from experiments.harness.errors import preparing
from experiments.harness.run_folder import Run
from jaxdl import data, embeddings, optim, train
from jaxdl.embeddings import Sampling, Vectors

MAKE = {"skip_gram": embeddings.make_skip_gram_step, "cbow": embeddings.make_cbow_step}
REPORT_STEPS = 8


@dataclass(frozen=True)
class Config(OnText):
    """Skip-gram or CBOW with negative sampling."""

    SMOKE = {"characters": 20_000, "size": 4, "epochs": 1, "row_size": 512, "shown": 8}

    architecture: Literal["skip_gram", "cbow"] = "skip_gram"
    """Network."""
    size: int = 100
    """Size of the vectors."""
    epochs: int = 5
    """Passes over the text."""
    window: int = 5
    """Largest distance of a context."""
    negatives: int = 5
    """Negative samples of a pair."""
    threshold: float = 1e-3
    """Frequency above which words are subsampled."""
    learning_rate: float = 0.025
    """Learning rate at the start, which decays linearly; CBOW needs about 0.075."""
    row_size: int = 2**16
    """Words of the text per report."""
    shown: int = 150
    """Words in the map."""
    pairs: tuple[Path, ...] = ()
    """Files of pairs of words with judgements of their similarity."""
    analogies: Path | None = None
    """File of analogies."""

    def __post_init__(self) -> None:
        super().__post_init__()
        configuration.at_least(self, shown=5)
        configuration.positive(self, "threshold", "learning_rate")
        for path in filter(None, (*self.pairs, self.analogies)):
            configuration.require(path.is_file(), "pairs and --analogies", "files", str(path))


def run(config: Config, run: Run) -> dict[str, float]:
    """Train, save, evaluate, draw."""
    corpus = read_corpus(config)
    vectors, history = learn(config, run, corpus)
    show_vectors(run, vectors, config.shown, config.seed)
    if history:  # a finished run may be resumed
        run.figure("loss", draw_loss(history))
    return {
        "words": len(vectors),
        "tokens": int(corpus.counts.sum()),
        **({"loss": float(history[-1]["train/loss"])} if history else {}),
        **evaluate(config, vectors),
    }


def learn(config: Config, run: Run, corpus: Corpus) -> tuple[Vectors, list[dict[str, float]]]:
    """Train with checkpoints; return the vectors and the history."""
    rows = embeddings.text_rows(corpus.sentences, corpus.vocabulary, config.row_size)
    loader = data.Loader(rows, 1, seed=config.seed)
    total = config.epochs * loader.steps_per_epoch
    schedule = optim.schedules.linear(config.learning_rate, config.learning_rate / 250, total)
    sampling = Sampling(config.window, config.negatives, threshold=config.threshold)
    step = MAKE[config.architecture](corpus.counts, schedule, sampling)
    with preparing():
        checkpoints = train.Checkpoints(run.directory / "checkpoints", config=run.identity)
        state = embeddings.init_word2vec(jax.random.key(config.seed), len(corpus.vocabulary), config.size)
        state = checkpoints.restore(state) if run.resume and checkpoints.latest() is not None else state
    if int(state.step) >= total:
        return Vectors(list(corpus.vocabulary), state.tables.words), []
    with train.ProgressBar(config.row_size, run.name) as bar:
        hooks = [train.StopAtNonfinite(), bar, train.SaveEvery(checkpoints)]
        state, history = train.fit(step, state, loader, epochs=config.epochs, hooks=hooks, report_every=REPORT_STEPS)
    run.note_times(history)
    return Vectors(list(corpus.vocabulary), state.tables.words), history


def evaluate(config: Config, vectors: Vectors) -> dict[str, float]:
    """Evaluate on the files that were given; without known words there is only the coverage."""
    found: dict[str, float] = {}
    with preparing():
        for path in config.pairs:
            score = embeddings.evaluate_pairs(vectors, path)
            found |= {f"spearman_{path.stem}": score.spearman, f"coverage_{path.stem}": score.coverage}
        if config.analogies is not None:
            found["analogies"] = embeddings.evaluate_analogies(vectors, config.analogies)["total"]
            found["coverage_analogies"] = embeddings.analogy_coverage(vectors, config.analogies)["total"]
    return {name: value for name, value in found.items() if np.isfinite(value)}


def draw_loss(history: list[dict[str, float]]) -> Figure:
    """Draw the mean loss of every epoch."""
    before = history[0]["step"] - REPORT_STEPS  # 0 unless the run was resumed
    steps = np.diff([before, *(row["step"] for row in history)])
    epochs, of_row = np.unique(np.ceil([row["epoch"] - 1e-9 for row in history]), return_inverse=True)
    means = np.bincount(of_row, steps * [row["train/loss"] for row in history]) / np.bincount(of_row, steps)
    figure, axis = plt.subplots(figsize=(5, 3.2))
    axis.plot(epochs, means, ".-")
    axis.set(xlabel="epoch", ylabel="mean loss", title="A pair and its negatives", xticks=epochs)
    return figure
