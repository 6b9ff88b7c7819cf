"""Labelled text: reviews in folders, and sentences with a tag for every word."""

import re
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from jaxdl.checks import shorten
from jaxdl.data.files.opening import read_plain_text

RATED = re.compile(r"^\d+_(\d+)$")
COMMENT = re.compile(r"#\s*([^\s=]+\s*=|newdoc\b|newpar\b)")
SPECIAL_NUMBER = re.compile(r"\d+[-.]\d+")
LABELS = ("neg", "pos")


class Review(NamedTuple):
    """A text with its label, 1 for positive and 0 for negative, and its rating if the file name contains one."""

    text: str
    label: int
    rating: int | None


class TaggedSentence(NamedTuple):
    """The words of a sentence and their tags, one for each."""

    tokens: tuple[str, ...]
    tags: tuple[str, ...]


def review_folder(directory: str | Path) -> dict[str, list[Review]]:
    """Read reviews from ``directory/{train,test}/{pos,neg}/*.txt``, the layout of the IMDB reviews (Maas et al., 2011).

    A file named ``NUMBER_RATING.txt`` has that rating. Negative reviews precede positive ones, each sorted by the
    number at the start of the file name, then by the name. Files are UTF-8, or have the byte-order mark of UTF-16.

    Returns:
        ``{"train": [...], "test": [...]}``, without the parts that do not exist.

    Raises:
        FileNotFoundError: neither part exists, or a folder pos or neg is missing or contains no reviews.
        ValueError: a file is no text, or has another encoding.
    """
    directory = Path(directory).expanduser()
    parts = {part: directory / part for part in ("train", "test") if (directory / part).is_dir()}
    if not parts:
        raise FileNotFoundError(
            f"expected {{train,test}}/{{pos,neg}}/*.txt in {directory}, got no folder train or test"
        )
    return {
        part: [r for label, name in enumerate(LABELS) for r in _read(path / name, label)]
        for part, path in parts.items()
    }


def tagged_sentences(path: str | Path, *, token_column: int = 0, tag_column: int = -1) -> list[TaggedSentence]:
    """Read sentences with a word and its tag on every line, and an empty line after each sentence.

    Columns are separated by tabs, or by spaces in a file without tabs, as in the files of CoNLL. ``-DOCSTART-`` lines
    are skipped, and comments: lines that begin with ``#``, before a sentence's first word, and have the form
    ``# name = text`` or ``# newdoc`` or another number of columns than most lines. CoNLL-U has words in column 1 and
    tags in column 3; its lines of contractions and empty words, numbered ``3-4`` or ``3.1``, are skipped if
    ``token_column`` is not 0.

    Args:
        path: text in UTF-8, or with a byte-order mark.
        token_column: column of the word, from 0; negative from the end.
        tag_column: column of the tag.

    Raises:
        FileNotFoundError: the file does not exist.
        ValueError: a line lacks a column, or the file contains no sentence.
    """
    path = Path(path).expanduser()
    sentences, words = [], []
    lines = [*read_plain_text(path).split("\n"), ""]
    separator = "\t" if any("\t" in line for line in lines if not COMMENT.match(line)) else None
    widths = Counter(len(line.split(separator)) for line in lines if line.strip() and line[0] != "#")
    width = max(widths, key=widths.__getitem__, default=0)
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            if words:
                sentences.append(TaggedSentence(*zip(*words, strict=True)))
            words = []
            continue
        columns = line.split(separator)
        if columns[0] == "-DOCSTART-" or (token_column != 0 and SPECIAL_NUMBER.fullmatch(columns[0])):
            continue
        first = not words and (len(columns) != width or COMMENT.match(line))
        if line[0] == "#" and (first or (separator and len(columns) == 1)):
            continue
        try:
            words.append((columns[token_column], columns[tag_column]))
        except IndexError:
            raise ValueError(
                f"{path}, line {number}: expected columns {token_column} and {tag_column}, got {len(columns)} columns"
            ) from None
        if len(columns) < 2 or not all(words[-1]):
            raise ValueError(f"{path}, line {number}: expected a word and its tag, got {shorten(repr(line))}")
    if not sentences:
        raise ValueError(f"{path}: expected at least one sentence, a word and its tag on every line, got none")
    return sentences


def _read(folder: Path, label: int) -> list[Review]:
    paths = sorted(folder.glob("*.txt"), key=lambda path: (_first_number(path.stem), path.name))
    if not paths:
        raise FileNotFoundError(f"expected reviews *.txt in {folder}, got none")
    ratings = [RATED.match(path.stem) for path in paths]
    return [Review(read_plain_text(p), label, int(r[1]) if r else None) for p, r in zip(paths, ratings, strict=True)]


def _first_number(stem: str) -> int:
    number = re.match(r"\d+", stem)
    return int(number[0]) if number else -1
