"""Pairs of sequences of different lengths: every pair once per epoch, few shapes, resumed by position."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxdl.data import ParallelLoader

SIZES = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 12)), min_size=1, max_size=20)


def pairs(sizes):
    """Make sources and targets whose elements encode the pair and the step."""
    return [[100 * n + np.arange(1, size[side] + 1) for n, size in enumerate(sizes)] for side in (0, 1)]


@settings(max_examples=40, deadline=None)
@given(sizes=SIZES, batch_size=st.integers(1, 5), count=st.integers(1, 4), seed=st.integers(0, 2**64 - 1))
def test_an_epoch_has_every_pair_once_in_few_shapes(sizes, batch_size, count, seed):
    source, target = pairs(sizes)
    loader = ParallelLoader(source, target, batch_size, boundaries=count, seed=seed)
    found, shapes = [], set()
    for batch in loader:
        shapes.add((batch["source"].shape, batch["target"].shape))
        for row in np.flatnonzero(batch["mask"]):
            for name in ("source", "target"):
                assert not batch[name][row, batch[f"{name}_length"][row] :].any()
            found.append(
                tuple(tuple(batch[name][row, : batch[f"{name}_length"][row]].tolist()) for name in ("source", "target"))
            )
    assert len(shapes) <= count
    assert sorted(found) == sorted((tuple(s.tolist()), tuple(t.tolist())) for s, t in zip(source, target, strict=True))
    again = ParallelLoader(source, target, batch_size, boundaries=count, seed=seed)
    again.restore({**loader.state(), "step": 1})
    if len(loader) > 1:
        np.testing.assert_array_equal(next(iter(again))["source"], loader.batch(1)["source"])


def test_a_pair_is_in_the_first_bucket_with_room_for_both():
    source, target = pairs([(1, 6), (3, 2), (3, 6), (1, 1)])
    loader = ParallelLoader(source, target, 4, boundaries=((2, 3), (4, 6)), shuffle=False)
    shapes = [(b["source"].shape[1], b["target"].shape[1], int(b["mask"].sum())) for b in loader]
    assert shapes == [(2, 3, 1), (4, 6, 3)]


@pytest.mark.parametrize(
    ("arguments", "options", "got"),
    [
        ([*pairs([(1, 1)]), 1], {"boundaries": ((2, 2), (2, 2))}, r"got \[\(2, 2\), \(2, 2\)\]"),
        ([*pairs([(1, 5)]), 1], {"boundaries": ((2, 2),)}, r"got \(1, 5\)"),
        ([[np.zeros(1, int)], [], 1], {}, "got 1 sources and 0 targets"),
        ([*pairs([(1, 1)]), 0], {}, "got 0"),
        ([[np.int32(3)], [np.int32(3)], 1], {}, "scalar in example 0"),
    ],
)
def test_invalid_arguments_raise(arguments, options, got):
    with pytest.raises(ValueError, match=got):
        ParallelLoader(*arguments, **options)
