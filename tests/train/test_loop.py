import functools
import io
import json
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from rich.console import Console

from jaxdl import data, metrics, optim, tasks, train, tree
from jaxdl.train.loop import chunks


class Small(nn.Module):
    """A model with parameters, batch statistics and dropout."""

    @nn.compact
    def __call__(self, x, train=False):
        x = nn.Dense(8)(x)
        x = nn.BatchNorm(use_running_average=not train, momentum=0.9)(x)
        x = nn.Dropout(0.2, deterministic=not train)(nn.relu(x))
        return nn.Dense(3)(x)


@functools.cache
def creation(model, optimizer):
    """Compile the creation of a state."""
    task = tasks.classification(model)

    @jax.jit
    def create(batch):
        return train.TrainState.create(task.init(jax.random.key(0), batch), optimizer, jax.random.key(1))

    return task, create


OPTIMIZER = optim.momentum(0.1, 0.9)


def make_run(batch_size=8, *, accumulate=1, model=None, size=45):
    generator = np.random.default_rng(0)
    x = generator.normal(size=(size, 5)).astype(np.float32)
    arrays = {"image": x, "label": np.argmax(x[:, :3], axis=1).astype(np.int32)}
    loader = data.Loader(arrays, batch_size, seed=1)
    task, create = creation(model or Small(), OPTIMIZER)
    step = train.make_step(task.loss, OPTIMIZER, accumulate=accumulate)
    return task, step, create(loader.batch(0)), loader


def assert_same(a, b):
    jax.tree.map(np.testing.assert_array_equal, jax.tree.map(jax.random.key_data, a.key), jax.random.key_data(b.key))
    jax.tree.map(np.testing.assert_array_equal, a.replace(key=0), b.replace(key=0))


def close(a, b, tolerance):
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=tolerance, atol=tolerance), a, b)


def test_training_learns_and_reports():
    task, step, state, loader = make_run()
    evaluation = train.make_evaluation(task.measure, loader.arrays, batch_size=16)
    before = evaluation(state.variables)
    state, history = train.fit(step, state, loader, epochs=20, evaluate=lambda state: evaluation(state.variables))
    after = evaluation(state.variables)
    assert after["accuracy"] > 0.9 > before["accuracy"]
    assert after["loss"] < before["loss"]
    assert int(state.step) == 20 * 5
    expected = {"train/loss", "train/accuracy", "train/learning_rate", "train/gradient_norm", "train/parameter_norm"}
    assert expected | {"train/update_norm", "evaluation/loss", "step", "epoch"} <= history[-1].keys()
    assert history[-1]["evaluation/accuracy"] == after["accuracy"]


def test_a_scanned_run_equals_single_steps():
    task, step, state, loader = make_run()
    scanned, rows = train.fit(step, jax.tree.map(jnp.copy, state), loader, epochs=2, scan=True)
    single, single_rows = train.fit(step, state, loader, epochs=2, scan=False)
    close(scanned.params, single.params, 1e-6)
    close(scanned.collections, single.collections, 1e-6)
    assert [row["step"] for row in rows] == [row["step"] for row in single_rows]
    assert rows[-1]["train/loss"] == pytest.approx(single_rows[-1]["train/loss"], rel=1e-5)


def test_fit_equals_a_plain_loop_over_the_step():
    task, step, state, loader = make_run()
    looped = jax.tree.map(jnp.copy, state)
    jitted = jax.jit(step)
    for number in range(7):
        looped, _ = jitted(looped, loader.batch(number))
    fitted, _ = train.fit(step, state, loader, epochs=7 / 5, scan=False)
    assert_same(looped, fitted)


def test_a_resumed_run_equals_an_uninterrupted_one():
    task, step, state, loader = make_run()
    expected, _ = train.fit(step, jax.tree.map(jnp.copy, state), loader, epochs=3)
    part, _ = train.fit(step, state, loader, epochs=1)
    continued, rows = train.fit(step, part, loader, epochs=3)
    assert rows[0]["step"] == 10
    assert_same(expected, continued)


def test_no_step_compiles_after_its_first_call():
    task, step, state, loader = make_run()
    traces = 0

    def counted(state, batch):
        nonlocal traces
        traces += 1
        return step(state, batch)

    for scan in (True, False):
        traces, reports = 0, []
        fresh = jax.tree.map(jnp.copy, state)
        train.fit(counted, fresh, loader, epochs=4, scan=scan, hooks=[reports.append])
        assert traces == 1
        assert len({report.compile_seconds for report in reports}) == 1


def test_many_states_train_at_once_under_vmap():
    task, step, state, loader = make_run()
    keys = list(jax.random.split(jax.random.key(5), 3))
    states = jax.vmap(lambda key: state.replace(key=key))(jnp.stack(keys))
    together, _ = train.fit(jax.vmap(step, in_axes=(0, None)), states, loader, epochs=1)
    for i in range(3):
        alone, _ = train.fit(step, jax.tree.map(jnp.copy, state.replace(key=keys[i])), loader, epochs=1)
        close(tree.take(together.params, i), alone.params, 1e-5)


@pytest.mark.parametrize("masked", [False, True])
def test_accumulated_microbatches_equal_one_large_batch(masked):
    class Model(nn.Module):
        @nn.compact
        def __call__(self, x, train=False):
            return nn.Dense(3)(x)

    results = []
    for parts in (1, 4):
        _, step, state, loader = make_run(accumulate=parts, model=Model())
        batch = dict(loader.batch(0))
        if masked:
            batch["mask"] = np.array([1, 1, 1, 0, 0, 0, 1, 0], np.float32)
        results.append(jax.jit(step)(state, batch))
    (one, one_metrics), (four, four_metrics) = results
    close(one.params, four.params, 1e-6)
    close(one_metrics, four_metrics, 1e-5)


def test_evaluation_counts_every_example_of_a_padded_batch_once():
    task, _, state, loader = make_run(size=45)
    expected = train.make_evaluation(task.measure, loader.arrays, batch_size=45)(state.variables)
    padded = train.make_evaluation(task.measure, loader.arrays, batch_size=16)(state.variables)
    assert padded["accuracy"] == pytest.approx(expected["accuracy"], abs=1e-7)
    assert padded["loss"] == pytest.approx(expected["loss"], rel=1e-6)


def test_early_stopping_keeps_the_best_state():
    task, step, state, loader = make_run()
    values = iter([3.0, 1.0, 2.0, 2.5, 0.1])
    stopping = train.EarlyStopping("loss", patience=2)
    state, history = train.fit(
        step, state, loader, epochs=5, evaluate=lambda state: {"loss": next(values)}, hooks=[stopping]
    )
    assert len(history) == 4
    assert (stopping.best, stopping.best_step) == (1.0, 10)
    assert int(stopping.best_state.step) == 10
    assert int(state.step) == 20


def test_chunks_cover_every_step_once_and_end_with_the_epoch():
    for per_epoch, at_most, first, total in [(937, 50, 0, 2000), (22, 50, 30, 88), (1, 1, 0, 3), (468, 50, 7, 470)]:
        spans = list(chunks(first, total, per_epoch, at_most))
        assert [s for start, count in spans for s in range(start, start + count)] == list(range(first, total))
        assert all(start // per_epoch == (start + count - 1) // per_epoch for start, count in spans)
        assert max(count for _, count in spans) <= at_most


def test_invalid_arguments_raise_before_tracing():
    task, step, state, loader = make_run()

    def never(state, batch):
        raise AssertionError("traced")

    for changes in ({"epochs": 0}, {"epochs": 1, "report_every": 0}):
        with pytest.raises(ValueError, match="got 0"):
            train.fit(never, state, loader, **changes)
    stream = type("Stream", (), {"steps_per_epoch": 5, "batch": lambda self, step: loader.batch(step)})()
    with pytest.raises(ValueError, match="got Stream"):
        train.fit(never, state, stream, epochs=1, scan=True)
    with pytest.raises(ValueError, match="accumulate=3, got 8"):
        jax.eval_shape(train.make_step(task.loss, optim.sgd(0.1), accumulate=3), state, loader.batch(0))
    with pytest.raises(ValueError, match=r"got \['weights'\]"):
        train.TrainState.create({"weights": 1}, optim.sgd(0.1), jax.random.key(0))


def test_the_metrics_file_of_a_resumed_run_is_that_of_an_uninterrupted_one(tmp_path):
    task, step, state, loader = make_run()
    path = tmp_path / "metrics.jsonl"
    state, _ = train.fit(step, state, loader, epochs=2, hooks=[train.MetricsFile(path)])
    state, _ = train.fit(step, state, loader, epochs=3, hooks=[train.MetricsFile(path, step=10)])
    steps = [json.loads(line)["step"] for line in path.read_text().splitlines()]
    assert steps == [5, 10, 15]
    path.write_text(path.read_text() + '{"step": 20}\n')
    train.MetricsFile(path, step=15)
    assert len(path.read_text().splitlines()) == 3
    assert math.isfinite(json.loads(path.read_text().splitlines()[-1])["train/loss"])


@pytest.mark.parametrize("scan", [True, False])
def test_a_step_without_metrics_trains_with_every_hook(tmp_path, scan):
    _, step, state, loader = make_run()
    checkpoints, reports = train.Checkpoints(tmp_path / "checkpoints", config={}), []
    with train.ProgressBar(loader.batch_size, console=Console(file=io.StringIO(), width=100)) as bar:
        hooks = [train.StopAtNonfinite(), bar, train.MetricsFile(tmp_path / "metrics"), train.SaveEvery(checkpoints)]
        silent, history = train.fit(
            lambda state, batch: (step(state, batch)[0], {}),
            jax.tree.map(jnp.copy, state),
            loader,
            epochs=1.4,
            scan=scan,
            hooks=[*hooks, reports.append],
        )
    assert_same(silent, train.fit(step, state, loader, epochs=1.4, scan=scan)[0])
    assert [(report.step, report.steps) for report in reports] == [(5, 5), (7, 2)]
    assert checkpoints.steps() == [5, 7]
    assert [row.keys() for row in history] == [{"step", "epoch", "seconds", "compile_seconds"}] * 2
    assert (bar.progress.tasks[0].completed, bar.progress.tasks[0].total) == (7, 7)
    assert "examples/s" in bar.progress.tasks[0].fields["numbers"]


def test_evaluation_keeps_the_mask_of_the_data():
    def measure(variables, batch):
        return {"mean": metrics.mean(batch["x"], batch["mask"])}

    arrays = {"x": np.array([1.0, 2.0, 3.0, 100.0, 6.0]), "mask": np.array([1.0, 1.0, 1.0, 0.0, 1.0])}
    assert train.make_evaluation(measure, arrays, batch_size=2)({}) == {"mean": 3.0}


def test_accumulated_metrics_are_means_also_of_integers():
    def loss(variables, batch, key):
        total = jnp.sum(variables["params"]["w"] * batch["x"]) / batch["x"].shape[0]
        return total, ({}, {"largest": jnp.max(batch["x"]).astype(jnp.int32)})

    optimizer = optim.sgd(0.1)
    state = train.TrainState.create({"params": {"w": jnp.ones(1, jnp.bfloat16)}}, optimizer, jax.random.key(0))
    state, metrics = train.make_step(loss, optimizer, accumulate=4)(state, {"x": jnp.arange(8.0)})
    assert float(metrics["largest"]) == pytest.approx((4 + 5 + 6 + 7) / 4)  # of every fourth row
    assert state.params["w"].dtype == jnp.bfloat16


def test_a_state_may_hold_numpy_arrays():
    _, step, state, loader = make_run()
    on_host = jax.device_get(state.replace(key=0)).replace(key=jnp.copy(state.key))
    fitted, _ = train.fit(step, on_host, loader, epochs=0.4)
    expected, _ = train.fit(step, jax.tree.map(jnp.copy, state), loader, epochs=0.4)
    close(fitted.params, expected.params, 1e-7)


def test_count_steps_of_fractions_of_epochs_without_rounding_errors():
    for per_epoch in (7, 11, 44, 937):
        for steps in range(1, 3 * per_epoch, 5):
            assert train.count_steps(steps / per_epoch, per_epoch) == steps


def test_batches_of_several_lengths_have_one_program_each():
    generator = np.random.default_rng(0)
    tokens = [generator.normal(size=(length, 1)).astype(np.float32) for length in (2, 2, 3, 5, 5, 4)]
    loader = data.BucketLoader({"x": tokens}, 2, boundaries=(3, 5), seed=0)

    def loss(variables, batch, key):
        mask = batch["mask"][:, None] * (jnp.arange(batch["x"].shape[1])[None] < batch["length"][:, None])
        value = jnp.sum(mask * jnp.square(batch["x"][..., 0] - variables["params"]["w"])) / jnp.sum(mask)
        return value, ({}, {"steps": jnp.float32(batch["x"].shape[1])})

    optimizer = optim.sgd(0.1)
    variables = {"params": {"w": jnp.zeros(())}}
    make_state = functools.partial(train.TrainState.create, variables, optimizer, jax.random.key(0))
    step = train.make_step(loss, optimizer)
    state, _ = train.fit(step, make_state(), loader, epochs=2)
    by_hand = make_state()
    for number in range(2 * loader.steps_per_epoch):
        by_hand, _ = jax.jit(step)(by_hand, loader.batch(number))
    assert {loader.batch(number)["x"].shape[1] for number in range(loader.steps_per_epoch)} == {3, 5}
    np.testing.assert_allclose(state.params["w"], by_hand.params["w"], rtol=1e-6)


@pytest.mark.parametrize("mode", ["min", "max"])
def test_nan_is_the_worst_value_of_a_run_and_of_its_resumption(mode):
    values = [math.nan, 0.5, math.nan, math.nan]
    stopping, resumed = (train.EarlyStopping("score", patience=2, mode=mode) for _ in range(2))
    ended = []
    for step, value in enumerate(values, 1):
        report = train.Report(step, step, {"w": jnp.zeros(1)}, {}, {"score": value}, 0.0, 0.0, 4, 1)
        ended.append(bool(stopping(report)))
    assert ended == [False, False, False, True]
    assert (stopping.best, stopping.best_step) == (0.5, 2)
    rows = [
        {"step": step, "evaluation/score": None if math.isnan(value) else value} for step, value in enumerate(values, 1)
    ]
    resumed.replay([{"step": 0}, *rows], like=None)
    assert (resumed.best_step, resumed.exhausted) == (2, True)
