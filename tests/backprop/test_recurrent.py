"""Backpropagation through time by hand against jax.grad of a loop over the cells, in float64."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl import losses
from jaxdl.backprop import losses as hand_losses
from jaxdl.backprop import recurrent
from jaxdl.nn.recurrent import cells

pytestmark = pytest.mark.usefixtures("float64")
close = partial(np.testing.assert_allclose, rtol=1e-10, atol=1e-13)
B, T, N, D, K = 3, 4, 2, 5, 3


def draw(gates=()):
    rng = np.random.default_rng(0)
    shapes = ((*gates, D, N), (*gates, D, D), (*gates, D), (K, D), (K,))
    network = recurrent.Network(*(rng.normal(size=shape) for shape in shapes))
    return network, rng.normal(size=(B, T, N)), rng.integers(0, K, (B, T)), rng.normal(size=(2, B, D))


def mean_over_everything(y, labels):
    """The loss of all times and its gradient."""
    value, d_y = hand_losses.softmax_cross_entropy(y.reshape(B * T, K), labels.reshape(-1))
    return value, d_y.reshape(y.shape)


def by_loop(cell, parameters, network, x, carry, labels):
    """The same network as a loop over a cell, for jax.grad."""
    outputs = []
    for t in range(T):
        carry, h = cell(parameters, carry, x[:, t])
        outputs.append(h @ network.V.T + network.b_y[None])
    return losses.cross_entropy(jnp.stack(outputs, axis=1), labels)


@pytest.mark.parametrize("activation", ["tanh", "sigmoid"])
def test_the_vanilla_network_has_the_gradients_of_jax(activation):
    network, x, labels, (h_0, _) = draw()

    @jax.jit
    def by_hand(network, x, h_0):
        y, residuals = recurrent.vanilla_forward(network, x, h_0, activation)
        value, d_y = mean_over_everything(y, labels)
        return value, recurrent.vanilla_backward(network, residuals, d_y, activation)

    @jax.jit
    @partial(jax.value_and_grad, argnums=(0, 1, 2))
    def by_jax(network, x, h_0):
        parameters = {"kernel": network.W.T, "recurrent_kernel": network.U.T, "bias": network.b}
        return by_loop(cells.Vanilla(D, activation), parameters, network, x, h_0, labels)

    jax.tree.map(close, by_hand(network, x, h_0), by_jax(network, x, h_0))


def test_the_lstm_has_the_gradients_of_jax():
    network, x, labels, (c_0, h_0) = draw((4,))

    @jax.jit
    def by_hand(network, x, c_0, h_0):
        y, residuals = recurrent.lstm_forward(network, x, c_0, h_0)
        value, d_y = mean_over_everything(y, labels)
        return value, recurrent.lstm_backward(network, residuals, d_y)

    @jax.jit
    @partial(jax.value_and_grad, argnums=(0, 1, 2, 3))
    def by_jax(network, x, c_0, h_0):
        side_by_side = {"kernel": network.W, "recurrent_kernel": network.U}
        parameters = {name: jnp.concatenate([part.T for part in parts], 1) for name, parts in side_by_side.items()}
        parameters["bias"] = network.b.reshape(-1)
        return by_loop(cells.LSTM(D), parameters, network, x, cells.LSTMState(c_0, h_0), labels)

    jax.tree.map(close, by_hand(network, x, c_0, h_0), by_jax(network, x, c_0, h_0))


def test_initial_states_default_to_zeros():
    network, x, _, _ = draw((4,))
    y, _ = recurrent.lstm_forward(network, x)
    close(y, recurrent.lstm_forward(network, x, np.zeros((B, D)), np.zeros((B, D)))[0])


def test_the_gradient_of_the_recurrent_matrix_contains_the_previous_state():
    """With ``h_t`` in its place, as sometimes printed, it differs from the finite difference."""
    network, x, labels, (h_0, _) = draw()
    y, residuals = recurrent.vanilla_forward(network, x, h_0)
    value, d_y = mean_over_everything(y, labels)
    gradients, _, _ = recurrent.vanilla_backward(network, residuals, d_y)
    wrong, _, _ = recurrent.vanilla_backward(network, residuals._replace(h_prev=residuals.h), d_y)
    step = 1e-6
    moved = network._replace(U=network.U + step * np.eye(D)[:, ::-1])
    difference = (mean_over_everything(recurrent.vanilla_forward(moved, x, h_0)[0], labels)[0] - value) / step
    close(np.trace(gradients.U[:, ::-1]), difference, rtol=1e-3)
    assert abs(np.trace(wrong.U[:, ::-1]) - difference) > 0.1 * abs(difference)


def test_invalid_shapes_raise():
    network, x, _, _ = draw()
    with pytest.raises(ValueError, match=r"W \(4, 5, 2\).* got \(\(5, 2\)"):
        recurrent.lstm_forward(network, x)
    with pytest.raises(ValueError, match=r"W \(5, 7\).* got \(\(5, 2\)"):
        recurrent.vanilla_forward(network, np.zeros((B, T, 7)))
