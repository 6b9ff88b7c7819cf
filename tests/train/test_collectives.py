import jax

from jaxdl import tree
from jaxdl.train import parallel
from jaxdl.train.collectives import collectives, in_text
from tests.train.small import make_run


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
