"""Labelled text: reviews in folders, and sentences with a tag for every word."""

import re
from pathlib import Path
from typing import NamedTuple

RATED = re.compile(r"^\d+_(\d+)$")
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
    number at the start of the file name, then by the name. Files are UTF-8.

    Returns:
        ``{"train": [...], "test": [...]}``, without the parts that do not exist.

    Raises:
        FileNotFoundError: neither part exists, or a folder pos or neg is missing or contains no reviews.
        ValueError: a file is not UTF-8 text.
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
    are skipped, and in a file with tabs also comments, lines without a tab that begin with ``#``. CoNLL-U has words in
    column 1 and tags in column 3; its lines of contractions and empty words, numbered ``3-4`` or ``3.1``, are skipped
    if ``token_column`` is not 0.

    Args:
        path: UTF-8 text.
        token_column: column of the word, from 0; negative from the end.
        tag_column: column of the tag.

    Raises:
        FileNotFoundError: the file does not exist.
        ValueError: a line lacks a column, or the file contains no sentence.
    """
    path = Path(path).expanduser()
    sentences, words = [], []
    text = _read_utf8(path)
    separator = "\t" if "\t" in text else None
    for number, line in enumerate([*text.split("\n"), ""], start=1):
        if not line.strip():
            if words:
                sentences.append(TaggedSentence(*zip(*words, strict=True)))
            words = []
            continue
        columns = line.split(separator)
        if _is_not_a_word(columns, separator, token_column):
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
        raise ValueError(f"{path}: expected at least one sentence, a word and its tag on every line, got none")
    return sentences


def _is_not_a_word(columns: list[str], separator: str | None, token_column: int) -> bool:
    if columns[0] == "-DOCSTART-" or (separator and len(columns) == 1 and columns[0].startswith("#")):
        return True
    return token_column != 0 and re.fullmatch(r"\d+[-.]\d+", columns[0]) is not None


def _read(folder: Path, label: int) -> list[Review]:
    paths = sorted(folder.glob("*.txt"), key=lambda path: (_first_number(path.stem), path.name))
    if not paths:
        raise FileNotFoundError(f"expected reviews *.txt in {folder}, got none")
    ratings = [RATED.match(path.stem) for path in paths]
    return [Review(_read_utf8(p), label, int(r[1]) if r else None) for p, r in zip(paths, ratings, strict=True)]


def _first_number(stem: str) -> int:
    number = re.match(r"\d+", stem)
    return int(number[0]) if number else -1


def _read_utf8(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: expected UTF-8 text, got {error}") from error
