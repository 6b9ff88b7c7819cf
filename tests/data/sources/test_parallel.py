"""Parallel text against what was written: quotes, uneven columns, byte-order marks, line ends, other encodings."""

import csv

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxdl.data import read_parallel_files, read_parallel_table

PAIRS = [('"Yes," she said.', "« Oui »"), ("a b", "c\u2028d"), ("x", 'y "z"')]
FIELD = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), min_size=1).filter(str.strip)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_tables_and_files_give_the_pairs_that_were_written(tmp_path, encoding, end):
    table, source, target = (tmp_path / name for name in ("pairs.tsv", "a.en", "a.fr"))
    rows = ["id\ten\tfr", *(f"7\t{a}\t {b} " for a, b in PAIRS), "", "8\tonly a source\t"]
    table.write_bytes((end.join(rows) + end).encode(encoding))
    assert read_parallel_table(table, columns=(1, 2), skip_rows=1) == PAIRS
    assert read_parallel_table(table, columns=(2, 1), skip_rows=1) == [(b, a) for a, b in PAIRS]
    source.write_bytes(end.join([a for a, _ in PAIRS] + ["", "z"]).encode(encoding))
    target.write_bytes((end.join([b for _, b in PAIRS] + ["q", ""]) + end).encode(encoding))
    assert read_parallel_files(source, target) == PAIRS


@settings(max_examples=50, deadline=None)
@given(pairs=st.lists(st.tuples(FIELD, FIELD), min_size=1, max_size=4))
def test_fields_in_quotes_may_be_any_text(tmp_path_factory, pairs):
    path = tmp_path_factory.mktemp("tables") / "quoted.tsv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, delimiter="\t", quoting=csv.QUOTE_ALL).writerows(pairs)
    expected = [(a.removeprefix("\ufeff").strip(), b.strip()) for a, b in pairs]
    found = read_parallel_table(path, quoted=True)
    assert found == expected


@pytest.mark.parametrize(
    ("content", "options", "got"),
    [
        (b"a\tb\nc\td\te\n", {}, r"2 columns, as in line 1, got 3 in line 2"),
        (b"a\tb\n\n\nc\n", {}, "got 1 in line 4"),
        (b"a\tb\n", {"columns": (0, 2)}, "got 2 columns"),
        ("é\tb\n".encode("latin-1"), {}, "UTF-8.*0xe9"),
        ("a\tb\n".encode("utf-16-le"), {}, "null character"),
        (b'"a\tb\n', {"quoted": True}, "unexpected end of data"),
        (b'"a" x\tb\n', {"quoted": True}, "expected after"),
        (b"\n\n", {}, "got none"),
        (b"a\tb\n", {"skip_rows": 1}, "got none"),
    ],
)
def test_other_files_are_errors(tmp_path, content, options, got):
    path = tmp_path / "pairs.tsv"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=got):
        read_parallel_table(path, **options)


def test_files_of_different_lengths_are_an_error(tmp_path):
    source, target = tmp_path / "a", tmp_path / "b"
    source.write_text("1\n2\n3\n")
    target.write_text("1\n2\n")
    with pytest.raises(ValueError, match="got 3 and 2"):
        read_parallel_files(source, target)
    with pytest.raises(FileNotFoundError):
        read_parallel_files(source, tmp_path / "c")


@pytest.mark.parametrize("columns", [0, (0,), ("a", "b"), (0, 1, 2), (0.0, 1.0)])
def test_columns_that_are_not_two_numbers_are_refused(columns, tmp_path):
    (tmp_path / "pairs.tsv").write_text("a\tb\n")
    with pytest.raises(ValueError, match="two integers"):
        read_parallel_table(tmp_path / "pairs.tsv", columns=columns)
    assert read_parallel_table(tmp_path / "pairs.tsv", columns=np.array([1, 0])) == [("b", "a")]
