"""Polarities of words against scikit-learn's naive Bayes, and the removal of words."""

import numpy as np
import pytest

from jaxdl.data import keep_polar, word_polarity

TEXTS = [["a", "good", "film"], ["a", "bad", "film", "a"], ["good", "good", "fun"], ["a", "dull", "one"]]
LABELS = np.array([1, 0, 1, 0])


def test_polarities_are_the_log_ratios_of_naive_bayes():
    text = pytest.importorskip("sklearn.feature_extraction.text", reason="scikit-learn is the peer")
    bayes = pytest.importorskip("sklearn.naive_bayes", reason="scikit-learn is the peer")
    vectorizer = text.CountVectorizer(analyzer=lambda words: words)
    peer = bayes.MultinomialNB(alpha=1.0).fit(vectorizer.fit_transform(TEXTS), LABELS)
    expected = peer.feature_log_prob_[1] - peer.feature_log_prob_[0]
    found = word_polarity(TEXTS, LABELS)
    assert found.keys() == set(vectorizer.get_feature_names_out())
    for word, value in zip(vectorizer.get_feature_names_out(), expected, strict=True):
        assert found[word] == pytest.approx(value, abs=1e-12)


def test_rare_and_neutral_words_are_removed():
    polarity = word_polarity(TEXTS, LABELS, min_count=2)
    assert set(polarity) == {"a", "good", "film"}
    assert keep_polar(TEXTS, polarity, 0.0)[2] == ["good", "good"]
    assert keep_polar(TEXTS, polarity, 0.5) == [["a", "good"], ["a", "a"], ["good", "good"], ["a"]]
    assert keep_polar([[]], polarity, 9.0) == [[]]
    assert word_polarity([], []) == {}


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: word_polarity(TEXTS, [1, 0, 2, 0]), "got 2"),
        (lambda: word_polarity(TEXTS, LABELS, min_count=0), "got 0"),
        (lambda: word_polarity(TEXTS, LABELS[:2]), "shorter"),
        (lambda: keep_polar(TEXTS, {}, -1.0), "got -1.0"),
    ],
)
def test_invalid_arguments_raise(call, match):
    with pytest.raises(ValueError, match=match):
        call()
