"""A transformer with sharded parameters, positions and vocabulary against one device, and what it gathers."""

import re
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from jaxdl import optim, tasks, train
from jaxdl.losses import linear
from jaxdl.models.transformers.gpt import GPT
from jaxdl.train import parallel
from tests.variables import draw

MODEL = GPT(
    16,
    8,
    d_model=16,
    num_layers=3,
    num_heads=4,
    dropout_rate=0.0,
    attention_dropout_rate=0.0,
    scan_blocks=True,
    remat="block",
)
TASK, OPTIMIZER = tasks.language_model(MODEL), optim.momentum(0.1, 0.9)
RANDOM = np.random.default_rng(0)
BATCH = {"token": RANDOM.integers(0, 16, (8, 8)), "target": RANDOM.integers(0, 16, (8, 8))}
BATCH["mask"] = np.where(np.arange(8)[None] < RANDOM.integers(3, 9, (8, 1)), 1.0, 0.0)


@pytest.fixture(scope="module")
def state():
    variables = draw(MODEL.init, jax.random.key(0), BATCH["token"])
    return train.TrainState.create(variables, OPTIMIZER, jax.random.key(1))


@pytest.fixture(scope="module")
def alone(state):
    return jax.jit(train.make_step(TASK.loss, OPTIMIZER))(state, BATCH)


def compile_on(state, axes, rule, loss):
    """Place state and batch, and compile a step whose results keep their layout."""
    mesh = parallel.make_mesh(axes)
    placed = parallel.place(state, mesh, rule)
    batch = jax.device_put(BATCH, NamedSharding(mesh, PartitionSpec("data")))
    step = jax.jit(train.make_step(loss(mesh), OPTIMIZER), out_shardings=(parallel.shardings(state, mesh, rule), None))
    return step.lower(placed, batch).compile(), placed, batch


GATHERED = partial(parallel.gather_by_block, TASK.loss)
FORMS = {
    "fully sharded": ({"data": 8}, parallel.fully_sharded, GATHERED),
    "all": (
        {"data": 2, "model": 4},
        partial(parallel.tensor_parallel, otherwise=parallel.fully_sharded),
        partial(
            GATHERED,
            rule=partial(parallel.tensor_parallel, otherwise=parallel.fully_sharded),
            activations=PartitionSpec("data", "model"),
        ),
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_sharded_step_equals_that_of_one_device(form, state, alone):
    step, placed, batch = compile_on(state, *FORMS[form])
    after, metrics = step(placed, batch)
    params, expected = jax.device_get((after.params, alone[0].params))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=2e-6), params, expected)
    np.testing.assert_allclose(metrics["loss"], alone[1]["loss"], rtol=1e-6)
    kernel = placed.params["decoder_blocks"]["dense1"]["kernel"]
    assert kernel.addressable_shards[0].data.size <= kernel.size // 4
    if form == "fully sharded":
        gathered = re.findall(r"f32\[([\d,]+)\]\S* all-gather", step.as_text())
        assert "16,64" in gathered  # of one block
        assert not [shape for shape in gathered if shape.startswith("2,16,")]  # of both scanned blocks


def test_the_vocabulary_is_sharded_where_the_devices_divide_it():
    mesh = parallel.make_mesh({"model": 4})
    rule = parallel.tensor_parallel
    assert rule("embedding/embedding", (16, 8), mesh) == PartitionSpec("model")
    assert rule("embedding/embedding", (50_257, 8), mesh) == PartitionSpec()
    assert rule("decoder_blocks/attention/query_key_value/kernel", (2, 8, 24), mesh) == PartitionSpec(
        None, None, "model"
    )
    assert rule("decoder_block1/attention/output/kernel", (8, 8), mesh) == PartitionSpec("model")
    assert rule("decoder_block1/norm1/scale", (8,), mesh) == PartitionSpec()


def test_the_count_of_a_loss_stays():
    loss = partial(TASK.loss)
    loss.count = lambda batch: jnp.sum(batch["mask"])
    assert parallel.gather_by_block(loss, parallel.make_mesh({"data": 1})).count(BATCH) == BATCH["mask"].sum()


def test_the_output_matrix_is_gathered_once_for_all_pieces_of_the_loss(monkeypatch, state):
    gathered = []
    for limit in (linear.SMALL, 1):  # the loss in one piece, and in eight
        monkeypatch.setattr(linear, "SMALL", limit)
        step, *_ = compile_on(state, *FORMS["fully sharded"])
        gathered.append([found for found in parallel.executed_collectives(step) if found.kind == "all-gather"])
    assert gathered[0] == gathered[1]
