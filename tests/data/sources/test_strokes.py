"""Strokes: thinned as by a plain loop, walked along without a gap, cut within the tolerance, and the same read back."""

import math
from itertools import pairwise

import numpy as np
import pytest

from jaxdl.data.sources import strokes


def picture(text):
    return np.array([[letter == "#" for letter in line] for line in text.split()])


def thinned_slowly(ink):
    """Zhang and Suen's algorithm with a set of pixels, one after the other."""
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


def test_lines_are_thinned_as_by_a_plain_loop():
    random = np.random.default_rng(0)
    noise = np.stack([random.random((9, 12)) < share for share in (0.3, 0.6, 0.9)])
    thin = strokes.skeleton(noise[None])[0]
    for image, found in zip(noise, thin, strict=True):
        assert {tuple(place) for place in np.argwhere(found).tolist()} == thinned_slowly(image)
    np.testing.assert_array_equal(strokes.skeleton(noise[1]), thin[1])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("#... .#.. ..##", [[(0, 0), (1, 1), (2, 2), (3, 2)]]),
        ("#### ...# ...#", [[(0, 0), (1, 0), (2, 0), (3, 0), (3, 1), (3, 2)]]),
        (".#. #.# .#.", [[(1, 0), (2, 1), (1, 2), (0, 1), (1, 0)]]),  # a ring is closed
        # The pen goes straight over a crossing, and the two arms are drawn from it.
        (
            "..#.. ..#.. ##### ..#.. ..#..",
            [[(2, y) for y in range(5)], [(2, 2), (1, 2), (0, 2)], [(2, 2), (3, 2), (4, 2)]],
        ),
        ("##.. .... ...# ...#", [[(0, 0), (1, 0)], [(3, 2), (3, 3)]]),
        ("#.. ... ..#", []),
    ],
)
def test_the_pen_goes_as_it_is_said_to(text, expected):
    drawing = strokes.trace(picture(text))
    assert [[tuple(point) for point in stroke.astype(int).tolist()] for stroke in drawing] == expected


def test_the_pen_draws_every_pixel_without_a_jump():
    thin = strokes.skeleton(np.random.default_rng(1).random((20, 24)) < 0.7)
    drawing = strokes.trace(thin)
    assert len(drawing) > 1
    for stroke in drawing:
        assert np.abs(np.diff(stroke, axis=0)).max() == 1
    drawn = {tuple(point) for stroke in drawing for point in stroke.astype(int).tolist()}
    missed = {(x, y) for y, x in np.argwhere(thin).tolist()} - drawn
    assert drawn <= {(x, y) for y, x in np.argwhere(thin).tolist()}
    assert all(max(abs(x - i), abs(y - j)) > 1 for x, y in missed for i, j in missed - {(x, y)})  # single pixels


def test_no_point_is_further_than_the_tolerance_from_what_is_left():
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


def test_a_line_of_any_number_of_points_is_cut():
    places = np.arange(2000)
    zigzag = np.stack([places, (-1.0) ** places * places], axis=1)  # each cut parts off a single point
    np.testing.assert_array_equal(strokes.simplify(zigzag, 0.5), zigzag)
    cluster = np.array([[0.0, 0.0], [1e-9, 0.0], [3e-9, 0.0], [5e-9, 0.0]])
    for tolerance in (1e-8, 0.0):
        np.testing.assert_array_equal(strokes.simplify(cluster, tolerance)[[0, -1]], cluster[[0, -1]])


def test_tracing_looks_around_each_pixel_a_few_times_however_many_lines_there_are(monkeypatch):
    thin = np.zeros((40, 40), bool)
    thin[::2, ::4] = thin[::2, 1::4] = True  # dashes
    looks, near = [], strokes._near
    monkeypatch.setattr(strokes, "_near", lambda *args: looks.append(1) or near(*args))
    assert len(strokes.trace(thin)) == 200
    assert len(looks) < 6 * 400


def test_a_drawing_is_read_back_from_its_sequence():
    random = np.random.default_rng(3)
    drawing = [random.uniform(0, 9, (n, 2)) for n in (3, 2, 7)]
    sequence = strokes.to_sequence(drawing, 4.0)
    assert sequence.shape == (12, 3)
    assert np.flatnonzero(sequence[:, 2] == 0).tolist() == [0, 3, 5]
    for stroke, again in zip(drawing, strokes.from_sequence(sequence, 4.0), strict=True):
        np.testing.assert_allclose(again, stroke, atol=1e-5)


def test_a_dark_picture_has_no_strokes():
    assert strokes.drawings(np.zeros((1, 5, 5))) == [[]]
    assert strokes.to_sequence([]).shape == (0, 3)
    assert strokes.from_sequence(np.zeros((0, 3))) == []


@pytest.mark.parametrize(
    ("shape", "options", "message"),
    [
        ((5, 5), {}, r"expected images \[N, H, W\], got shape \[5, 5\]"),
        ((1, 5, 5), {"threshold": 1.0}, r"a threshold in \[0, 1\)"),
        ((1, 5, 5), {"tolerance": -1.0}, "a tolerance >= 0, got 0.5 and -1"),
        ((1, 5, 5), {"tolerance": math.nan}, "a tolerance >= 0, got 0.5 and nan"),
    ],
)
def test_what_is_no_picture_is_refused(shape, options, message):
    with pytest.raises(ValueError, match=message):
        strokes.drawings(np.zeros(shape), **options)


def test_numbers_that_are_none_are_refused():
    with pytest.raises(ValueError, match="finite brightness; 25 pixels"):
        strokes.drawings(np.full((1, 5, 5), math.nan))
    with pytest.raises(ValueError, match="a tolerance >= 0, got nan"):
        strokes.simplify(np.zeros((5, 2)), math.nan)
    for size in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(ValueError, match=f"size > 0, got {size}"):
            strokes.to_sequence([np.zeros((2, 2))], size)
        with pytest.raises(ValueError, match=f"size > 0, got {size}"):
            strokes.from_sequence(np.zeros((2, 3)), size)


@pytest.mark.parametrize("shape", [(3, 2), (3, 6), (6,), (2, 2, 3)])
def test_what_is_no_sequence_is_refused(shape):
    with pytest.raises(ValueError, match=r"a sequence \[T, 3\] of \(dx, dy, pen\), got shape \[\d"):
        strokes.from_sequence(np.zeros(shape))
