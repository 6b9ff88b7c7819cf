"""Generated reviews: labels recomputed from the words, and the bound of counting by a classifier that counts."""

from collections import Counter, defaultdict

import numpy as np

from jaxdl.data.sources import templates


def clauses_of(review):
    return [clause.split() for clause in review.split(" , ")]


def test_labels_follow_from_adjectives_and_negations():
    reviews = templates.negated_reviews(0, 300)
    for text, label in zip(reviews["text"], reviews["label"], strict=True):
        good = 0
        for words in clauses_of(text):
            assert words[-1] in templates.GOOD + templates.BAD
            good += (words[-1] in templates.GOOD) != any(word in templates.NEGATIONS for word in words)
        assert len(clauses_of(text)) == 3
        assert label == (good >= 2)
    assert any(text.startswith("i would") for text in reviews["text"])
    assert reviews["label"].dtype == np.int32


def test_reviews_depend_on_the_seed_alone():
    first, again, other = (templates.negated_reviews(seed, 20)["text"].tolist() for seed in (0, 0, 1))
    assert first == again != other


def test_counting_is_as_good_as_the_best_majority():
    reviews = templates.negated_reviews(1, 4000)
    votes = defaultdict(Counter)
    for text, label in zip(reviews["text"], reviews["label"], strict=True):
        words = text.split()
        votes[sum(w in templates.GOOD for w in words), sum(w in templates.NEGATIONS for w in words)][label] += 1
    right = sum(max(count.values()) for count in votes.values()) / 4000
    assert abs(right - templates.best_of_counts()) < 0.02
