"""The LSTM of cuDNN as far as a machine without it can tell: its arguments, given to JAX's reference in its place."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental import rnn

from jaxdl.nn import recurrent
from jaxdl.nn.recurrent import cells, cudnn
from tests.nn.recurrent.cases import LENGTHS, MASK, B, D, H, draw, draw_carry, inputs

CELL = cells.LSTM(H)
close = partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-6)


def reference(x, h, c, weights, lengths, size, features, layers, share, both_ways):
    """Do what ``rnn.lstm`` does, in JAX's own words."""
    layout = size, features, layers, both_ways
    matrices_and_biases = rnn.unpack_lstm_weights(weights, *layout)
    return rnn.lstm_ref(x, h, c, *matrices_and_biases, lengths, size, features, layers, share, both_ways)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("lengths", [None, LENGTHS])
def test_the_arguments_of_cudnn_say_what_the_scan_does(lengths, reverse):
    to_float32 = partial(jax.tree.map, partial(jnp.asarray, dtype=jnp.float32))
    parameters, carry, x = map(to_float32, (draw(CELL), draw_carry(CELL), inputs()))
    lengths = None if lengths is None else jnp.asarray(lengths)
    mine = recurrent.scan(CELL, parameters, x, carry, lengths=lengths, reverse=reverse)
    other = cudnn.lstm(parameters, carry, x, lengths, reverse, run=reference)
    jax.tree.map(close, other, mine)


def test_a_cell_without_bias_has_two_of_zeros():
    parameters = {name: leaf for name, leaf in draw(CELL).items() if name != "bias"}
    packed = cudnn.pack(jax.tree.map(jnp.asarray, parameters))
    assert packed.size == rnn.get_num_params_in_lstm(D, H, 1, False)
    np.testing.assert_array_equal(packed[-8 * H :], 0)


@pytest.mark.parametrize(
    ("cell", "dtype", "options", "message"),
    [
        (cells.GRU(H), jnp.float32, {}, "only LSTM cells .* got GRU"),
        (cells.LSTM(H, "sigmoid"), jnp.float32, {}, "activation 'tanh'; got LSTM"),
        (CELL, jnp.float32, {"lengths": [1, 0, 5]}, "lengths of at least 1; got 0"),
        (CELL, jnp.float32, {"mask": MASK}, "lengths in the place of a mask"),
        (CELL, jnp.float32, {"tbptt_length": 2}, "none of the scan's options .'tbptt_length'."),
        (CELL, jnp.float32, {"remat_chunks": 2, "custom_vjp": False}, "'remat_chunks', 'custom_vjp'"),
        (CELL, jnp.bfloat16, {}, "float32; got bfloat16"),
        (CELL, jnp.float32, {}, "an NVIDIA GPU; JAX runs on 'cpu'; backend='scan' does everything"),
    ],
)
def test_what_cudnn_cannot_do_is_refused(cell, dtype, options, message):
    x = jnp.zeros((B, 5, D), dtype)
    with pytest.raises(ValueError, match=f"backend='cudnn' takes .*{message}"):
        recurrent.scan(cell, draw(cell), x, backend="cudnn", **options)


@pytest.mark.skipif(jax.default_backend() != "gpu", reason="cuDNN needs an NVIDIA GPU")
@pytest.mark.parametrize("reverse", [False, True])
def test_cudnn_is_the_scan(reverse):
    x = jnp.asarray(inputs(), jnp.float32)

    def loss(parameters, x, backend):
        (c, h), y = recurrent.scan(CELL, parameters, x, lengths=LENGTHS, reverse=reverse, backend=backend)
        return jnp.sum(jnp.sin(y)) + jnp.sum(jnp.cos(c) + h * h)

    gradients = [jax.grad(loss, argnums=(0, 1))(draw(CELL), x, backend) for backend in recurrent.BACKENDS]
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-3, atol=1e-4), *gradients)
