"""Vocabularies: numbers of tokens and back."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxdl.data.vocabulary import BEGIN, END, PADDING, SYMBOLS, UNKNOWN, Vocabulary


@settings(max_examples=40, deadline=None)
@given(text=st.text(min_size=1, max_size=60))
def test_what_was_counted_is_read_back(text):
    vocabulary = Vocabulary.build(text, symbols=SYMBOLS)
    numbers = vocabulary.encode(text, begin=True, end=True)
    assert "".join(vocabulary.decode(numbers, symbols=False)) == text
    assert numbers[0] == vocabulary[BEGIN]
    assert numbers[-1] == vocabulary[END]
    assert len(vocabulary) == len(set(text)) + 4
    assert vocabulary == Vocabulary.build(text[::-1], symbols=SYMBOLS)


def test_tokens_are_ordered_by_their_counts_as_scikit_learn_counts_them():
    text_module = pytest.importorskip("sklearn.feature_extraction.text", reason="scikit-learn is the peer")
    words = ["the", "cat", "and", "the", "dog", "and", "the", "bird", "saw", "a", "dog"]
    vectorizer = text_module.CountVectorizer(tokenizer=str.split, token_pattern=None, lowercase=False)
    counts = vectorizer.fit_transform([" ".join(words)]).toarray()[0]
    by_count = sorted(zip(-counts, vectorizer.get_feature_names_out(), strict=True))
    assert Vocabulary.build(words, symbols=()).tokens == tuple(word for _, word in by_count)


def test_the_size_counts_symbols_and_rare_tokens_are_unknown():
    vocabulary = Vocabulary.build("aaabbcd", size=4)
    assert vocabulary.tokens == (PADDING, UNKNOWN, "a", "b")
    assert vocabulary.encode("abcz").tolist() == [2, 3, 1, 1]
    assert vocabulary["z"] == 1
    assert "z" not in vocabulary
    assert Vocabulary.build("aaabbcd", min_count=3).tokens[2:] == ("a",)


def test_a_symbol_in_the_text_is_that_symbol():
    vocabulary = Vocabulary.build(["a", UNKNOWN, UNKNOWN])
    assert vocabulary.tokens == (PADDING, UNKNOWN, "a")
    assert vocabulary.encode([UNKNOWN, "a"]).tolist() == [1, 2]


def test_without_unknown_an_unseen_token_is_named():
    vocabulary = Vocabulary.build("ab", symbols=())
    assert vocabulary.encode("").tolist() == []
    assert vocabulary.encode(token for token in "ba").tolist() == [1, 0]
    with pytest.raises(ValueError, match="'z' is not among the 2 tokens"):
        vocabulary.encode("abz")
    with pytest.raises(ValueError, match="no <begin>"):
        vocabulary.encode("a", begin=True)
    for numbers in ([2], [0, -1]):
        with pytest.raises(ValueError, match=r"0 \.\. 1"):
            vocabulary.decode(numbers)
    with pytest.raises(TypeError, match=r"integers, got float64: take the argmax"):
        vocabulary.decode([0.5, 0.5])


def test_a_file_gives_the_same_vocabulary(tmp_path):
    vocabulary = Vocabulary.build('naïve\n\t"quoted" 漢字 \u2028')
    vocabulary.save(tmp_path / "vocabulary.json")
    assert Vocabulary.load(tmp_path / "vocabulary.json") == vocabulary
    assert sorted(path.name for path in tmp_path.iterdir()) == ["vocabulary.json"]


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"tokens": "ab"}', '{"tokens": [1]}', '{"tokens": ["a", "a"]}'])
def test_a_file_that_is_no_vocabulary_is_named(tmp_path, content):
    path = tmp_path / "broken.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=r"broken\.json holds no vocabulary"):
        Vocabulary.load(path)


def test_what_cannot_be_a_vocabulary_is_refused():
    with pytest.raises(TypeError, match=r"Vocabulary\.build"):
        Vocabulary("abc")
    with pytest.raises(ValueError, match="at least one"):
        Vocabulary(())
    with pytest.raises(ValueError, match=r"twice: \['a'\]"):
        Vocabulary(("a", "a"))
    for options in ({"min_count": 0}, {"size": 2}, {"min_count": 9}):
        with pytest.raises(ValueError, match=r"min_count|size"):
            Vocabulary.build("ab", **options)


def test_numbers_are_int32_and_json_keeps_their_order(tmp_path):
    vocabulary = Vocabulary(("b", "a"))
    vocabulary.save(tmp_path / "v.json")
    assert json.loads((tmp_path / "v.json").read_text())["tokens"] == ["b", "a"]
    assert vocabulary.encode("ab").dtype == np.int32
