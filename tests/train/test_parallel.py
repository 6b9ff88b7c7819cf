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
from jaxdl.train.collectives import collectives, in_text

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


def test_a_batch_that_does_not_divide_is_refused_with_its_numbers():
    _, step, state, _ = make_run()
    loader, mesh = make_loader(batch_size=12), parallel.mesh({"data": 8})
    for scan in (True, False):
        with pytest.raises(ValueError, match=r"12 rows of .* do not divide over 8 devices, 4 would be left over"):
            fit(step, state, loader, mesh=mesh, scan=scan)
    for form in (explicit.with_shard_map, explicit.with_pmap):
        with pytest.raises(ValueError, match="12 rows do not divide over 8 devices, 4 would be left over"):
            form(step, mesh)(state, loader.batch(0))


@pytest.mark.parametrize("scan", [True, False])
def test_a_batch_that_does_not_divide_is_filled_up_where_that_is_asked_for(scan):
    x = np.random.default_rng(1).normal(size=36).astype(np.float32)
    loader, mesh = data.Loader({"x": x}, 12), parallel.mesh({"data": 8})
    state = train.TrainState.create({"params": {"w": jnp.array(1.0)}}, optim.sgd(1.0), jax.random.key(0))
    padded = parallel.PaddedLoader(loader, parallel.data_devices(mesh))
    after, _ = train.fit(linear(None), state, padded, epochs=2 / 3, mesh=mesh, scan=scan)
    expected = 1.0 - sum(loader.batch(i)["x"].mean() for i in range(2))
    assert float(after.params["w"]) == pytest.approx(expected, abs=1e-6)


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


def test_the_flags_of_a_command_name_a_mesh():
    assert parallel.from_flags() is None
    assert dict(parallel.from_flags(devices=4).shape) == {"data": 4}
    assert dict(parallel.from_flags(axes="data=2,model=4").shape) == {"data": 2, "model": 4}
    assert dict(parallel.from_flags(devices=8, axes="data=8").shape) == {"data": 8}
    with pytest.raises(ValueError, match="a mesh of 8 devices, --devices asks for 4"):
        parallel.from_flags(devices=4, axes="data=8")
    with pytest.raises(ValueError, match="needs 16 devices, there are 8"):
        parallel.from_flags(devices=16)


def test_the_same_seed_gives_the_same_bits_twice():
    _, step, state, loader = make_run()
    mesh = parallel.mesh({"data": 8})
    once, twice = (fit(step, state, loader, mesh=mesh)[0] for _ in range(2))
    jax.tree.map(np.testing.assert_array_equal, numbers(once), numbers(twice))


@pytest.mark.parametrize("axes", [{"data": 8}, {"data": 2, "model": 4}])
def test_evaluation_on_a_mesh_gives_the_same_numbers(axes):
    task, _, state, _ = make_run()
    arrays = make_loader(size=45).arrays
    expected = train.make_evaluation(task.measure, arrays, batch_size=20)(state.variables)
    mesh = parallel.mesh(axes)
    rule = TENSOR_PARALLEL if "model" in axes else parallel.replicated
    placed = parallel.place(state, mesh, rule)
    measured = train.make_evaluation(task.measure, arrays, batch_size=20, mesh=mesh)(placed.variables)
    assert measured == pytest.approx(expected, rel=1e-6)


def test_dropout_on_a_mesh_draws_what_one_device_draws():
    def loss(variables, batch, key):
        noise = jax.random.normal(key, batch["x"].shape)
        return jnp.mean(variables["params"]["w"] * noise * batch["x"]), ({}, {})

    step, mesh = jax.jit(train.make_step(loss, optim.sgd(1.0))), parallel.mesh({"data": 8})
    state = train.TrainState.create({"params": {"w": jnp.array(1.0)}}, optim.sgd(1.0), jax.random.key(0))
    batch = {"x": np.arange(16.0, dtype=np.float32)}
    many, _ = step(parallel.place(state, mesh), parallel.place_batch(batch, mesh))
    assert float(many.params["w"]) == pytest.approx(float(step(state, batch)[0].params["w"]), abs=1e-6)


def test_each_leaf_lies_where_the_rule_says():
    _, _, state, _ = make_run()
    mesh = parallel.mesh({"data": 4, "model": 2})
    sharded = tree.flatten(parallel.shardings(state, mesh, parallel.fully_sharded))
    specs = {path: tuple(sharding.spec) for path, sharding in sharded.items()}
    assert specs["params/up/kernel"] == (None, "data")  # [8, 16]
    assert specs["params/down/kernel"] == ("data",)  # [16, 8]
    assert specs["opt_state/0/trace/down/kernel"] == ("data",)
    assert specs["step"] == specs["key"] == specs["collections/batch_stats/norm/mean"] == ()
    large_only = partial(parallel.fully_sharded, minimum_size=17)
    assert large_only("bias", (16,), mesh) == PartitionSpec()
    assert parallel.fully_sharded("odd", (3, 5), mesh) == PartitionSpec()
    mixed = parallel.by_path([("kernel$", PartitionSpec(None, "model"))], otherwise=parallel.fully_sharded)
    assert mixed("a/kernel", (8, 8), mesh) == PartitionSpec(None, "model")
    assert mixed("a/bias", (8,), mesh) == PartitionSpec("data")


def test_a_rule_that_cannot_be_is_refused():
    _, _, state, _ = make_run()
    mesh = parallel.mesh({"data": 2, "model": 3})
    for spec, message in [
        (PartitionSpec("row"), r"names \['row'\], the mesh has data=2,model=3"),
        (PartitionSpec("model"), r"up/kernel \[8, 16\]: 3 devices of .* do not divide a dimension of 8"),
        (PartitionSpec(None, None, "data"), "up/kernel has 2 dimensions"),
    ]:
        with pytest.raises(ValueError, match=message):
            parallel.place(state, mesh, parallel.by_path([("up/kernel", spec)]))
    placed = parallel.place(state, mesh)
    with pytest.raises(ValueError, match="lies on the mesh data=2,model=3, expected data=8"):
        parallel.on_mesh(placed, parallel.mesh({"data": 8}))


def test_a_large_state_is_born_where_it_belongs():
    mesh = parallel.mesh({"data": 8})

    def make():
        variables = {"params": {"kernel": jnp.ones((16, 4))}}
        return train.TrainState.create(variables, optim.momentum(0.1), jax.random.key(0))

    state = jax.jit(make, out_shardings=parallel.shardings(jax.eval_shape(make), mesh, parallel.fully_sharded))()
    assert state.params["kernel"].addressable_shards[0].data.shape == (2, 4)
    assert state.opt_state[0].trace["kernel"].addressable_shards[0].data.shape == (2, 4)


def test_a_placed_state_outlives_the_donation_of_its_copy():
    _, step, state, loader = make_run()
    placed = parallel.place(state, parallel.mesh({"data": 8}))
    train.fit(step, placed, loader, epochs=1 / 3, mesh=parallel.mesh({"data": 8}))
    assert all(not leaf.is_deleted() for leaf in jax.tree.leaves(state))


def test_collectives_are_read_from_the_compiled_program():
    task, step, state, loader = make_run()
    mesh = parallel.mesh({"data": 8})
    batch = parallel.place_batch(loader.batch(0), mesh)
    compiled = jax.jit(step).lower(parallel.place(state, mesh), batch).compile()
    (found,) = collectives(compiled)
    assert found.kind == "all-reduce"
    # The gradient, and little besides: the sums for the moments of 16 channels and for their gradients, two scalars.
    assert 0 < found.bytes - 4 * tree.size(state.params) <= 4 * (4 * 16 + 2)
    text = """
      %gathered = (f32[2,4]{1,0:T(8,128)}, f32[16,4]{1,0:T(8,128)}) all-gather-start(%shard), dimensions={0}
      %done = f32[16,4]{1,0} all-gather-done(%gathered)
      ROOT %moved = (bf16[8]{0}, bf16[8]{0}, u32[], u32[]) collective-permute-start(%x), channel_id=3
      %sum = (pred[], s8[3]{0}) all-reduce(%a, %b), metadata={op_name="reduce_sum"}
      %first = f32[3]{0} get-tuple-element(%all-reduce.1), index=0
    """
    assert in_text(text) == [("all-gather", 1, 256), ("all-reduce", 1, 4), ("collective-permute", 1, 16)]
