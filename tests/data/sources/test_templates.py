"""Generated reviews: labels recomputed from the words, and the bound of counting by a classifier that counts."""

from collections import Counter, defaultdict

import numpy as np
import pytest

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


def test_judgements_of_an_author_agree_as_often_as_asked():
    independent, same = (templates.negated_reviews(0, 300, agreement) for agreement in (0.5, 1.0))
    np.testing.assert_array_equal(independent["text"], templates.negated_reviews(0, 300)["text"])
    judged = []
    for text, label in zip(same["text"], same["label"], strict=True):
        for words in clauses_of(text):
            assert label == ((words[-1] in templates.GOOD) != any(word in templates.NEGATIONS for word in words))
    reviews = templates.negated_reviews(0, 3000, 0.8)
    for text in reviews["text"]:
        good = [(w[-1] in templates.GOOD) != any(x in templates.NEGATIONS for x in w) for w in clauses_of(text)]
        judged.append(sum(good) in (0, 3))
    assert abs(np.mean(judged) - (0.8**3 + 0.2**3)) < 0.03
    with pytest.raises(ValueError, match=r"from 0.5 to 1, got 0.2"):
        templates.negated_reviews(0, 1, 0.2)


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
