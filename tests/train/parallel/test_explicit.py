from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl import optim, train
from jaxdl.train import parallel
from jaxdl.train.parallel import explicit
from tests.train.small import alone, assert_close, linear, linear_state, make_run, train_ten

FORMS = {"jit": None, "shard_map": explicit.with_shard_map, "pmap": explicit.with_pmap}
explicitly = pytest.mark.parametrize("form", [name for name in FORMS if FORMS[name]])


def in_form(form, make, mesh):
    """Make a step: ``make(None)`` for jit, else ``make("data")`` mapped over the devices."""
    return make(None) if FORMS[form] is None else FORMS[form](make("data"), mesh)


@explicitly
def test_explicit_data_parallel_training_equals_one_device(form):
    _, _, state, loader = make_run()
    mesh = parallel.make_mesh({"data": 8})
    step = in_form(form, lambda axis_name: make_run(axis_name)[1], mesh)
    many, history = train_ten(step, state, loader, mesh=mesh)
    assert_close(many, alone()[0])
    assert history[-1]["train/loss"] == pytest.approx(alone()[1][-1]["train/loss"], abs=1e-6)
    assert history[-1]["train/gradient_norm"] == pytest.approx(alone()[1][-1]["train/gradient_norm"], abs=1e-5)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("count", [1, 2, 8])
def test_the_gradient_is_the_mean_over_all_devices(form, count):
    mesh = parallel.make_mesh({"data": count})
    step = in_form(form, linear, mesh)
    state = linear_state()
    batch = parallel.place_batch({"x": np.arange(16.0, dtype=np.float32)}, mesh)
    after, seen = jax.jit(step)(parallel.place(state, mesh), batch)
    assert float(after.params["w"]) == 1.0 - 7.5
    assert {name: float(seen[name]) for name in ("x", "loss", "gradient_norm")} == dict.fromkeys(
        ("x", "loss", "gradient_norm"), 7.5
    )


@explicitly
@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_mask_weights_the_devices_by_their_examples(form, accumulate):
    mesh = parallel.make_mesh({"data": 4})
    step = in_form(form, partial(linear, accumulate=accumulate), mesh)
    state = linear_state()
    x = np.arange(16.0, dtype=np.float32)
    mask = np.array([1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 1], np.float32)  # none on the third device
    after, seen = jax.jit(step)(state, {"x": x, "mask": mask})
    expected = x[mask == 1].mean()
    assert float(after.params["w"]) == pytest.approx(1.0 - expected, abs=1e-6)
    assert float(seen["loss"]) == pytest.approx(expected, abs=1e-6)


@explicitly
def test_a_masked_batch_has_the_gradient_of_one_device_with_batch_normalisation(form):
    task, step, state, loader = make_run()
    batch = {**loader.batch(0), "mask": np.array([1, 0, 0, 0, 1, 1, 0, 0, 1, 1, 1, 1, 0, 0, 0, 1], np.float32)}
    mesh = parallel.make_mesh({"data": 4})
    mapped = in_form(form, lambda axis_name: make_run(axis_name)[1], mesh)
    assert_close(jax.jit(mapped)(state, batch)[0], jax.jit(step)(state, batch)[0])


def test_shard_map_rejects_a_step_without_the_average():
    _, step, state, loader = make_run()
    mesh = parallel.make_mesh({"data": 2})
    with pytest.raises(ValueError, match="replicat"):
        jax.eval_shape(explicit.with_shard_map(step, mesh), state, loader.batch(0))


@explicitly
def test_each_device_has_its_own_key(form):
    def loss(variables, batch, key):
        noise = jax.random.normal(key, batch["x"].shape)
        return jnp.mean(variables["params"]["w"] * noise), ({}, {})

    mesh = parallel.make_mesh({"data": 2})
    step = FORMS[form](train.make_step(loss, optim.sgd(1.0), axis_name="data"), mesh)
    state = linear_state(0.0)
    after, _ = jax.jit(step)(state, {"x": jnp.zeros(2)})
    key = jax.random.fold_in(state.key, 0)
    samples = [jax.random.normal(jax.random.fold_in(key, i), (1,)) for i in range(2)]
    assert float(after.params["w"]) == pytest.approx(-float(jnp.mean(jnp.stack(samples))), abs=1e-6)
