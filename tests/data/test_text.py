"""Words, and the streams and windows of tokens."""

import unicodedata

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxdl.data import text
from jaxdl.data.batching import Loader


def test_newlines_are_words_on_request():
    assert text.words("a_1 =\n  it's(2)\n") == ["a_1", "=", "it's", "(", "2", ")"]
    assert text.words("a\n\n b", newlines=True) == ["a", "\n", "\n", "b"]


@pytest.mark.parametrize(
    ("sentence", "words"),
    [
        ("हिन्दी में लिखा है।", ["हिन्दी", "में", "लिखा", "है", "।"]),
        ("தமிழ் மொழி", ["தமிழ்", "மொழி"]),
        ("สวัสดี ครับ", ["สวัสดี", "ครับ"]),
        ("Cafe\u0301 don\u2019t", ["Café", "don\u2019t"]),
        ("می\u200cخواهم بروم", ["می\u200cخواهم", "بروم"]),
        ("الْكِتَابُ", ["الْكِتَابُ"]),
        ("col·lecció 3.14", ["col·lecció", "3", ".", "14"]),
        ("'so' it’s’", ["'", "so", "'", "it’s", "’"]),
        ("中文。好 😀👍🏽", ["中文", "。", "好", "😀", "👍🏽"]),
    ],
)
def test_words_of_every_script_are_whole(sentence, words):
    assert text.words(sentence) == words
    assert text.words(unicodedata.normalize("NFD", sentence)) == [unicodedata.normalize("NFC", word) for word in words]


def test_split_text_holds_out_the_end():
    assert text.split_text([1, 2, 3, 4], 0.25) == ([1, 2, 3], [4])
    for held_out in (0.0, 1.0, 0.1):
        with pytest.raises(ValueError, match=f"got {held_out} of 4"):
            text.split_text("abcd", held_out)


@settings(max_examples=60, deadline=None)
@given(size=st.integers(2, 80), count=st.integers(1, 9))
def test_streams_predict_every_token_once(size, count):
    tokens = np.arange(1, size + 1)
    if size - 1 < count:
        with pytest.raises(ValueError, match=f"got {count}"):
            text.streams(tokens, count)
        return
    arrays = text.streams(tokens, count)
    valid = arrays["mask"] == 1
    assert arrays["token"].shape == (count, -(-(size - 1) // count))
    np.testing.assert_array_equal(np.sort(arrays["target"][valid]), tokens[1:])
    np.testing.assert_array_equal(arrays["token"][valid] + 1, arrays["target"][valid])
    assert not arrays["token"][~valid].any()


@settings(max_examples=60, deadline=None)
@given(size=st.integers(2, 80), batch_size=st.integers(1, 5), length=st.integers(1, 7))
def test_windows_continue_the_batch_before(size, batch_size, length):
    tokens = np.arange(size)
    if (size - 1) // batch_size < length:
        with pytest.raises(ValueError, match="got"):
            text.windows(tokens, batch_size, length)
        return
    arrays = text.windows(tokens, batch_size, length)
    loader = Loader(arrays, batch_size, shuffle=False)
    batches = list(loader)
    assert len(batches) == (size - 1) // batch_size // length
    whole = {name: np.concatenate([batch[name] for batch in batches], axis=1) for name in ("token", "target")}
    stream = (size - 1) // batch_size
    for row in range(batch_size):
        first = row * stream
        np.testing.assert_array_equal(whole["token"][row], tokens[first : first + whole["token"].shape[1]])
    np.testing.assert_array_equal(whole["target"], whole["token"] + 1)
    assert [batch["start"].tolist() for batch in batches] == [[float(s == 0)] * batch_size for s in range(len(batches))]


def test_a_loader_refuses_windows_in_another_order_or_batch_size():
    tokens = np.random.default_rng(0).integers(0, 9, 400)
    for restarts in ({}, {"restart_probability": 0.2}):
        arrays = {**text.windows(tokens, 4, 5, **restarts), "weight": np.ones(76)}
        assert Loader(arrays, 4, shuffle=False).steps_per_epoch == 19
        for batch_size in (1, 2, 3, 5, 8, 76):
            with pytest.raises(ValueError, match=f"got batch_size={batch_size} and shuffle=False"):
                Loader(arrays, batch_size, shuffle=False)
        with pytest.raises(ValueError, match="got batch_size=4 and shuffle=True"):
            Loader(arrays, 4)


def test_windows_restart_with_the_given_probability():
    starts = [text.windows(np.arange(4001), 4, 1, restart_probability=0.1, seed=seed)["start"] for seed in (0, 0, 1)]
    np.testing.assert_array_equal(starts[0], starts[1])
    assert not np.array_equal(starts[0], starts[2])
    assert starts[0][:4].tolist() == [1] * 4
    assert abs(starts[0].mean() - 0.1) < 4 * np.sqrt(0.09 / 4000)
    with pytest.raises(ValueError, match="got 2"):
        text.windows(np.arange(9), 2, 2, restart_probability=2)


def test_token_ids_and_length_are_checked():
    for tokens in (np.zeros((2, 3), int), np.zeros(5)):
        with pytest.raises(ValueError, match=str(tokens.dtype)):
            text.windows(tokens, 1, 1)
    with pytest.raises(ValueError, match="got 0"):
        text.windows(np.arange(5), 1, 0)


@pytest.mark.parametrize("n", [5, 33, 64, 65, 97, 129])
def test_overlapping_rows_predict_every_token_once(n):
    rows = text.overlapping_rows(np.arange(n), 64)
    counts = rows["mask"] == 1
    np.testing.assert_array_equal(np.sort(rows["target"][counts]), np.arange(1, n))
    np.testing.assert_array_equal(rows["token"][counts], rows["target"][counts] - 1)
    assert not counts[1:, :32].any()
    read = rows["token"][:, :1] + np.arange(64)
    np.testing.assert_array_equal(np.where(counts, rows["token"], read), read)


@pytest.mark.parametrize("length", [0, 5])
def test_overlapping_rows_have_an_even_length(length):
    with pytest.raises(ValueError, match=f"got {length}"):
        text.overlapping_rows(np.arange(9), length)


@pytest.mark.parametrize(
    ("text_", "expected"),
    [
        ("\ufeffDas Wort", ["Das", "Wort"]),
        ("\u200f\u05e9\u05dc\u05d5\u05dd\u200f, \u202babc\u202c", ["\u05e9\u05dc\u05d5\u05dd", ",", "abc"]),
        ("a\u200bb", ["a", "b"]),
        (
            "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
            ["\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645"],
        ),  # Persian
    ],
)
def test_marks_that_are_not_seen_are_no_words(text_, expected):
    assert text.words(text_) == expected
