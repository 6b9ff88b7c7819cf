"""The layers of nn with and without jit, and the number of their compilations."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl import nn

X = np.random.default_rng(0).normal(size=(2, 3, 4)).astype(np.float32)
FUNCTIONS = {
    "dot_product_attention": lambda x: nn.dot_product_attention(x, x, x, causal=True),
    "rotary_embedding": lambda x: nn.rotary_embedding(x, jnp.arange(3)),
    "layer_norm": nn.layer_norm,
    "group_norm": lambda x: nn.group_norm(x, 2),
    "softmax": nn.softmax,
    "max_pool": lambda x: nn.max_pool(x, (3,)),
}


class AgreementOfJit(chex.TestCase):
    """Each function gives the same result compiled and step by step."""

    @chex.variants(with_jit=True, without_jit=True)
    def test_functions_agree_with_their_definition_under_jit(self):
        for function in FUNCTIONS.values():
            chex.assert_trees_all_close(self.variant(function)(X), function(X), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["lengths", "mask"])
def test_the_scan_is_traced_once_for_all_lengths(name):
    cell = nn.GRU(2)
    parameters = nn.init_cell(jax.random.key(0), cell, 4)
    chex.clear_trace_counter()

    @jax.jit
    @chex.assert_max_traces(n=1)
    def run(x, lengths):
        given = {"lengths": lengths} if name == "lengths" else {"mask": nn.valid_steps(lengths, 3)}
        return nn.scan(cell, parameters, x, **given)[1]

    for lengths in ([3, 1], [2, 2]):
        y = run(X, jnp.array(lengths))
        chex.assert_shape(y, (2, 3, 2))
        assert not y[1, lengths[1] :].any()
