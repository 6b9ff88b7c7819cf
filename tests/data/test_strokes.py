"""Strokes: thinning against a loop, tracing without gaps, simplification within the tolerance, and the inverse."""

import math
import re
from itertools import pairwise

import numpy as np
import pytest

from jaxdl.data import strokes


def image_of(text):
    return np.array([[letter == "#" for letter in line] for line in text.split()])


def thin_by_loop(ink):
    """Run the algorithm of Zhang and Suen pixel by pixel."""
    ink = {tuple(place) for place in np.argwhere(ink).tolist()}
    gone = True
    while gone:
        gone = False
        for turn in (1, 2):
            remove = set()
            for r, c in ink:
                around = [(-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1)]
                p2, p3, p4, p5, p6, p7, p8, p9 = P = [(r + i, c + j) in ink for i, j in around]
                steps = sum(not a and b for a, b in zip(P, [*P[1:], p2], strict=True))
                open_ = not (p2 and p4 and p6) and not (p4 and p6 and p8)
                if turn == 2:
                    open_ = not (p2 and p4 and p8) and not (p2 and p6 and p8)
                if 2 <= sum(P) <= 6 and steps == 1 and open_:
                    remove.add((r, c))
            ink, gone = ink - remove, gone or bool(remove)
    return ink


def test_skeleton_agrees_with_a_loop():
    random = np.random.default_rng(0)
    noise = np.stack([random.random((9, 12)) < share for share in (0.3, 0.6, 0.9)])
    thin = strokes.skeleton(noise[None])[0]
    for image, found in zip(noise, thin, strict=True):
        assert {tuple(place) for place in np.argwhere(found).tolist()} == thin_by_loop(image)
    np.testing.assert_array_equal(strokes.skeleton(noise[1]), thin[1])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("#... .#.. ..##", [[(0, 0), (1, 1), (2, 2), (3, 2)]]),
        ("#### ...# ...#", [[(0, 0), (1, 0), (2, 0), (3, 0), (3, 1), (3, 2)]]),
        (".#. #.# .#.", [[(1, 0), (2, 1), (1, 2), (0, 1), (1, 0)]]),  # closed
        # Straight over the crossing, then the two arms from it.
        (
            "..#.. ..#.. ##### ..#.. ..#..",
            [[(2, y) for y in range(5)], [(2, 2), (1, 2), (0, 2)], [(2, 2), (3, 2), (4, 2)]],
        ),
        ("##.. .... ...# ...#", [[(0, 0), (1, 0)], [(3, 2), (3, 3)]]),
        ("#.. ... ..#", []),
    ],
)
def test_trace_agrees_with_drawings_by_hand(text, expected):
    drawing = strokes.trace(image_of(text))
    assert [[tuple(point) for point in stroke.astype(int).tolist()] for stroke in drawing] == expected


def test_trace_covers_every_pixel_without_gaps():
    thin = strokes.skeleton(np.random.default_rng(1).random((20, 24)) < 0.7)
    drawing = strokes.trace(thin)
    assert len(drawing) > 1
    for stroke in drawing:
        assert np.abs(np.diff(stroke, axis=0)).max() == 1
    drawn = {tuple(point) for stroke in drawing for point in stroke.astype(int).tolist()}
    missed = {(x, y) for y, x in np.argwhere(thin).tolist()} - drawn
    assert drawn <= {(x, y) for y, x in np.argwhere(thin).tolist()}
    assert all(max(abs(x - i), abs(y - j)) > 1 for x, y in missed for i, j in missed - {(x, y)})  # single pixels


def test_simplify_keeps_every_point_within_the_tolerance():
    points = np.cumsum(np.random.default_rng(2).normal(size=(60, 2)), axis=0)
    kept = strokes.simplify(points, 1.5)
    assert 2 < len(kept) < 60
    places = [int(np.flatnonzero((points == point).all(axis=1))[0]) for point in kept]
    assert places == sorted(places)
    assert (places[0], places[-1]) == (0, 59)
    for first, last in pairwise(places):
        line = points[first] + np.linspace(0, 1, 2001)[:, None] * (points[last] - points[first])
        between = points[first : last + 1]
        assert np.linalg.norm(between[:, None] - line[None], axis=-1).min(axis=1).max() <= 1.5 + 1e-3
    np.testing.assert_array_equal(strokes.simplify(points, 0.0), points)


def test_simplify_handles_deep_recursion_and_tiny_distances():
    places = np.arange(2000)
    zigzag = np.stack([places, (-1.0) ** places * places], axis=1)  # each split separates a single point
    np.testing.assert_array_equal(strokes.simplify(zigzag, 0.5), zigzag)
    cluster = np.array([[0.0, 0.0], [1e-9, 0.0], [3e-9, 0.0], [5e-9, 0.0]])
    for tolerance in (1e-8, 0.0):
        np.testing.assert_array_equal(strokes.simplify(cluster, tolerance)[[0, -1]], cluster[[0, -1]])


def test_tracing_takes_time_linear_in_the_number_of_pixels(monkeypatch):
    thin = np.zeros((40, 40), bool)
    thin[::2, ::4] = thin[::2, 1::4] = True  # dashes
    calls, neighbours = [], strokes._neighbours
    monkeypatch.setattr(strokes, "_neighbours", lambda *args: calls.append(1) or neighbours(*args))
    assert len(strokes.trace(thin)) == 200
    assert len(calls) < 6 * 400


def test_from_sequence_inverts_to_sequence():
    random = np.random.default_rng(3)
    drawing = [random.uniform(0, 9, (n, 2)) for n in (3, 2, 7)]
    sequence = strokes.to_sequence(drawing, 4.0)
    assert sequence.shape == (12, 3)
    assert np.flatnonzero(sequence[:, 2] == 0).tolist() == [0, 3, 5]
    for stroke, again in zip(drawing, strokes.from_sequence(sequence, 4.0), strict=True):
        np.testing.assert_allclose(again, stroke, atol=1e-5)


def test_a_dark_image_has_no_strokes():
    assert strokes.trace_images(np.zeros((1, 5, 5))) == [[]]
    assert strokes.to_sequence([]).shape == (0, 3)
    assert strokes.from_sequence(np.zeros((0, 3))) == []


@pytest.mark.parametrize(
    ("shape", "options", "got"),
    [
        ((5, 5), {}, r"shape \[5, 5\]"),
        ((1, 5, 5), {"threshold": 1.0}, "1.0 and 1.0"),
        ((1, 5, 5), {"tolerance": -1.0}, "0.5 and -1"),
        ((1, 5, 5), {"tolerance": math.nan}, "0.5 and nan"),
    ],
)
def test_arguments_of_trace_images_are_checked(shape, options, got):
    with pytest.raises(ValueError, match=f"got {got}"):
        strokes.trace_images(np.zeros(shape), **options)


def test_nonfinite_values_are_errors():
    with pytest.raises(ValueError, match="got 25 pixels"):
        strokes.trace_images(np.full((1, 5, 5), math.nan))
    with pytest.raises(ValueError, match="got nan"):
        strokes.simplify(np.zeros((5, 2)), math.nan)
    for size in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(ValueError, match=f"got {size}"):
            strokes.to_sequence([np.zeros((2, 2))], size)
        with pytest.raises(ValueError, match=f"got {size}"):
            strokes.from_sequence(np.zeros((2, 3)), size)


@pytest.mark.parametrize("shape", [(3, 2), (3, 6), (6,), (2, 2, 3)])
def test_the_shape_of_a_sequence_is_checked(shape):
    with pytest.raises(ValueError, match=f"got shape {re.escape(str(list(shape)))}"):
        strokes.from_sequence(np.zeros(shape))


def test_a_bag_counts_the_length_in_every_direction():
    random = np.random.default_rng(0)
    sequence = np.column_stack([random.normal(size=(30, 2)), random.integers(2, size=30)])
    bag = strokes.bag_of_segments(sequence)
    expected = np.zeros((2, 8))
    for dx, dy, pen in sequence:
        expected[int(pen), round(math.degrees(math.atan2(dy, dx)) / 45) % 8] += math.hypot(dx, dy)
    np.testing.assert_allclose(bag[:16].reshape(2, 8), expected)
    points = np.cumsum(sequence[:, :2], axis=0)
    np.testing.assert_allclose(bag[16:], [(sequence[:, 2] == 0).sum(), *points.min(axis=0), *points.max(axis=0)])


@pytest.mark.parametrize("shape", [(0, 3), (3, 2), (3,)])
def test_a_bag_needs_a_segment(shape):
    with pytest.raises(ValueError, match=f"got shape {re.escape(str(list(shape)))}"):
        strokes.bag_of_segments(np.zeros(shape))
