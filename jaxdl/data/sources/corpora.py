"""Texts with labels: reviews in folders, and sentences with a tag for every word."""

import re
from pathlib import Path
from typing import NamedTuple

RATED = re.compile(r"^\d+_(\d+)$")
LABELS = ("neg", "pos")


class Review(NamedTuple):
    """A text with its label, 1 for a positive and 0 for a negative one, and its rating where the file name tells it."""

    text: str
    label: int
    rating: int | None


class TaggedSentence(NamedTuple):
    """Words and their tags, one for each."""

    tokens: tuple[str, ...]
    tags: tuple[str, ...]


def review_folder(directory: str | Path) -> dict[str, list[Review]]:
    """Read reviews from ``directory/{train,test}/{pos,neg}/*.txt``, as the IMDB reviews lie (Maas et al., 2011).

    A file that is called ``NUMBER_RATING.txt`` has that rating. Negative reviews come first, each kind in the order of
    the numbers that begin the names, then of the names. Files are UTF-8.

    Returns:
        ``{"train": [...], "test": [...]}``; a part that has no folder is left out.

    Raises:
        FileNotFoundError: there is neither part, or one without folders pos and neg, or one of these without reviews.
        ValueError: a file is no UTF-8 text.
    """
    directory = Path(directory).expanduser()
    parts = {part: directory / part for part in ("train", "test") if (directory / part).is_dir()}
    if not parts:
        raise FileNotFoundError(f"{directory} has no folder train or test: expected {{train,test}}/{{pos,neg}}/*.txt")
    return {
        part: [r for label, name in enumerate(LABELS) for r in _read(path / name, label)]
        for part, path in parts.items()
    }


def tagged_sentences(path: str | Path, *, token_column: int = 0, tag_column: int = -1) -> list[TaggedSentence]:
    """Read sentences with a word and its tag on every line, and an empty line after each sentence.

    Columns are parted by tabs, or in a file without tabs by spaces, as in CoNLL's files. Lines of ``-DOCSTART-`` are
    left out. In a file with tabs, so are comments, lines without a tab that begin with ``#``. In CoNLL-U the words are
    in column 1 and the tags in 3; its lines of contracted and of unwritten words, which are numbered ``3-4`` or
    ``3.1``, are left out where ``token_column`` is not 0.

    Args:
        path: UTF-8 text.
        token_column: where the word is, counted from 0; negative from the end.
        tag_column: where the tag is.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: a line lacks a column, or the file has no sentence; the message names file and line.
    """
    path = Path(path).expanduser()
    sentences, words = [], []
    text = _text(path)
    separator = "\t" if "\t" in text else None
    for number, line in enumerate([*text.split("\n"), ""], start=1):
        if not line.strip():
            if words:
                sentences.append(TaggedSentence(*zip(*words, strict=True)))
            words = []
            continue
        columns = line.split(separator)
        if _is_no_word(columns, separator, token_column):
            continue
        try:
            words.append((columns[token_column], columns[tag_column]))
        except IndexError:
            raise ValueError(
                f"{path}, line {number}: expected columns {token_column} and {tag_column}, got {len(columns)} columns"
            ) from None
        if len(columns) < 2 or not all(words[-1]):
            raise ValueError(f"{path}, line {number}: expected a word and its tag, got {line!r}")
    if not sentences:
        raise ValueError(f"{path} has no sentence: expected a word and its tag on every line")
    return sentences


def _is_no_word(columns: list[str], separator: str | None, token_column: int) -> bool:
    if columns[0] == "-DOCSTART-" or (separator and len(columns) == 1 and columns[0].startswith("#")):
        return True
    return token_column != 0 and re.fullmatch(r"\d+[-.]\d+", columns[0]) is not None


def _read(folder: Path, label: int) -> list[Review]:
    paths = sorted(folder.glob("*.txt"), key=lambda path: (_first_number(path.stem), path.name))
    if not paths:
        raise FileNotFoundError(f"{folder} has no reviews: expected files *.txt in folders pos and neg")
    ratings = [RATED.match(path.stem) for path in paths]
    return [Review(_text(p), label, int(r[1]) if r else None) for p, r in zip(paths, ratings, strict=True)]


def _first_number(stem: str) -> int:
    number = re.match(r"\d+", stem)
    return int(number[0]) if number else -1


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is no UTF-8 text: {error}") from error
