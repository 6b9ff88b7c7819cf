"""Files of word vectors: the formats of word2vec and GloVe, and matrices that are mapped into memory.

============================  ======================================================================
format                        content
============================  ======================================================================
``"word2vec"``                a line ``V D``, then a line ``word x_1 .. x_D`` for every word
``"word2vec_binary"``         a line ``V D``, then every word, a space and ``D`` little-endian float32
``"glove"``                   as ``"word2vec"``, without the first line
``"npy"``                     NumPy's matrix in ``PATH``, which is mapped into memory; a word per line in ``PATH.words``
============================  ======================================================================

The first three are those of gensim's ``KeyedVectors``, in both directions. Files are read as a stream, and nothing is
allocated for a header that promises more than the file can hold. Damaged files are errors that name the line.
"""

import codecs
import gzip
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np

from jaxdl.checks import check_one_of, is_integer, shorten
from jaxdl.data.files.opening import check_regular, open_regular
from jaxdl.data.files.streams import decompressed
from jaxdl.embeddings.word_vectors import Vectors

FORMATS = ("word2vec", "word2vec_binary", "glove", "npy")
INFLATION = 1032
"""The largest factor by which gzip compresses."""
LONGEST_WORD = 2**16
BLOCK = 2**20
"""Bytes of a file that are read at once."""
GROWTH = 1.5


def load(path: str | Path, format: str | None = None, *, limit: int | None = None, errors: str = "strict") -> Vectors:
    """Read word vectors.

    Args:
        path: the file; ``.gz`` is decompressed, and ``.npy`` is mapped into memory, not read.
        format: one of the formats above; None to detect it.
        limit: number of words to read, the first of the file.
        errors: what to do with invalid UTF-8 in words, ``"strict"``, ``"replace"`` or ``"ignore"``; the program
            word2vec may cut a word inside of a character.

    Returns:
        Vectors in float32, those of ``"npy"`` as they were saved.

    Raises:
        FileNotFoundError: the file does not exist.
        ValueError: the file is damaged or of another format, a word occurs twice, or the format is unknown.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp(), "vectors.txt")
    >>> save(Vectors(["one", "two"], np.array([[1.0, 0.5], [0.25, 2.0]])), path)
    >>> load(path)["two"].tolist()
    [0.25, 2.0]
    """
    path = Path(path).expanduser()
    check_one_of("format", format, (None, *FORMATS))
    if limit is not None and not (is_integer(limit) and limit >= 0):
        raise ValueError(f"expected limit to be an integer >= 0, got {shorten(repr(limit))}")
    try:
        if format == "npy" or (format is None and path.suffix == ".npy"):
            return _load_npy(path, limit, errors)
        with open_regular(path) as opened:
            file = decompressed(opened) if path.suffix == ".gz" else opened
            format = format or _detect(file)
            _skip_mark(file)
            read = _read_binary if format == "word2vec_binary" else _read_text
            return Vectors(*read(file, _room(path), format == "glove", limit, errors))
    except ValueError as error:
        raise ValueError(f"{path}: {shorten(error)}") from error


def save(vectors: Vectors, path: str | Path, format: str = "word2vec") -> None:
    """Write word vectors; the file is replaced atomically.

    Args:
        vectors: words and vectors; all formats but ``"npy"`` keep float32.
        path: the file; text ending in ``.gz`` is compressed.
        format: one of the formats above.

    Raises:
        ValueError: the format is unknown, or a word is empty or contains a space or a line end, which no format
            can hold.
    """
    path = Path(path).expanduser()
    check_one_of("format", format, FORMATS)
    for word in vectors.words:
        if not word or " " in word or "\n" in word:
            raise ValueError(f"expected words without spaces and line ends, got {word!r}; write _ instead")
        if any("\ud800" <= character <= "\udfff" for character in word):
            raise ValueError(f"expected words of valid Unicode, got {word!r}")
    if format == "npy":
        _replace(path, lambda file: np.save(file, vectors.vectors))
        _replace(_words_of(path), lambda file: file.write("".join(f"{word}\n" for word in vectors.words).encode()))
    else:
        _replace(path, lambda file: [file.write(part) for part in _encode(vectors, format)])


def _encode(vectors: Vectors, format: str) -> Iterator[bytes]:
    """Yield the bytes of a file; nine digits determine a float32."""
    size = vectors.vectors.shape[1]
    if format != "glove":
        yield f"{len(vectors)} {size}\n".encode()
    line = " ".join(["%s", *["%.9g"] * size]) + "\n"
    for word, vector in zip(vectors.words, vectors.vectors, strict=True):
        row = np.asarray(vector, "<f4")
        yield f"{word} ".encode() + row.tobytes() if format == "word2vec_binary" else (line % (word, *row)).encode()


def _load_npy(path: Path, limit: int | None, errors: str) -> Vectors:
    check_regular(path)
    try:
        vectors = np.lib.format.open_memmap(path, mode="r")
    except OSError:
        raise
    except Exception as error:  # a damaged header can raise anything
        raise ValueError(f"expected a matrix of NumPy, got {type(error).__name__}: {error}") from error
    with open_regular(_words_of(path)) as file:
        lines = file.read().decode(errors=errors).split("\n")[:-1]
    return Vectors(lines[:limit], vectors[:limit])


def _words_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.words")


def _room(path: Path) -> int:
    """Return the largest number of bytes that a file can hold."""
    return path.stat().st_size * (INFLATION if path.suffix == ".gz" else 1)


def _detect(file: IO[bytes]) -> str:
    """Detect the format by the first two lines, and rewind."""
    first = file.readline(LONGEST_WORD).removeprefix(codecs.BOM_UTF8)
    second = file.readline(BLOCK)
    file.seek(0)
    fields = first.split()
    if len(fields) != 2 or not all(_is_integer(field) for field in fields):
        return "glove"
    numbers = second.rstrip(b"\r\n").rstrip(b" ").split(b" ")[1:]
    is_text = second.endswith(b"\n") or len(second) < BLOCK
    return "word2vec" if is_text and len(numbers) == int(fields[1]) and _are_floats(numbers) else "word2vec_binary"


def _skip_mark(file: IO[bytes]) -> None:
    """Skip a byte-order mark, which some editors write."""
    if file.read(len(codecs.BOM_UTF8)) != codecs.BOM_UTF8:
        file.seek(0)


def _read_header(file: IO[bytes], room: int, least: Callable[[int, int], int]) -> tuple[int, int]:
    """Read the line ``V D``; ``least(V, D)`` is the size of the smallest file with so many vectors."""
    line = file.readline(LONGEST_WORD)
    fields = line.split()
    if len(fields) != 2 or not all(_is_integer(field) for field in fields):
        raise ValueError(f"expected a first line with the numbers of words and dimensions, got {line[:60]!r}")
    count, size = map(int, fields)
    if count < 0 or size < 1:
        raise ValueError(f"expected a number of words >= 0 and of dimensions >= 1, got {count} and {size}")
    if least(count, size) > room:
        raise ValueError(
            f"expected at least {least(count, size):,} bytes for {count:,} vectors of {size:,}, got at most {room:,}; "
            "the header is wrong, or the file is incomplete"
        )
    return count, size


def _read_binary(
    file: IO[bytes], room: int, headless: bool, limit: int | None, errors: str
) -> tuple[list[str], np.ndarray]:
    del headless
    count, size = _read_header(file, room, lambda count, size: count * (4 * size + 2))
    wanted = count if limit is None else min(count, limit)
    words, rows = [], _Rows(size)
    buffer, start = b"", 0
    for number in range(wanted):
        space = buffer.find(b" ", start)
        while space < 0 or len(buffer) < space + 1 + 4 * size:
            if space < 0 and len(buffer) - start > LONGEST_WORD:
                raise ValueError(f"expected a space after word {number + 1}, got none in {LONGEST_WORD} bytes")
            more = file.read(BLOCK)
            if not more:
                raise ValueError(f"expected {count:,} vectors, got {number:,}; the file is incomplete")
            buffer, start = buffer[start:] + more, 0
            space = buffer.find(b" ")
        words.append(_decode(buffer[start:space].lstrip(b"\n"), errors, f"word {number + 1}"))
        rows.append(np.frombuffer(buffer, "<f4", size, space + 1))
        start = space + 1 + 4 * size
    if wanted == count and (buffer[start:] + file.read(2)).strip(b"\n"):
        raise ValueError(f"expected {count:,} vectors, got more bytes behind them")
    return words, rows.array()


def _read_text(
    file: IO[bytes], room: int, headless: bool, limit: int | None, errors: str
) -> tuple[list[str], np.ndarray]:
    count = size = None
    if not headless:
        count, size = _read_header(file, room, lambda count, size: count * 2 * (size + 1) - 1)
    words: list[str] = []
    rows: _Rows | None = None if size is None else _Rows(size)
    wanted = limit if count is None else count if limit is None else min(count, limit)
    while wanted is None or len(words) < wanted:
        line = file.readline()
        if not line:
            break
        fields = line.rstrip(b"\r\n").rstrip(b" ").split(b" ")
        rows = rows or _Rows(len(fields) - 1)
        number = len(words) + 1 + (not headless)
        if len(fields) <= rows.size or (not headless and len(fields) > rows.size + 1) or not rows.size:
            raise ValueError(f"line {number}: expected a word and {max(rows.size, 1)} numbers, got {line[:60]!r}")
        try:
            rows.append(np.array(fields[-rows.size :], dtype=np.float64))
        except ValueError:
            raise ValueError(f"line {number}: expected a word and {rows.size} numbers, got {line[:60]!r}") from None
        words.append(_decode(b" ".join(fields[: -rows.size]), errors, f"line {number}"))
    if count is not None and wanted == count and (len(words) < count or file.read(2**10).strip()):
        raise ValueError(f"expected {count:,} vectors, got {len(words):,}{' and more' * (len(words) == count)}")
    if rows is None:
        raise ValueError("expected a word and its vector on every line, got an empty file")
    return words, rows.array()


class _Rows:
    """A table of float32 that grows with what is read."""

    def __init__(self, size: int):
        self.size, self.count = size, 0
        self.table = np.empty((0, size), np.float32)

    def append(self, row: np.ndarray) -> None:
        if self.count == len(self.table):
            self.table.resize((max(1024, int(GROWTH * self.count)), self.size), refcheck=False)
        self.table[self.count] = row
        self.count += 1

    def array(self) -> np.ndarray:
        self.table.resize((self.count, self.size), refcheck=False)
        return self.table


def _decode(word: bytes, errors: str, place: str) -> str:
    if not word:
        raise ValueError(f"{place}: expected a word, got none")
    try:
        return word.decode(errors=errors)
    except UnicodeDecodeError:
        raise ValueError(
            f"{place}: expected valid UTF-8, got {word[:60]!r}; errors='replace' reads the file nevertheless"
        ) from None


def _is_integer(field: bytes) -> bool:
    return field.lstrip(b"+-").isdigit() and len(field) < 20


def _are_floats(fields: list[bytes]) -> bool:
    try:
        [float(field) for field in fields]
    except ValueError:
        return False
    return True


def _replace(path: Path, write: Callable[[IO[bytes]], Any]) -> None:
    partial = path.with_name(f"{path.name}.partial")
    with gzip.open(partial, "wb") if path.suffix == ".gz" else partial.open("wb") as file:
        write(file)  # type: ignore[arg-type]
    os.replace(partial, path)
