"""A vocabulary with a vector for every word, and its nearest neighbours."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from jaxdl.checks import check_positive_integer, did_you_mean

ROWS = 2**16
"""Rows of a table that are read at once, so that a table on disk need not fit into memory."""


@dataclass(frozen=True, eq=False)
class Vectors:
    """Words and their vectors.

    Attributes:
        words: distinct words, the most frequent first where the order is known.
        vectors: ``[V, D]``, NumPy, JAX or mapped from a file.

    Raises:
        ValueError: the words are not distinct, or the vectors are not one row for each.
        TypeError: a word is not a string.

    >>> animals = Vectors(["cat", "dog", "car"], np.array([[1.0, 0.1], [0.9, 0.3], [-0.2, 1.0]]))
    >>> animals.most_similar("cat", 1)
    [('dog', 0.97...)]
    """

    words: Sequence[str]
    vectors: np.ndarray

    def __post_init__(self):
        if isinstance(self.words, str) or not all(isinstance(word, str) for word in self.words):
            raise TypeError(f"expected a sequence of strings as words, got {self.words!r:.60}")
        object.__setattr__(self, "words", list(self.words))
        object.__setattr__(self, "vectors", np.asanyarray(self.vectors))
        if self.vectors.ndim != 2 or len(self.vectors) != len(self.words):
            raise ValueError(
                f"expected vectors [{len(self.words)}, D] for {len(self.words)} words, got shape {self.vectors.shape}"
            )
        if len(self.ids) != len(self.words):
            raise ValueError(f"expected distinct words, got {_first_duplicate(self.words)!r} twice")

    def __len__(self) -> int:
        return len(self.words)

    def __contains__(self, word: object) -> bool:
        return word in self.ids

    def __getitem__(self, word: str) -> np.ndarray:
        """Return the vector of a word, ``[D]``.

        Raises:
            KeyError: the word is unknown.
        """
        return self.vectors[self.id(word)]

    def id(self, word: str) -> int:
        """Return the row of a word.

        Raises:
            KeyError: the word is unknown.
        """
        if word not in self.ids:
            raise KeyError(f"expected one of {len(self)} words, got {word!r}; {_advice(word, self.words)}")
        return self.ids[word]

    def similarity(self, a: str, b: str) -> float:
        """Return the cosine of two words; 0 if a vector is 0.

        Raises:
            KeyError: a word is unknown.
        """
        return float(unit(self[a]) @ unit(self[b]))

    def most_similar(self, word: str | np.ndarray, count: int = 10) -> list[tuple[str, float]]:
        """List the ``count`` words with the largest cosine, the nearest first, each with its cosine.

        Args:
            word: a word, which is not in the list itself, or a vector ``[D]``.
            count: number of neighbours; there may be fewer words.

        Raises:
            KeyError: the word is unknown.
            ValueError: the count is not positive, or the vector is not ``[D]``.
        """
        check_positive_integer("count", count)
        query = self[word] if isinstance(word, str) else np.asarray(word)
        if query.shape != self.vectors.shape[1:]:
            raise ValueError(f"expected a word or a vector of shape {self.vectors.shape[1:]}, got shape {query.shape}")
        cosines = self.cosines(unit(query)[None])[0]
        order = np.argsort(-cosines, kind="stable")
        if isinstance(word, str):
            order = order[order != self.ids.get(word, -1)]
        return [(self.words[int(i)], float(cosines[i])) for i in order[:count]]

    def cosines(self, queries: np.ndarray) -> np.ndarray:
        """Compute the cosines of unit vectors ``[Q, D]`` with all words, ``[Q, V]``."""
        parts = [slice(first, first + ROWS) for first in range(0, len(self), ROWS)]
        products = [queries @ (self.vectors[part] * self.inverse_norms[part, None]).T for part in parts]
        return np.concatenate([np.empty((len(queries), 0), queries.dtype), *products], axis=1)

    @cached_property
    def ids(self) -> dict[str, int]:
        """The row of each word."""
        return {word: row for row, word in enumerate(self.words)}

    @cached_property
    def inverse_norms(self) -> np.ndarray:
        """``1 / |v|`` of each vector, 0 for the zero vector, ``[V]``."""
        parts = [_widen(self.vectors[first : first + ROWS]) for first in range(0, len(self), ROWS)]
        norms = np.concatenate([np.empty(0, np.float32), *(np.linalg.norm(part, axis=1) for part in parts)])
        return np.divide(1, norms, out=np.zeros_like(norms), where=norms != 0)


def unit(vectors: np.ndarray) -> np.ndarray:
    """Scale vectors ``[..., D]`` to length 1 in at least float32; zero vectors remain 0.

    >>> unit(np.array([[3.0, 4.0], [0.0, 0.0]])).tolist()
    [[0.6, 0.8], [0.0, 0.0]]
    """
    vectors = _widen(np.asarray(vectors))
    norms = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.divide(vectors, norms, out=np.zeros_like(vectors), where=norms != 0)


def _first_duplicate(words: Sequence[str]) -> str | None:
    """Return the first word that occurs a second time."""
    seen: set[str] = set()
    for word in words:
        if word in seen:
            return word
        seen.add(word)
    return None


def _widen(vectors: np.ndarray) -> np.ndarray:
    return vectors.astype(np.promote_types(vectors.dtype, np.float32), copy=False)


def _advice(word: str, words: Sequence[str]) -> str:
    """Suggest near words, among the frequent ones only, because the comparison is slow."""
    return did_you_mean(word, words[:1000]) if len(words) <= 20 else "see Vectors.words, or use subwords"
