"""The polarity of words in labelled texts, and the removal of words without it: noise reduction for sentiment."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from jaxdl.checks import check_in_range, check_positive_integer


def word_polarity(texts: Iterable[Sequence[str]], labels: Iterable[int], *, min_count: int = 1) -> dict[str, float]:
    """Compute how much likelier each word is in positive texts than in negative ones, as a logarithm.

    ``ln((c_+(w) + 1) / (N_+ + V)) - ln((c_-(w) + 1) / (N_- + V))`` with the counts of ``w`` in the texts of both
    labels, their numbers of words ``N`` and the size ``V`` of the vocabulary, each word counted once more.

    Args:
        texts: lists of words, those of the training only.
        labels: 1 for positive texts, 0 for negative ones.
        min_count: least number of occurrences of a word.

    Raises:
        ValueError: there are not as many labels as texts, a label is neither 0 nor 1, or ``min_count`` is not positive.

    >>> polarity = word_polarity([["a", "good", "one"], ["a", "bad", "one"]], [1, 0])
    >>> {word: round(value, 2) for word, value in sorted(polarity.items())}
    {'a': 0.0, 'bad': -0.69, 'good': 0.69, 'one': 0.0}
    """
    check_positive_integer("min_count", min_count)
    counts: tuple[Counter[str], Counter[str]] = Counter(), Counter()
    for text, label in zip(texts, labels, strict=True):
        if label not in (0, 1):
            raise ValueError(f"expected labels 0 and 1, got {label}")
        counts[int(label)].update(text)
    negative, positive = counts
    words = [word for word in positive | negative if positive[word] + negative[word] >= min_count]
    shift = math.log((negative.total() + len(words)) / (positive.total() + len(words))) if words else 0.0
    return {word: math.log((positive[word] + 1) / (negative[word] + 1)) + shift for word in words}


def keep_polar(texts: Iterable[Sequence[str]], polarity: Mapping[str, float], cutoff: float) -> list[list[str]]:
    """Remove the words whose polarity is below a cutoff in magnitude, and those without one.

    Args:
        texts: lists of words.
        polarity: from `word_polarity`.
        cutoff: the least magnitude that is kept; 0 keeps all words with a polarity.

    Raises:
        ValueError: the cutoff is negative.

    >>> keep_polar([["a", "good", "one"]], {"a": 0.0, "good": 0.7, "one": -0.1}, 0.5)
    [['good']]
    """
    check_in_range("cutoff", cutoff)
    kept = {word for word, value in polarity.items() if abs(value) >= cutoff}
    return [[word for word in text if word in kept] for text in texts]
