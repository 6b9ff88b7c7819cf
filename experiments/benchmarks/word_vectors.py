"""Skip-gram with negative sampling, ours against gensim's with two workers, on the same words, at equal loss.

One call trains new vectors of 100 elements for three epochs, from sentences in memory; the vocabulary is counted
before. The text is ``movie_reviews`` below ``$JAXDL_DATA`` (see `jaxdl.data.sources.reviews`), else the sources of the
standard library. Both sides have the same window, negatives, subsampling and learning rates. As their random numbers
differ, so do their results: after the timing both tables are evaluated by one function, the loss of 100,000 pairs of
the text with fixed negatives, and by WordSim-353 and SimLex-999. The verdict is PASS only if our loss is not above
gensim's by 1 %.
"""

from collections.abc import Iterator
from typing import Any

import jax
import numpy as np

from experiments.benchmarks.timing import Case, Missing
from experiments.harness.embeddings.words import BORDER, WORD
from jaxdl import data, embeddings, optim
from jaxdl.data.files.downloads import folders
from jaxdl.data.sources.reviews import movie_reviews
from jaxdl.embeddings import Sampling, Vectors, Word2VecState

GOAL, TOLERANCE = 1.0, 1.01
WORDS, MIN_COUNT = 3_000_000, 5
SIZE, WINDOW, NEGATIVES, THRESHOLD, EPOCHS = 100, 5, 5, 1e-3, 3
RATE = 0.025, 1e-4
TESTED = 100_000


def titles() -> list[str]:
    """Name the case."""
    return [f"skip-gram, vectors of {SIZE}, window {WINDOW}, {NEGATIVES} negatives"]


def cases() -> Iterator[Case | Missing]:
    """Yield the case."""
    (name,) = titles()
    try:
        from gensim.models import Word2Vec
    except ImportError:
        yield Missing(name, "gensim")
        return
    sentences = read_sentences()
    theirs = Theirs(Word2Vec, sentences)
    ours = Ours(sentences, theirs.vocabulary, theirs.counts)
    words = sum(map(len, sentences)) * EPOCHS
    judge = Judge(ours, theirs, words)
    yield Case(name, "gensim, 2 workers", ours.train, theirs.train, GOAL, rounds=3, details=judge.details)


def read_sentences() -> list[list[str]]:
    """Read sentences of lower-case words, about three million words."""
    found, count = [], 0
    for text in read_texts():
        for part in BORDER.split(text.lower()):
            found.append(WORD.findall(part))
            count += len(found[-1])
        if count >= WORDS:
            break
    return [words for words in found if words]


def read_texts() -> Iterator[str]:
    """Yield the reviews, or the sources of the standard library."""
    for folder in folders("movie_reviews"):
        try:
            yield from movie_reviews(folder, "imdb")["text"]
            return
        except FileNotFoundError:
            continue
    yield data.python_source(None)


class Theirs:
    """Gensim, with a vocabulary that is built once."""

    def __init__(self, model: Any, sentences: list[list[str]]):
        self.sentences = sentences
        self.model = model(
            vector_size=SIZE, window=WINDOW, negative=NEGATIVES, min_count=MIN_COUNT, sample=THRESHOLD, sg=1, workers=2,
            alpha=RATE[0], min_alpha=RATE[1],
        )  # fmt: skip
        self.model.build_vocab(sentences)
        self.vocabulary = self.model.wv.key_to_index
        self.counts = np.array([self.model.wv.get_vecattr(word, "count") for word in self.vocabulary])
        self.initial = [table.copy() for table in self.tables()]

    def train(self) -> None:
        """Train new vectors; ``init_weights`` would keep those of words that have been trained."""
        for table, initial in zip(self.tables(), self.initial, strict=True):
            table[:] = initial
        self.model.train(self.sentences, total_examples=len(self.sentences), epochs=EPOCHS)

    def tables(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the vectors of words and contexts."""
        return self.model.wv.vectors, self.model.syn1neg


class Ours:
    """An epoch as one compiled scan, with the tables donated."""

    def __init__(self, sentences: list[list[str]], vocabulary: dict[str, int], counts: np.ndarray):
        self.sentences, self.vocabulary = sentences, vocabulary
        rows = len(embeddings.text_rows(sentences, vocabulary)["token"])
        schedule = optim.schedules.linear(*RATE, EPOCHS * rows)
        sampling = Sampling(WINDOW, NEGATIVES, threshold=THRESHOLD, max_repeats=None)
        step = embeddings.make_skip_gram_step(counts, schedule, sampling)
        self.epoch = jax.jit(lambda state, rows: jax.lax.scan(step, state, rows)[0], donate_argnums=0)
        self.state: Word2VecState | None = None

    def train(self) -> None:
        """Train new vectors."""
        rows = jax.device_put(embeddings.text_rows(self.sentences, self.vocabulary))
        state = embeddings.init_word2vec(jax.random.key(0), len(self.vocabulary), SIZE)
        for _ in range(EPOCHS):
            state = self.epoch(state, rows)
        self.state = jax.block_until_ready(state)

    def tables(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the vectors of words and contexts."""
        assert self.state is not None
        words, contexts = self.state.tables
        return np.asarray(words), np.asarray(contexts)


class Judge:
    """The common evaluation of both sides."""

    def __init__(self, ours: Ours, theirs: Theirs, words: int):
        self.sides = {"ours": ours, "peer": theirs}
        self.words = words
        self.pairs, self.negatives = draw_tested(theirs.sentences, theirs.vocabulary, theirs.counts)

    def details(self, row: dict[str, Any]) -> dict[str, Any]:
        """Evaluate the last vectors of both sides, and judge the ratio of the times at equal loss."""
        from gensim.test.utils import datapath

        found: dict[str, Any] = {}
        for name, side in self.sides.items():
            tables = side.tables()
            vectors = Vectors(list(self.sides["peer"].vocabulary), tables[0])
            found[f"words_per_second_{name}"] = round(self.words / row[name])
            found[f"loss_{name}"] = round(self.loss(*tables), 4)
            for path in ("wordsim353.tsv", "simlex999.txt"):
                score = embeddings.evaluate_pairs(vectors, datapath(path))
                found[f"{path.split('.')[0]}_{name}"] = round(score.spearman, 3)
        worse = found["loss_ours"] > TOLERANCE * found["loss_peer"]
        return {**found, "verdict": "MISS" if worse else row["verdict"]}

    def loss(self, words: np.ndarray, contexts: np.ndarray) -> float:
        """Compute the loss of the pairs with their negatives in float64."""
        h = words[self.pairs[:, 0]].astype(np.float64)
        right = np.einsum("nd,nd->n", h, contexts[self.pairs[:, 1]])
        wrong = np.einsum("nd,nkd->nk", h, contexts[self.negatives])
        return float(np.mean(np.logaddexp(0, -right) + np.logaddexp(0, wrong).sum(axis=1)))


def draw_tested(
    sentences: list[list[str]], vocabulary: dict[str, int], counts: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Draw pairs of the text as word2vec does, and negatives for each."""
    random = np.random.default_rng(0)
    discard = np.asarray(embeddings.word2vec_discard_probability(counts / counts.sum(), THRESHOLD))
    pairs: list[tuple[int, int]] = []
    while len(pairs) < TESTED:
        sentence = sentences[random.integers(len(sentences))]
        ids = np.array([vocabulary[word] for word in sentence if word in vocabulary], int)
        ids = ids[random.random(len(ids)) >= discard[ids]]
        for i, reach in enumerate(random.integers(1, WINDOW + 1, len(ids))):
            around = range(max(0, i - reach), min(len(ids), i + reach + 1))
            pairs += [(ids[i], ids[j]) for j in around if j != i]
    noise = np.asarray(embeddings.noise_distribution(counts), np.float64)
    return np.array(pairs[:TESTED]), random.choice(len(counts), (TESTED, NEGATIVES), p=noise / noise.sum())
