"""Plain texts: folders, the standard library, Tiny Shakespeare."""

import sys

import pytest

from jaxdl.data.sources import texts


def test_files_of_a_folder_are_sorted_by_path(tmp_path):
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "x.txt").write_text("third")
    (tmp_path / "a.txt").write_bytes(b"first\r\n")
    (tmp_path / "b.txt").write_bytes(b"second\xff")
    (tmp_path / "c.md").write_text("other")
    assert texts.read_text(tmp_path) == "first\nsecond\N{REPLACEMENT CHARACTER}\nthird\n"
    assert texts.read_text(tmp_path, "*.txt", limit=8) == "first\nse"
    assert texts.read_text(tmp_path / "c.md") == "other"


def test_missing_and_empty_text_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError, match="nothing"):
        texts.read_text(tmp_path / "nothing")
    with pytest.raises(FileNotFoundError, match="got none"):
        texts.read_text(tmp_path)
    (tmp_path / "empty.txt").touch()
    with pytest.raises(ValueError, match="got empty files"):
        texts.read_text(tmp_path)
    with pytest.raises(ValueError, match="got 0"):
        texts.read_text(tmp_path, limit=0)


def test_the_standard_library_is_read_without_its_tests():
    source = texts.python_source(limit=300_000)
    assert source == texts.python_source(limit=300_000)
    assert len(source) == 300_000
    assert "def " in source
    assert "import unittest" not in source
    assert sys.executable not in source


def test_tiny_shakespeare_is_read_or_downloaded(tmp_path, monkeypatch):
    folder = tmp_path / "tiny_shakespeare"
    calls = []
    monkeypatch.setattr(texts, "download", lambda *args: calls.append(args) or [tmp_path / "downloaded"])
    (tmp_path / "downloaded").write_text("Exeunt")
    assert texts.tiny_shakespeare(tmp_path) == "Exeunt"
    assert calls == [("Tiny Shakespeare", [texts.TINY_SHAKESPEARE], folder, "input.txt")]
    folder.mkdir()
    (folder / "input.txt").write_text("Enter")
    assert texts.tiny_shakespeare(tmp_path) == "Enter"
