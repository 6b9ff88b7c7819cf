"""The LSTM of cuDNN: its arguments passed to JAX's reference implementation, and on a GPU cuDNN itself."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental import rnn

from jaxdl.nn import recurrent
from jaxdl.nn.recurrent import cells, cudnn, scanning
from tests.nn.recurrent.cases import LENGTHS, MASK, B, D, H, draw, draw_carry, inputs

CELL = cells.LSTM(H)
close = partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-6)


def reference(x, h, c, weights, lengths, size, features, layers, share, both_ways):
    """Compute ``rnn.lstm`` by its reference implementation."""
    layout = size, features, layers, both_ways
    matrices_and_biases = rnn.unpack_lstm_weights(weights, *layout)
    return rnn.lstm_ref(x, h, c, *matrices_and_biases, lengths, size, features, layers, share, both_ways)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("lengths", [None, LENGTHS])
def test_the_arguments_of_cudnn_describe_the_scan(lengths, reverse):
    arrays = jax.tree.map(np.float32, (draw(CELL), draw_carry(CELL), inputs()))

    @jax.jit
    def both(parameters, carry, x):
        given = None if lengths is None else jnp.asarray(lengths)
        mine = recurrent.scan(CELL, parameters, x, carry, lengths=given, reverse=reverse)
        return mine, cudnn.lstm(parameters, carry, x, given, reverse, run=reference)

    mine, other = both(*arrays)
    jax.tree.map(close, other, mine)


def test_a_cell_without_bias_is_packed_with_zeros():
    parameters = {name: leaf for name, leaf in draw(CELL).items() if name != "bias"}
    packed = cudnn.pack(jax.tree.map(jnp.asarray, parameters))
    assert packed.size == rnn.get_num_params_in_lstm(D, H, 1, False)
    np.testing.assert_array_equal(packed[-8 * H :], 0)


@pytest.mark.parametrize(
    ("cell", "dtype", "options", "message"),
    [
        (cells.GRU(H), jnp.float32, {}, "got GRU"),
        (cells.LSTM(H, "sigmoid"), jnp.float32, {}, "got LSTM"),
        (CELL, jnp.float32, {"lengths": [1, 0, 5]}, "got 0"),
        (CELL, jnp.float32, {"mask": MASK}, "got a mask"),
        (CELL, jnp.float32, {"tbptt_length": 2}, r"got \['tbptt_length'\]"),
        (CELL, jnp.float32, {"remat_chunks": 2, "custom_vjp": False}, "'remat_chunks', 'custom_vjp'"),
        (CELL, jnp.bfloat16, {}, "got bfloat16"),
        (CELL, jnp.float32, {}, "got the platform 'cpu'"),
    ],
)
def test_unsupported_arguments_raise(cell, dtype, options, message):
    x = jnp.zeros((B, 5, D), dtype)
    with pytest.raises(ValueError, match=f"backend='cudnn' expected .*{message}"):
        recurrent.scan(cell, draw(cell), x, backend="cudnn", **options)


@pytest.mark.skipif(jax.default_backend() != "gpu", reason="cuDNN needs an NVIDIA GPU")
@pytest.mark.parametrize("reverse", [False, True])
def test_cudnn_matches_the_scan(reverse):
    x = jnp.asarray(inputs(), jnp.float32)

    def loss(parameters, x, backend):
        (c, h), y = recurrent.scan(CELL, parameters, x, lengths=LENGTHS, reverse=reverse, backend=backend)
        return jnp.sum(jnp.sin(y)) + jnp.sum(jnp.cos(c) + h * h)

    gradients = [jax.grad(loss, argnums=(0, 1))(draw(CELL), x, backend) for backend in scanning.BACKENDS]
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-3, atol=1e-4), *gradients)
