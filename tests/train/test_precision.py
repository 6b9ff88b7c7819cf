"""Mixed precision: types inside and outside of a model, and the scale of a loss against torch and a plain loop."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen

from jaxdl import data, models, optim, tasks, train
from jaxdl.nn.normalization import BatchNorm
from jaxdl.nn.recurrent import LSTM
from tests.peers import torch

RANDOM = np.random.default_rng(0)
ARRAYS = {
    "image": RANDOM.normal(size=(16, 5)).astype(np.float32),
    "label": RANDOM.integers(3, size=16).astype(np.int32),
}
LOADER = data.Loader(ARRAYS, 8, shuffle=False)
OPTIMIZER = optim.momentum(0.1, 0.9)


class Network(linen.Module):
    @linen.compact
    def __call__(self, x, train=False):
        x = BatchNorm(name="norm")(linen.Dense(8, name="hidden")(x), train=train)
        return linen.Dense(3, name="output")(linen.relu(x))


TASK = tasks.classification(Network())


def equations(jaxpr):
    """Yield the equations of a program, those of inner ones included."""
    for equation in jaxpr.eqns:
        yield equation
        for value in equation.params.values():
            inner = getattr(value, "jaxpr", value)
            if hasattr(inner, "eqns"):
                yield from equations(inner)


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_a_step_multiplies_in_16_bits_and_reduces_in_32(precision):
    state = train.start(TASK, OPTIMIZER, LOADER)
    step = train.make_step(TASK.loss, OPTIMIZER, precision=precision)
    state = train.prepare(step, state)
    jaxpr, (after, metrics) = jax.make_jaxpr(step, return_shape=True)(state, LOADER.batch(0))
    found = list(equations(jaxpr.jaxpr))
    products = [eqn for eqn in found if eqn.primitive.name == "dot_general"]
    assert products
    assert {variable.aval.dtype.name for eqn in products for variable in eqn.invars} == {precision}
    sums = [eqn for eqn in found if eqn.primitive.name == "reduce_sum" and eqn.invars[0].aval.ndim > 1]
    assert {eqn.invars[0].aval.dtype.name for eqn in sums if eqn.outvars[0].aval.ndim == 0} <= {"float32", "int32"}
    kept = {"params": after.params, "collections": after.collections, "opt_state": after.opt_state, "metrics": metrics}
    assert {leaf.dtype.name for leaf in jax.tree.leaves(kept)} <= {"float32", "int32"}
    assert jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), after) == jax.tree.map(
        lambda leaf: (leaf.shape, leaf.dtype), state
    )


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_a_run_learns_as_one_in_32_bits(precision):
    losses = {}
    for name in ("float32", precision):
        step = train.make_step(TASK.loss, OPTIMIZER, precision=name)
        _, history = train.fit(step, train.start(TASK, OPTIMIZER, LOADER), LOADER, epochs=8)
        losses[name] = [row["train/loss"] for row in history]
    assert losses["float32"] != losses[precision]
    np.testing.assert_allclose(losses[precision], losses["float32"], rtol=0.05)


def test_explicit_parallelism_keeps_the_average_and_the_scale():
    mesh = train.parallel.make_mesh({"data": 1})
    step = train.make_step(TASK.loss, OPTIMIZER, precision="float16", average=0.9, axis_name="data")
    state = train.start(TASK, OPTIMIZER, LOADER)
    mapped, _ = train.fit(train.parallel.explicit.with_shard_map(step, mesh), state, LOADER, steps=2)
    alone = train.make_step(TASK.loss, OPTIMIZER, precision="float16", average=0.9)
    expected, _ = train.fit(alone, train.start(TASK, OPTIMIZER, LOADER), LOADER, steps=2)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=2e-3), mapped.average, expected.average)
    assert float(mapped.loss_scale.scale) == 2**16


def test_targets_keep_32_bits():
    def loss(variables, batch, key):
        assert batch["target"].dtype == jnp.float32
        y = model.apply(variables, batch["x"])
        assert y.dtype == jnp.float32
        return jnp.mean((y - batch["target"]) ** 2), ({}, {})

    model = linen.Dense(1)
    batch = {"x": jnp.ones((4, 2)), "target": jnp.full((4, 1), 1001.0)}
    state = train.TrainState.create(model.init(jax.random.key(0), batch["x"]), OPTIMIZER, jax.random.key(1))
    step = train.make_step(loss, OPTIMIZER, precision="bfloat16")
    np.testing.assert_allclose(jax.jit(step)(state, batch)[1]["loss"], 1e6, rtol=0.01)


def test_models_with_state_and_attention_train_in_16_bits():
    tokens = {"token": np.zeros((2, 8), np.int32), "target": np.zeros((2, 8), np.int32)}
    small = {"vocab_size": 5, "context_length": 8, "d_model": 8, "num_layers": 1, "num_heads": 2}
    sequence = tokens | {"start": np.ones(2, np.float32)}
    recurrent = models.sequence.RecurrentLanguageModel(5, embedding_dim=4, cell=LSTM(4))
    for model, batch in ((models.create("gpt_tiny", **small), tokens), (recurrent, sequence)):
        task = tasks.language_model(model)
        step = train.make_step(task.loss, OPTIMIZER, precision="bfloat16")
        state = jax.eval_shape(
            lambda batch, task=task: train.TrainState.create(
                task.init(jax.random.key(0), batch), OPTIMIZER, jax.random.key(1)
            ),
            batch,
        )
        after, metrics = jax.eval_shape(step, state, batch)
        assert jax.tree.structure(after) == jax.tree.structure(state)
        assert [leaf.dtype for leaf in jax.tree.leaves(after)] == [leaf.dtype for leaf in jax.tree.leaves(state)]
        assert metrics["loss"].dtype == jnp.float32


def scaled_loss(variables, batch, key):
    """A loss whose gradient is ``factor``, and overflows where the scaled factor leaves float16."""
    w = variables["params"]["w"]
    return jnp.sum((w * batch["factor"].astype(w.dtype)).astype(jnp.float32))


def test_the_scale_is_that_of_torch_and_an_overflow_changes_nothing_but_the_scale():
    factors = np.array([1.0, 2.0, 0.5, 1e4, 0.25, 0.125] + [2**-7] * 6, np.float32)
    optimizer = optim.momentum(0.5, 0.5)
    state = train.TrainState.create({"params": {"w": jnp.zeros(())}}, optimizer, jax.random.key(0))
    step = jax.jit(train.make_step(scaled_loss, optimizer, precision="float16"))
    peer = torch().amp.GradScaler("cpu", growth_interval=2000)
    weight = torch().zeros((), requires_grad=True)
    torchs = torch().optim.SGD([weight], lr=0.5, momentum=0.5)
    rows, peers = [], []
    for factor in factors:
        state, metrics = step(state, {"factor": factor[None]})
        rows.append((float(metrics["loss_scale"]), float(state.params["w"]), int(metrics["skipped"])))
        scale = peer.get_scale()
        torchs.zero_grad()
        product = peer.scale((weight.to(torch().float16) * torch().tensor(factor).to(torch().float16)).float())
        product.backward()
        peer.step(torchs)
        peer.update()
        peers.append((scale, weight.item(), int(peer.get_scale() < scale)))
    assert {row[2] for row in rows} == {0, 1}
    np.testing.assert_allclose(rows, peers, rtol=1e-6)
    assert int(state.step) == len(factors)


def test_the_scale_grows_after_an_interval_and_never_becomes_infinite():
    state = train.precision.init_loss_scale()
    scales = []
    for finite in (True, True, True, False, True, True):
        state = train.precision.adjust_loss_scale(state, jnp.array(finite), interval=2)
        scales.append(float(state.scale) / 2**16)
    assert scales == [1, 2, 2, 1, 1, 2]
    largest = train.precision.LossScale(jnp.float32(2**127), jnp.int32(0))
    assert float(train.precision.adjust_loss_scale(largest, jnp.array(True), interval=1).scale) == 2**127


def test_without_overflow_a_scaled_step_is_a_plain_loop():
    def loss(variables, batch, key):
        return jnp.mean((variables["params"]["w"] * batch["x"]) ** 2)

    arrays = {"x": 0.3 * RANDOM.normal(size=(8,)).astype(np.float32)}
    state = train.TrainState.create({"params": {"w": jnp.ones(())}}, optim.sgd(0.1), jax.random.key(0))
    step = train.make_step(loss, optim.sgd(0.1), precision="float16", accumulate=2)
    state, history = train.fit(step, state, data.Loader(arrays, 4, shuffle=False), steps=4, report_every=1)
    w, losses = np.float32(1), []
    for number in range(4):
        x = arrays["x"][4 * (number % 2) :][:4]
        half = np.float32(np.float16(w))
        losses.append(np.mean((half * x) ** 2))
        w = w - np.float32(0.1) * np.mean(2 * half * x**2)
    np.testing.assert_allclose([row["train/loss"] for row in history], losses, rtol=1e-5)
    np.testing.assert_allclose(state.params["w"], w, rtol=1e-3)


MODELS = {
    "gpt": (
        models.transformers.GPT(64, 264, d_model=8, num_layers=2, num_heads=2, scan_blocks=True, remat="block"),
        tasks.language_model,
        {"token": np.zeros((2, 264), np.int32), "target": np.zeros((2, 264), np.int32)},
    ),
    "resnet": (
        models.vision.ResNet(3, depths=(1, 2), widths=(4, 8), stem="cifar", block="bottleneck", remat="block"),
        tasks.classification,
        {"image": np.zeros((2, 8, 8, 3), np.float32), "label": np.zeros(2, np.int32)},
    ),
}


@pytest.mark.parametrize("name", MODELS)
def test_no_product_of_32_bits_remains_in_a_training_step(name):
    """Of the program lowered for TPU: all products and convolutions have operands of 16 bits, exponentials of 32."""
    model, make_task, batch = MODELS[name]
    task = make_task(model)
    step = train.make_step(task.loss, OPTIMIZER, precision="bfloat16")

    def start(batch):
        return train.TrainState.create(task.init(jax.random.key(0), batch), OPTIMIZER, jax.random.key(1))

    text = jax.jit(step).trace(jax.eval_shape(start, batch), batch).lower(lowering_platforms=("tpu",)).as_text()
    products = re.findall(r"stablehlo\.(?:dot_general|convolution)\b.*: \((.*?)\) ->", text)
    operands = [kind for pair in products for kind in re.findall(r"[x<]([a-wyz]\w*)>", pair)]
    assert len(operands) >= 2 * 12
    assert set(operands) == {"bf16"}
    exponentials = re.findall(r"stablehlo\.exponential .*?[x<]([a-wyz]\w*)>", text)
    assert exponentials
    assert set(exponentials) == {"f32"}
