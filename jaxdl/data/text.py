"""Text: where it comes from, and how it is cut into words and into streams that a recurrent network reads."""

import os
import re
import sysconfig
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from jaxdl.data.files.download import Remote, download, find, folders

TINY_SHAKESPEARE = Remote(
    "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt",
    "sha256:86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
)
NOT_PROSE = frozenset({"test", "tests", "idle_test", "encodings", "pydoc_data", "site-packages", "dist-packages"})
"""Folders of the standard library that are left out: tests, and tables and texts that a program wrote."""
WORD = re.compile(r"\w+(?:'\w+)*|[^\w\s]")
WORD_OR_LINE_END = re.compile(WORD.pattern + r"|\n")


def read_text(path: str | Path, pattern: str = "**/*.txt", *, limit: int | None = None) -> str:
    """Read a file, or all files of a folder that fit the pattern, in the order of their paths.

    Args:
        path: UTF-8 text; what is no UTF-8 becomes the replacement character. Line ends become ``"\\n"``.
        pattern: of the files in a folder, ``"**"`` for any depth.
        limit: most characters. The folder's files are read until it is reached.

    Raises:
        FileNotFoundError: there is no such path, or no file fits.
        ValueError: the files are empty, or the limit is not positive.
    """
    path = Path(path).expanduser()
    if not path.exists():
        raise FileNotFoundError(f"no file or folder {path}: expected text to read")
    paths = [path] if path.is_file() else _below(path, filter(Path.is_file, path.glob(pattern)))
    if not paths:
        raise FileNotFoundError(f"{path} has no files {pattern}: expected text to read")
    return _join(paths, str(path), limit)


def python_source(limit: int | None = 1_000_000) -> str:
    """Read the sources of Python's own standard library, which are on every machine, in the order of their paths.

    The text depends on the version of Python. Tests, tables of encodings and installed packages are left out.

    Args:
        limit: most characters; None for all, some 15 million.

    Raises:
        FileNotFoundError: this Python came without its sources.

    >>> python_source(limit=100).count(chr(10)) > 0
    True
    """
    root = Path(sysconfig.get_path("stdlib"))
    found = []
    for folder, inside, files in os.walk(root):
        inside[:] = [name for name in inside if name not in NOT_PROSE]  # they are not entered
        found += [Path(folder, name) for name in files if name.endswith(".py")]
    paths = _below(root, found)
    if not paths:
        raise FileNotFoundError(f"no Python sources in {root}: name a file or a folder with text instead")
    return _join(paths, str(root), limit)


def tiny_shakespeare(data_dir: str | Path | None = None) -> str:
    """Read 40,000 lines of Shakespeare's plays (Karpathy, 2015), 1,115,394 characters.

    ``input.txt`` or ``tinyshakespeare.txt`` is looked for as ``files.folders`` says, and downloaded if it is not there.
    """
    places = folders("tiny_shakespeare", data_dir)
    path = find(places, "input.txt", "tinyshakespeare.txt")
    if path is None:
        (path,) = download("Tiny Shakespeare", [TINY_SHAKESPEARE], places[0], "input.txt")
    return read_text(path)


def split_text(text: str | Sequence[str], held_out: float = 0.1) -> tuple:
    """Cut a text, or its tokens, in two: ``(beginning, end)``, the end being the share ``held_out``.

    Raises:
        ValueError: one part would be empty.

    >>> split_text("abcdefghij", 0.2)
    ('abcdefgh', 'ij')
    """
    cut = len(text) - round(held_out * len(text))
    if not 0 < cut < len(text):
        raise ValueError(f"held_out must leave text on both sides, got {held_out} of {len(text)} tokens")
    return text[:cut], text[cut:]


def words(text: str, *, lines: bool = False) -> list[str]:
    """Cut a text into words, and marks of a single character each; with ``lines``, line ends are tokens too.

    >>> words("Don't panic, 42.")
    ["Don't", 'panic', ',', '42', '.']
    """
    return (WORD_OR_LINE_END if lines else WORD).findall(text)


def streams(tokens: np.ndarray, count: int) -> dict[str, np.ndarray]:
    """Cut a text into ``count`` equal streams, of which every token but the first of all is to be predicted once.

    The streams of the ``N`` tokens ``x_0 .. x_(N-1)`` are of the length ``S = ceil((N - 1) / count)``: ``"token"`` at
    ``[b, t]`` is ``x_(b S + t)``, ``"target"`` the one after it. The last streams are filled up with zeros where
    ``"mask"`` is 0. All are ``[count, S]``.

    Raises:
        ValueError: there are fewer than two tokens for a stream.

    >>> {name: array.tolist() for name, array in streams(np.arange(6), 2).items()}
    {'token': [[0, 1, 2], [3, 4, 0]], 'target': [[1, 2, 3], [4, 5, 0]], 'mask': [[1.0, 1.0, 1.0], [1.0, 1.0, 0.0]]}
    """
    tokens = _check(tokens, count)
    length = -(-(len(tokens) - 1) // count)
    padded = np.zeros(count * length + 1, np.int32)
    padded[: len(tokens)] = tokens
    counts = np.arange(count * length) < len(tokens) - 1
    token, target = np.where(counts, padded[:-1], 0), padded[1:]
    arrays = {"token": token, "target": target, "mask": counts.astype(np.float32)}
    return {name: np.ascontiguousarray(array).reshape(count, length) for name, array in arrays.items()}


def windows(
    tokens: np.ndarray, batch_size: int, length: int, *, restart_probability: float = 0.0, seed: int = 0
) -> dict[str, np.ndarray]:
    """Cut a text into parallel streams and these into windows, for training that carries the state along.

    The rows are such that ``Loader(windows(tokens, B, T), B, shuffle=False)`` gives as its batch ``s`` the window
    ``s`` of each of ``B`` streams: row ``b`` of a batch goes on where row ``b`` of the batch before it ended.
    ``"start"`` is 1 in the first window of a stream, where nothing has been read before. With ``S`` whole windows in a
    stream, the arrays are ``"token"`` and ``"target"`` ``[S B, T]`` int32 and ``"start"`` ``[S B]`` float32. What fills
    no window at the end of a stream is left out.

    With ``restart_probability`` other windows are marked as starts too, each by chance. A network that has only ever
    gone on hardly knows the state of zeros in which every text begins, and may never find out of it.

    Raises:
        ValueError: the text is too short for a window of every stream.

    >>> windows(np.arange(9), 2, 2)["token"].tolist()
    [[0, 1], [4, 5], [2, 3], [6, 7]]
    """
    tokens = _check(tokens, batch_size)
    if length < 1:
        raise ValueError(f"length is the number of tokens in a window and must be at least 1, got {length}")
    stream = (len(tokens) - 1) // batch_size
    count = stream // length
    if count == 0:
        raise ValueError(
            f"{len(tokens)} tokens in {batch_size} streams are {stream} for each, fewer than a window of {length}: "
            "give more text, fewer streams or a shorter window"
        )
    begin = np.arange(batch_size) * stream
    places = begin[None, :, None] + np.arange(count * length).reshape(count, 1, length)
    if not 0 <= restart_probability <= 1:
        raise ValueError(f"restart_probability must lie in [0, 1], got {restart_probability}")
    raw = np.random.Philox(key=np.array([seed, 0], np.uint64)).random_raw(count * batch_size)
    start = (raw.reshape(count, batch_size) / 2.0**64 < restart_probability).astype(np.float32)
    start[0] = 1
    arrays = {"token": tokens[places], "target": tokens[places + 1]}
    return {**{name: each.reshape(-1, length) for name, each in arrays.items()}, "start": start.reshape(-1)}


def _check(tokens: np.ndarray, count: int) -> np.ndarray:
    tokens = np.asarray(tokens)
    if tokens.ndim != 1 or not np.issubdtype(tokens.dtype, np.integer):
        raise ValueError(f"expected the numbers of tokens [N], integers; got {tokens.dtype} {list(tokens.shape)}")
    if count < 1 or len(tokens) - 1 < count:
        raise ValueError(f"{len(tokens)} tokens do not make {count} streams: each needs a token and one to predict")
    return tokens.astype(np.int32)


def _below(root: Path, paths: Iterable[Path]) -> list[Path]:
    """Sort files by their path below a folder, which no machine's language changes."""
    return sorted(paths, key=lambda path: path.relative_to(root).as_posix())


def _join(paths: Sequence[Path], source: str, limit: int | None) -> str:
    """Read files one after the other, each to end with a line end, until the limit is reached."""
    if limit is not None and limit < 1:
        raise ValueError(f"limit is the number of characters to read and must be at least 1, got {limit}")
    parts, size = [], 0
    for path in paths:
        part = path.read_text(encoding="utf-8", errors="replace")
        if len(paths) > 1 and part and not part.endswith("\n"):
            part += "\n"
        parts.append(part)
        size += len(part)
        if limit is not None and size >= limit:
            break
    text = "".join(parts)[:limit]
    if not text:
        raise ValueError(f"{source} is empty: expected text to read")
    return text
