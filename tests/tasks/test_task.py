"""`init_model` returns the values of the model's own init, without running its network."""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from jaxdl.models.layers import ConvNorm
from jaxdl.models.transformers.gpt import GPT
from jaxdl.tasks.task import init_model


class Small(nn.Module):
    """A convolution, and a dense layer on its spatial means."""

    @nn.compact
    def __call__(self, x, train=False):
        """Compute the logits."""
        x = nn.Dropout(0.5, deterministic=not train)(ConvNorm(4, (3, 3), name="first")(x, train))
        return nn.Dense(3, kernel_init=nn.initializers.orthogonal(), name="output")(jnp.mean(x, axis=(1, 2)))


def test_initialization_matches_init_without_running_the_network(key):
    model, x = Small(), np.zeros((2, 8, 8, 3), np.int64)

    @jax.jit
    def both(key):
        params, dropout = jax.random.split(key)
        expected = model.init({"params": params, "dropout": dropout}, jnp.zeros(x.shape), train=True)
        return init_model(model, key, x.astype(np.float32)), expected

    ours, expected = both(key)
    assert jax.tree.structure(ours) == jax.tree.structure(dict(expected))
    jax.tree.map(np.testing.assert_array_equal, ours, dict(expected))
    assert multiplies(model, jnp.zeros(x.shape)) == [True, False]


def multiplies(model, x):
    """Whether a model's own init and ours contain matrix products."""
    programs = (lambda key: model.init(key, x), lambda key: init_model(model, key, x))
    return ["dot_general" in str(jax.make_jaxpr(program)(jax.random.key(0))) for program in programs]


def test_initialization_supports_vmap_over_keys(key):
    x, keys = jnp.zeros((1, 4, 4, 2)), jax.random.split(key, 2)
    init = jax.jit(lambda key: init_model(ConvNorm(4, (3, 3)), key, x))
    many, one = jax.device_get((jax.jit(jax.vmap(init))(keys), init(keys[1])))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a[1], b, rtol=1e-6), many, one)


def test_initialization_of_scanned_blocks_matches_init(key):
    model, x = (
        GPT(vocab_size=5, context_length=4, d_model=4, num_layers=3, num_heads=1, scan_blocks=True),
        np.zeros((2, 3), np.int32),
    )
    ours = init_model(model, key, x)
    rngs = dict(zip(("params", "dropout"), jax.random.split(key), strict=True))
    expected = jax.jit(partial(model.init, train=True))(rngs, x)
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-6), ours, expected)
    assert multiplies(model, x) == [True, False]
