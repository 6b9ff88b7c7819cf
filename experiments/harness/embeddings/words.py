"""Words of a text for the experiments with word vectors: sentences, pairs, losses on held-out pairs, and the map."""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.harness.configuration import Config, at_least
from experiments.harness.errors import UsageError, preparing
from experiments.harness.learning import check_learned
from experiments.harness.run_folder import Run
from jaxdl import data, embeddings, optim
from jaxdl.embeddings import Tables, Vectors
from jaxdl.typing import Array, PyTree

WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)*")
BORDER = re.compile(r"[.!?]+\s|\n\s*\n")


@dataclass(frozen=True)
class OnText(Config):
    """A text and the words of its vocabulary."""

    text: str = "python"
    """A file, a folder, python (the sources of the standard library) or tiny_shakespeare."""
    data_dir: Path | None = None
    """Folder with tiny_shakespeare/input.txt."""
    characters: int = 5_000_000
    """Maximal number of characters of the text."""
    vocab_size: int = 30_000
    """Maximal number of words, the most frequent."""
    min_count: int = 5
    """How often a word must occur."""

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(self, vocab_size=2)


class Corpus(NamedTuple):
    """Sentences, the vocabulary, the most frequent word first, and the occurrences of its words."""

    sentences: list[list[str]]
    vocabulary: dict[str, int]
    counts: np.ndarray


def read_corpus(config: OnText) -> Corpus:
    """Read the text, split it into sentences of lower-case words, and count."""
    with preparing():
        if config.text == "python":
            text = data.python_source(config.characters)
        elif config.text == "tiny_shakespeare":
            text = data.tiny_shakespeare(config.data_dir)[: config.characters]
        else:
            text = data.read_text(config.text, limit=config.characters)
    sentences = [words for part in BORDER.split(text.lower()) if (words := WORD.findall(part))]
    counted = Counter(word for sentence in sentences for word in sentence)
    kept = [(word, count) for word, count in counted.most_common(config.vocab_size) if count >= config.min_count]
    if len(kept) < 2:
        raise UsageError(f"--text: expected two words that occur {config.min_count} times, got {len(kept)}")
    return Corpus(sentences, {word: i for i, (word, _) in enumerate(kept)}, np.array([count for _, count in kept]))


def draw_pairs(corpus: Corpus, window: int) -> np.ndarray:
    """List all pairs of a word and a context within the window, in the order of the text, ``[N, 2]``."""
    pairs = [np.empty((0, 2), np.int32)]
    for sentence in corpus.sentences:
        ids = np.array([corpus.vocabulary[word] for word in sentence if word in corpus.vocabulary], np.int32)
        for distance in range(1, min(window, len(ids) - 1) + 1):
            before, behind = ids[:-distance], ids[distance:]
            pairs += [np.stack([before, behind], axis=1), np.stack([behind, before], axis=1)]
    return np.concatenate(pairs)


Loss = Callable[[Tables, Array, Array, PyTree], Array]
"""Maps tables, pairs ``[B, 2]``, a random key and a variant to the mean loss."""


def learn_pairs(
    loss: Loss,
    variants: PyTree,
    nodes: int,
    pairs: np.ndarray,
    measure: Callable[[Tables, PyTree], Array],
    config: "PairSettings",
) -> np.ndarray:
    """Train tables on random pairs by Adam for every variant of a loss and every seed, as one program.

    Args:
        loss: the loss.
        variants: arrays with a leading dimension of variants.
        nodes: rows of the table of contexts.
        pairs: ``[N, 2]``.
        measure: what to measure along the way.
        config: the settings.

    Returns:
        The measurements, ``[variants, seeds, reports + 1]``.

    Raises:
        NonfiniteError: a measurement is NaN.
    """
    optimizer, reports = optim.adam(config.learning_rate), config.reports
    examples = jnp.asarray(pairs)

    def learn(key: Array, variant: PyTree) -> Array:
        start_key, batch_key = jax.random.split(key)
        tables = embeddings.init_tables(start_key, config.vocab_size, config.size)
        tables = Tables(tables.words, jnp.zeros((nodes, config.size)))

        def update(carry: tuple, key: Array) -> tuple[tuple, None]:
            tables, state = carry
            index_key, noise_key = jax.random.split(key)
            index = jax.random.randint(index_key, (config.batch_size,), 0, len(examples))
            gradients = jax.grad(loss)(tables, examples[index], noise_key, variant)
            updates, state = optimizer.update(gradients, state, tables)
            return (jax.tree.map(jnp.add, tables, updates), state), None

        def report(carry: tuple, keys: Array) -> tuple[tuple, Array]:
            carry, _ = jax.lax.scan(update, carry, keys)
            return carry, measure(carry[0], variant)

        keys = jax.random.split(batch_key, (reports, config.steps // reports))
        _, measured = jax.lax.scan(report, (tables, optimizer.init(tables)), keys)
        return jnp.concatenate([measure(tables, variant)[None], measured])

    keys = jax.random.split(jax.random.key(config.seed), config.seeds)
    measured = np.asarray(jax.jit(jax.vmap(jax.vmap(learn, (0, None)), (None, 0)))(keys, variants))
    check_learned(measured)
    return measured


@dataclass(frozen=True)
class PairSettings(OnText):
    """Small tables that learn pairs of words."""

    SMOKE = {
        "characters": 20_000, "vocab_size": 8, "size": 2, "seeds": 2, "steps": 2, "reports": 1, "batch_size": 4,
        "tested": 16,
    }  # fmt: skip

    vocab_size: int = 1000
    """Number of words, the most frequent."""
    characters: int = 3_000_000
    """Maximal number of characters of the text."""
    window: int = 2
    """Largest distance of a context."""
    size: int = 32
    """Size of the vectors."""
    seeds: int = 4
    """Independent runs."""
    steps: int = 2000
    """Updates."""
    reports: int = 10
    """Measurements on the held-out pairs."""
    batch_size: int = 128
    """Pairs in an update."""
    learning_rate: float = 0.01
    """Learning rate of Adam."""
    tested: int = 4000
    """Held-out pairs, of every tenth sentence."""

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(self, seeds=2, steps=self.reports)


def split_pairs(config: PairSettings) -> tuple[Corpus, np.ndarray, np.ndarray]:
    """Read the corpus and its pairs; of those of every tenth sentence a random subset is held out."""
    corpus = read_corpus(config)
    if len(corpus.vocabulary) < config.vocab_size:
        raise UsageError(f"--vocab-size: expected <= {len(corpus.vocabulary)} for this text, got {config.vocab_size}")
    rest, held_out = list(corpus.sentences), corpus.sentences[9::10]
    del rest[9::10]
    learned, unseen = (draw_pairs(corpus._replace(sentences=part), config.window) for part in (rest, held_out))
    if not len(unseen):
        raise UsageError(f"--text: expected a text with pairs of words in every tenth sentence, got {config.text}")
    return corpus, learned, np.random.default_rng(config.seed).choice(unseen, config.tested)


def gain_shares(found: dict[str, np.ndarray], base: float) -> dict[str, np.ndarray]:
    """Return the share of every loss in the gain of the full softmax over word frequencies, for every seed.

    Args:
        found: held-out losses along the way, ``[seeds, reports + 1]``, that of ``"full softmax"`` among them.
        base: the loss of word frequencies.

    Returns:
        ``[seeds]``, NaN where the full softmax is no better than word frequencies.
    """
    gain = {name: base - curve[:, -1] for name, curve in found.items()}
    whole = np.where(gain["full softmax"] > 0, gain["full softmax"], np.nan)
    return {name: value / whole for name, value in gain.items()}


def full_loss(tables: Tables, pairs: Array, key: Array | None = None, variant: PyTree = None) -> Array:
    """Compute the mean loss of the full softmax."""
    return jnp.mean(embeddings.bigram_loss(tables, pairs[:, 0], pairs[:, 1]))


def unigram_loss(counts: np.ndarray, pairs: np.ndarray) -> float:
    """Return the cross-entropy of contexts by their frequency alone."""
    return float(-np.mean(np.log(counts / counts.sum())[pairs[:, 1]]))


def show_vectors(run: Run, vectors: Vectors, count: int, seed: int) -> None:
    """Save the vectors, the neighbours of every twentieth word and the map of words of more than three letters."""
    embeddings.save(vectors, run.directory / "vectors.txt")
    words = [word for word in vectors.words if len(word) > 3][:count]
    words = words if len(words) > 4 else vectors.words[:count]
    near = {word: vectors.most_similar(word, 6) for word in words[:: max(1, len(words) // 20)]}
    lines = [f"{word:>16}  " + "  ".join(f"{w} {cosine:.2f}" for w, cosine in found) for word, found in near.items()]
    (run.directory / "neighbours.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    run.console.print("\n".join(lines), markup=False, highlight=False)
    run.figure("map", draw_map(words, np.stack([vectors[word] for word in words]), seed))


def draw_map(words: Sequence[str], vectors: np.ndarray, seed: int) -> Figure:
    """Draw words in the plane by t-SNE of their cosines (van der Maaten and Hinton, 2008)."""
    from sklearn.manifold import TSNE

    method = TSNE(perplexity=min(12.0, (len(words) - 1) / 3), init="random", random_state=seed, metric="cosine")
    figure, axis = plt.subplots(figsize=(11, 8))
    write_words(axis, method.fit_transform(embeddings.unit(vectors)), words)
    axis.set_title(f"{len(words)} frequent words by t-SNE")
    return figure


def write_words(axis: Axes, places: np.ndarray, words: Sequence[str]) -> None:
    """Write words at their places, without ticks."""
    axis.scatter(*places.T, s=4, alpha=0.5)
    for place, word in zip(places, words, strict=False):
        axis.annotate(word, place, fontsize=8, xytext=(2, 2), textcoords="offset points")
    axis.set(xticks=[], yticks=[])
    axis.grid(visible=False)
