from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec

from jaxdl import optim, train, tree
from jaxdl.train import loop, parallel
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


def test_the_gathered_batch_is_sharded():
    step, shardings = linear(None), []

    def inspected(state, batch):
        jax.debug.inspect_array_sharding(batch["x"], callback=shardings.append)
        return step(state, batch)

    train.fit(
        inspected, linear_state(), make_numbers(16, 32), epochs=1, mesh=parallel.make_mesh({"data": 8}), scan=True
    )
    assert {sharding.shard_shape((16,)) for sharding in shardings} == {(2,)}


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


def test_a_sharded_data_set_gives_the_same_batches(monkeypatch):
    monkeypatch.setattr(loop, "_device_bytes", lambda: 100.0)
    loader, mesh = make_numbers(8, 50), parallel.make_mesh({"data": 8})
    runner = train.Scanned(linear(None), loader, mesh)
    assert {shard.data.shape for shard in runner.arrays["x"].addressable_shards} == {(7,)}
    after, _ = train.fit(linear(None), linear_state(), loader, epochs=1, mesh=mesh, scan=True)
    assert float(after.params["w"]) == pytest.approx(weight_after(loader, 6), abs=1e-6)


def weight_after(loader, steps):
    """The weight of `linear` after some steps: one, minus the mean of every batch."""
    return 1.0 - sum(loader.batch(i)["x"].mean() for i in range(steps))


def test_the_devices_must_divide_the_batch():
    _, step, state, _ = make_run()
    loader, mesh = make_loader(batch_size=12), parallel.make_mesh({"data": 8})
    message = "divisible by 8 devices, got 12"
    for scan in (True, False):
        with pytest.raises(ValueError, match=message):
            train_ten(step, state, loader, mesh=mesh, scan=scan)
    for form in (explicit.with_shard_map, explicit.with_pmap):
        with pytest.raises(ValueError, match=message):
            form(step, mesh)(state, loader.batch(0))


@pytest.mark.parametrize("scan", [True, False])
def test_a_padded_loader_gives_the_gradient_of_the_original_batch(scan):
    loader, mesh = make_numbers(12, 36), parallel.make_mesh({"data": 8})
    padded = parallel.PaddedLoader(loader, parallel.data_devices(mesh))
    after, _ = train.fit(linear(None), linear_state(), padded, epochs=2 / 3, mesh=mesh, scan=scan)
    assert float(after.params["w"]) == pytest.approx(weight_after(loader, 2), abs=1e-6)


@pytest.mark.parametrize("scan", [True, False])
def test_the_last_batch_of_a_padded_loader_is_masked(scan):
    loader = make_numbers(16, 40, drop_remainder=False, shuffle=False)
    after, _ = train.fit(linear(None), linear_state(), loader, epochs=1, scan=scan)
    x = loader.arrays["x"]
    expected = 1.0 - x[:16].mean() - x[16:32].mean() - x[32:].mean()
    assert float(after.params["w"]) == pytest.approx(expected, abs=1e-6)


def test_parse_and_make_a_mesh():
    assert parallel.parse_mesh("data=4,model=2") == {"data": 4, "model": 2}
    made = parallel.make_mesh({"data": 4, "model": 2})
    assert dict(made.shape) == {"data": 4, "model": 2}
    assert parallel.data_devices(made) == 4
    assert parallel.make_mesh({"data": 2}).devices.tolist() == jax.devices()[:2]
    for text in ("", "data", "data=0", "data=-1", "data=2,data=4", "data=2,", "8"):
        with pytest.raises(ValueError, match=f"got {text!r}"):
            parallel.parse_mesh(text)
    with pytest.raises(ValueError, match=r"expected 16 devices .* got 8"):
        parallel.make_mesh({"data": 4, "model": 4})
    for axes in ({"data": 0}, {}):
        with pytest.raises(ValueError, match=f"got {axes}"):
            parallel.make_mesh(axes)


def test_devices_are_simulated_before_jax_is_used():
    jax.devices()  # from here on the number of devices is fixed
    parallel.simulate_devices(8)
    with pytest.raises(RuntimeError, match="expected 3 CPU devices, got 8"):
        parallel.simulate_devices(3)
    with pytest.raises(ValueError, match="got 0"):
        parallel.simulate_devices(0)


def test_make_a_mesh_from_flags():
    jax.devices()  # from here on the number of devices is fixed
    assert parallel.mesh_from_flags() is None
    assert dict(parallel.mesh_from_flags(devices=4).shape) == {"data": 4}
    assert dict(parallel.mesh_from_flags(axes="data=2,model=4").shape) == {"data": 2, "model": 4}
    assert dict(parallel.mesh_from_flags(devices=8, axes="data=8").shape) == {"data": 8}
    with pytest.raises(ValueError, match=r"expected 8 devices .* got --devices 4"):
        parallel.mesh_from_flags(devices=4, axes="data=8")
    with pytest.raises(ValueError, match=r"expected 16 devices .* got 8"):
        parallel.mesh_from_flags(devices=16)
    assert dict(parallel.mesh_from_flags(processes=2).shape) == {"data": 8}
    with pytest.raises(ValueError, match="divisible by 2 processes, got 7"):
        parallel.mesh_from_flags(devices=7, processes=2)


def test_training_is_deterministic():
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


def test_random_numbers_on_a_mesh_are_those_of_one_device():
    def loss(variables, batch, key):
        noise = jax.random.normal(key, batch["x"].shape)
        return jnp.mean(variables["params"]["w"] * noise * batch["x"]), ({}, {})

    step, mesh = jax.jit(train.make_step(loss, optim.sgd(1.0))), parallel.make_mesh({"data": 8})
    state = train.TrainState.create({"params": {"w": jnp.array(1.0)}}, optim.sgd(1.0), jax.random.key(0))
    batch = {"x": np.arange(16.0, dtype=np.float32)}
    many, _ = step(parallel.place(state, mesh), parallel.place_batch(batch, mesh))
    assert float(many.params["w"]) == pytest.approx(float(step(state, batch)[0].params["w"]), abs=1e-6)


def test_every_leaf_has_the_sharding_of_the_rule():
    _, _, state, _ = make_run()
    mesh = parallel.make_mesh({"data": 4, "model": 2})
    sharded = tree.flatten(parallel.shardings(state, mesh, parallel.fully_sharded))
    specs = {path: tuple(sharding.spec) for path, sharding in sharded.items()}
    assert specs["params/up/kernel"] == (None, "data")  # [8, 16]
    assert specs["params/down/kernel"] == ("data",)  # [16, 8]
    assert specs["opt_state/0/trace/down/kernel"] == ("data",)
    assert specs["step"] == specs["key"] == specs["collections/batch_stats/norm/mean"] == ()
    large_only = partial(parallel.fully_sharded, min_size=17)
    assert large_only("bias", (16,), mesh) == PartitionSpec()
    assert parallel.fully_sharded("odd", (3, 5), mesh) == PartitionSpec()
    mixed = parallel.by_path([("kernel$", PartitionSpec(None, "model"))], otherwise=parallel.fully_sharded)
    assert mixed("a/kernel", (8, 8), mesh) == PartitionSpec(None, "model")
    assert mixed("a/bias", (8,), mesh) == PartitionSpec("data")


def test_reject_impossible_rules():
    _, _, state, _ = make_run()
    mesh = parallel.make_mesh({"data": 2, "model": 3})
    for spec, message in [
        (PartitionSpec("row"), r"the mesh data=2,model=3 .* got \['row'\]"),
        (PartitionSpec("model"), r"up/kernel divisible by the 3 devices .* got \[8, 16\]"),
        (PartitionSpec(None, None, "data"), "at most 2 dimensions .* up/kernel"),
    ]:
        with pytest.raises(ValueError, match=message):
            parallel.place(state, mesh, parallel.by_path([("up/kernel", spec)]))
    placed = parallel.place(state, mesh)
    with pytest.raises(ValueError, match="on the mesh data=8, got data=2,model=3"):
        parallel.on_mesh(placed, parallel.make_mesh({"data": 8}))


def test_make_a_state_that_is_sharded_from_the_start():
    mesh = parallel.make_mesh({"data": 8})

    def make():
        variables = {"params": {"kernel": jnp.ones((16, 4))}}
        return train.TrainState.create(variables, optim.momentum(0.1), jax.random.key(0))

    state = jax.jit(make, out_shardings=parallel.shardings(jax.eval_shape(make), mesh, parallel.fully_sharded))()
    assert state.params["kernel"].addressable_shards[0].data.shape == (2, 4)
    assert state.opt_state[0].trace["kernel"].addressable_shards[0].data.shape == (2, 4)


def test_the_original_of_a_placed_state_survives_donation():
    _, step, state, loader = make_run()
    placed = parallel.place(state, parallel.make_mesh({"data": 8}))
    train.fit(step, placed, loader, epochs=1 / 5, mesh=parallel.make_mesh({"data": 8}))
    assert all(not leaf.is_deleted() for leaf in jax.tree.leaves(state))
