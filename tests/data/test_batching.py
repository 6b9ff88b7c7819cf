"""Loader: every example once per epoch, an order that depends on seed and epoch alone, positions by step number."""

import json
import threading

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxdl.data.batching import Loader, padded_batches, prefetch, split
from jaxdl.data.epochs import permutation

SIZES = st.integers(1, 40)
SEEDS = st.integers(0, 2**64 - 1)


def make_arrays(size):
    return {"x": np.arange(size), "square": np.arange(size)[:, None] ** 2}


@settings(max_examples=50, deadline=None)
@given(
    size=SIZES,
    batch_size=SIZES,
    seed=SEEDS,
    epoch=st.integers(0, 1000),
    shuffle=st.booleans(),
    drop_remainder=st.booleans(),
)
def test_an_epoch_contains_every_example_once(*, size, batch_size, seed, epoch, shuffle, drop_remainder):
    batch_size = min(size, batch_size)
    loader = Loader(make_arrays(size), batch_size, seed=seed, shuffle=shuffle, drop_remainder=drop_remainder)
    order = loader.order(epoch)
    assert order.dtype == np.int32
    assert order.shape == (len(loader), batch_size)
    valid = order[order >= 0]
    assert len(set(valid.tolist())) == len(valid)
    assert len(valid) == (size - size % batch_size if drop_remainder else size)
    assert set(valid.tolist()) <= set(range(size))
    if not shuffle:
        assert valid.tolist() == list(range(len(valid)))


@settings(max_examples=50, deadline=None)
@given(
    size=SIZES,
    batch_size=SIZES,
    seed=SEEDS,
    first=st.integers(0, 200),
    count=st.integers(0, 100),
    drop_remainder=st.booleans(),
)
def test_indices_are_consecutive_rows_of_the_epochs(*, size, batch_size, seed, first, count, drop_remainder):
    batch_size = min(size, batch_size)
    loader = Loader(make_arrays(size), batch_size, seed=seed, drop_remainder=drop_remainder)
    rows = [loader.order(s // len(loader))[s % len(loader)] for s in range(first, first + count)]
    indices = loader.indices(first, count)
    assert indices.dtype == np.int32
    np.testing.assert_array_equal(indices, np.reshape(rows, (count, batch_size)))


@settings(max_examples=40, deadline=None)
@given(
    local=st.integers(1, 6),
    processes=st.integers(1, 4),
    extra=st.integers(0, 30),
    seed=SEEDS,
    drop_remainder=st.booleans(),
    step=st.integers(0, 5),
)
def test_slices_of_all_processes_concatenate_to_the_batches_of_one(
    *, local, processes, extra, seed, drop_remainder, step
):
    batch_size = local * processes
    arrays = make_arrays(batch_size + extra)
    options = {"seed": seed, "drop_remainder": drop_remainder}
    one = Loader(arrays, batch_size, **options)
    several = [
        Loader(arrays, batch_size, process_index=i, process_count=processes, **options) for i in range(processes)
    ]
    assert {loader.local_batch_size for loader in several} == {local}
    np.testing.assert_array_equal(np.concatenate([loader.order(3) for loader in several], axis=1), one.order(3))
    np.testing.assert_array_equal(np.concatenate([p.indices(step, 4) for p in several], axis=1), one.indices(step, 4))
    for name, whole in one.batch(step).items():
        np.testing.assert_array_equal(np.concatenate([loader.batch(step)[name] for loader in several]), whole)


def test_the_order_has_its_golden_value():
    # Raw numbers of Philox and a stable sort, neither of which depends on the version of NumPy.
    assert Loader(make_arrays(10), 10, seed=7).order(3).tolist() == [[2, 5, 9, 7, 3, 0, 6, 8, 4, 1]]


def test_the_order_differs_between_epochs_and_between_seeds():
    loader = Loader(make_arrays(50), 50, seed=1)
    orders = {tuple(loader.order(epoch)[0]) for epoch in range(5)} | {tuple(Loader(make_arrays(50), 50).order(0)[0])}
    assert len(orders) == 6


def test_the_order_is_uniform():
    firsts = np.bincount([permutation(5, 0, stream)[0] for stream in range(2000)], minlength=5)
    chi_squared = ((firsts - 400) ** 2 / 400).sum()
    assert chi_squared < 18.5  # exceeded with probability 0.001, for 4 degrees of freedom


def test_an_order_is_read_only():
    loader = Loader(make_arrays(6), 2)
    with pytest.raises(ValueError, match="read-only"):
        loader.order(0)[0, 0] = 5


def test_a_batch_gathers_the_same_rows_of_all_arrays():
    loader = Loader(make_arrays(20), 6, seed=3)
    batch = loader.batch(4)
    np.testing.assert_array_equal(batch["x"], loader.order(1)[1])
    np.testing.assert_array_equal(batch["square"][:, 0], batch["x"] ** 2)
    assert "mask" not in batch


def test_iteration_yields_the_rest_of_an_epoch_then_the_next():
    loader = Loader(make_arrays(10), 3, seed=5)
    first = next(iter(loader))
    assert loader.position == 1
    rest, following = list(loader), list(loader)
    assert (len(rest), len(following), loader.position) == (2, 3, 6)
    seen = np.stack([batch["x"] for batch in [first, *rest, *following]])
    np.testing.assert_array_equal(seen, loader.indices(0, 6))


def test_a_restored_loader_continues():
    first = Loader(make_arrays(23), 4, seed=9)
    for _ in zip(range(3), first, strict=False):
        pass
    state = json.loads(json.dumps(first.state()))
    second = Loader(make_arrays(23), 4, seed=9, process_count=2)
    second.restore(state)
    assert second.position == first.position
    np.testing.assert_array_equal(next(iter(second))["x"], next(iter(first))["x"][:2])


@pytest.mark.parametrize(
    "change",
    [
        {"size": 24},
        {"seed": 1},
        {"batch_size": 5},
        {"shuffle": 0},
        {"drop_remainder": 0},
        {"step": -1},
        {"step": 2.5},
        {"step": "3"},
    ],
    ids=str,
)
def test_the_state_of_another_loader_is_an_error(change):
    loader = Loader(make_arrays(23), 4, seed=9)
    ((name, value),) = change.items()
    with pytest.raises(ValueError, match=f"{name}.*got {value!r}"):
        loader.restore(loader.state() | change)
    assert loader.position == 0


def test_a_state_written_by_an_earlier_version_is_restored():
    loader = Loader(make_arrays(23), 4, seed=9)
    loader.restore({"step": 7, "seed": 9, "size": 23, "batch_size": 4, "shuffle": 1, "drop_remainder": 1})
    assert loader.position == 7


def test_an_incomplete_state_is_an_error():
    with pytest.raises(ValueError, match="batch_size, drop_remainder, seed, shuffle, size, got one with step"):
        Loader(make_arrays(5), 2).restore({"step": 1})


@pytest.mark.parametrize(
    ("arrays", "batch_size", "options", "got"),
    [
        ({}, 1, {}, "an empty dict"),
        ({"x": np.zeros((0, 3))}, 1, {}, r".*\(0, 3\)"),
        ({"x": np.zeros(5), "y": np.zeros(4)}, 1, {}, ".*'x': 5, 'y': 4"),
        ({"x": np.float32(1)}, 1, {}, "scalars: x"),
        ({"x": np.zeros(5)}, 6, {}, "5"),
        ({"x": np.zeros(5)}, 0, {}, "0"),
        ({"x": np.zeros(9)}, 6, {"process_count": 4}, "6"),
        ({"x": np.zeros(9)}, 6, {"process_count": 2, "process_index": 2}, "2"),
        ({"x": np.zeros(9)}, 6, {"seed": -1}, "-1"),
    ],
)
def test_arguments_are_checked(arrays, batch_size, options, got):
    with pytest.raises(ValueError, match=f"got {got}"):
        Loader(arrays, batch_size, **options)


def test_negative_steps_are_an_error():
    loader = Loader(make_arrays(5), 2)
    for call, got in (
        (lambda: loader.order(-1), "-1"),
        (lambda: loader.batch(-1), "-1"),
        (lambda: loader.indices(0, -2), "0 and -2"),
    ):
        with pytest.raises(ValueError, match=f"got {got}"):
            call()


@settings(max_examples=30, deadline=None)
@given(SIZES, SIZES)
def test_padded_batches_have_one_shape_and_are_unbiased(size, batch_size):
    batches = list(padded_batches(make_arrays(size), batch_size))
    assert {batch["x"].shape for batch in batches} == {(batch_size,)}
    assert {(batch["mask"].shape, batch["mask"].dtype) for batch in batches} == {((batch_size,), np.dtype(np.float32))}
    x, mask = (np.concatenate([batch[name] for batch in batches]) for name in ("x", "mask"))
    assert mask.sum() == size
    assert (x * mask).sum() == np.arange(size).sum()
    assert x[mask == 1].tolist() == list(range(size))


def test_padding_is_masked_in_the_mask_of_the_data_too():
    arrays = {"x": np.arange(3), "mask": np.array([[1, 1], [1, 0], [0.5, 0]], np.float32)}
    masks = [batch["mask"].tolist() for batch in padded_batches(arrays, 2)]
    assert masks == [[[1, 1], [1, 0]], [[0.5, 0], [0, 0]]]


@settings(max_examples=30, deadline=None)
@given(st.integers(20, 60), st.integers(1, 19), st.integers(0, 100))
def test_a_split_is_a_stratified_partition(size, held_out, seed):
    arrays = {"x": np.arange(size), "label": np.arange(size) % 3}
    rest, test = split(arrays, held_out, seed=seed)
    assert sorted([*rest["x"], *test["x"]]) == list(range(size))
    assert len(test["x"]) == held_out
    quota = np.bincount(arrays["label"]) * held_out / size
    assert (abs(np.bincount(test["label"], minlength=3) - quota) < 1).all()
    np.testing.assert_array_equal(test["x"], split(arrays, held_out, seed=seed)[1]["x"])


def test_a_split_rounds_by_the_largest_remainder():
    labels = np.repeat([0, 1, 2], [3, 9, 8])  # a quarter is 0.75, 2.25 and 2
    assert np.bincount(split({"label": labels}, 5)[1]["label"]).tolist() == [1, 2, 2]


def test_a_split_by_fraction_without_stratification():
    rest, test = split({"x": np.arange(10.0)}, 0.2, seed=4, stratify=None)
    assert (len(rest["x"]), len(test["x"])) == (8, 2)
    assert split({"x": np.arange(10.0)}, 2, seed=4, stratify=None)[1]["x"].tolist() == test["x"].tolist()


@pytest.mark.parametrize(
    ("held_out", "stratify", "got"),
    [
        (10, None, "10, which is 10 of 10"),
        (0, None, "0, which is 0 of 10"),
        (1.5, None, "1.5, which is 15 of 10"),
        (0.01, None, "0.01, which is 0 of 10"),
        (3, "label", "'label'"),
        (3, "x", r"'x' of float64 \[10\]"),
    ],
)
def test_arguments_of_split_are_checked(held_out, stratify, got):
    with pytest.raises(ValueError, match=f"got {got}"):
        split({"x": np.arange(10.0)}, held_out, stratify=stratify)


def workers():
    return [thread for thread in threading.enumerate() if thread.name.startswith("prefetch")]


def test_prefetch_yields_all_items_in_order_on_the_device():
    batches = list(prefetch(Loader(make_arrays(9), 3, shuffle=False), size=2))
    assert all(isinstance(batch["x"], jax.Array) for batch in batches)
    assert [np.asarray(batch["x"]).tolist() for batch in batches] == [[0, 1, 2], [3, 4, 5], [6, 7, 8]]
    assert not workers()


def test_prefetch_reads_ahead_by_its_size():
    ready, made = threading.Event(), []

    def source():
        for number in range(10):
            made.append(number)
            if number == 3:
                ready.set()
            yield number

    ahead = prefetch(source(), size=3, put=lambda x: x)
    assert not made
    assert next(ahead) == 0
    assert ready.wait(timeout=10)
    assert made == [0, 1, 2, 3]
    ahead.close()


def test_prefetch_raises_an_exception_of_the_source_at_its_place():
    def source():
        yield 1
        raise RuntimeError("disk error")

    ahead = prefetch(source())
    assert next(ahead) == 1
    with pytest.raises(RuntimeError, match="disk error"):
        next(ahead)
    assert not workers()


def test_closing_prefetch_ends_its_thread():
    for number in (ahead := prefetch(iter(range(100)))):
        if number == 3:
            break
    assert workers()
    ahead.close()
    assert not workers()
    with pytest.raises(ValueError, match="got 0"):
        prefetch([], size=0)


def test_a_rare_class_stays_in_training():
    labels = np.repeat(np.arange(5), [1, 1, 2, 40, 56])
    for held_out in (2, 10, 0.3, 0.9):
        for seed in range(3):
            rest, test = split({"label": labels}, held_out, seed=seed)
            assert set(rest["label"]) == set(range(5))
            assert len(rest["label"]) + len(test["label"]) == 100
    rest, test = split({"label": np.arange(10)}, 4)  # there is no other way
    assert len(test["label"]) == 4
