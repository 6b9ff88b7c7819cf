import jax
import jax.numpy as jnp
import numpy as np

from jaxdl import optim, train, tree
from jaxdl.train import parallel
from jaxdl.train.parallel.communication import list_collectives, parse_collectives
from tests.train.small import make_run


def test_a_data_parallel_step_has_one_all_reduce():
    task, step, state, loader = make_run()
    mesh = parallel.make_mesh({"data": 8})
    batch = parallel.place_batch(loader.batch(0), mesh)
    compiled = jax.jit(step).lower(parallel.place(state, mesh), batch).compile()
    (found,) = list_collectives(compiled)
    assert found.kind == "all-reduce"
    # The gradient, the sums for the moments of 16 channels and for their gradients, and two scalars.
    assert 0 < found.bytes - 4 * tree.size(state.params) <= 4 * (4 * 16 + 2)


def test_parse_collectives():
    text = """
      %gathered = (f32[2,4]{1,0:T(8,128)}, f32[16,4]{1,0:T(8,128)}) all-gather-start(%shard), dimensions={0}
      %done = f32[16,4]{1,0} all-gather-done(%gathered)
      ROOT %moved = (bf16[8]{0}, bf16[8]{0}, u32[], u32[]) collective-permute-start(%x), channel_id=3
      %sum = (pred[], s8[3]{0}) all-reduce(%a, %b), metadata={op_name="reduce_sum"}
      %first = f32[3]{0} get-tuple-element(%all-reduce.1), index=0
    """
    assert parse_collectives(text) == [("all-gather", 1, 256), ("all-reduce", 1, 4), ("collective-permute", 1, 16)]


def test_accumulation_on_a_mesh_moves_no_examples():
    mesh = parallel.make_mesh({"data": 8})
    state, optimizer = small_state()

    def loss(variables, batch, key):
        return jnp.mean((batch["x"] @ variables["params"]["w"]) ** 2), ({}, {})

    batch = {"x": np.random.default_rng(0).normal(size=(64, 4)).astype(np.float32)}
    step = train.make_step(loss, optimizer, accumulate=4, mesh=mesh)
    inputs = parallel.place(state, mesh), parallel.place_batch(batch, mesh)
    compiled = jax.jit(step).lower(*inputs).compile()
    assert {found.kind for found in list_collectives(compiled)} == {"all-reduce"}
    expected, _ = jax.jit(train.make_step(loss, optimizer))(state, batch)
    np.testing.assert_allclose(compiled(*inputs)[0].params["w"], expected.params["w"], rtol=1e-5)


def small_state():
    optimizer = optim.sgd(0.1)
    variables = {"params": {"w": jnp.arange(12.0).reshape(4, 3)}}
    return train.TrainState.create(variables, optimizer, jax.random.key(0)), optimizer
