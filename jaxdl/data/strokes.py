"""Pen strokes from images of lines: thinning to a skeleton, tracing, and simplification to few points.

A drawing is a list of strokes, arrays of points ``[n, 2]`` as (x, y), in pixels from the upper left corner. A network
reads it as one sequence ``[T, 3]`` of (dx, dy, pen): the offset to the next point, and whether the pen is down on the
way (Graves, 2013).
"""

import math
from collections.abc import Sequence
from functools import partial

import numpy as np

from jaxdl.typing import ArrayLike

NEIGHBOURS = ((-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1))
"""Offsets from a pixel to its neighbours ``P2 .. P9``, clockwise from above, as (row, column)."""
EDGES_FIRST = NEIGHBOURS[::2] + NEIGHBOURS[1::2]
"""The neighbours across an edge, then those across a corner."""

Drawing = list[np.ndarray]
Pixel = tuple[int, int]


def trace_images(
    images: ArrayLike | Sequence[ArrayLike], *, threshold: float = 0.5, tolerance: float = 1.0
) -> list[Drawing]:
    """Trace the bright lines of images as drawings, stroke by stroke.

    Args:
        images: brightness, ``[N, H, W]``; lines should be at least three pixels wide, else enlarge the images first.
        threshold: fraction of the maximum brightness of an image above which a pixel belongs to a line.
        tolerance: maximum distance, in pixels, of a point from the simplified line; see `simplify`.

    Raises:
        ValueError: the images are not ``[N, H, W]`` or not finite, the threshold is not in [0, 1), or the tolerance is
            negative.

    >>> image = np.zeros((7, 9))
    >>> image[2:5, 1:8] = 1.0
    >>> trace_images([image])
    [[array([[2., 3.],
           [5., 3.]])]]
    """
    images = np.asarray(images, np.float32)
    if images.ndim != 3:
        raise ValueError(f"expected images [N, H, W], got shape {list(images.shape)}")
    if not np.isfinite(images).all():
        raise ValueError(f"expected finite brightness, got {np.sum(~np.isfinite(images))} pixels that are not")
    if not 0 <= threshold < 1 or not tolerance >= 0:
        raise ValueError(f"expected threshold in [0, 1) and tolerance >= 0, got {threshold} and {tolerance}")
    thin = skeleton(images > threshold * images.max(axis=(1, 2), keepdims=True, initial=0))
    return [[simplify(stroke, tolerance) for stroke in trace(each)] for each in thin]


def skeleton(ink: ArrayLike) -> np.ndarray:
    """Thin lines ``[..., H, W]`` to a width of one pixel.

    With ``B`` of the neighbours ``P2 .. P9`` set, and ``A`` transitions from unset to set in a turn around the pixel, a
    pixel is removed if ``2 <= B <= 6``, ``A = 1`` and, alternating until nothing changes::

        P2 P4 P6 = 0  and  P4 P6 P8 = 0
        P2 P4 P8 = 0  and  P2 P6 P8 = 0

    Source: Zhang and Suen, "A fast parallel algorithm for thinning digital patterns" (1984).
    """
    image = np.asarray(ink, bool)
    thin = np.pad(image, [(0, 0)] * (image.ndim - 2) + [(1, 1)] * 2)
    before = None
    while before is None or not np.array_equal(thin, before):
        before = thin.copy()
        for first, second in (((0, 2, 4), (2, 4, 6)), ((0, 2, 6), (0, 4, 6))):
            P = np.stack([np.roll(thin, (-row, -column), (-2, -1)) for row, column in NEIGHBOURS])
            B, A = P.sum(axis=0), np.sum(~P & np.roll(P, -1, axis=0), axis=0)
            thin &= ~((B >= 2) & (B <= 6) & (A == 1) & ~P[list(first)].all(axis=0) & ~P[list(second)].all(axis=0))
    return thin[..., 1:-1, 1:-1]


def trace(thin: ArrayLike) -> Drawing:
    """Trace thin lines ``[H, W]`` as strokes whose points are one pixel apart.

    The pen starts at the uppermost end of a line and moves as straight ahead as possible. Where no new pixel is near,
    it is lifted, and continues at the nearest end of the remaining lines. A stroke that starts or ends beside a drawn
    line is extended to it. Single pixels are left out.
    """
    remaining = {(int(row), int(column)) for row, column in np.argwhere(np.asarray(thin))}
    ends = {pixel for pixel in remaining if _is_end(pixel, remaining)}
    drawn: set[Pixel] = set()
    drawing, pen = [], None
    while remaining:
        path = _follow(_choose_start(ends or remaining, pen), remaining)
        before = _neighbours(path[0], drawn)[:1]
        drawn.update(path)
        ends.difference_update(path)
        ends.update(near for pixel in path for near in _neighbours(pixel, remaining) if _is_end(near, remaining))
        if len(path) > 1:
            after = [pixel for pixel in _neighbours(path[-1], drawn) if pixel not in path[-3:]][:1]
            drawing.append(np.array([*before, *path, *after], np.float64)[:, ::-1])
            pen = path[-1]
    return drawing


def simplify(points: ArrayLike, tolerance: float) -> np.ndarray:
    """Remove points ``[n, 2]`` of a line that lie within ``tolerance`` of the simplified line.

    The point furthest from the segment between the first and the last point splits the line in two, recursively, until
    no point is further away than the tolerance.

    Source: Ramer (1972); Douglas and Peucker (1973).

    Raises:
        ValueError: the tolerance is negative or not a number.

    >>> simplify([[0, 0], [1, 0.1], [2, 0], [3, 5]], 0.5).tolist()
    [[0.0, 0.0], [2.0, 0.0], [3.0, 5.0]]
    """
    points = np.asarray(points, np.float64)
    if not tolerance >= 0:
        raise ValueError(f"expected tolerance >= 0, got {tolerance}")
    kept, parts = {0, len(points) - 1}, [(0, len(points) - 1)]
    while parts:
        first, last = parts.pop()
        if last - first < 2:
            continue
        along, between = points[last] - points[first], points[first + 1 : last] - points[first]
        fraction = np.clip(between @ along / max(along @ along, 1e-12), 0, 1)
        distance = np.linalg.norm(between - fraction[:, None] * along, axis=1)
        if distance.max() > tolerance:
            furthest = first + 1 + int(np.argmax(distance))
            kept.add(furthest)
            parts += [(first, furthest), (furthest, last)]
    return points[sorted(kept)] if len(points) else points


def to_sequence(drawing: Drawing, size: float = 1.0) -> np.ndarray:
    """Convert strokes to ``[T, 3]``: offsets (dx, dy) from point to point, and 1 if the pen is down, 0 if it is up.

    The first offset is from the origin to the first point. ``size`` is the unit of length, such as the image's edge.

    Raises:
        ValueError: the size is not positive and finite.

    >>> to_sequence([np.array([[1.0, 1.0], [1.0, 3.0]]), np.array([[0.0, 2.0], [2.0, 2.0]])]).tolist()
    [[1.0, 1.0, 0.0], [0.0, 2.0, 1.0], [-1.0, -1.0, 0.0], [2.0, 0.0, 1.0]]
    """
    _check_size(size)
    if not drawing:
        return np.zeros((0, 3), np.float32)
    points = np.concatenate(drawing)
    pen = np.concatenate([np.arange(len(stroke)) > 0 for stroke in drawing])
    return np.column_stack([np.diff(points, axis=0, prepend=0.0) / size, pen]).astype(np.float32)


def from_sequence(sequence: ArrayLike, size: float = 1.0) -> Drawing:
    """Return the strokes of a sequence ``[T, 3]``, the inverse of `to_sequence`.

    Raises:
        ValueError: the sequence is not ``[T, 3]``, or the size is not positive and finite.

    >>> [stroke.tolist() for stroke in from_sequence([[1, 1, 0], [0, 2, 1], [-1, -1, 0], [2, 0, 1]])]
    [[[1.0, 1.0], [1.0, 3.0]], [[0.0, 2.0], [2.0, 2.0]]]
    """
    _check_size(size)
    sequence = np.asarray(sequence, np.float64)
    if sequence.ndim != 2 or sequence.shape[1] != 3:
        raise ValueError(f"expected a sequence [T, 3] of (dx, dy, pen), got shape {list(sequence.shape)}")
    points = np.cumsum(sequence[:, :2], axis=0) * size
    return np.split(points, np.flatnonzero(sequence[1:, 2] == 0) + 1) if len(points) else []


def bag_of_segments(sequence: ArrayLike, *, directions: int = 8) -> np.ndarray:
    """Describe a sequence ``[T, 3]`` without the order of its segments, for a linear classifier.

    Returns:
        ``[2 directions + 5]``: the lengths in each direction with the pen up, those with the pen down, the number of
        segments with the pen up, and the least and the largest x and y of the points.

    Raises:
        ValueError: the sequence is not ``[T, 3]`` with ``T >= 1``.

    >>> bag_of_segments([[2.0, 0.0, 1.0], [0.0, 1.0, 0.0]], directions=4).tolist()
    [0.0, 1.0, 0.0, 0.0, 2.0, 0.0, 0.0, 0.0, 1.0, 2.0, 0.0, 2.0, 1.0]
    """
    sequence = np.asarray(sequence)
    if sequence.ndim != 2 or sequence.shape[1] != 3 or not len(sequence):
        raise ValueError(f"expected a sequence [T, 3] with T >= 1, got shape {list(sequence.shape)}")
    length, angle = np.hypot(*sequence[:, :2].T), np.arctan2(*sequence[:, 1::-1].T)
    direction = np.round(angle / (2 * np.pi) * directions).astype(int) % directions
    lengths = [np.bincount(direction, length * (sequence[:, 2] == pen), directions) for pen in (0, 1)]
    places = np.cumsum(sequence[:, :2], axis=0)
    return np.concatenate([*lengths, [np.sum(sequence[:, 2] == 0)], places.min(axis=0), places.max(axis=0)])


def _check_size(size: float) -> None:
    if not 0 < size < math.inf:
        raise ValueError(f"expected size to be positive and finite, got {size}")


def _neighbours(pixel: Pixel, others: set[Pixel]) -> list[Pixel]:
    """List the neighbours of a pixel that are among others, those across an edge before those across a corner."""
    around = ((pixel[0] + row, pixel[1] + column) for row, column in EDGES_FIRST)
    return [neighbour for neighbour in around if neighbour in others]


def _is_end(pixel: Pixel, remaining: set[Pixel]) -> bool:
    """Test whether a remaining line ends at a pixel: it has at most one neighbour."""
    return len(_neighbours(pixel, remaining)) < 2


def _choose_start(pixels: set[Pixel], pen: Pixel | None) -> Pixel:
    """Choose the uppermost pixel for the first stroke, for later ones the nearest to the pen."""
    return min(pixels) if pen is None else min(pixels, key=lambda pixel: (math.dist(pixel, pen), pixel))


def _straightness(before: Pixel, now: Pixel, after: Pixel) -> float:
    """Project the step to the next pixel onto the direction so far."""
    (row, column), (down, right) = (now[0] - before[0], now[1] - before[1]), (after[0] - now[0], after[1] - now[1])
    return (row * down + column * right) / math.hypot(down, right)


def _follow(pixel: Pixel, remaining: set[Pixel]) -> list[Pixel]:
    """Follow a line while a new pixel is near, in the direction of the last few steps, and remove its pixels."""
    path = [pixel]
    remaining.discard(pixel)
    while neighbours := _neighbours(pixel, remaining):
        before = path[max(len(path) - 4, 0)]
        pixel = max(neighbours, key=partial(_straightness, before, pixel))
        path.append(pixel)
        remaining.discard(pixel)
    return path
