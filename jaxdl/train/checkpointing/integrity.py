"""Digests of files, and the differences between stored and expected leaves."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

from jaxdl.train.leaves import Form, abridge


class DamagedError(ValueError):
    """The stored bits are not the written ones, or a part is missing or unexpected."""


class UnreadableError(DamagedError):
    """The system cannot read a file, for now: its bits may be the written ones."""


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_same_forms(stored: Mapping[str, Form], expected: Mapping[str, Form], source: object) -> None:
    """Check that both have the same leaves, each with the same dtype and shape.

    Raises:
        ValueError: leaves are missing, unexpected or of another dtype or shape; each is named.

    >>> check_same_forms({"a": Form("float32", (2,))}, {"a": Form("int8", (2,)), "b": Form("int8", ())}, "weights")
    Traceback (most recent call last):
    ValueError: expected the leaves of the given state, got 2 that differ in weights; use the model that was saved:
      a: expected int8[2], got float32[2]
      b: expected int8[], got nothing
    """
    lines = [
        f"{name}: expected {expected.get(name, 'nothing')}, got {stored.get(name, 'nothing')}"
        for name in sorted(stored.keys() | expected.keys())
        if stored.get(name) != expected.get(name)
    ]
    if lines:
        shown = "".join(f"\n  {line}" for line in abridge(lines))
        raise ValueError(
            f"expected the leaves of the given state, got {len(lines)} that differ in {source}; "
            f"use the model that was saved:{shown}"
        )
