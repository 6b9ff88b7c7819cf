"""Word vectors of a text by GloVe, with its weighting and without.

    python -m experiments run glove [--text FILE_OR_FOLDER]

Co-occurrences within ten words, weighted by 1 / distance, are counted in one pass over the text. GloVe factorizes their
logarithms, with weights that grow up to a count of ``x_max`` and with equal weights. The run folder has ``vectors.txt``
of the weighted ones, ``neighbours.txt``, the losses, and scores against logarithms of counts.
"""

from dataclasses import dataclass

import jax
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from experiments.harness import configuration
from experiments.harness.embeddings.words import OnText, read_corpus, show_vectors
from experiments.harness.results import means
from experiments.harness.run_folder import Run
from jaxdl import data, embeddings, train
from jaxdl.embeddings import GloveState, Vectors

SHOWN = 4000
EQUAL = 1e-9


@dataclass(frozen=True)
class Config(OnText):
    """GloVe."""

    SMOKE = {"characters": 20_000, "vocab_size": 40, "size": 2, "epochs": 1, "batch_size": 64, "shown": 8}

    characters: int = 3_000_000
    """Maximal number of characters of the text."""
    vocab_size: int = 5000
    """Maximal number of words, the most frequent."""
    window: int = 10
    """Largest distance of a context."""
    size: int = 50
    """Size of the vectors."""
    epochs: int = 10
    """Passes over the pairs."""
    batch_size: int = 1024
    """Pairs in an update."""
    learning_rate: float = 0.05
    """Learning rate of AdaGrad."""
    x_max: float = 100.0
    """Count from which the weight is 1."""
    shown: int = 150
    """Words in the map."""

    def __post_init__(self) -> None:
        super().__post_init__()
        configuration.at_least(self, shown=5)
        configuration.positive(self, "learning_rate", "x_max")


def run(config: Config, run: Run) -> dict[str, float]:
    """Count, train, save, draw."""
    corpus = read_corpus(config)
    counts = embeddings.stream_cooccurrence(corpus.sentences, corpus.vocabulary, window=config.window)
    pairs = embeddings.pair_arrays(counts)
    states, losses, scores = {}, {}, {}
    sample = np.random.default_rng(config.seed).integers(len(pairs["row"]), size=SHOWN)
    shown = {name: array[sample] for name, array in pairs.items()}
    for name, x_max in (("weighted", config.x_max), ("equal", EQUAL)):
        states[name], losses[name] = learn(config, pairs, len(corpus.vocabulary), x_max)
        scores[name] = score(states[name], shown)
    vectors = Vectors(list(corpus.vocabulary), states["weighted"].vectors)
    show_vectors(run, vectors, config.shown, config.seed)
    run.figure("fit", draw(losses, scores, shown["count"], config.x_max))
    frequent = shown["count"] >= np.quantile(shown["count"], 0.9)
    errors = {name: np.abs(found - np.log(shown["count"])) for name, found in scores.items()}
    return {
        "words": len(vectors),
        "pairs": len(pairs["row"]),
        **means(
            error={name: found for name, found in errors.items()},
            error_frequent={name: found[frequent] for name, found in errors.items()},
        ),
    }


def learn(config: Config, pairs: dict[str, np.ndarray], vocab_size: int, x_max: float) -> tuple[GloveState, np.ndarray]:
    """Train; return the state and the mean loss of each epoch."""
    loader = data.Loader(pairs, config.batch_size, seed=config.seed, drop_remainder=False)
    state = embeddings.init_glove(jax.random.key(config.seed), vocab_size, config.size)
    step = embeddings.make_glove_step(config.learning_rate, x_max=x_max)
    options = {"epochs": config.epochs, "report_every": loader.steps_per_epoch}
    state, history = train.fit(step, state, loader, hooks=[train.StopAtNonfinite()], **options)
    return state, np.array([row["train/loss"] for row in history])


def score(state: GloveState, pairs: dict[str, np.ndarray]) -> np.ndarray:
    """Compute ``w_i . c_j + b_i + b'_j`` of pairs."""
    words, contexts, word_bias, context_bias = map(np.asarray, state.params)
    row, column = pairs["row"], pairs["column"]
    return np.sum(words[row] * contexts[column], axis=1) + word_bias[row] + context_bias[column]


def draw(losses: dict[str, np.ndarray], scores: dict[str, np.ndarray], counts: np.ndarray, x_max: float) -> Figure:
    """Draw the losses, and the scores of pairs over their logarithms of counts."""
    figure, axes = plt.subplots(1, 3, figsize=(13, 3.8))
    for name, loss in losses.items():
        axes[0].semilogy(np.arange(1, len(loss) + 1), loss / loss[0], ".-", label=name)
    axes[0].set(xlabel="epoch", title="loss, relative to the first epoch")
    axes[0].legend(frameon=False, title="weights")
    span = np.log([counts.min(), counts.max()])
    for axis, (name, found) in zip(axes[1:], scores.items(), strict=True):
        axis.plot(np.log(counts), found, ".", markersize=2)
        axis.plot(span, span, color="black", linewidth=0.8)
        axis.axvline(np.log(x_max), color="grey", linestyle=":")
        axis.set(xlabel="logarithm of the count", title=f"score, {name} weights")
    return figure
