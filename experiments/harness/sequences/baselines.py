"""Baselines of classification without a network: scikit-learn's logistic regression, and tables of tags."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import chain

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from jaxdl.data.sources.corpora import TaggedSentence

Labelled = tuple[np.ndarray, np.ndarray]
"""Inputs and their labels."""


def logistic_regression(learned: Labelled, tested: Labelled) -> float:
    """Return the accuracy of logistic regression, with its defaults, on scaled features ``[N, D]``."""
    peer = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
    return float(peer.fit(*learned).score(*tested))


def logistic_regression_on_words(learned: Labelled, tested: Labelled, longest: int) -> float:
    """Return the accuracy of logistic regression, with its defaults, on TF-IDF of words.

    The inputs are lists of words; the terms are all sequences of up to ``longest`` words.
    """
    vectorizer = TfidfVectorizer(analyzer=lambda words: grams(words, longest))
    peer = LogisticRegression(max_iter=1000).fit(vectorizer.fit_transform(learned[0]), learned[1])
    return float(peer.score(vectorizer.transform(tested[0]), tested[1]))


def grams(words: Sequence[str], longest: int) -> list[str]:
    """Return all sequences of 1 to ``longest`` words, the short ones first.

    >>> grams(["a", "b", "c"], 2)
    ['a', 'b', 'c', 'a b', 'b c']
    """
    return [" ".join(words[i : i + n]) for n in range(1, longest + 1) for i in range(len(words) - n + 1)]


def most_frequent_tags(
    learned: Sequence[TaggedSentence], tested: Sequence[TaggedSentence], known: set[str] | None, default: str
) -> list[list[str]]:
    """Return the most frequent tag of each tested word in training; an unknown word has that of the rare words.

    Rare are the words that are not in ``known``, or those that occur once if that is None. If there are none, the tag
    is the default.
    """
    counts: defaultdict[str | None, Counter[str]] = defaultdict(Counter)
    frequency = Counter(chain.from_iterable(line.tokens for line in learned))
    for line in learned:
        for word, tag in zip(line.tokens, line.tags, strict=True):
            counts[word if known is None or word in known else None][tag] += 1
            if known is None and frequency[word] == 1:
                counts[None][tag] += 1
    best = {word: count.most_common(1)[0][0] for word, count in counts.items()}
    rare = best.get(None, default)
    return [[best.get(word, rare) for word in line.tokens] for line in tested]
