"""Words as one-hot vectors, as rows of counts, and as what associations those counts show.

A vocabulary maps each word to its number ``0 .. V - 1``. Sentences are sequences of words; words that are not in the
vocabulary keep their place, so that they lie between others, and are not counted.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np

from jaxdl.typing import Array, ArrayLike

Sentences = Iterable[Sequence[str]]


def vocabulary(sentences: Sentences, *, stop_words: Iterable[str] = (), minimum_count: int = 1) -> dict[str, int]:
    """Number the words in the order in which they first appear.

    Args:
        sentences: sequences of words.
        stop_words: words that get no number.
        minimum_count: how often a word must appear to get a number.

    >>> vocabulary([["a", "user"], ["the", "user", "interface"]], stop_words=["a", "the"])
    {'user': 0, 'interface': 1}
    """
    counts = Counter(word for sentence in sentences for word in sentence)
    excluded = set(stop_words)
    kept = [word for word, count in counts.items() if count >= minimum_count and word not in excluded]
    return {word: number for number, word in enumerate(kept)}


def token_counts(sentences: Sentences, words: Mapping[str, int]) -> np.ndarray:
    """Count how often each word of a vocabulary appears: ``[V]``, integers.

    >>> token_counts([["to", "be", "or", "not", "to", "be"]], {"be": 0, "or": 1}).tolist()
    [2, 1]
    """
    numbers = [words[word] for sentence in sentences for word in sentence if word in words]
    return np.bincount(np.asarray(numbers, np.int64), minlength=len(words))


def cooccurrence(
    sentences: Sentences,
    words: Mapping[str, int],
    contexts: Mapping[str, int] | None = None,
    *,
    window: int = 2,
    threshold: int | None = None,
) -> np.ndarray:
    """Count how often each context lies within ``k`` words of each word, in the same sentence.

    Args:
        sentences: sequences of words.
        words: the vocabulary of the rows.
        contexts: the vocabulary of the columns; the same if it is not given, and then the counts are symmetric.
        window: ``k``, the most steps from a word to its context, on either side.
        threshold: counts above it are set to it, which tames the words that go with everything.

    Returns:
        ``count(w, c)``, ``[V, C]``, integers.

    Raises:
        ValueError: the window is shorter than one word, or the threshold is negative.

    >>> words = {"time": 0, "flies": 1, "like": 2}
    >>> cooccurrence([["time", "flies", "like", "time"]], words, window=1).tolist()
    [[0, 1, 1], [1, 0, 1], [1, 1, 0]]
    """
    if window < 1:
        raise ValueError(f"expected a window of at least 1 word on either side, got {window}")
    if threshold is not None and threshold < 0:
        raise ValueError(f"expected a threshold >= 0, or None for none, got {threshold}")
    contexts = words if contexts is None else contexts
    counts = np.zeros((len(words), len(contexts)), np.int64)
    for sentence in sentences:
        rows = np.array([words.get(word, -1) for word in sentence], np.int64)
        columns = np.array([contexts.get(word, -1) for word in sentence], np.int64)
        for distance in range(1, min(window, len(rows) - 1) + 1):
            _count(counts, rows[distance:], columns[:-distance])
            _count(counts, rows[:-distance], columns[distance:])
    return counts if threshold is None else np.minimum(counts, threshold)


def pmi(
    counts: ArrayLike,
    *,
    word_counts: ArrayLike | None = None,
    context_counts: ArrayLike | None = None,
    total: ArrayLike | None = None,
) -> Array:
    """Return the pointwise mutual information ``ln(p(w, c) / (p(w) p(c))) = ln(count(w, c) N / (count(w) count(c)))``.

    How often words and contexts occur is read off the sums of the rows and columns and of the whole (Levy and
    Goldberg, 2014), unless it is given: with ``token_counts`` and the number of tokens it is the lecture-note form.

    Args:
        counts: ``count(w, c)``, ``[V, C]``.
        word_counts: ``count(w)``, ``[V]``.
        context_counts: ``count(c)``, ``[C]``.
        total: ``N``.

    Returns:
        ``[V, C]``, minus infinity where ``count(w, c)`` is 0. See ``pmi0`` and ``ppmi``.

    Raises:
        ValueError: the counts are not a matrix, or the others do not fit it.

    >>> pmi(jnp.array([[2.0, 0.0], [1.0, 1.0]])).tolist()
    [[0.287..., -inf], [-0.405..., 0.693...]]
    """
    counts = _floating(counts)
    if counts.ndim != 2:
        raise ValueError(f"expected counts of words by contexts, [V, C], got the shape {counts.shape}")
    word_counts = jnp.sum(counts, axis=1) if word_counts is None else _floating(word_counts)
    context_counts = jnp.sum(counts, axis=0) if context_counts is None else _floating(context_counts)
    if word_counts.shape + context_counts.shape != counts.shape:
        shapes = f"{word_counts.shape} and {context_counts.shape}"
        raise ValueError(f"expected one count a word and one a context of {counts.shape}, got {shapes}")
    total = jnp.sum(counts) if total is None else _floating(total)
    # Differences of logarithms, since a product of two counts may leave the range of the dtype.
    information = jnp.log(counts) + jnp.log(total) - jnp.log(word_counts)[:, None] - jnp.log(context_counts)[None, :]
    return jnp.where(counts > 0, information, -jnp.inf)


def pmi0(counts: ArrayLike, **totals: ArrayLike | None) -> Array:
    """Return ``pmi``, and 0 where ``count(w, c)`` is 0; arguments and errors as there.

    >>> pmi0(jnp.array([[2.0, 0.0], [1.0, 1.0]])).tolist()
    [[0.287..., 0.0], [-0.405..., 0.693...]]
    """
    return jnp.where(jnp.asarray(counts) > 0, pmi(counts, **totals), 0)


def ppmi(counts: ArrayLike, **totals: ArrayLike | None) -> Array:
    """Return ``max(0, pmi)``, the positive pointwise mutual information; arguments and errors as there.

    >>> ppmi(jnp.array([[2.0, 0.0], [1.0, 1.0]])).tolist()
    [[0.287..., 0.0], [0.0, 0.693...]]
    """
    return jnp.maximum(pmi0(counts, **totals), 0)


def discard_probability(
    frequencies: ArrayLike, threshold: float = 1e-5, *, variant: Literal["paper", "word2vec"] = "paper"
) -> Array:
    """Return the probability of leaving out an occurrence of a frequent word, so that it drowns the others less.

    ``"paper"``: ``1 - sqrt(t / f)`` (Mikolov et al., "Distributed representations of words and phrases", 2013);
    ``"word2vec"``: ``1 - (sqrt(f / t) + 1) t / f``, as the authors' program has it. Rare words are always kept.

    Args:
        frequencies: ``f``, the share of the corpus that is this word, ``[...]``.
        threshold: ``t``, the share above which words are thinned out.
        variant: which rule.

    Raises:
        ValueError: the variant is unknown.

    >>> round(float(discard_probability(700 / 1e6, 1e-4)), 3)
    0.622
    """
    ratio = threshold / _floating(frequencies)
    if variant not in ("paper", "word2vec"):
        raise ValueError(f"variant must be 'paper' or 'word2vec'; got {variant!r}")
    kept = jnp.sqrt(ratio) if variant == "paper" else jnp.sqrt(ratio) + ratio
    return jnp.clip(1 - kept, 0, 1)


def one_hot(tokens: ArrayLike, size: int) -> Array:
    """Return vectors that are 1 at the word's number and 0 elsewhere, ``[..., V]``.

    Any two words lie at the distance ``sqrt(2)`` and have the cosine 0: nothing is said of what they mean.

    >>> one_hot(jnp.array([1, 0]), 3).tolist()
    [[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]]
    """
    return jax.nn.one_hot(tokens, size)


def lookup(table: ArrayLike, tokens: ArrayLike) -> Array:
    """Return the rows of a table of word vectors: ``one_hot(tokens, V) @ table`` without the multiplications.

    Args:
        table: ``[V, D]``.
        tokens: numbers ``0 .. V - 1``, ``[...]``, integers; any other gives nan.

    Returns:
        ``[..., D]``.

    >>> lookup(jnp.array([[1.0, 2.0], [3.0, 4.0]]), jnp.array([1, 1, 0])).tolist()
    [[3.0, 4.0], [3.0, 4.0], [1.0, 2.0]]
    """
    return jnp.asarray(table).at[jnp.asarray(tokens)].get(mode="fill", fill_value=jnp.nan, wrap_negative_indices=False)


def cosine_similarity(a: ArrayLike, b: ArrayLike) -> Array:
    """Return ``a . b / (|a| |b|)`` over the last dimension; 0 where one of them is the zero vector.

    >>> round(float(cosine_similarity(jnp.array([1.0, 1.0]), jnp.array([2.0, 0.0]))), 4)
    0.7071
    """
    a, b = _floating(a), _floating(b)
    norms = jnp.linalg.norm(a, axis=-1) * jnp.linalg.norm(b, axis=-1)
    return jnp.sum(a * b, axis=-1) / jnp.where(norms == 0, 1, norms)


def euclidean_distance(a: ArrayLike, b: ArrayLike) -> Array:
    """Return ``|a - b|`` over the last dimension.

    >>> float(euclidean_distance(jnp.array([3.0, 0.0]), jnp.array([0.0, 4.0])))
    5.0
    """
    return jnp.linalg.norm(_floating(a) - _floating(b), axis=-1)


def _count(counts: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> None:
    """Add one for every pair of which both have a number."""
    known = (rows >= 0) & (columns >= 0)
    np.add.at(counts, (rows[known], columns[known]), 1)


def _floating(x: ArrayLike) -> Array:
    """Make an array of at least single precision."""
    x = jnp.asarray(x)
    floating = jnp.issubdtype(x.dtype, jnp.floating)
    return x.astype(jnp.promote_types(x.dtype, jnp.float32) if floating else jnp.result_type(float))
