"""Parallel text of the user: pairs of a source and its target, in a table or line by line in two files.

Files are UTF-8, or UTF-16 or 32 with a byte-order mark; any other encoding is an error, see
`jaxdl.data.files.opening.read_plain_text`. Texts lose the white space around them. A pair of which one text is empty is
left out.
"""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from jaxdl.checks import is_integer, shorten
from jaxdl.data.files.opening import read_plain_text

Pair = tuple[str, str]


def read_parallel_table(
    path: str | Path, *, columns: Sequence[int] = (0, 1), quoted: bool = False, skip_rows: int = 0
) -> list[Pair]:
    """Read pairs of columns of a table with tabs between its columns (TSV).

    Args:
        path: the file.
        columns: the columns of source and target, counted from 0.
        quoted: whether fields may be enclosed in ``"``, doubled within, as spreadsheets write those with tabs, line
            ends or quotes. By default a ``"`` is part of the text, since sentences may begin with one.
        skip_rows: the number of rows before the first pair, 1 for a header.

    Returns:
        The pairs, in the order of the file.

    Raises:
        FileNotFoundError: there is no file.
        ValueError: the columns are not two integers, a row has another number of columns than the first one, a column
            is missing, a quote has no end, the file has another encoding, or no pair.
    """
    if len(np.shape(columns)) != 1 or len(columns) != 2 or not all(map(is_integer, columns)):
        raise ValueError(f"expected columns to be two integers, counted from 0, got {columns!r}")
    text = read_plain_text(path, newline="")
    rows = _quoted_rows(text, path) if quoted else [(n, row) for n, row in enumerate(_lines(text), 1)]
    table = [(n, row if isinstance(row, list) else row.split("\t")) for n, row in rows]
    table = [(n, row) for n, row in table if any(field.strip() for field in row)][skip_rows:]
    width = len(table[0][1]) if table else 0
    if table and not all(0 <= column < width for column in columns):
        raise ValueError(
            f"{shorten(path)}: expected columns {tuple(columns)}, got {width} columns in line {table[0][0]}; "
            "tabs separate columns"
        )
    for number, row in table:
        if len(row) != width:
            raise ValueError(
                f"{shorten(path)}: expected {width} columns, as in line {table[0][0]}, got {len(row)} in line {number}"
                + ("" if quoted or '"' not in "".join(row) else "; for fields in quotes give quoted=True")
            )
    return _pairs([(row[columns[0]], row[columns[1]]) for _, row in table], path)


def read_parallel_files(source: str | Path, target: str | Path) -> list[Pair]:
    """Read pairs of lines: line ``n`` of the target translates line ``n`` of the source.

    Raises:
        FileNotFoundError: a file does not exist.
        ValueError: the files have different numbers of lines, another encoding, or no pair.
    """
    sources, targets = (_lines(read_plain_text(path, newline="")) for path in (source, target))
    if len(sources) != len(targets):
        raise ValueError(
            f"expected as many lines in {shorten(source)} as in {shorten(target)}, got {len(sources)} and "
            f"{len(targets)}"
        )
    return _pairs(list(zip(sources, targets, strict=True)), source)


def _lines(text: str) -> list[str]:
    """Split a text at line feeds, carriage returns and both: not at the other characters of ``str.splitlines``."""
    return text.replace("\r\n", "\n").replace("\r", "\n").removesuffix("\n").split("\n")


def _quoted_rows(text: str, path: str | Path) -> list[tuple[int, list[str]]]:
    """Split a text into rows of fields that may be in quotes, each with the number of its last line."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter="\t", strict=True)
    try:
        return [(reader.line_num, row) for row in reader]
    except csv.Error as error:
        raise ValueError(
            f"{shorten(path)}: expected fields in quotes, got {error} in line {reader.line_num}; where a quote is part "
            "of the text give quoted=False"
        ) from None


def _pairs(pairs: list[Pair], path: str | Path) -> list[Pair]:
    kept = [(source.strip(), target.strip()) for source, target in pairs]
    kept = [pair for pair in kept if all(pair)]
    if not kept:
        raise ValueError(f"{shorten(path)}: expected at least one pair of texts, got none")
    return kept
