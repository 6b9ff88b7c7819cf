"""Opening of files that users name: regular files alone, and text in the encoding of its byte-order mark."""

import codecs
import io
import os
import stat
from pathlib import Path
from typing import IO

from jaxdl.checks import shorten

MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",  # before UTF-16, whose mark is its beginning
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
"""Encodings by their byte-order marks."""

KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
UNBLOCKED = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)


def check_regular(path: str | Path) -> None:
    """Check that a path leads to a regular file, since a pipe or a device may never end.

    Raises:
        FileNotFoundError: there is nothing.
        ValueError: it is a folder, a pipe, a socket or a device.
    """
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError as error:
        advice = "give an existing path" if Path(path).is_absolute() else f"relative paths start at {Path.cwd()}"
        raise FileNotFoundError(error.errno, f"expected a file, got nothing at {path}; {advice}") from error
    _check_mode(path, mode)


def open_regular(path: str | Path) -> IO[bytes]:
    """Open a regular file to read its bytes, without waiting for a pipe; errors as for `check_regular`."""
    check_regular(path)  # opening a device may have an effect
    descriptor = os.open(path, UNBLOCKED)
    try:
        _check_mode(path, os.fstat(descriptor).st_mode)
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def read_plain_text(
    path: str | Path,
    *,
    limit: int | None = None,
    encoding: str | None = None,
    errors: str = "strict",
    newline: str | None = None,
) -> str:
    """Read a text file.

    Args:
        path: the file.
        limit: maximum number of characters; no more of the file is read than they need.
        encoding: of the file; None for that of its byte-order mark (UTF-8, 16 or 32), else UTF-8. The mark itself is
            not part of the text.
        errors: what becomes of invalid bytes, as for Python's ``open``.
        newline: as for Python's ``open``; by default all line ends become ``"\\n"``.

    Raises:
        FileNotFoundError: there is no file.
        ValueError: it is no regular file, has another encoding, or is no text.
    """
    with open_regular(path) as file:
        return _decode(file, str(path), limit, encoding, errors, newline)


def decode(content: bytes, source: str, *, newline: str | None = None) -> str:
    """Decode the bytes of a text file; ``source`` names it in errors, which are those of `read_plain_text`."""
    return _decode(io.BytesIO(content), source, None, None, "strict", newline)


def _decode(
    file: IO[bytes], source: str, limit: int | None, encoding: str | None, errors: str, newline: str | None
) -> str:
    start = file.read(4)
    file.seek(0)
    if encoding is None:
        encoding = next((name for mark, name in MARKS.items() if start.startswith(mark)), "utf-8")
    try:
        reader = io.TextIOWrapper(file, encoding, errors, newline)
    except LookupError:
        raise ValueError(
            f"expected a known encoding, got {shorten(repr(encoding))}; see the standard encodings of Python"
        ) from None
    try:
        text = reader.read(-1 if limit is None else limit + 1)
    except UnicodeError as error:
        raise ValueError(
            f"{source}: expected {encoding.upper().removesuffix('-SIG')} text, got {error}; convert the file to UTF-8"
        ) from error
    finally:
        reader.detach()  # the caller closes the file
    text = text.removeprefix("\N{ZERO WIDTH NO-BREAK SPACE}")[:limit]
    if "\0" in text:
        raise ValueError(
            f"{source}: expected text, got a null character at position {text.index(chr(0))}; it is no text, or UTF-16 "
            "without a byte-order mark: convert the file to UTF-8"
        )
    return text


def _check_mode(path: str | Path, mode: int) -> None:
    if not stat.S_ISREG(mode):
        kind = KINDS.get(stat.S_IFMT(mode), "something else")
        raise ValueError(f"{shorten(path)}: expected a regular file, got {kind}")
