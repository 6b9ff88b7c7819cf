"""Checks that readers of annotations share; an error names the file and the entry."""

from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from jaxdl.data.files.opening import shorten

MAX_PIXELS = 1 << 26
TOLERANCE = 1.0
"""Pixels by which a box or polygon may exceed its picture, by the rounding of annotation tools."""


def invalid(path: Path, entry: str, expected: str, got: object) -> ValueError:
    """Make the error for an entry of a file of annotations."""
    return ValueError(f"{path}: {entry}: expected {expected}, got {shorten(got)}")


def check_size(path: Path, entry: str, height: Any, width: Any) -> tuple[int, int]:
    """Check the size of a picture and return it.

    Raises:
        ValueError: a side is not a positive integer, or there are too many pixels.
    """
    for value in (height, width):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise invalid(path, entry, "height and width of at least 1", (height, width))
    if height * width > MAX_PIXELS:
        raise invalid(path, entry, f"at most {MAX_PIXELS} pixels", (height, width))
    return height, width


def check_box(path: Path, entry: str, box: Sequence[Any], size: tuple[int, int]) -> list[float] | None:
    """Check a box ``[x1, y1, x2, y2]`` and clip what exceeds its picture by less than a pixel.

    Returns:
        None for a box without area, of which data sets have some.

    Raises:
        ValueError: it has other than four finite numbers, a negative width or height, or leaves the picture.
    """
    if len(box) != 4 or not all(is_finite(value) for value in box):
        raise invalid(path, entry, "a box of four finite numbers", box)
    x1, y1, x2, y2 = map(float, box)
    if x2 < x1 or y2 < y1:
        raise invalid(path, entry, "a box of positive width and height", [x1, y1, x2, y2])
    height, width = size
    if min(x1, y1) < -TOLERANCE or x2 > width + TOLERANCE or y2 > height + TOLERANCE:
        raise invalid(path, entry, f"a box inside of the picture of {height} x {width} pixels", [x1, y1, x2, y2])
    clipped = [max(x1, 0.0), max(y1, 0.0), min(x2, float(width)), min(y2, float(height))]
    return clipped if clipped[0] < clipped[2] and clipped[1] < clipped[3] else None


def check_name(path: Path, entry: str, name: Any) -> str:
    """Check that the name of an image stays inside of the folder of images.

    Raises:
        ValueError: it is empty, absolute, or leads out of the folder.
    """
    parts = PurePosixPath(name.replace("\\", "/")).parts if isinstance(name, str) else ()
    if not parts or "\0" in name or ".." in parts or parts[0] == "/" or ":" in parts[0]:
        raise invalid(path, entry, "the name of a file inside of the folder of images", name)
    return name


def is_finite(value: Any) -> bool:
    """Return whether a value is a finite number, and no Boolean.

    >>> is_finite(2), is_finite(float("nan")), is_finite("2")
    (True, False, False)
    """
    return isinstance(value, int | float) and not isinstance(value, bool) and -1e300 < value < 1e300
