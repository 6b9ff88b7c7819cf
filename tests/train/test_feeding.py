"""Data from anywhere: iterables as loaders, streamed evaluation, predictions, recomputed statistics, exports, logs."""

import csv
import subprocess
import sys
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen

from jaxdl import data, models, optim, tasks, train
from jaxdl.nn.normalization import BatchNorm
from tests.peers import torch

RANDOM = np.random.default_rng(0)
ARRAYS = {
    "image": RANDOM.normal(size=(10, 3)).astype(np.float32),
    "label": RANDOM.integers(2, size=10).astype(np.int32),
}
OPTIMIZER = optim.sgd(0.1)
LOADER = data.Loader(ARRAYS, 5, shuffle=False)


class Network(linen.Module):
    @linen.compact
    def __call__(self, x, train=False):
        x = BatchNorm(name="norm")(linen.Dense(4, name="hidden")(x), train=train)
        return linen.Dense(2, name="output")(x)


TASK = tasks.classification(Network())
STEP = train.make_step(TASK.loss, OPTIMIZER)
STEP = train.make_step(TASK.loss, OPTIMIZER)


def read(size=5):
    for start in range(0, 10, size):
        yield {name: array[start : start + size] for name, array in ARRAYS.items()}


class Unsized:
    """What torch's DataLoader of a stream is: iterable, with a length that raises."""

    def __iter__(self):
        return read()

    def __len__(self):
        raise TypeError


def torch_loader():
    tensors = [torch().from_numpy(array) for array in ARRAYS.values()]
    return torch().utils.data.DataLoader(torch().utils.data.TensorDataset(*tensors), batch_size=5)


def same(a, b):
    jax.tree.map(np.testing.assert_array_equal, a.params, b.params)


def test_every_kind_of_loader_trains_as_the_one_in_memory():
    expected, history = train.fit(STEP, train.start(TASK, OPTIMIZER, LOADER), LOADER, epochs=3, scan=False)
    loaders = {
        "function": data.from_iterable(read, steps_per_epoch=2),
        "list": data.from_iterable(list(read())),
        "torch": data.from_iterable(torch_loader(), names=("image", "label")),
        "unsized": data.from_iterable(Unsized()),
    }
    assert [loader.steps_per_epoch for loader in loaders.values()] == [2, 2, 2, None]
    for name, loader in loaders.items():
        state, rows = train.fit(STEP, train.start(TASK, OPTIMIZER, loader), loader, steps=6)
        same(state, expected)
        assert rows[-1]["epoch"] == (1 if name == "unsized" else 3)
        assert rows[-1]["train/loss"] == pytest.approx(history[-1]["train/loss"]) or name == "unsized"


def test_a_resumed_stream_continues_at_its_step():
    expected, _ = train.fit(STEP, train.start(TASK, OPTIMIZER, LOADER), LOADER, steps=5, scan=False)
    part, _ = train.fit(STEP, train.start(TASK, OPTIMIZER, LOADER), data.from_iterable(read), steps=3)
    state, _ = train.fit(STEP, part, data.from_iterable(read), steps=5)
    same(state, expected)


def test_a_grain_loader_is_read():
    grain = pytest.importorskip("grain", reason="grain is not installed")
    source = grain.MapDataset.source(list(range(4))).map(lambda i: {"x": np.float32(i)}).batch(2)
    for loader in (data.from_iterable(source.to_iter_dataset()), data.from_iterable(source)):
        assert [batch["x"].tolist() for batch in loader] == [[0, 1], [2, 3]]
        assert loader.batch(1)["x"].tolist() == [2, 3]


@pytest.mark.parametrize(
    ("call", "error", "found"),
    [
        (lambda: data.from_iterable(read()), TypeError, "got the iterator generator"),
        (lambda: data.from_iterable(3), TypeError, "got 3"),
        (lambda: data.from_iterable(read, steps_per_epoch=0), ValueError, "got 0"),
        (lambda: data.from_iterable([]).batch(0), ValueError, r"got \[\]"),
        (lambda: data.from_iterable([(1, 2)]).batch(0), TypeError, "got a tuple"),
        (lambda: data.from_iterable([(1, 2)], names="x").batch(0), ValueError, "got 2"),
        (lambda: data.from_iterable([{"x": np.array([2**40])}]).batch(0), ValueError, "got 1099511627776"),
        (lambda: train.make_evaluation(TASK.measure, read()), TypeError, "got generator"),
        (lambda: train.predict(lambda v, x: x, {}, []), ValueError, "got none"),
        (lambda: train.predict(lambda v, x: x, {}, ARRAYS, batch_size=0), ValueError, "got 0"),
        (lambda: train.export(lambda v, x: x, {}, ()), ValueError, r"got \(\)"),
        (lambda: train.export(lambda v, x: x, {}, 3), TypeError, "got 3"),
        (lambda: train.export(lambda v, x: x, {}, (None, None)), ValueError, "got .None, None"),
    ],
)
def test_wrong_use_is_one_clear_error(call, error, found):
    with pytest.raises(error, match=found):
        call()


def test_a_streamed_evaluation_counts_every_example_once():
    variables = TASK.init(jax.random.key(0), ARRAYS)
    expected = train.make_evaluation(TASK.measure, ARRAYS)(variables)
    streams = [data.from_iterable(partial(read, 4)), data.Loader(ARRAYS, 4, shuffle=True, drop_remainder=False)]
    for batches in [*streams, list(read(5))]:
        evaluation = train.make_evaluation(TASK.measure, batches)
        assert evaluation(variables) == pytest.approx(expected, rel=1e-6)
        assert evaluation(variables) == pytest.approx(expected, rel=1e-6)


def test_predict_maps_all_examples_in_order():
    variables = TASK.init(jax.random.key(0), ARRAYS)
    traces = []

    def apply(variables, x):
        traces.append(x)
        return {"logits": Network().apply(variables, x)}

    expected = jax.jit(apply)(variables, ARRAYS["image"])["logits"]
    for arrays in (ARRAYS["image"], jnp.asarray(ARRAYS["image"])):
        found = train.predict(apply, variables, arrays, batch_size=4)["logits"]
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    assert len(traces) == 2
    found = train.predict(lambda v, batch: batch["image"] + v, np.float32(1), data.from_iterable(partial(read, 4)))
    np.testing.assert_array_equal(found, ARRAYS["image"] + 1)
    padded = data.Loader(ARRAYS, 4, shuffle=False, drop_remainder=False)
    np.testing.assert_array_equal(train.predict(lambda v, batch: batch["image"] + v, np.float32(1), padded), found)


def test_recomputed_statistics_are_those_of_torch():
    norm = torch().nn.BatchNorm1d(4)
    linear = torch().nn.Linear(3, 4)
    variables = TASK.init(jax.random.key(0), ARRAYS)
    first = variables["params"]["hidden"]
    linear.weight.data, linear.bias.data = (torch().tensor(np.array(first[name]).T) for name in ("kernel", "bias"))
    swa = pytest.importorskip("torch.optim.swa_utils", reason="parity with torch")
    peer = torch().nn.Sequential(linear, norm)
    swa.update_bn([torch().from_numpy(batch["image"]) for batch in read()], peer)
    loader = data.from_iterable(read, steps_per_epoch=2)
    found = train.recompute_statistics(TASK.loss, variables, loader, jax.random.key(1))
    np.testing.assert_allclose(found["batch_stats"]["norm"]["mean"], norm.running_mean.numpy(), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found["batch_stats"]["norm"]["var"], norm.running_var.numpy(), rtol=1e-5)
    assert found["params"] is variables["params"]


def test_an_exported_program_runs_in_a_fresh_process_for_any_batch(tmp_path):
    model = models.create("lenet5")
    variables = jax.jit(model.init)(jax.random.key(0), np.zeros((1, 28, 28, 1), np.float32))
    program = train.export(model.apply, variables, (None, 28, 28, 1))
    x = RANDOM.normal(size=(3, 28, 28, 1)).astype(np.float32)
    (tmp_path / "program").write_bytes(program)
    np.save(tmp_path / "x.npy", x)
    code = (
        f"import jax, numpy as np, pathlib; folder = pathlib.Path(r'{tmp_path}');"
        "program = jax.export.deserialize(bytearray((folder / 'program').read_bytes()));"
        "x = np.load(folder / 'x.npy'); print(*program.platforms);"
        "np.save(folder / 'y.npy', program.call(x)); print(program.call(x[:1]).shape)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.splitlines() == ["cpu cuda tpu", "(1, 10)"]
    np.testing.assert_allclose(np.load(tmp_path / "y.npy"), model.apply(variables, x), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "shapes",
    [(2, 3), "b, 3", jax.ShapeDtypeStruct((2, 3), jnp.float32), {"x": ("b", 3)}, [(None, 3)]],
    ids=str,
)
def test_shapes_are_given_in_the_form_at_hand(shapes):
    program = jax.export.deserialize(train.export(lambda v, x: jax.tree.leaves(x)[0] * v, 2.0, shapes))
    x = jnp.ones((5, 3))
    x = {"x": x} if isinstance(shapes, dict) else [x] if isinstance(shapes, list) else x
    np.testing.assert_array_equal(program.call(x), np.full((5, 3), 2.0))


def reports(hook):
    """Call a hook with two reports, the second with an evaluation."""
    for step, evaluation in ((2, None), (4, {"accuracy": 0.5})):
        hook(train.Report(step, step / 4, None, {"loss": np.array([step, 0.0])}, evaluation, 0.5, 0.1, 4, 2))


def test_a_table_has_a_row_for_each_report(tmp_path):
    path = tmp_path / "metrics.csv"
    reports(train.CSVHook(path))
    rows = list(csv.DictReader(path.read_text().splitlines()))
    assert [row["train/loss"] for row in rows] == ["1.0", "2.0"]
    assert [row["evaluation/accuracy"] for row in rows] == ["", "0.5"]
    train.CSVHook(path, step=2)(train.Report(4, 1.0, None, {"loss": np.array([9.0])}, None, 0.5, 0.1, 4, 2))
    rows = list(csv.DictReader(path.read_text().splitlines()))
    assert [(row["step"], row["train/loss"]) for row in rows] == [("2", "1.0"), ("4", "9.0")]


def test_tensorboard_reads_the_scalars(tmp_path):
    event = pytest.importorskip("tensorboardX.proto.event_pb2", reason="tensorboardX is not installed")
    reader = pytest.importorskip("tensorboardX.record_writer", reason="tensorboardX is not installed")
    del reader
    with train.TensorBoardHook(tmp_path) as hook:
        reports(hook)
    (path,) = tmp_path.glob("events.*")
    content, scalars = path.read_bytes(), {}
    while content:
        size = int.from_bytes(content[:8], "little")
        record = event.Event.FromString(content[12 : 12 + size])
        scalars |= {(value.tag, record.step): value.simple_value for value in record.summary.value}
        content = content[16 + size :]
    assert scalars["train/loss", 2] == 1.0
    assert scalars["evaluation/accuracy", 4] == 0.5


def test_tensorboard_without_its_writer_is_a_clear_error(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(ImportError, match=r"needs tensorboardX: .*\[tensorboard\]"):
        train.TensorBoardHook(tmp_path)


def test_representations_fit_on_a_screen():
    state = train.prepare(train.make_step(TASK.loss, OPTIMIZER, average=0.9), train.start(TASK, OPTIMIZER, LOADER))
    assert len(repr(state)) < 240
    assert "step=0" in repr(state)
    assert len(repr(data.load("digits"))) < 320
