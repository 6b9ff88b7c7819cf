"""Plain texts: folders, the standard library, Tiny Shakespeare."""

import os
import sys
from pathlib import Path

import pytest

from jaxdl import pretrained
from jaxdl.data.files import archive, cifar, idx
from jaxdl.data.sources import texts
from jaxdl.data.sources.corpora import tagged_sentences
from jaxdl.data.vocabulary import Vocabulary


def test_files_of_a_folder_are_sorted_by_path(tmp_path):
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "x.txt").write_text("third")
    (tmp_path / "a.txt").write_bytes(b"first\r\n")
    (tmp_path / "b.txt").write_bytes(b"second\xff")
    (tmp_path / "c.md").write_text("other")
    expected = "first\nsecond\N{REPLACEMENT CHARACTER}\nthird\n"
    assert texts.read_text(tmp_path, errors="replace") == expected
    assert texts.read_text(tmp_path, encoding="latin-1") == expected.replace("\N{REPLACEMENT CHARACTER}", "ÿ")
    with pytest.raises(ValueError, match=r"b\.txt: expected UTF-8 text, got .* 0xff"):
        texts.read_text(tmp_path)
    assert texts.read_text(tmp_path, "*.txt", limit=8, errors="replace") == "first\nse"
    assert texts.read_text(tmp_path / "c.md") == "other"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_the_encoding_of_a_byte_order_mark_is_read(tmp_path, encoding):
    (tmp_path / "a").write_bytes("Ünï\r\n語😀".encode(encoding))
    assert texts.read_text(tmp_path / "a") == "Ünï\n語😀"
    assert [texts.read_text(tmp_path / "a", limit=n) for n in (1, 4, 5)] == ["Ü", "Ünï\n", "Ünï\n語"]


def test_other_encodings_and_what_is_no_text_are_refused(tmp_path):
    for content, message in (
        ("text".encode("utf-16-le"), "null character at position 1"),
        (b"\xff\xfe\x00", "expected UTF-16 text"),
        ("größer".encode("latin-1"), "expected UTF-8 text"),
        (b"\x1f\x8b\x08", "expected UTF-8 text"),
    ):
        (tmp_path / "a").write_bytes(content)
        with pytest.raises(ValueError, match=message):
            texts.read_text(tmp_path / "a")
    with pytest.raises(ValueError, match="got 'klingon'"):
        texts.read_text(tmp_path / "a", encoding="klingon")


def test_no_more_of_a_file_is_read_than_the_limit_needs(tmp_path):
    with (tmp_path / "large").open("wb") as file:
        file.write(b"some words ")
        file.truncate(10**11)  # a sparse file takes no space
    assert texts.read_text(tmp_path / "large", limit=10) == "some words"


def test_a_pipe_or_a_device_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path, kind in ((tmp_path / "pipe", "a pipe"), (Path("/dev/zero"), "a device")):
        with pytest.raises(ValueError, match=f"expected a regular file, got {kind}"):
            texts.read_text(path)
        for read in (pretrained.read, tagged_sentences, idx.read, cifar.read_binary, Vocabulary.load):
            with pytest.raises(ValueError, match=f"expected a regular file, got {kind}"):
                read(path)
        with pytest.raises(ValueError, match=f"expected a regular file, got {kind}"):
            archive.extract(path, tmp_path / "out")


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
