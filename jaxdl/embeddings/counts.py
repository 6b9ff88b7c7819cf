"""Word vectors from counts: cooccurrences of words and contexts, and their pointwise mutual information.

A vocabulary maps each word to its id ``0 .. V - 1``. Sentences are sequences of words; words outside of the vocabulary
are not counted, but keep their position between others.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxdl.arrays import widen_floating
from jaxdl.checks import check_in_range, check_positive_integer
from jaxdl.typing import Array, ArrayLike

Sentences = Iterable[Sequence[str]]


def build_vocabulary(sentences: Sentences, *, stop_words: Iterable[str] = (), min_count: int = 1) -> dict[str, int]:
    """Assign ids to the words in the order of their first occurrence.

    Args:
        sentences: sequences of words.
        stop_words: words to leave out.
        min_count: how often a word must occur.

    >>> build_vocabulary([["a", "user"], ["the", "user", "interface"]], stop_words=["a", "the"])
    {'user': 0, 'interface': 1}
    """
    counts = Counter(word for sentence in sentences for word in sentence)
    excluded = set(stop_words)
    kept = [word for word, count in counts.items() if count >= min_count and word not in excluded]
    return {word: index for index, word in enumerate(kept)}


def token_counts(sentences: Sentences, vocabulary: Mapping[str, int]) -> np.ndarray:
    """Count the occurrences of each word of a vocabulary: ``[V]``, integers.

    >>> token_counts([["to", "be", "or", "not", "to", "be"]], {"be": 0, "or": 1}).tolist()
    [2, 1]
    """
    ids = [vocabulary[word] for sentence in sentences for word in sentence if word in vocabulary]
    return np.bincount(np.asarray(ids, np.int64), minlength=len(vocabulary))


def cooccurrence(
    sentences: Sentences,
    vocabulary: Mapping[str, int],
    context_vocabulary: Mapping[str, int] | None = None,
    *,
    window: int = 2,
    threshold: int | None = None,
) -> np.ndarray:
    """Count how often each context occurs within ``k`` words of each word, in the same sentence.

    Args:
        sentences: sequences of words.
        vocabulary: vocabulary of the words, the rows.
        context_vocabulary: vocabulary of the contexts, the columns; None for the same, with symmetric counts.
        window: ``k``, the maximum distance between a word and its context, on either side.
        threshold: value at which counts are clipped, to limit words that occur everywhere.

    Returns:
        ``count(w, c)``, ``[V, C]``, integers.

    Raises:
        ValueError: the window is not positive, or the threshold is negative.

    >>> vocabulary = {"time": 0, "flies": 1, "like": 2}
    >>> cooccurrence([["time", "flies", "like", "time"]], vocabulary, window=1).tolist()
    [[0, 1, 1], [1, 0, 1], [1, 1, 0]]
    """
    check_positive_integer("window", window)
    if threshold is not None:
        check_in_range("threshold", threshold)
    context_vocabulary = vocabulary if context_vocabulary is None else context_vocabulary
    counts = np.zeros((len(vocabulary), len(context_vocabulary)), np.int64)
    for sentence in sentences:
        rows = np.array([vocabulary.get(word, -1) for word in sentence], np.int64)
        columns = np.array([context_vocabulary.get(word, -1) for word in sentence], np.int64)
        for distance in range(1, min(window, len(rows) - 1) + 1):
            _add_pairs(counts, rows[distance:], columns[:-distance])
            _add_pairs(counts, rows[:-distance], columns[distance:])
    return counts if threshold is None else np.minimum(counts, threshold)


def pmi(
    counts: ArrayLike,
    *,
    word_counts: ArrayLike | None = None,
    context_counts: ArrayLike | None = None,
    total: ArrayLike | None = None,
    smoothing: float = 1.0,
) -> Array:
    """Compute pointwise mutual information, ``ln(p(w, c) / (p(w) p(c))) = ln(count(w, c) N / (count(w) count(c)))``.

    By default ``count(w)``, ``count(c)`` and ``N`` are the sums of the rows, the columns and the whole matrix (Levy and
    Goldberg, 2014). The textbook form uses `token_counts` and the number of tokens instead.

    Args:
        counts: ``count(w, c)``, ``[V, C]``.
        word_counts: ``count(w)``, ``[V]``.
        context_counts: ``count(c)``, ``[C]``.
        total: ``N``.
        smoothing: ``a``; the distribution of contexts is ``p(c) = count(c)^a / sum count^a``. 3/4 lowers the
            information of rare contexts (Levy, Goldberg and Dagan, 2015).

    Returns:
        ``[V, C]``, minus infinity where ``count(w, c)`` is 0; see `pmi0` and `ppmi`.

    Raises:
        ValueError: the counts are not a matrix, or the other shapes do not fit it.

    >>> pmi(jnp.array([[2.0, 0.0], [1.0, 1.0]])).tolist()
    [[0.287..., -inf], [-0.405..., 0.693...]]
    """
    counts = widen_floating(counts)
    if counts.ndim != 2:
        raise ValueError(f"expected counts [V, C], got shape {counts.shape}")
    word_counts = jnp.sum(counts, axis=1) if word_counts is None else widen_floating(word_counts)
    context_counts = jnp.sum(counts, axis=0) if context_counts is None else widen_floating(context_counts)
    if word_counts.shape + context_counts.shape != counts.shape:
        raise ValueError(
            f"expected word_counts and context_counts for counts {counts.shape}, got shapes {word_counts.shape} and "
            f"{context_counts.shape}"
        )
    total = jnp.sum(counts) if total is None else widen_floating(total)
    # Differences of logarithms, because a product of counts may overflow.
    log_context = jnp.log(context_counts)
    if smoothing != 1:
        smoothed = smoothing * log_context
        log_context = smoothed + jnp.log(total) - jax.nn.logsumexp(smoothed)
    information = jnp.log(counts) + jnp.log(total) - jnp.log(word_counts)[:, None] - log_context[None, :]
    return jnp.where(counts > 0, information, -jnp.inf)


def pmi0(counts: ArrayLike, **totals: Any) -> Array:
    """Compute `pmi` with 0 in place of minus infinity; arguments and errors as there.

    >>> pmi0(jnp.array([[2.0, 0.0], [1.0, 1.0]])).tolist()
    [[0.287..., 0.0], [-0.405..., 0.693...]]
    """
    return jnp.where(jnp.asarray(counts) > 0, pmi(counts, **totals), 0)


def ppmi(counts: ArrayLike, **totals: Any) -> Array:
    """Compute positive pointwise mutual information, ``max(0, pmi)``; arguments and errors as for `pmi`.

    >>> ppmi(jnp.array([[2.0, 0.0], [1.0, 1.0]])).tolist()
    [[0.287..., 0.0], [0.0, 0.693...]]
    """
    return jnp.maximum(pmi0(counts, **totals), 0)


def shifted_ppmi(counts: ArrayLike, negatives: float, **totals: Any) -> Array:
    """Compute ``max(0, pmi - ln k)``; arguments and errors as for `pmi`.

    Skip-gram with ``k`` negative samples factorizes ``pmi - ln k`` (Levy and Goldberg, 2014).

    Args:
        counts: ``count(w, c)``, ``[V, C]``.
        negatives: ``k``, at least 1.
        **totals: as for `pmi`.

    >>> shifted_ppmi(jnp.array([[2.0, 0.0], [1.0, 1.0]]), 1.5).tolist()
    [[0.0, 0.0], [0.0, 0.287...]]
    """
    check_in_range("negatives", negatives, 1.0)
    return jnp.maximum(pmi0(counts, **totals) - math.log(negatives), 0)


def discard_probability(frequencies: ArrayLike, threshold: float = 1e-5) -> Array:
    """Compute the probability ``1 - sqrt(t / f)`` with which an occurrence of a frequent word is discarded.

    Subsampling reduces the weight of frequent words; rare words, ``f <= t``, are always kept. Source: Mikolov et al.,
    "Distributed representations of words and phrases" (2013). The authors' program uses another formula, see
    `word2vec_discard_probability`.

    Args:
        frequencies: ``f``, relative frequencies of words in the corpus, ``[...]``.
        threshold: ``t``, the frequency above which words are subsampled.

    >>> round(float(discard_probability(700 / 1e6, 1e-4)), 3)
    0.622
    """
    return jnp.clip(1 - jnp.sqrt(threshold / widen_floating(frequencies)), 0, 1)


def word2vec_discard_probability(frequencies: ArrayLike, threshold: float = 1e-5) -> Array:
    """Compute ``1 - (sqrt(f / t) + 1) t / f``, the formula of the word2vec program; see `discard_probability`.

    >>> round(float(word2vec_discard_probability(700 / 1e6, 1e-4)), 3)
    0.479
    """
    ratio = threshold / widen_floating(frequencies)
    return jnp.clip(1 - (jnp.sqrt(ratio) + ratio), 0, 1)


def _add_pairs(counts: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> None:
    """Add one for every pair of a known word and a known context."""
    known = (rows >= 0) & (columns >= 0)
    np.add.at(counts, (rows[known], columns[known]), 1)
