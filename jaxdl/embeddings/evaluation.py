"""Evaluation of word vectors: relatedness of pairs, analogies, and the choice of synonyms.

Words outside of the vocabulary are left out and counted: every result has a coverage. By default words are compared
without case, as in gensim; of several words that differ in case alone the first of the vocabulary counts.
"""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy import stats

from jaxdl.data.files.opening import read_plain_text
from jaxdl.embeddings.word_vectors import Vectors, unit

ABSENT = 1e-6
QUESTIONS_AT_ONCE = 256


class PairScore(NamedTuple):
    """Rank correlation with human judgements, nan for fewer than two pairs, and the share of pairs with known words."""

    spearman: float
    coverage: float


class _Question(NamedTuple):
    """``a`` is to ``b`` as ``c`` is to ``answer``: rows of the vocabulary, None for unknown words."""

    section: str
    words: tuple[int | None, ...]

    @property
    def known(self) -> bool:
        """Whether the vocabulary has all four words."""
        return None not in self.words


def evaluate_pairs(vectors: Vectors, path: str | Path, *, ignore_case: bool = True) -> PairScore:
    """Compute Spearman's rank correlation of the cosines with judgements of relatedness; ties have their mean rank.

    Args:
        vectors: the vectors.
        path: lines ``word TAB word TAB score``, as WordSim-353 (Finkelstein et al., 2002) and SimLex-999 (Hill et al.,
            2015) in gensim; other lines, and those that begin with ``#``, are skipped.
        ignore_case: whether to compare words without case.

    Raises:
        FileNotFoundError: the file does not exist.
        ValueError: it has no such line.
    """
    find = _finder(vectors, ignore_case)
    pairs = [(find(a), find(b), score) for a, b, score in _read_pairs(path)]
    known = [(a, b, score) for a, b, score in pairs if a is not None and b is not None]
    coverage = len(known) / len(pairs)
    if len(known) < 2:
        return PairScore(float("nan"), coverage)
    first, second, scores = (np.array(column) for column in zip(*known, strict=True))
    cosines = np.sum(unit(vectors.vectors[first]) * unit(vectors.vectors[second]), axis=1)
    if np.ptp(cosines) == 0 or np.ptp(scores) == 0:
        return PairScore(float("nan"), coverage)
    ranks = stats.rankdata(scores), stats.rankdata(cosines)
    return PairScore(float(np.corrcoef(*ranks)[0, 1]), coverage)


def cos_add(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
    """Score candidates by ``cos(x, b) - cos(x, a) + cos(x, c)``, the method 3CosAdd (Mikolov et al., 2013).

    >>> float(cos_add(np.array([0.5]), np.array([0.25]), np.array([1.0]))[0])
    0.75
    """
    return b - a + c


def cos_mul(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
    """Score candidates by ``s(b) s(c) / (s(a) + 1e-6)`` with ``s = (1 + cos) / 2``: 3CosMul (Levy and Goldberg, 2014).

    >>> round(float(cos_mul(np.array([0.0]), np.array([1.0]), np.array([0.0]))[0]), 3)
    1.0
    """
    return (1 + b) / 2 * (1 + c) / 2 / ((1 + a) / 2 + ABSENT)


def evaluate_analogies(
    vectors: Vectors,
    path: str | Path,
    *,
    score: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray] = cos_add,
    ignore_case: bool = True,
    restrict_vocab: int = 300_000,
) -> dict[str, float]:
    """Compute the accuracy in questions ``a : b = c : ?`` of every section, and of all as ``"total"``.

    The answer is the word with the largest score; the three words of the question are excluded. Sections without a
    question of known words are nan; `analogy_coverage` gives the shares.

    Args:
        vectors: the vectors.
        path: sections ``: NAME`` with lines ``a b c answer``, as ``questions-words.txt`` (Mikolov et al., 2013).
        score: function of the cosines with ``a``, ``b`` and ``c``, `cos_add` or `cos_mul`.
        ignore_case: whether to compare words without case.
        restrict_vocab: number of words that are candidates, the first of the vocabulary.

    Raises:
        FileNotFoundError: the file does not exist.
        ValueError: it has no such line, or a question before the first section.
    """
    some = Vectors(vectors.words[:restrict_vocab], vectors.vectors[:restrict_vocab])
    questions = _read_questions(some, path, ignore_case)
    known = [question for question in questions if question.known]
    spelling = [word.upper() if ignore_case else word for word in some.words]
    same: dict[str, list[int]] = {}
    for row, word in enumerate(spelling):
        same.setdefault(word, []).append(row)
    hits = []
    for first in range(0, len(known), QUESTIONS_AT_ONCE):
        part = known[first : first + QUESTIONS_AT_ONCE]
        rows = np.array([question.words for question in part])
        used, places = np.unique(rows[:, :3], return_inverse=True)
        cosines = some.cosines(unit(some.vectors[used]))
        for (*asked, answer), (a, b, c) in zip(rows, places.reshape(-1, 3), strict=True):
            scores = score(cosines[a], cosines[b], cosines[c])
            scores[[row for word in asked for row in same[spelling[word]]]] = -np.inf
            scores[np.isnan(scores)] = -np.inf  # a vector with NaN is near nothing
            hits.append(spelling[int(np.argmax(scores))] == spelling[answer])
    return _by_section(questions, known, hits)


def analogy_coverage(vectors: Vectors, path: str | Path, *, ignore_case: bool = True) -> dict[str, float]:
    """Compute the share of questions with known words of every section, and of all as ``"total"``.

    Arguments and errors as for `evaluate_analogies`.
    """
    questions = _read_questions(vectors, path, ignore_case)
    return _by_section(questions, questions, [question.known for question in questions])


def choose_synonym(vectors: Vectors, word: str, choices: Sequence[str]) -> str | None:
    """Choose the word with the largest cosine among the known choices; None if the word or all choices are unknown.

    A choice whose vector has NaN is not chosen.

    >>> vectors = Vectors(["big", "large", "red"], np.array([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0]]))
    >>> choose_synonym(vectors, "big", ["red", "large", "huge"])
    'large'
    """
    known = [choice for choice in choices if choice in vectors]
    if word not in vectors or not known:
        return None
    cosines = [vectors.similarity(word, choice) for choice in known]
    return None if np.isnan(cosines).all() else known[int(np.nanargmax(cosines))]


def evaluate_synonyms(vectors: Vectors, questions: Iterable[tuple[str, Sequence[str], str]]) -> tuple[float, float]:
    """Compute the accuracy in questions ``(word, choices, synonym)`` (Landauer and Dumais, 1997), and the coverage.

    A question counts if the word and the synonym are known; unknown choices are left out of it. The accuracy is nan if
    none does.

    >>> vectors = Vectors(["big", "large", "red"], np.array([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0]]))
    >>> evaluate_synonyms(vectors, [("big", ["red", "large"], "large"), ("huge", ["red", "large"], "large")])
    (1.0, 0.5)
    """
    questions = list(questions)
    known = [(word, choices, right) for word, choices, right in questions if word in vectors and right in vectors]
    hits = [choose_synonym(vectors, word, choices) == right for word, choices, right in known]
    return float(np.mean(hits)) if hits else float("nan"), len(known) / max(len(questions), 1)


def _finder(vectors: Vectors, ignore_case: bool) -> Callable[[str], int | None]:
    """Return a function from a word to its row, None for an unknown word."""
    if not ignore_case:
        return vectors.ids.get
    folded = {word.upper(): row for word, row in reversed(vectors.ids.items())}
    return lambda word: folded.get(word.upper())


def _read_pairs(path: str | Path) -> list[tuple[str, str, float]]:
    pairs = []
    for line in read_plain_text(Path(path).expanduser()).splitlines():
        fields = line.split("\t")
        if len(fields) == 3 and not line.startswith("#") and _is_number(fields[2]):
            pairs.append((fields[0], fields[1], float(fields[2])))
    if not pairs:
        raise ValueError(f"{path}: expected lines of two words and a number, separated by tabs, got none")
    return pairs


def _read_questions(vectors: Vectors, path: str | Path, ignore_case: bool) -> list[_Question]:
    find = _finder(vectors, ignore_case)
    section, questions = None, []
    for number, line in enumerate(read_plain_text(Path(path).expanduser()).splitlines(), start=1):
        words = line.split()
        if line.startswith(":"):
            section = line[1:].strip()
        elif len(words) == 4:
            if section is None:
                raise ValueError(f"{path}, line {number}: expected a section, ': NAME', first, got {line!r}")
            questions.append(_Question(section, tuple(map(find, words))))
    if not questions:
        raise ValueError(f"{path}: expected lines of four words, got none")
    return questions


def _by_section(questions: list[_Question], measured: list[_Question], values: list[bool]) -> dict[str, float]:
    """Average the values of the measured questions in every section of all questions, and in total."""
    sections: dict[str, list[bool]] = {question.section: [] for question in questions}
    for question, value in zip(measured, values, strict=True):
        sections[question.section].append(value)
    sections["total"] = values
    return {name: float(np.mean(found)) if found else float("nan") for name, found in sections.items()}


def _is_number(field: str) -> bool:
    try:
        return np.isfinite(float(field))
    except ValueError:
        return False
