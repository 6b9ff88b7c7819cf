import importlib
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from jax.sharding import PartitionSpec

from jaxdl import data, metrics, optim, tasks, train, tree
from jaxdl.nn.normalization import BatchNorm
from jaxdl.train import explicit, parallel

STEPS = 10
BATCH = 16


class Normalised(nn.Module):
    """Two products with batch normalisation between them, and every dimension a multiple of eight."""

    axis_name: str | None = None

    @nn.compact
    def __call__(self, x, train=False):
        x = nn.Dense(16, name="up")(x)
        x = BatchNorm(axis_name=self.axis_name, name="norm")(x, train=train)
        return nn.Dense(8, name="down")(nn.relu(x))


def make_loader(batch_size=BATCH, size=48, **kwargs):
    generator = np.random.default_rng(0)
    x = generator.normal(size=(size, 8)).astype(np.float32)
    return data.Loader({"image": x, "label": np.argmax(x, axis=1).astype(np.int32)}, batch_size, seed=1, **kwargs)


def make_run(axis_name=None, loader=None):
    loader = loader or make_loader()
    task = tasks.classification(Normalised(axis_name))
    optimizer = optim.momentum(0.1, 0.9)
    state = train.TrainState.create(task.init(jax.random.key(0), loader.batch(0)), optimizer, jax.random.key(1))
    return task, train.make_step(task.loss, optimizer, axis_name=axis_name), state, loader


def fit(step, state, loader, **kwargs):
    """Train for ten steps on a copy of the state."""
    return train.fit(step, jax.tree.map(jnp.copy, state), loader, epochs=STEPS / loader.steps_per_epoch, **kwargs)


def numbers(state):
    """Everything in a state but the key, which never changes."""
    return jax.device_get(state.replace(key=None))


def assert_close(a, b, tolerance=1e-6):
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=0, atol=tolerance), numbers(a), numbers(b))


@pytest.fixture(scope="module")
def alone():
    """What one device computes: the state after ten steps and the history."""
    _, step, state, loader = make_run()
    return fit(step, state, loader)


@pytest.mark.parametrize("scan", [True, False])
def test_data_parallel_training_equals_one_device(alone, scan):
    _, step, state, loader = make_run()
    mesh = parallel.mesh({"data": 8})
    many, history = fit(step, state, loader, mesh=mesh, scan=scan)
    assert_close(many, alone[0])
    assert history[-1]["train/loss"] == pytest.approx(alone[1][-1]["train/loss"], abs=1e-6)
    assert all(len(leaf.sharding.device_set) == 8 for leaf in jax.tree.leaves(many))


def test_the_gathered_batch_is_spread_over_the_devices():
    _, step, state, loader = make_run()
    seen = []

    def watched(state, batch):
        jax.debug.inspect_array_sharding(batch["image"], callback=seen.append)
        return step(state, batch)

    fit(watched, state, loader, mesh=parallel.mesh({"data": 8}), scan=True)
    assert {sharding.shard_shape((BATCH, 8)) for sharding in seen} == {(BATCH // 8, 8)}


FORMS = {"jit": None, "shard_map": explicit.with_shard_map, "pmap": explicit.with_pmap}
explicitly = pytest.mark.parametrize("form", [name for name in FORMS if FORMS[name]])


def in_form(form, make, mesh):
    """Make the step of a form: ``make(axis_name)`` alone for jit, else mapped over the devices."""
    return make(None) if FORMS[form] is None else FORMS[form](make("data"), mesh)


@explicitly
def test_explicit_data_parallel_training_equals_one_device(alone, form):
    _, _, state, loader = make_run()
    mesh = parallel.mesh({"data": 8})
    step = in_form(form, lambda axis_name: make_run(axis_name)[1], mesh)
    many, history = fit(step, state, loader, mesh=mesh)
    assert_close(many, alone[0])
    assert history[-1]["train/loss"] == pytest.approx(alone[1][-1]["train/loss"], abs=1e-6)
    assert history[-1]["train/gradient_norm"] == pytest.approx(alone[1][-1]["train/gradient_norm"], abs=1e-5)


def linear(axis_name, **kwargs):
    """Make a step whose update is the gradient itself, the mean of ``x`` over the examples that count."""

    def loss(variables, batch, key):
        mean = metrics.mean(variables["params"]["w"] * batch["x"], batch.get("mask")).value
        return mean, ({}, {"x": mean})

    return train.make_step(loss, optim.sgd(1.0), axis_name=axis_name, **kwargs)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("count", [1, 2, 8])
def test_the_gradient_is_the_mean_over_the_whole_batch(form, count):
    mesh = parallel.mesh({"data": count})
    step = in_form(form, linear, mesh)
    state = train.TrainState.create({"params": {"w": jnp.array(1.0)}}, optim.sgd(1.0), jax.random.key(0))
    batch = parallel.place_batch({"x": np.arange(16.0, dtype=np.float32)}, mesh)
    after, seen = jax.jit(step)(parallel.place(state, mesh), batch)
    assert float(after.params["w"]) == 1.0 - 7.5
    assert {name: float(seen[name]) for name in ("x", "loss", "gradient_norm")} == dict.fromkeys(
        ("x", "loss", "gradient_norm"), 7.5
    )


@explicitly
@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_mask_weighs_the_devices_by_the_examples_that_count(form, accumulate):
    mesh = parallel.mesh({"data": 4})
    step = in_form(form, partial(linear, accumulate=accumulate), mesh)
    state = train.TrainState.create({"params": {"w": jnp.array(1.0)}}, optim.sgd(1.0), jax.random.key(0))
    x = np.arange(16.0, dtype=np.float32)
    mask = np.array([1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 1], np.float32)  # the third device has none
    after, seen = jax.jit(step)(state, {"x": x, "mask": mask})
    expected = x[mask == 1].mean()
    assert float(after.params["w"]) == pytest.approx(1.0 - expected, abs=1e-6)
    assert float(seen["loss"]) == pytest.approx(expected, abs=1e-6)


@explicitly
def test_a_masked_batch_has_one_gradient_also_through_batch_normalisation(form):
    task, step, state, loader = make_run()
    batch = {**loader.batch(0), "mask": np.array([1, 0, 0, 0, 1, 1, 0, 0, 1, 1, 1, 1, 0, 0, 0, 1], np.float32)}
    mesh = parallel.mesh({"data": 4})
    mapped = in_form(form, lambda axis_name: make_run(axis_name)[1], mesh)
    assert_close(jax.jit(mapped)(state, batch)[0], jax.jit(step)(state, batch)[0])


def test_a_step_that_forgot_to_average_is_refused():
    _, step, state, loader = make_run()
    mesh = parallel.mesh({"data": 2})
    with pytest.raises(ValueError, match="replicat"):
        jax.eval_shape(explicit.with_shard_map(step, mesh), state, loader.batch(0))


@explicitly
def test_devices_draw_from_keys_of_their_own(form):
    def loss(variables, batch, key):
        noise = jax.random.normal(key, batch["x"].shape)
        return jnp.mean(variables["params"]["w"] * noise), ({}, {})

    mesh = parallel.mesh({"data": 2})
    step = FORMS[form](train.make_step(loss, optim.sgd(1.0), axis_name="data"), mesh)
    state = train.TrainState.create({"params": {"w": jnp.array(0.0)}}, optim.sgd(1.0), jax.random.key(3))
    after, _ = jax.jit(step)(state, {"x": jnp.zeros(2)})
    key = jax.random.fold_in(state.key, 0)
    drawn = [jax.random.normal(jax.random.fold_in(key, i), (1,)) for i in range(2)]
    assert float(after.params["w"]) == pytest.approx(-float(jnp.mean(jnp.stack(drawn))), abs=1e-6)


TENSOR_PARALLEL = parallel.by_path(
    [
        ("up/kernel$", PartitionSpec(None, "model")),
        ("(up/bias|norm/.*)$", PartitionSpec("model")),
        ("down/kernel$", PartitionSpec("model")),
    ]
)


@pytest.mark.parametrize(
    ("axes", "rule"),
    [
        ({"data": 8}, parallel.fully_sharded),
        ({"data": 2, "model": 4}, TENSOR_PARALLEL),
    ],
    ids=["fully sharded", "tensor parallel"],
)
def test_sharded_parameters_train_as_on_one_device(alone, axes, rule):
    _, step, state, loader = make_run()
    placed = parallel.place(state, parallel.mesh(axes), rule)
    momentum = next(leaf for path, leaf in tree.flatten(placed.opt_state).items() if path.endswith("up/kernel"))
    assert momentum.sharding == placed.params["up"]["kernel"].sharding
    assert momentum.addressable_shards[0].data.size < momentum.size
    many, _ = fit(step, placed, loader, mesh=parallel.mesh(axes))
    assert_close(many, alone[0])
    assert many.params["up"]["kernel"].sharding == placed.params["up"]["kernel"].sharding


def test_a_data_set_that_is_cut_over_the_devices_gives_the_same_batches(monkeypatch):
    _, step, state, _ = make_run()
    loader, mesh = make_loader(size=50), parallel.mesh({"data": 8})
    engine = importlib.import_module("jaxdl.train.fit")  # the name train.fit is the function
    monkeypatch.setattr(engine, "_room", lambda: 1000.0)
    runner = engine.Scanned(step, loader, mesh)
    assert {shard.data.shape for shard in runner.arrays["image"].addressable_shards} == {(7, 8)}
    whole, _ = fit(step, state, loader, scan=False)
    parts, _ = fit(step, state, loader, mesh=mesh, scan=True)
    assert_close(parts, whole)


def test_a_padded_loader_trains_alike_scanned_and_step_by_step():
    _, step, state, _ = make_run()
    loader = make_loader(size=40, drop_remainder=False)
    scanned, _ = fit(step, state, loader, scan=True)
    single, _ = fit(step, state, loader, scan=False)
    assert_close(scanned, single)


def test_a_mesh_is_read_and_made():
    assert parallel.parse_mesh("data=4,model=2") == {"data": 4, "model": 2}
    made = parallel.mesh({"data": 4, "model": 2})
    assert dict(made.shape) == {"data": 4, "model": 2}
    assert parallel.data_devices(made) == 4
    assert parallel.mesh({"data": 2}).devices.tolist() == jax.devices()[:2]
    for text in ("", "data", "data=0", "data=-1", "data=2,data=4", "data=2,", "8"):
        with pytest.raises(ValueError, match="expected a mesh like"):
            parallel.parse_mesh(text)
    with pytest.raises(ValueError, match="data=4,model=4 needs 16 devices, there are 8"):
        parallel.mesh({"data": 4, "model": 4})
    with pytest.raises(ValueError, match="at least one device"):
        parallel.mesh({"data": 0})
    with pytest.raises(ValueError, match="at least one device"):
        parallel.mesh({})


def test_simulated_devices_are_asked_for_in_time():
    parallel.simulate_devices(8)
    with pytest.raises(RuntimeError, match="already runs with 8 CPU devices: ask for 3 before"):
        parallel.simulate_devices(3)
    with pytest.raises(ValueError, match="at least one"):
        parallel.simulate_devices(0)
