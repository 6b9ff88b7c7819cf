"""Ring attention over four devices against attention on one."""

from functools import partial

import jax
import numpy as np
import pytest
from jax.sharding import PartitionSpec

from jaxdl import nn
from jaxdl.train import parallel


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("causal", [False, True])
def test_values_and_gradients_are_those_of_one_device(causal):
    random = np.random.default_rng(0)
    q, k, v, dy = (random.normal(size=(2, 3, 12, width)) for width in (6, 6, 5, 5))
    spec = PartitionSpec("data", None, "context")
    ring = jax.shard_map(
        partial(nn.ring_attention, axis_name="context", causal=causal),
        mesh=parallel.make_mesh({"data": 2, "context": 4}),
        in_specs=(spec,) * 3,
        out_specs=spec,
    )

    @jax.jit
    def run(q, k, v, dy):
        results = []
        for attend in (ring, partial(nn.dot_product_attention, causal=causal, implementation="plain")):
            y, pull = jax.vjp(attend, q, k, v)
            results.append((y, *pull(dy)))
        return results

    mine, expected = run(q, k, v, dy)
    for a, b in zip(mine, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)


def test_shapes_must_match():
    x = np.zeros((3, 2))
    with pytest.raises(ValueError, match=r"got \(3, 2\), \(2, 2\), \(3, 2\)"):
        nn.ring_attention(x, x[:2], x, axis_name="context")
