"""Padding and buckets: every example once per epoch, few shapes, positions by step number."""

import itertools
import json

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxdl.data.bucketing import BucketLoader, choose_boundaries, pad

LENGTHS = st.lists(st.integers(0, 12), min_size=1, max_size=25)


def examples(lengths):
    """Make sequences whose elements encode the example and the step."""
    tokens = [100 * n + np.arange(1, length + 1) for n, length in enumerate(lengths)]
    return {"token": tokens, "tag": [-t for t in tokens], "label": np.arange(len(lengths))}


def test_pad_agrees_with_torch():
    torch = pytest.importorskip("torch", reason="torch is the peer")
    sequences = [np.arange(n * 2.0).reshape(n, 2) for n in (3, 1, 5)]
    theirs = torch.nn.utils.rnn.pad_sequence(list(map(torch.tensor, sequences)), batch_first=True, padding_value=-1.0)
    array, lengths = pad(sequences, value=-1.0)
    np.testing.assert_array_equal(array, theirs.numpy())
    assert lengths.tolist() == [3, 1, 5]


def test_an_empty_list_has_the_dtype_and_shape_of_the_other_sequences():
    array, lengths = pad([[], [1, 2]])
    assert (array.tolist(), array.dtype, lengths.tolist()) == ([[0, 0], [1, 2]], np.int64, [0, 2])
    vectors = [[], [[1.0, 2.0]], np.ones((5, 2), np.float32)]
    loader = BucketLoader({"token": [[], [1], [1, 2, 3, 4, 5]], "x": vectors}, 1, boundaries=(1, 5), shuffle=False)
    batches = [loader.batch(step) for step in range(3)]
    assert [(b["token"].dtype, b["x"].dtype, b["x"].shape) for b in batches] == [
        (np.int64, np.float64, (1, length, 2)) for length in (1, 1, 5)
    ]


@settings(max_examples=60, deadline=None)
@given(lengths=st.lists(st.integers(1, 15), min_size=1, max_size=20), count=st.integers(1, 4))
def test_boundaries_minimize_the_padding(lengths, count):
    def padding(ends):
        return sum(min(end for end in ends if end >= length) - length for length in lengths)

    chosen = choose_boundaries(lengths, count)
    others = sorted(set(lengths))[:-1]
    choices = [(*rest, max(lengths)) for k in range(count) for rest in itertools.combinations(others, k)]
    assert len(chosen) <= count
    assert chosen[-1] == max(lengths)
    assert padding(chosen) == min(map(padding, choices))


def test_boundaries_of_many_distinct_lengths_take_little_memory():
    lengths = np.arange(1, 100_000)
    chosen = choose_boundaries(lengths, 4)
    assert chosen[-1] == lengths.max()
    np.testing.assert_allclose(chosen, [25_000, 50_000, 75_000, 100_000], rtol=0.02)


@settings(max_examples=40, deadline=None)
@given(lengths=LENGTHS, batch_size=st.integers(1, 6), count=st.integers(1, 4), epoch=st.integers(0, 3))
def test_every_example_is_in_one_batch_of_an_epoch(lengths, batch_size, count, epoch):
    arrays = examples(lengths)
    loader = BucketLoader(arrays, batch_size, boundaries=count, seed=3)
    seen = []
    for step in range(epoch * len(loader), (epoch + 1) * len(loader)):
        batch = loader.batch(step)
        shape = batch["token"].shape
        assert shape[0] == batch_size
        assert shape[1] in loader.boundaries
        for row, (label, length, valid) in enumerate(
            zip(*(batch[k] for k in ("label", "length", "mask")), strict=True)
        ):
            np.testing.assert_array_equal(batch["token"][row, :length], arrays["token"][label])
            np.testing.assert_array_equal(batch["tag"][row], -batch["token"][row])
            assert not batch["token"][row, length:].any()
            seen += [label] * int(valid)
    assert sorted(seen) == list(range(len(lengths)))


def test_the_order_depends_on_seed_and_epoch_alone():
    arrays = examples(np.arange(40) % 9)
    loader, same = (BucketLoader(arrays, 4, boundaries=3, seed=1) for _ in range(2))
    first, second = (
        np.concatenate([loader.batch(e * len(loader) + s)["label"] for s in range(len(loader))]) for e in (0, 1)
    )
    assert not np.array_equal(first, second)
    for step in (len(loader) + 1, 0, 2 * len(loader)):
        jax.tree.map(np.testing.assert_array_equal, loader.batch(step), same.batch(step))
    assert loader.batch(0)["label"].tolist() == [6, 17, 8, 26]
    other = BucketLoader(arrays, 4, boundaries=3, seed=2)
    assert any(not np.array_equal(loader.batch(s)["label"], other.batch(s)["label"]) for s in range(len(loader)))


def test_a_position_is_restored_from_JSON():
    arrays = examples([1, 5, 3, 2, 5, 1, 4])
    loader, again = BucketLoader(arrays, 2, boundaries=2), BucketLoader(arrays, 2, boundaries=2)
    rest = iter(loader)
    next(rest)
    again.restore(json.loads(json.dumps(loader.state())))
    for ours, theirs in zip(rest, again, strict=True):
        jax.tree.map(np.testing.assert_array_equal, ours, theirs)
    with pytest.raises(ValueError, match="boundaries"):
        BucketLoader(arrays, 2, boundaries=1).restore(loader.state())
    with pytest.raises(ValueError, match="got one with nothing"):
        again.restore({})
    with pytest.raises(ValueError, match="got -1"):
        again.restore({**loader.state(), "step": -1})


def test_a_step_is_compiled_once_per_bucket():
    @jax.jit
    @chex.assert_max_traces(n=3)
    def total(batch):
        return jnp.sum(batch["token"] * batch["mask"][:, None].astype(int))

    arrays = examples(np.arange(30) % 11)
    loader = BucketLoader(arrays, 4, boundaries=3)
    sums = [int(total(loader.batch(step))) for step in range(2 * len(loader))]
    assert sum(sums[: len(loader)]) == sum(token.sum() for token in arrays["token"])
    assert {loader.batch(step)["token"].shape for step in range(len(loader))} == {(4, end) for end in loader.boundaries}


def test_long_sequences_are_truncated_on_request():
    arrays = examples([2, 9])
    batch = BucketLoader(arrays, 2, boundaries=(4,), truncate=True, shuffle=False).batch(0)
    assert batch["length"].tolist() == [2, 4]
    assert batch["token"][1].tolist() == arrays["token"][1][:4].tolist()
    with pytest.raises(ValueError, match="got 9"):
        BucketLoader(arrays, 2, boundaries=(4,))


@pytest.mark.parametrize(
    ("arrays", "options", "got"),
    [
        ({"label": np.zeros(3)}, {}, r"\['label'\]"),
        ({"token": []}, {}, "{'token': 0}"),
        ({"token": [[1]], "label": np.zeros(2)}, {}, "{'token': 1, 'label': 2}"),
        ({"token": [[1], [2, 3]], "tag": [[1], [2]]}, {}, "2 steps of 'token' and 1 of 'tag' in example 1"),
        ({"token": [[1]], "mask": np.ones(1)}, {}, r"\['mask'\]"),
        ({"token": [[1]], "label": [0]}, {}, "a scalar in example 0"),
        ({"token": [[1]]}, {"boundaries": (2, 2)}, r"\(2, 2\)"),
        ({"token": [[1]]}, {"boundaries": ()}, r"\(\)"),
        ({"token": [[1]]}, {"boundaries": 0}, "1 lengths and count 0"),
        ({"token": [[1]]}, {"batch_size": 0}, "0"),
        ({"token": [[1]]}, {"seed": -1}, "-1"),
    ],
)
def test_arguments_are_checked(arrays, options, got):
    with pytest.raises(ValueError, match=f"got {got}"):
        BucketLoader(arrays, **{"batch_size": 2, **options})


def test_arguments_of_pad_are_checked():
    with pytest.raises(ValueError, match="got none"):
        pad([])
    with pytest.raises(ValueError, match="got 3"):
        pad([[1, 2, 3]], 2)
