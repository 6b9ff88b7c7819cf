"""Training with what users bring: states, hooks, loaders, losses and optimizers of other forms than expected."""

import io

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen, struct
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from rich.console import Console

from jaxdl import data, metrics, models, optim, tasks, train
from jaxdl.train.checkpointing import snapshot

ARRAYS = {"x": np.arange(8, dtype=np.float32)}
LOADER = data.Loader(ARRAYS, 2, shuffle=False)
OPTIMIZER = optim.sgd(0.1)


def loss(variables, batch, key):
    return jnp.mean((variables["params"]["w"] - batch["x"]) ** 2), ({}, {})


def batch_losses(variables, batch, key):
    return (variables["params"]["w"] - batch["x"]) ** 2


TASK = tasks.Task(lambda key, batch: {"params": {"w": jnp.ones(())}}, loss, None)


def measure(variables, batch):
    return {"loss": metrics.mean((variables["params"]["w"] - batch["x"]) ** 2, batch["mask"])}


STEP = train.make_step(loss, OPTIMIZER)


def make_state(**fields):
    return train.TrainState.create({"params": {"w": jnp.ones(())}}, OPTIMIZER, jax.random.key(0), **fields)


def fit(step=STEP, state=None, loader=LOADER, **changes):
    return train.fit(step, make_state() if state is None else state, loader, **{"epochs": 1, **changes})


def used():
    state = make_state()
    fit(state=state)
    return state


class Stream:
    """Batches without numbers."""

    def __iter__(self):
        yield ARRAYS


@pytest.mark.parametrize(
    ("call", "error", "found"),
    [
        (lambda: fit(loader=[ARRAYS]), TypeError, "got list"),
        (lambda: fit(loader=Stream()), TypeError, "got Stream"),
        (lambda: fit(state=used()), ValueError, "leaf step was donated"),
        (lambda: train.make_evaluation(measure, ARRAYS)(used()), ValueError, "leaf params/w was donated"),
        (lambda: fit(state=make_state().replace(step=jnp.int32(4))), ValueError, "got one after step 4"),
        (lambda: fit(scan="yes"), ValueError, "got 'yes'"),
        (lambda: fit(hooks=train.EarlyStopping(patience=1)), TypeError, "got EarlyStopping"),
        (lambda: fit(hooks=[train.EarlyStopping(patience=1)]), ValueError, "EarlyStopping, got None"),
        (lambda: fit(hooks=[None]), TypeError, "got NoneType"),
        (lambda: fit(evaluate={}), TypeError, "got dict"),
        (lambda: fit(hooks=[lambda report: True]), TypeError, "got True"),
        (lambda: fit(hooks=[lambda report: 22]), TypeError, "got 22"),
        (lambda: fit(hooks=[lambda report: np.ones(2)]), TypeError, "got array"),
        (
            lambda: fit(train.make_step(batch_losses, OPTIMIZER)),
            TypeError,
            r"got an array of shape \(2,",
        ),
        (lambda: fit(epochs=None), ValueError, "epochs=None and steps=None"),
        (lambda: fit(steps=2), ValueError, "epochs=1 and steps=2"),
        (lambda: fit(epochs=None, steps=0), ValueError, "got 0"),
        (lambda: fit(evaluate_every=0.5), ValueError, "got 0.5"),
        (lambda: fit(loader=data.from_iterable(Stream())), ValueError, "got epochs=1"),
        (lambda: train.make_step(loss, OPTIMIZER, average=1.5), ValueError, "got 1.5"),
        (lambda: train.make_step(loss, OPTIMIZER, precision="float8"), ValueError, "got 'float8'"),
        (lambda: make_state().averaged, ValueError, "got None"),
        (lambda: train.start(TASK, OPTIMIZER, [ARRAYS]), TypeError, "got list"),
        (lambda: train.start(TASK, OPTIMIZER, LOADER, seed=0.5), TypeError, "got 0.5"),
        (lambda: fit(train.make_step(lambda *a: (loss(*a)[0], {"a": 1, "b": 2}), OPTIMIZER)), TypeError, "a dict"),
        (lambda: fit(train.make_step(lambda *a: (jnp.ones(3), ({}, {})), OPTIMIZER)), TypeError, r"shape \(3,\)"),
        (lambda: fit(train.make_step(lambda *a: (loss(*a)[0], ({"s": 1}, {})), OPTIMIZER)), ValueError, r"got \['s'\]"),
        (lambda: train.make_step(loss, optim.adam), TypeError, "got the function adam"),
        (lambda: train.TrainState.create({"params": {}}, optax.sgd, jax.random.key(0)), TypeError, "function sgd"),
        (lambda: train.make_step(loss, 0.1), TypeError, "got 0.1"),
        (lambda: train.make_evaluation(lambda v, b: {"a": 1.0}, ARRAYS)({}), TypeError, "got a float"),
        (lambda: train.make_evaluation(lambda v, b: 1.0, ARRAYS)({}), TypeError, "got a float"),
        (lambda: train.Checkpoints("none", config={"a": object}), TypeError, "got <class 'object'>"),
        (lambda: train.Checkpoints("none", config={"a": np.nan}), ValueError, "nan"),
        (lambda: train.EarlyStopping(patience=1, min_delta=np.nan), ValueError, "got nan"),
        (lambda: train.EarlyStopping(patience=1, min_delta=np.inf), ValueError, "got inf"),
    ],
)
def test_wrong_use_is_one_clear_error(call, error, found):
    with pytest.raises(error, match=found):
        call()


@pytest.mark.parametrize("name", ["image", "label"])
def test_a_batch_without_a_name_is_an_error_that_lists_its_names(name):
    task = tasks.classification(models.create("mlp"))
    batch = {"image": np.zeros((2, 8, 8, 1), np.float32), "label": np.zeros(2, np.int32)}
    batch[f"{name}s"] = batch.pop(name)
    for call in (lambda: task.loss({}, batch, jax.random.key(0)), lambda: task.measure({}, batch)):
        with pytest.raises(ValueError, match=f"'{name}', got .*'{name}s'"):
            call()


def test_hooks_end_a_run_only_by_stop():
    results = iter([None, False, 0, train.STOP, None])
    _, history = fit(epochs=2, report_every=1, hooks=[lambda report: next(results)])
    assert len(history) == 4


def test_the_evaluation_takes_a_state():
    evaluation = train.make_evaluation(measure, ARRAYS)
    state, history = fit(evaluate=evaluation)
    assert {"loss": history[-1]["evaluation/loss"]} == evaluation(state) == evaluation(state.variables)


@struct.dataclass
class Averaged(train.TrainState):
    """A state with an average of the parameters."""

    average: object


@pytest.mark.parametrize("scan", [True, False])
def test_a_subclass_with_shared_buffers_is_trained(scan):
    def step(state, batch):
        state, found = STEP(state, batch)
        return state.replace(average=0.5 * (state.average + state.params["w"])), found

    state = Averaged.create({"params": {"w": jnp.ones(())}}, OPTIMIZER, jax.random.key(0), average=None)
    state = state.replace(average=state.params["w"])
    after, _ = fit(step, state, scan=scan)
    assert isinstance(after, Averaged)
    w, average = 1.0, 1.0
    for start in range(0, 8, 2):
        w -= 0.1 * np.mean(2 * (w - ARRAYS["x"][start : start + 2]))
        average = 0.5 * (average + w)
    assert (float(after.params["w"]), float(after.average)) == pytest.approx((w, average), rel=1e-6)


def test_fit_without_jit_gives_the_same_numbers():
    expected, _ = fit()
    for scan in (True, False):
        with jax.disable_jit():
            found, _ = fit(scan=scan)
        np.testing.assert_allclose(found.params["w"], expected.params["w"], rtol=1e-6)


def test_a_mesh_with_explicit_axes_gives_the_same_numbers():
    mesh = jax.make_mesh((2,), ("data",), axis_types=(AxisType.Explicit,), devices=jax.devices()[:2])
    expected, history = fit(evaluate=train.make_evaluation(measure, ARRAYS))
    placed = jax.device_put(make_state(), NamedSharding(mesh, PartitionSpec()))
    evaluation = train.make_evaluation(measure, ARRAYS, mesh=mesh)
    for state in (make_state(), placed, train.parallel.place(make_state(), mesh)):
        found, rows = fit(state=state, mesh=mesh, evaluate=evaluation)
        np.testing.assert_allclose(found.params["w"], expected.params["w"], rtol=1e-6)
        assert rows[-1]["evaluation/loss"] == pytest.approx(history[-1]["evaluation/loss"], rel=1e-6)


def test_the_numbers_of_a_configuration_may_be_numpys(tmp_path):
    config = {"rate": np.float32(0.5), "sizes": (np.int64(8), 4), "table": np.arange(3), "flag": np.bool_(True)}
    checkpoints = train.Checkpoints(tmp_path, config=config)
    checkpoints.save(make_state().replace(step=jnp.int32(1)), position={"step": np.int64(3)})
    same = {"rate": 0.5, "sizes": [8, 4], "table": [0, 1, 2], "flag": True}
    assert train.Checkpoints(tmp_path, config=same).position() == {"step": 3}


class Frozen(linen.Module):
    """Two batch norms after two dense layers."""

    @linen.compact
    def __call__(self, x, train=False):
        for number in (1, 2):
            x = linen.Dense(3, name=f"dense{number}")(x)
            x = linen.BatchNorm(use_running_average=not train, name=f"norm{number}")(x)
        return x


@pytest.mark.parametrize(
    "wrap", [lambda optimizer: optimizer, lambda optimizer: optax.chain(optax.clip(1.0), optimizer)]
)
def test_frozen_batch_norms_keep_their_statistics(wrap):
    random = np.random.default_rng(0)
    batch = {"image": random.normal(size=(8, 3)).astype(np.float32), "label": np.arange(8) % 3}
    task, optimizer = tasks.classification(Frozen()), wrap(optim.freeze(optim.sgd(0.1), "1/"))
    state = train.TrainState.create(task.init(jax.random.key(0), batch), optimizer, jax.random.key(1))
    after, _ = jax.jit(train.make_step(task.loss, optimizer))(state, batch)
    kept = jax.tree.map(lambda a, b: bool(np.array_equal(a, b)), after.collections, state.collections)["batch_stats"]
    assert kept == {"norm1": {"mean": True, "var": True}, "norm2": {"mean": False, "var": False}}


def test_soft_labels_of_one_class_are_that_class():
    random, key = np.random.default_rng(0), jax.random.key(0)
    labels = np.arange(6) % 3
    hard = {"image": random.normal(size=(6, 3)).astype(np.float32), "label": labels}
    soft = {**hard, "label": np.eye(3, dtype=np.float32)[labels]}
    mixed = {**soft, "label": 0.7 * soft["label"] + 0.3 * soft["label"][::-1]}
    task = tasks.classification(Frozen())
    variables = task.init(key, hard)
    see = jax.jit(lambda batch: (task.loss(variables, batch, key), task.measure(variables, batch)))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), see(soft), see(hard))
    assert float(see(mixed)[1]["accuracy"].value) == float(see(hard)[1]["accuracy"].value)


def test_a_registered_model_is_a_submodule_with_a_name():
    class Both(linen.Module):
        @linen.compact
        def __call__(self, x):
            hidden = models.create("mlp", num_classes=4, name="encoder")(x)
            return models.create("mlp", num_classes=2)(hidden)

    variables = jax.eval_shape(Both().init, jax.random.key(0), jnp.zeros((1, 8, 8, 1)))
    assert sorted(variables["params"]) == ["MLP_0", "encoder"]
    assert models.create("mlp", name="encoder").name == "encoder"


def test_a_checkpoint_that_cannot_be_read_for_now_keeps_its_name(tmp_path, monkeypatch):
    checkpoints = train.Checkpoints(tmp_path, config={})
    for number in (1, 2):
        checkpoints.save(make_state().replace(step=jnp.int32(number)))
    digest = snapshot.file_digest

    def fail(path):
        if "00000002" in str(path):
            raise OSError(5, "Input/output error")
        return digest(path)

    monkeypatch.setattr(snapshot, "file_digest", fail)
    with pytest.warns(RuntimeWarning, match="cannot be read"):
        assert int(checkpoints.restore(make_state(), fallback=True).step) == 1
    assert checkpoints.steps() == [1, 2]
    monkeypatch.setattr(snapshot, "file_digest", digest)
    checkpoints.save(make_state().replace(step=jnp.int32(2)))
    assert checkpoints.steps() == [1, 2]
    assert (tmp_path / "00000002.damaged").exists()


def test_the_progress_bar_shows_the_mean_loss_of_the_epoch_and_says_that_it_compiles():
    with train.ProgressBar(8, "[run]", console=Console(file=io.StringIO(), width=120)) as bar:
        shown = [bar.progress.tasks[0].fields["numbers"]]
        for step, values in ((2, [4.0, 2.0]), (4, [1.0, 1.0]), (6, [0.5, 0.5])):
            metrics_of_steps = {"loss": np.array(values)}
            bar(train.Report(step, step / 4, None, metrics_of_steps, None, 1.0, 0.0, 8, 2))
            shown.append(bar.progress.tasks[0].fields["numbers"])
    assert shown[0] == "compiling"
    assert [text.split("loss ")[1].split()[0] for text in shown[1:]] == ["3", "2", "0.5"]


def test_a_step_gives_a_line_search_what_it_needs():
    def loss(variables, batch, key):
        return jnp.mean((batch["x"] @ variables["params"]["w"] - batch["y"]) ** 2), ({}, {})

    rng = np.random.default_rng(0)
    batch = {"x": rng.normal(size=(20, 3)).astype(np.float32), "y": rng.normal(size=20).astype(np.float32)}
    optimizer = optax.lbfgs()
    state = train.TrainState.create({"params": {"w": jnp.zeros(3)}}, optimizer, jax.random.key(0))
    step = jax.jit(train.make_step(loss, optimizer))
    for _ in range(12):
        state, metrics = step(state, batch)
    best = np.linalg.lstsq(batch["x"], batch["y"], rcond=None)[0]
    np.testing.assert_allclose(state.params["w"], best, atol=1e-4)
    assert np.isfinite(metrics["loss"])


def test_combined_optimizers_receive_the_value_of_the_loss():
    parts = {name: optax.chain(optax.sgd(1.0), optax.contrib.reduce_on_plateau()) for name in ("a", "b")}
    optimizer = train.combine_optimizers(parts)
    params = {"a": jnp.ones(1), "b": jnp.zeros(2)}
    updates, _ = optimizer.update(params, optimizer.init(params), params, value=1.0)
    assert {name: update.tolist() for name, update in updates.items()} == {"a": [-1], "b": [0, 0]}


def test_arrays_may_be_lists_and_outputs_must_have_rows():
    def measure(variables, batch):
        return {"mean": metrics.mean(batch["x"], batch["mask"])}

    assert train.make_evaluation(measure, {"x": [0.0, 1.0, 5.0]}, batch_size=2)({})["mean"] == 2
    with pytest.raises(ValueError, match=r"rows of the batch, got shape \(\)"):
        train.predict(lambda variables, x: jnp.sum(x), {}, np.arange(4.0), batch_size=2)


def test_texts_in_a_batch_are_named():
    loader = data.Loader({"image": np.zeros((4, 8, 8, 1), np.float32), "name": np.array(list("abcd"))}, 2)
    with pytest.raises(TypeError, match="texts or objects in name"):
        train.start(tasks.classification(models.create("mlp")), optim.sgd(0.1), loader)
