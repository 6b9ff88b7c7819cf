import importlib
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec

from jaxdl import optim, train, tree
from jaxdl.train import parallel
from jaxdl.train.parallel import explicit
from tests.train.small import (
    TENSOR_PARALLEL,
    alone,
    assert_close,
    linear,
    linear_state,
    make_loader,
    make_numbers,
    make_run,
    numbers,
    train_ten,
)


@pytest.mark.parametrize("scan", [True, False])
def test_data_parallel_training_equals_one_device(scan):
    _, step, state, loader = make_run()
    mesh = parallel.make_mesh({"data": 8})
    many, history = train_ten(step, state, loader, mesh=mesh, scan=scan)
    assert_close(many, alone()[0])
    assert history[-1]["train/loss"] == pytest.approx(alone()[1][-1]["train/loss"], abs=1e-6)
    assert all(len(leaf.sharding.device_set) == 8 for leaf in jax.tree.leaves(many))


def test_the_gathered_batch_is_spread_over_the_devices():
    step, seen = linear(None), []

    def watched(state, batch):
        jax.debug.inspect_array_sharding(batch["x"], callback=seen.append)
        return step(state, batch)

    train.fit(watched, linear_state(), make_numbers(16, 32), epochs=1, mesh=parallel.make_mesh({"data": 8}), scan=True)
    assert {sharding.shard_shape((16,)) for sharding in seen} == {(2,)}


@pytest.mark.parametrize(
    ("axes", "rule"),
    [
        ({"data": 8}, parallel.fully_sharded),
        ({"data": 2, "model": 4}, TENSOR_PARALLEL),
    ],
    ids=["fully sharded", "tensor parallel"],
)
def test_sharded_parameters_train_as_on_one_device(axes, rule):
    _, step, state, loader = make_run()
    placed = parallel.place(state, parallel.make_mesh(axes), rule)
    momentum = next(leaf for path, leaf in tree.flatten(placed.opt_state).items() if path.endswith("up/kernel"))
    assert momentum.sharding == placed.params["up"]["kernel"].sharding
    assert momentum.addressable_shards[0].data.size < momentum.size
    many, _ = train_ten(step, placed, loader, mesh=parallel.make_mesh(axes))
    assert_close(many, alone()[0])
    assert many.params["up"]["kernel"].sharding == placed.params["up"]["kernel"].sharding


def test_a_data_set_that_is_cut_over_the_devices_gives_the_same_batches(monkeypatch):
    engine = importlib.import_module("jaxdl.train.loop")  # the name train.fit is the function
    monkeypatch.setattr(engine, "_room", lambda: 100.0)
    loader, mesh = make_numbers(8, 50), parallel.make_mesh({"data": 8})
    runner = engine.Scanned(linear(None), loader, mesh)
    assert {shard.data.shape for shard in runner.arrays["x"].addressable_shards} == {(7,)}
    after, _ = train.fit(linear(None), linear_state(), loader, epochs=1, mesh=mesh, scan=True)
    assert float(after.params["w"]) == pytest.approx(descended(loader, 6), abs=1e-6)


def descended(loader, steps):
    """Where `linear` ends: one, less the mean of every batch."""
    return 1.0 - sum(loader.batch(i)["x"].mean() for i in range(steps))


def test_a_batch_that_does_not_divide_is_refused_with_its_numbers():
    _, step, state, _ = make_run()
    loader, mesh = make_loader(batch_size=12), parallel.make_mesh({"data": 8})
    message = "12 rows does not divide over 8 devices, 4 would be left over: take a multiple of 8"
    for scan in (True, False):
        with pytest.raises(ValueError, match=message):
            train_ten(step, state, loader, mesh=mesh, scan=scan)
    for form in (explicit.with_shard_map, explicit.with_pmap):
        with pytest.raises(ValueError, match=message):
            form(step, mesh)(state, loader.batch(0))


@pytest.mark.parametrize("scan", [True, False])
def test_a_batch_that_does_not_divide_is_filled_up_where_that_is_asked_for(scan):
    loader, mesh = make_numbers(12, 36), parallel.make_mesh({"data": 8})
    padded = parallel.PaddedLoader(loader, parallel.data_devices(mesh))
    after, _ = train.fit(linear(None), linear_state(), padded, epochs=2 / 3, mesh=mesh, scan=scan)
    assert float(after.params["w"]) == pytest.approx(descended(loader, 2), abs=1e-6)


@pytest.mark.parametrize("scan", [True, False])
def test_the_last_batch_of_a_padded_loader_is_masked(scan):
    loader = make_numbers(16, 40, drop_remainder=False, shuffle=False)
    after, _ = train.fit(linear(None), linear_state(), loader, epochs=1, scan=scan)
    x = loader.arrays["x"]
    expected = 1.0 - x[:16].mean() - x[16:32].mean() - x[32:].mean()
    assert float(after.params["w"]) == pytest.approx(expected, abs=1e-6)


def test_a_mesh_is_read_and_made():
    assert parallel.parse_mesh("data=4,model=2") == {"data": 4, "model": 2}
    made = parallel.make_mesh({"data": 4, "model": 2})
    assert dict(made.shape) == {"data": 4, "model": 2}
    assert parallel.data_devices(made) == 4
    assert parallel.make_mesh({"data": 2}).devices.tolist() == jax.devices()[:2]
    for text in ("", "data", "data=0", "data=-1", "data=2,data=4", "data=2,", "8"):
        with pytest.raises(ValueError, match="expected a mesh like"):
            parallel.parse_mesh(text)
    with pytest.raises(ValueError, match="data=4,model=4 needs 16 devices, there are 8"):
        parallel.make_mesh({"data": 4, "model": 4})
    with pytest.raises(ValueError, match="at least one device"):
        parallel.make_mesh({"data": 0})
    with pytest.raises(ValueError, match="at least one device"):
        parallel.make_mesh({})


def test_simulated_devices_are_asked_for_in_time():
    jax.devices()  # JAX runs: the devices are what they are
    parallel.simulate_devices(8)
    with pytest.raises(RuntimeError, match="already runs with 8 CPU devices: ask for 3 before"):
        parallel.simulate_devices(3)
    with pytest.raises(ValueError, match="expected 1 to 1,024 devices, got 0"):
        parallel.simulate_devices(0)


def test_the_flags_of_a_command_name_a_mesh():
    jax.devices()  # JAX runs: the devices are what they are
    assert parallel.from_flags() is None
    assert dict(parallel.from_flags(devices=4).shape) == {"data": 4}
    assert dict(parallel.from_flags(axes="data=2,model=4").shape) == {"data": 2, "model": 4}
    assert dict(parallel.from_flags(devices=8, axes="data=8").shape) == {"data": 8}
    with pytest.raises(ValueError, match="a mesh of 8 devices, --devices asks for 4"):
        parallel.from_flags(devices=4, axes="data=8")
    with pytest.raises(ValueError, match="needs 16 devices, there are 8"):
        parallel.from_flags(devices=16)
    assert dict(parallel.from_flags(processes=2).shape) == {"data": 8}
    with pytest.raises(ValueError, match="7 devices do not divide over 2 processes: take a multiple of 2"):
        parallel.from_flags(devices=7, processes=2)


def test_the_same_seed_gives_the_same_bits_twice():
    _, step, state, loader = make_run()
    mesh = parallel.make_mesh({"data": 8})
    once, twice = (train_ten(step, state, loader, mesh=mesh)[0] for _ in range(2))
    jax.tree.map(np.testing.assert_array_equal, numbers(once), numbers(twice))


@pytest.mark.parametrize("axes", [{"data": 8}, {"data": 2, "model": 4}])
def test_evaluation_on_a_mesh_gives_the_same_numbers(axes):
    task, _, state, _ = make_run()
    arrays = make_loader(size=45).arrays
    expected = train.make_evaluation(task.measure, arrays, batch_size=20)(state.variables)
    mesh = parallel.make_mesh(axes)
    rule = TENSOR_PARALLEL if "model" in axes else parallel.replicated
    placed = parallel.place(state, mesh, rule)
    measured = train.make_evaluation(task.measure, arrays, batch_size=20, mesh=mesh)(placed.variables)
    assert measured == pytest.approx(expected, rel=1e-6)


def test_dropout_on_a_mesh_draws_what_one_device_draws():
    def loss(variables, batch, key):
        noise = jax.random.normal(key, batch["x"].shape)
        return jnp.mean(variables["params"]["w"] * noise * batch["x"]), ({}, {})

    step, mesh = jax.jit(train.make_step(loss, optim.sgd(1.0))), parallel.make_mesh({"data": 8})
    state = train.TrainState.create({"params": {"w": jnp.array(1.0)}}, optim.sgd(1.0), jax.random.key(0))
    batch = {"x": np.arange(16.0, dtype=np.float32)}
    many, _ = step(parallel.place(state, mesh), parallel.place_batch(batch, mesh))
    assert float(many.params["w"]) == pytest.approx(float(step(state, batch)[0].params["w"]), abs=1e-6)


def test_each_leaf_lies_where_the_rule_says():
    _, _, state, _ = make_run()
    mesh = parallel.make_mesh({"data": 4, "model": 2})
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
    mesh = parallel.make_mesh({"data": 2, "model": 3})
    for spec, message in [
        (PartitionSpec("row"), r"names \['row'\], the mesh has data=2,model=3"),
        (PartitionSpec("model"), r"up/kernel \[8, 16\]: 3 devices of .* do not divide a dimension of 8"),
        (PartitionSpec(None, None, "data"), "up/kernel has 2 dimensions"),
    ]:
        with pytest.raises(ValueError, match=message):
            parallel.place(state, mesh, parallel.by_path([("up/kernel", spec)]))
    placed = parallel.place(state, mesh)
    with pytest.raises(ValueError, match="lies on the mesh data=2,model=3, expected data=8"):
        parallel.on_mesh(placed, parallel.make_mesh({"data": 8}))


def test_a_large_state_is_born_where_it_belongs():
    mesh = parallel.make_mesh({"data": 8})

    def make():
        variables = {"params": {"kernel": jnp.ones((16, 4))}}
        return train.TrainState.create(variables, optim.momentum(0.1), jax.random.key(0))

    state = jax.jit(make, out_shardings=parallel.shardings(jax.eval_shape(make), mesh, parallel.fully_sharded))()
    assert state.params["kernel"].addressable_shards[0].data.shape == (2, 4)
    assert state.opt_state[0].trace["kernel"].addressable_shards[0].data.shape == (2, 4)


def test_a_placed_state_outlives_the_donation_of_its_copy():
    _, step, state, loader = make_run()
    placed = parallel.place(state, parallel.make_mesh({"data": 8}))
    train.fit(step, placed, loader, epochs=1 / 3, mesh=parallel.make_mesh({"data": 8}))
    assert all(not leaf.is_deleted() for leaf in jax.tree.leaves(state))
