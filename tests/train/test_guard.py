import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import struct

from jaxdl import data, optim, train, tree
from jaxdl.train.guard import nonfinite_leaves

OPTIMIZER = optim.momentum(0.1, 0.9)


def loss(variables, batch, key):
    """A regression with an added term of value zero, whose gradient is nan if ``root`` is zero."""
    params = variables["params"]
    predictions = params["a"]["w"] * batch["x"] + params["b"]
    mean = jnp.mean(predictions)
    value = jnp.mean((predictions - batch["y"]) ** 2) + jnp.sum(jnp.sqrt(params["c"] ** 2 * jnp.min(batch["root"])))
    return value, ({"batch_stats": {"mean": mean}}, {"mean": mean})


STEP = train.make_step(loss, OPTIMIZER)


def make_loader(**changes):
    """Make a loader of thirty examples in ten batches; ``x=(17, nan)`` changes example 17, in batch 5."""
    generator = np.random.default_rng(0)
    arrays = {name: generator.normal(size=30).astype(np.float32) for name in ("x", "y")}
    arrays["root"] = np.ones(30, np.float32)
    for name, (index, value) in changes.items():
        arrays[name][index] = value
    return data.Loader(arrays, 3, shuffle=False)


def make_state():
    variables = {
        "params": {"a": {"w": jnp.array(0.5)}, "b": jnp.array(0.1), "c": jnp.ones(1)},
        "batch_stats": {"mean": jnp.array(0.0)},
    }
    return train.TrainState.create(variables, OPTIMIZER, jax.random.key(0))


@pytest.fixture(scope="module")
def guarded():
    return jax.jit(train.skip_nonfinite(STEP))


def run(loader, step=STEP, hooks=(), **kwargs):
    return train.fit(step, make_state(), loader, epochs=1, report_every=2, hooks=hooks, **kwargs)


BAD = {
    "nan in the data": ({"x": (17, np.nan)}, "loss", "params/a/w"),
    "infinity in the data": ({"y": (17, np.inf)}, "loss", "params/a/w"),
    "a gradient alone": ({"root": (15, 0.0)}, "gradient_norm", "params/c"),
}


@pytest.mark.parametrize(("changes", "metric", "leaf"), BAD.values(), ids=BAD)
@pytest.mark.parametrize("first", ["guard", "save"])
def test_a_run_stops_within_a_report_and_its_last_checkpoint_is_finite(tmp_path, first, changes, metric, leaf):
    checkpoints = train.Checkpoints(tmp_path, config={})
    reports = []
    hooks = [train.StopAtNonfinite(), train.SaveEvery(checkpoints, epochs=0.2)]
    with pytest.raises(train.NonfiniteError) as error:
        run(
            make_loader(**changes),
            hooks=[reports.append, *hooks[:: 1 if first == "guard" else -1]],
            scan=first == "save",
        )
    assert reports[-1].step == 6
    assert checkpoints.steps() == [2, 4]
    assert nonfinite_leaves(checkpoints.restore(make_state())) == []
    if first == "guard":
        assert (error.value.step, error.value.metric, error.value.leaf) == (5, metric, leaf)
        assert f"a finite {metric}, got " in str(error.value)
        assert "loader.batch(5)" in str(error.value)
        assert leaf in str(error.value)
    else:
        assert error.value.leaf in (leaf, "collections/batch_stats/mean")


def test_the_error_names_the_first_bad_step_of_a_chunk():
    loader = make_loader(x=(13, np.nan))
    with pytest.raises(train.NonfiniteError, match="in step 4"):
        run(loader, hooks=[train.StopAtNonfinite()])
    assert np.isnan(loader.batch(4)["x"]).any()


def test_ignored_metrics_may_be_infinite():
    def step(state, batch):
        state, metrics = STEP(state, batch)
        return state, {**metrics, "perplexity": jnp.inf * metrics["loss"]}

    with pytest.raises(train.NonfiniteError, match=r"a finite perplexity, got inf in step 0.* every leaf is finite"):
        run(make_loader(), step, [train.StopAtNonfinite()])
    state, _ = run(make_loader(), step, [train.StopAtNonfinite(ignore=("perplexity",))])
    assert int(state.step) == 10


@pytest.mark.parametrize(("changes", "metric", "leaf"), BAD.values(), ids=BAD)
def test_a_skipped_step_changes_only_its_number(guarded, changes, metric, leaf):
    before = make_state()
    before, _ = guarded(before, make_loader().batch(0))
    after, metrics = guarded(before, make_loader(**changes).batch(5))
    assert int(metrics["skipped"]) == 1
    assert int(after.step) == int(before.step) + 1
    left, right = before.replace(step=0, key=0), after.replace(step=0, key=0)
    jax.tree.map(np.testing.assert_array_equal, left, right)
    assert after.key == before.key


def test_metrics_may_be_python_numbers():
    def step(state, batch):
        return {"step": state["step"] + 1, "w": state["w"] + 1.0}, {"rate": 0.5, "count": 3, "bad": batch}

    state = {"step": jnp.int32(0), "w": jnp.zeros(2)}
    for bad, skipped in ((1.0, 0), (float("nan"), 1)):
        after, metrics = train.skip_nonfinite(step)(state, bad)
        assert (int(metrics["skipped"]), after["w"].tolist()) == (skipped, [1.0 - skipped] * 2)
        assert (metrics["rate"], metrics["count"]) == (0.5, 3)


def test_finite_steps_equal_those_without_the_guard(guarded):
    plain, checked = make_state(), make_state()
    step = jax.jit(STEP)
    for number in range(4):
        plain, _ = step(plain, make_loader().batch(number))
        checked, metrics = guarded(checked, make_loader().batch(number))
        assert int(metrics["skipped"]) == 0
    jax.tree.map(np.testing.assert_array_equal, plain.replace(key=0), checked.replace(key=0))


def test_the_skipped_steps_are_those_of_optax():
    loader = make_loader(x=(4, np.nan), root=(21, 0.0))
    ours, _ = run(loader, train.skip_nonfinite(STEP))
    theirs = optax.apply_if_finite(OPTIMIZER, max_consecutive_errors=5)
    state = make_state().replace(opt_state=theirs.init(make_state().params))
    state, _ = train.fit(train.make_step(loss, theirs), state, loader, epochs=1)
    np.testing.assert_allclose(tree.flatten(ours.params)["a/w"], state.params["a"]["w"], rtol=1e-6)
    np.testing.assert_allclose(ours.params["c"], state.params["c"], rtol=1e-6)
    assert int(state.opt_state.total_notfinite) == 2


def test_a_run_counts_skipped_steps_and_continues():
    state, history = run(
        make_loader(x=(4, np.nan), root=(21, 0.0)), train.skip_nonfinite(STEP), [train.StopAtNonfinite()]
    )
    assert [2 * row["train/skipped"] for row in history] == [1, 0, 0, 1, 0]
    assert nonfinite_leaves(state) == []
    assert int(state.step) == 10


def test_a_run_stops_after_too_many_skipped_steps():
    loader = make_loader(x=(slice(None), np.nan))
    with pytest.raises(train.NonfiniteError, match=r"at most 4 .* got 5, the last in step 4"):
        run(loader, train.skip_nonfinite(STEP), [train.StopAtNonfinite(max_skipped=4)])


def test_members_of_an_ensemble_are_skipped_separately():
    states = jax.vmap(lambda w: make_state().replace(params={**make_state().params, "b": w}))(jnp.array([0.1, jnp.inf]))
    step = jax.jit(jax.vmap(train.skip_nonfinite(STEP), in_axes=(0, None)))
    after, metrics = step(states, make_loader().batch(0))
    assert metrics["skipped"].tolist() == [0, 1]
    assert float(after.params["a"]["w"][0]) != 0.5
    assert float(after.params["a"]["w"][1]) == 0.5


def test_any_state_with_a_step_can_be_guarded_and_the_optimizer_may_hold_infinities():
    @struct.dataclass
    class State:
        step: jax.Array
        opt_state: jax.Array
        numbers: jax.Array

    def step(state, batch):
        return State(state.step + 1, state.opt_state, state.numbers / batch), {}

    state = State(jnp.int32(0), jnp.array(np.inf), jnp.ones(2))
    guarded = jax.jit(train.skip_nonfinite(step))
    after, metrics = guarded(state, jnp.zeros(2))
    assert (int(after.step), after.numbers.tolist(), int(metrics["skipped"])) == (1, [1.0, 1.0], 1)
    after, metrics = guarded(state, jnp.full(2, 2.0))
    assert (after.numbers.tolist(), int(metrics["skipped"])) == ([0.5, 0.5], 0)
    assert nonfinite_leaves(state) == []
    assert nonfinite_leaves(state.replace(opt_state=jnp.array(np.nan))) == ["opt_state"]
    assert nonfinite_leaves({"w": jnp.array([jnp.inf], jnp.bfloat16), "n": jnp.int32(1)}) == ["w"]
