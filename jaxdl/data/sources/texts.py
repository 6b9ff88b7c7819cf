"""Plain texts: files and folders, the sources of Python's standard library, and Tiny Shakespeare."""

import os
import sysconfig
from collections.abc import Iterable, Sequence
from pathlib import Path

from jaxdl.checks import check_positive_integer
from jaxdl.data.files.downloads import Remote, download, find, folders
from jaxdl.data.files.opening import read_plain_text

TINY_SHAKESPEARE = Remote(
    "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt",
    "sha256:86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
)
SKIPPED_FOLDERS = frozenset({"test", "tests", "idle_test", "encodings", "pydoc_data", "site-packages", "dist-packages"})
"""Folders of the standard library that are left out: tests, generated tables and texts, and installed packages."""


def read_text(
    path: str | Path,
    pattern: str = "**/*.txt",
    *,
    limit: int | None = None,
    encoding: str | None = None,
    errors: str = "strict",
) -> str:
    """Read a file, or all files of a folder that match the pattern, sorted by path.

    Args:
        path: file or folder of text. Line ends become ``"\\n"``.
        pattern: glob pattern of the files in a folder, ``"**"`` for any depth.
        limit: maximum number of characters. No more is read than they need.
        encoding: of the files; None for that of a file's byte-order mark (UTF-8, 16 or 32), else UTF-8.
        errors: ``"strict"``, or ``"replace"`` to turn invalid bytes into the replacement character.

    Raises:
        FileNotFoundError: the path does not exist, or no file matches.
        ValueError: the files are empty, have another encoding or are no text, or the limit is not positive.
    """
    path = Path(path).expanduser()
    if not path.exists():
        raise FileNotFoundError(f"expected a file or folder of text, got {path}, which does not exist")
    paths = _sorted_below(path, filter(Path.is_file, path.glob(pattern))) if path.is_dir() else [path]
    if not paths:
        raise FileNotFoundError(f"expected text files {pattern} in {path}, got none")
    return _join(paths, str(path), limit, encoding, errors)


def python_source(limit: int | None = 1_000_000) -> str:
    """Read the sources of Python's standard library, available on every machine, sorted by path.

    The text depends on the version of Python. Tests, encoding tables and installed packages are left out.

    Args:
        limit: maximum number of characters; None for all, about 15 million.

    Raises:
        FileNotFoundError: this Python is installed without its sources.

    >>> python_source(limit=100).count(chr(10)) > 0
    True
    """
    root = Path(sysconfig.get_path("stdlib"))
    found = []
    for folder, subfolders, files in os.walk(root):
        subfolders[:] = [name for name in subfolders if name not in SKIPPED_FOLDERS]  # os.walk then skips them
        found += [Path(folder, name) for name in files if name.endswith(".py")]
    paths = _sorted_below(root, found)
    if not paths:
        raise FileNotFoundError(f"expected Python sources in {root}, got none; give a file or a folder of text instead")
    return _join(paths, str(root), limit, "utf-8", "replace")


def tiny_shakespeare(data_dir: str | Path | None = None) -> str:
    """Read 40,000 lines of Shakespeare's plays (Karpathy, 2015), 1,115,394 characters.

    ``input.txt`` or ``tinyshakespeare.txt`` is read from the data folder (see `jaxdl.data.files.downloads.folders`), or
    downloaded.
    """
    places = folders("tiny_shakespeare", data_dir)
    path = find(places, "input.txt", "tinyshakespeare.txt")
    if path is None:
        (path,) = download("Tiny Shakespeare", [TINY_SHAKESPEARE], places[0], "input.txt")
    return read_text(path)


def _sorted_below(root: Path, paths: Iterable[Path]) -> list[Path]:
    """Sort files by their POSIX path relative to a folder, in the same order on every system."""
    return sorted(paths, key=lambda path: path.relative_to(root).as_posix())


def _join(paths: Sequence[Path], source: str, limit: int | None, encoding: str | None, errors: str) -> str:
    """Concatenate files, each terminated by a newline, until the limit is reached."""
    if limit is not None:
        check_positive_integer("limit", limit)
    parts, size = [], 0
    for path in paths:
        rest = None if limit is None else limit - size
        part = read_plain_text(path, limit=rest, encoding=encoding, errors=errors)
        if len(paths) > 1 and part and not part.endswith("\n"):
            part += "\n"
        parts.append(part)
        size += len(part)
        if limit is not None and size >= limit:
            break
    text = "".join(parts)[:limit]
    if not text:
        raise ValueError(f"expected text in {source}, got empty files")
    return text
