"""Texts, and the streams that they are cut into."""

import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxdl.data import text
from jaxdl.data.batching import Loader


def test_a_folder_is_read_in_the_order_of_its_paths(tmp_path):
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "x.txt").write_text("third")
    (tmp_path / "a.txt").write_bytes(b"first\r\n")
    (tmp_path / "b.txt").write_bytes(b"second\xff")
    (tmp_path / "c.md").write_text("other")
    assert text.read_text(tmp_path) == "first\nsecond\N{REPLACEMENT CHARACTER}\nthird\n"
    assert text.read_text(tmp_path, "*.txt", limit=8) == "first\nse"
    assert text.read_text(tmp_path / "c.md") == "other"


def test_text_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nothing"):
        text.read_text(tmp_path / "nothing")
    with pytest.raises(FileNotFoundError, match="no files"):
        text.read_text(tmp_path)
    (tmp_path / "empty.txt").touch()
    with pytest.raises(ValueError, match="is empty"):
        text.read_text(tmp_path)
    with pytest.raises(ValueError, match="limit"):
        text.read_text(tmp_path, limit=0)


def test_the_standard_library_is_read_without_its_tests():
    source = text.python_source(limit=300_000)
    assert source == text.python_source(limit=300_000)
    assert len(source) == 300_000
    assert "def " in source
    assert "import unittest" not in source
    assert sys.executable not in source


def test_shakespeare_is_found_by_its_official_name_or_downloaded(tmp_path, monkeypatch):
    folder = tmp_path / "tiny_shakespeare"
    asked = []
    monkeypatch.setattr(text, "download", lambda *wanted: asked.append(wanted) or [tmp_path / "came"])
    (tmp_path / "came").write_text("Exeunt")
    assert text.tiny_shakespeare(tmp_path) == "Exeunt"
    assert asked == [("Tiny Shakespeare", [text.TINY_SHAKESPEARE], folder, "input.txt")]
    folder.mkdir()
    (folder / "input.txt").write_text("Enter")
    assert text.tiny_shakespeare(tmp_path) == "Enter"


def test_words_keep_line_ends_where_they_are_asked_for():
    assert text.words("a_1 =\n  it's(2)\n") == ["a_1", "=", "it's", "(", "2", ")"]
    assert text.words("a\n\n b", lines=True) == ["a", "\n", "\n", "b"]


def test_the_end_of_a_text_is_held_out():
    assert text.split_text([1, 2, 3, 4], 0.25) == ([1, 2, 3], [4])
    for share in (0.0, 1.0, 0.1):
        with pytest.raises(ValueError, match="both sides"):
            text.split_text("abcd", share)


@settings(max_examples=60, deadline=None)
@given(size=st.integers(2, 80), count=st.integers(1, 9))
def test_streams_predict_every_token_once(size, count):
    tokens = np.arange(1, size + 1)
    if size - 1 < count:
        with pytest.raises(ValueError, match="streams"):
            text.streams(tokens, count)
        return
    arrays = text.streams(tokens, count)
    counted = arrays["mask"] == 1
    assert arrays["token"].shape == (count, -(-(size - 1) // count))
    np.testing.assert_array_equal(np.sort(arrays["target"][counted]), tokens[1:])
    np.testing.assert_array_equal(arrays["token"][counted] + 1, arrays["target"][counted])
    assert not arrays["token"][~counted].any()


@settings(max_examples=60, deadline=None)
@given(size=st.integers(2, 80), batch_size=st.integers(1, 5), length=st.integers(1, 7))
def test_windows_go_on_where_the_batch_before_ended(size, batch_size, length):
    tokens = np.arange(size)
    if (size - 1) // batch_size < length:
        with pytest.raises(ValueError, match=r"streams"):
            text.windows(tokens, batch_size, length)
        return
    arrays = text.windows(tokens, batch_size, length)
    loader = Loader(arrays, batch_size, shuffle=False)
    batches = list(loader)
    assert len(batches) == (size - 1) // batch_size // length
    whole = {name: np.concatenate([batch[name] for batch in batches], axis=1) for name in ("token", "target")}
    stream = (size - 1) // batch_size
    for row in range(batch_size):
        begin = row * stream
        np.testing.assert_array_equal(whole["token"][row], tokens[begin : begin + whole["token"].shape[1]])
    np.testing.assert_array_equal(whole["target"], whole["token"] + 1)
    assert [batch["start"].tolist() for batch in batches] == [[float(s == 0)] * batch_size for s in range(len(batches))]


def test_windows_start_anew_with_their_probability():
    marks = [text.windows(np.arange(4001), 4, 1, restart_probability=0.1, seed=seed)["start"] for seed in (0, 0, 1)]
    np.testing.assert_array_equal(marks[0], marks[1])
    assert not np.array_equal(marks[0], marks[2])
    assert marks[0][:4].tolist() == [1] * 4
    assert abs(marks[0].mean() - 0.1) < 4 * np.sqrt(0.09 / 4000)
    with pytest.raises(ValueError, match=r"in \[0, 1\]"):
        text.windows(np.arange(9), 2, 2, restart_probability=2)


def test_tokens_that_are_no_numbers_are_refused():
    for tokens in (np.zeros((2, 3), int), np.zeros(5)):
        with pytest.raises(ValueError, match="numbers of tokens"):
            text.windows(tokens, 1, 1)
    with pytest.raises(ValueError, match="length"):
        text.windows(np.arange(5), 1, 0)
