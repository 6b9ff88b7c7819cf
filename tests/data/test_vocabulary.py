"""Vocabularies: tokens to ids and back."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxdl.data.vocabulary import PAD, SPECIAL_TOKENS, UNK, Vocabulary


@settings(max_examples=40, deadline=None)
@given(text=st.text(min_size=1, max_size=60))
def test_decode_inverts_encode(text):
    vocabulary = Vocabulary.build(text, special_tokens=SPECIAL_TOKENS)
    ids = vocabulary.encode(text, add_bos=True, add_eos=True)
    assert "".join(vocabulary.decode(ids, skip_special_tokens=True)) == text
    assert (ids[0], ids[-1]) == (vocabulary.bos_id, vocabulary.eos_id)
    special_ids = (vocabulary.pad_id, vocabulary.unk_id, vocabulary.bos_id, vocabulary.eos_id)
    assert special_ids == (0, 1, 2, 3)
    assert len(vocabulary) == len(set(text)) + 4
    assert vocabulary == Vocabulary.build(text[::-1], special_tokens=SPECIAL_TOKENS)


def test_tokens_are_sorted_by_the_counts_of_scikit_learn():
    text_module = pytest.importorskip("sklearn.feature_extraction.text", reason="scikit-learn is the peer")
    words = ["the", "cat", "and", "the", "dog", "and", "the", "bird", "saw", "a", "dog"]
    vectorizer = text_module.CountVectorizer(tokenizer=str.split, token_pattern=None, lowercase=False)
    counts = vectorizer.fit_transform([" ".join(words)]).toarray()[0]
    by_count = sorted(zip(-counts, vectorizer.get_feature_names_out(), strict=True))
    assert Vocabulary.build(words, special_tokens=()).tokens == tuple(word for _, word in by_count)


def test_max_size_includes_special_tokens_and_rare_tokens_are_unknown():
    vocabulary = Vocabulary.build("aaabbcd", max_size=4)
    assert vocabulary.tokens == (PAD, UNK, "a", "b")
    assert vocabulary.encode("abcz").tolist() == [2, 3, 1, 1]
    assert vocabulary["z"] == 1
    assert "z" not in vocabulary
    assert Vocabulary.build("aaabbcd", min_count=3).tokens[2:] == ("a",)


def test_a_special_token_in_the_text_is_that_token():
    vocabulary = Vocabulary.build(["a", UNK, UNK])
    assert vocabulary.tokens == (PAD, UNK, "a")
    assert vocabulary.encode([UNK, "a"]).tolist() == [1, 2]


def test_ids_and_tokens_are_checked():
    vocabulary = Vocabulary.build("ab", special_tokens=())
    assert vocabulary.encode("").tolist() == []
    assert vocabulary.encode(token for token in "ba").tolist() == [1, 0]
    with pytest.raises(ValueError, match="got 'z'"):
        vocabulary.encode("abz")
    with pytest.raises(ValueError, match="<begin>, got none"):
        vocabulary.encode("a", add_bos=True)
    for ids in ([2], [0, -1]):
        with pytest.raises(ValueError, match=f"got {ids[-1]}"):
            vocabulary.decode(ids)
    with pytest.raises(TypeError, match="got float64"):
        vocabulary.decode([0.5, 0.5])


def test_load_inverts_save(tmp_path):
    vocabulary = Vocabulary.build('naïve\n\t"quoted" 漢字 \u2028')
    vocabulary.save(tmp_path / "vocabulary.json")
    assert Vocabulary.load(tmp_path / "vocabulary.json") == vocabulary
    assert sorted(path.name for path in tmp_path.iterdir()) == ["vocabulary.json"]


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"tokens": "ab"}', '{"tokens": [1]}', '{"tokens": ["a", "a"]}'])
def test_a_damaged_file_is_an_error(tmp_path, content):
    path = tmp_path / "broken.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=r"broken\.json"):
        Vocabulary.load(path)


def test_arguments_are_checked():
    with pytest.raises(TypeError, match="got 'abc'"):
        Vocabulary("abc")
    with pytest.raises(ValueError, match="got none"):
        Vocabulary(())
    with pytest.raises(ValueError, match=r"got duplicates: \['a'\]"):
        Vocabulary(("a", "a"))
    for options, got in (({"min_count": 0}, "0"), ({"max_size": 2}, "2"), ({"min_count": 9}, "none")):
        with pytest.raises(ValueError, match=f"got {got}"):
            Vocabulary.build("ab", **options)


def test_ids_are_int32_and_JSON_keeps_their_order(tmp_path):
    vocabulary = Vocabulary(("b", "a"))
    vocabulary.save(tmp_path / "v.json")
    assert json.loads((tmp_path / "v.json").read_text())["tokens"] == ["b", "a"]
    assert vocabulary.encode("ab").dtype == np.int32
