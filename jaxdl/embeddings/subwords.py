"""Subwords: vectors of character n-grams, so that unknown words have vectors too.

A word is the set of itself and of the n-grams of ``<word>``, of 3 to 6 characters by default; its vector is the mean of
theirs. N-grams share the rows of ``B`` buckets by a hash. Source: Bojanowski et al., "Enriching word vectors with
subword information" (2017); n-grams and hash are those of the authors' program fastText, and of gensim.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from jaxdl.checks import check_positive_integer
from jaxdl.embeddings.word_vectors import Vectors

OFFSET, PRIME, BITS = 2166136261, 16777619, 2**32


class Subwords(NamedTuple):
    """The rows of every word in a table ``[V + B, D]`` of the words and, behind them, the buckets.

    Attributes:
        rows: ``[V, L]``, the word itself first, 0 in the padding.
        mask: 1 for rows and 0 for padding, ``[V, L]``.
        buckets: ``B``.
    """

    rows: np.ndarray
    mask: np.ndarray
    buckets: int


def ngrams(word: str, shortest: int = 3, longest: int = 6) -> list[str]:
    """List the n-grams of ``<word>`` by their start, except ``<`` and ``>`` alone.

    >>> ngrams("cat", 3, 4)
    ['<ca', '<cat', 'cat', 'cat>', 'at>']
    """
    text = f"<{word}>"
    spans = [(start, start + n) for start in range(len(text)) for n in range(shortest, longest + 1)]
    inside = [(start, end) for start, end in spans if end <= len(text)]
    return [text[start:end] for start, end in inside if end - start > 1 or (start > 0 and end < len(text))]


def hash_ngram(ngram: str) -> int:
    """Hash the UTF-8 bytes of an n-gram to 32 bits by FNV-1a, with fastText's sign extension of each byte.

    >>> hash_ngram("<ca")
    1066916747
    """
    value = OFFSET
    for byte in ngram.encode():
        value = ((value ^ (byte if byte < 128 else byte + BITS - 256)) * PRIME) % BITS
    return value


def bucket_ids(word: str, buckets: int, *, shortest: int = 3, longest: int = 6) -> list[int]:
    """Return the bucket ``0 .. B - 1`` of each n-gram of a word; of gensim, ``ft_ngram_hashes``."""
    return [hash_ngram(ngram) % buckets for ngram in ngrams(word, shortest, longest)]


def find_subwords(words: Sequence[str], buckets: int, *, shortest: int = 3, longest: int = 6) -> Subwords:
    """Find the rows of every word of a vocabulary.

    Args:
        words: the vocabulary, in the order of its ids.
        buckets: ``B``.
        shortest: length of the shortest n-grams.
        longest: length of the longest n-grams.

    Raises:
        ValueError: a number is not positive.

    >>> find_subwords(["a", "is"], buckets=10, longest=3).mask.tolist()
    [[1.0, 1.0, 0.0], [1.0, 1.0, 1.0]]
    """
    check_positive_integer("buckets", buckets)
    check_positive_integer("shortest", shortest)
    lists = [
        [row, *(len(words) + bucket for bucket in bucket_ids(word, buckets, shortest=shortest, longest=longest))]
        for row, word in enumerate(words)
    ]
    rows = np.zeros((len(lists), max(map(len, lists), default=0)), np.int32)
    mask = np.zeros(rows.shape, np.float32)
    for number, found in enumerate(lists):
        rows[number, : len(found)], mask[number, : len(found)] = found, 1
    return Subwords(rows, mask, buckets)


@dataclass(frozen=True, eq=False)
class SubwordVectors(Vectors):
    """Vectors that have, for an unknown word, the mean of its n-grams.

    Attributes:
        ngram_vectors: ``[B, D]``.
        shortest: length of the shortest n-grams.
        longest: length of the longest n-grams.

    >>> vectors = SubwordVectors(["cat"], np.ones((1, 2)), np.full((5, 2), 3.0))
    >>> vectors["cat"].tolist(), vectors["cats"].tolist()
    ([1.0, 1.0], [3.0, 3.0])
    """

    ngram_vectors: np.ndarray
    shortest: int = 3
    longest: int = 6

    @classmethod
    def from_table(
        cls, words: Sequence[str], table: np.ndarray, subwords: Subwords, shortest: int = 3, longest: int = 6
    ) -> "SubwordVectors":
        """Make the vectors of a trained table ``[V + B, D]``."""
        table = np.asarray(table)
        sums = np.zeros((len(words), table.shape[1]), np.float64)
        for rows, mask in zip(subwords.rows.T, subwords.mask.T, strict=True):
            sums += table[rows] * mask[:, None]
        mean = (sums / subwords.mask.sum(axis=1, keepdims=True)).astype(table.dtype)
        return cls(words, mean, table[len(words) :], shortest, longest)

    def __getitem__(self, word: str) -> np.ndarray:
        """Return the vector of a word, known or not; 0 for an unknown word without n-grams."""
        if word in self.ids:
            return self.vectors[self.ids[word]]
        found = bucket_ids(word, len(self.ngram_vectors), shortest=self.shortest, longest=self.longest)
        if not found:
            return np.zeros_like(self.ngram_vectors[0])
        return self.ngram_vectors[found].mean(axis=0)
