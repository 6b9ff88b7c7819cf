"""Pen strokes from pictures of lines: a picture is thinned to its skeleton, walked along, and cut to few points.

A drawing is a list of strokes, each its points ``[n, 2]`` as (x, y), in pixels from the upper left corner. For a
network it is written as one sequence ``[T, 3]`` of (dx, dy, pen): the way to the next point, and whether the pen draws
on it (Graves, 2013).
"""

import math
from functools import partial

import numpy as np

from jaxdl.typing import ArrayLike

AROUND = ((-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1))
"""From a pixel to its neighbours ``P2 .. P9``, clockwise from above, as (row, column)."""
BESIDE_FIRST = AROUND[::2] + AROUND[1::2]

Drawing = list[np.ndarray]
Pixel = tuple[int, int]


def drawings(images: ArrayLike, *, threshold: float = 0.5, tolerance: float = 1.0) -> list[Drawing]:
    """Draw the bright lines of pictures again, stroke by stroke.

    Args:
        images: brightness, ``[N, H, W]``; lines should be three pixels wide or more, else enlarge them first.
        threshold: what belongs to a line is brighter than this share of the picture's brightest pixel.
        tolerance: how far, in pixels, a line may come to lie from where it was when points are left out.

    Raises:
        ValueError: the images are not ``[N, H, W]`` or not finite, the threshold is not in [0, 1), or the tolerance is
            negative.

    >>> image = np.zeros((7, 9))
    >>> image[2:5, 1:8] = 1.0
    >>> drawings([image])
    [[array([[2., 3.],
           [5., 3.]])]]
    """
    images = np.asarray(images, np.float32)
    if images.ndim != 3:
        raise ValueError(f"expected images [N, H, W], got shape {list(images.shape)}")
    if not np.isfinite(images).all():
        raise ValueError(f"expected finite brightness; {np.sum(~np.isfinite(images))} pixels have none")
    if not 0 <= threshold < 1 or not tolerance >= 0:
        raise ValueError(f"expected a threshold in [0, 1) and a tolerance >= 0, got {threshold} and {tolerance}")
    thin = skeleton(images > threshold * images.max(axis=(1, 2), keepdims=True, initial=0))
    return [[simplify(walk, tolerance) for walk in trace(each)] for each in thin]


def skeleton(ink: ArrayLike) -> np.ndarray:
    """Thin lines ``[..., H, W]`` to a width of one pixel.

    With ``B`` of the neighbours ``P2 .. P9`` set, and ``A`` steps from unset to set on the way around, a pixel goes if
    ``2 <= B <= 6``, ``A = 1`` and, in turn until nothing goes::

        P2 P4 P6 = 0  and  P4 P6 P8 = 0
        P2 P4 P8 = 0  and  P2 P6 P8 = 0

    Source: Zhang and Suen, "A fast parallel algorithm for thinning digital patterns" (1984).
    """
    ink = np.asarray(ink, bool)
    ink = np.pad(ink, [(0, 0)] * (ink.ndim - 2) + [(1, 1)] * 2)
    before = None
    while before is None or not np.array_equal(ink, before):
        before = ink.copy()
        for first, second in (((0, 2, 4), (2, 4, 6)), ((0, 2, 6), (0, 4, 6))):
            P = np.stack([np.roll(ink, (-row, -column), (-2, -1)) for row, column in AROUND])
            B, A = P.sum(axis=0), np.sum(~P & np.roll(P, -1, axis=0), axis=0)
            ink &= ~((B >= 2) & (B <= 6) & (A == 1) & ~P[list(first)].all(axis=0) & ~P[list(second)].all(axis=0))
    return ink[..., 1:-1, 1:-1]


def trace(thin: ArrayLike) -> Drawing:
    """Walk along thin lines ``[H, W]`` and return the strokes, their points a pixel apart.

    The pen begins at the uppermost end of a line, goes on as straight ahead as it can, is lifted where nothing new is
    near, and begins again at the end of what is left that is nearest. A stroke that begins or ends beside a line that
    is drawn already is drawn on to it. Single pixels are left out.
    """
    left = {(int(row), int(column)) for row, column in np.argwhere(thin)}
    ends = {place for place in left if _ends(place, left)}
    drawn: set[Pixel] = set()
    drawing, pen = [], None
    while left:
        walk = _walk(_start(ends or left, pen), left)
        begin = _near(walk[0], drawn)[:1]
        drawn.update(walk)
        ends.difference_update(walk)
        ends.update(place for passed in walk for place in _near(passed, left) if _ends(place, left))
        if len(walk) > 1:
            end = [place for place in _near(walk[-1], drawn) if place not in walk[-3:]][:1]
            drawing.append(np.array([*begin, *walk, *end], np.float64)[:, ::-1])
            pen = walk[-1]
    return drawing


def simplify(points: ArrayLike, tolerance: float) -> np.ndarray:
    """Leave out points ``[n, 2]`` of a line as long as none is further than ``tolerance`` from what is left.

    The point that is furthest from the line between first and last parts it in two, until none is far.

    Source: Ramer (1972); Douglas and Peucker (1973).

    Raises:
        ValueError: the tolerance is negative or not a number.

    >>> simplify([[0, 0], [1, 0.1], [2, 0], [3, 5]], 0.5).tolist()
    [[0.0, 0.0], [2.0, 0.0], [3.0, 5.0]]
    """
    points = np.asarray(points, np.float64)
    if not tolerance >= 0:
        raise ValueError(f"expected a tolerance >= 0, got {tolerance}")
    kept, parts = {0, len(points) - 1}, [(0, len(points) - 1)]
    while parts:
        first, last = parts.pop()
        if last - first < 2:
            continue
        along, between = points[last] - points[first], points[first + 1 : last] - points[first]
        share = np.clip(between @ along / max(along @ along, 1e-12), 0, 1)
        distance = np.linalg.norm(between - share[:, None] * along, axis=1)
        if distance.max() > tolerance:
            far = first + 1 + int(np.argmax(distance))
            kept.add(far)
            parts += [(first, far), (far, last)]
    return points[sorted(kept)] if len(points) else points


def to_sequence(drawing: Drawing, size: float = 1.0) -> np.ndarray:
    """Write strokes as ``[T, 3]``: (dx, dy) from point to point, and 1 where the pen draws, 0 where it is lifted.

    The first way is from the origin to the first point. ``size`` is the unit of length, such as the image's edge.

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


def _check_size(size: float) -> None:
    if not 0 < size < math.inf:
        raise ValueError(f"expected a unit of length size > 0, got {size}")


def _near(place: Pixel, others: set[Pixel]) -> list[Pixel]:
    """List the neighbours of a pixel that are among others, those beside it before those at its corners."""
    around = ((place[0] + row, place[1] + column) for row, column in BESIDE_FIRST)
    return [neighbour for neighbour in around if neighbour in others]


def _ends(place: Pixel, left: set[Pixel]) -> bool:
    """Say whether a line of what is left ends at a pixel: it has one neighbour, or none."""
    return len(_near(place, left)) < 2


def _start(places: set[Pixel], pen: Pixel | None) -> Pixel:
    """Choose the uppermost of some pixels, later the nearest to the pen."""
    return min(places) if pen is None else min(places, key=lambda place: (math.dist(place, pen), place))


def _ahead(before: Pixel, now: Pixel, after: Pixel) -> float:
    """Measure how far a step goes in the direction of the way so far."""
    (row, column), (down, right) = (now[0] - before[0], now[1] - before[1]), (after[0] - now[0], after[1] - now[1])
    return (row * down + column * right) / math.hypot(down, right)


def _walk(place: Pixel, left: set[Pixel]) -> list[Pixel]:
    """Go on as long as a new pixel is near, in the direction of the last few steps if possible, and take them away."""
    walk = [place]
    left.discard(place)
    while neighbours := _near(place, left):
        before = walk[max(len(walk) - 4, 0)]
        place = max(neighbours, key=partial(_ahead, before, place))
        walk.append(place)
        left.discard(place)
    return walk
