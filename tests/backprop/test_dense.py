"""Backpropagation by hand through networks, slopes and losses, against jax.grad in float64."""

from functools import partial
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl import losses
from jaxdl.backprop import activations, dense
from jaxdl.backprop import losses as hand_losses
from jaxdl.nn.activations import ACTIVATIONS

pytestmark = pytest.mark.usefixtures("float64")
close = partial(np.testing.assert_allclose, rtol=1e-10, atol=1e-13)
PEERS = {
    hand_losses.softmax_cross_entropy: losses.cross_entropy,
    hand_losses.sigmoid_cross_entropy: losses.binary_cross_entropy,
    hand_losses.squared_error: losses.mean_squared_error,
}


@pytest.mark.parametrize(
    ("sizes", "activation", "loss"),
    [
        ((3, 4), "tanh", hand_losses.softmax_cross_entropy),
        ((2, 5, 3), "sigmoid", hand_losses.squared_error),
        ((4, 6, 1, 5, 2), "relu", hand_losses.sigmoid_cross_entropy),
        ((1, 3, 3, 3), (jnp.sin, lambda a, h: jnp.cos(a)), hand_losses.softmax_cross_entropy),
    ],
    ids=["no hidden layer", "one", "three", "two, with an activation of one's own"],
)
def test_networks_have_the_gradients_of_jax(sizes, activation, loss, key):
    rng = np.random.default_rng(len(sizes))
    layers = [
        dense.Layer(rng.normal(size=(after, before)), rng.normal(size=after)) for before, after in pairwise(sizes)
    ]
    x, y = rng.normal(size=(7, sizes[0])), rng.dirichlet(np.ones(sizes[-1]), 7)

    @jax.jit
    def by_hand(layers, x):
        a_L, cache = dense.forward(layers, x, activation)
        value, d_a = loss(a_L, y)
        return value, dense.backward(layers, cache, d_a, activation)

    @jax.jit
    @partial(jax.value_and_grad, argnums=(0, 1))
    def by_jax(layers, x):
        g, _ = activations.pair(activation)
        for W, b in layers[:-1]:
            x = g(x @ W.T + b[None])
        W, b = layers[-1]
        return PEERS[loss](x @ W.T + b[None], y)

    jax.tree.map(close, by_hand(layers, x), by_jax(layers, x))


def test_every_elementwise_activation_has_its_slope():
    assert activations.SLOPES.keys() == ACTIVATIONS.keys() - {"softmax", "gelu_tanh"}
    a = jnp.linspace(-5, 5, 41) + 0.01

    @jax.jit
    def slopes(a):
        pairs = {name: activations.pair(name) for name in activations.SLOPES}
        ours = {name: slope(a, g(a)) for name, (g, slope) in pairs.items()}
        return ours, {name: jax.vmap(jax.grad(g))(a) for name, (g, _) in pairs.items()}

    ours, expected = slopes(a)
    for name, slope in ours.items():
        close(slope, expected[name], err_msg=name)


@pytest.mark.parametrize("loss", PEERS, ids=lambda loss: loss.__name__)
def test_losses_and_their_gradients_are_those_of_jax(loss):
    rng = np.random.default_rng(0)
    a, y = 3 * rng.normal(size=(5, 4)), rng.dirichlet(np.ones(4), 5)
    jax.tree.map(close, jax.jit(loss)(a, y), jax.jit(jax.value_and_grad(PEERS[loss]))(a, y))


def test_class_numbers_give_what_was_predicted_less_what_is_true():
    a, y = np.random.default_rng(0).normal(size=(5, 4)), np.array([0, 3, 1, 1, 2])
    _, d_a = jax.jit(hand_losses.softmax_cross_entropy)(a, y)
    close(d_a, (np.exp(a) / np.exp(a).sum(1, keepdims=True) - np.eye(4)[y]) / 5)


def test_a_confident_mistake_has_a_gradient_behind_the_cross_entropy_but_not_behind_the_squared_error():
    a, y = jnp.array([[20.0, 0.0]]), jnp.array([[0.0, 1.0]])

    @jax.jit
    def gradients(a):
        y_hat = hand_losses.softmax(a)
        _, d_y_hat = hand_losses.squared_error(y_hat, y)
        return hand_losses.softmax_cross_entropy(a, y)[1], hand_losses.softmax_backward(y_hat, d_y_hat)

    steep, flat = gradients(a)
    expected = jax.jit(jax.grad(lambda a: losses.mean_squared_error(jax.nn.softmax(a), y)))(a)
    close(flat, expected, rtol=1e-6)
    assert jnp.abs(steep).max() > 0.99
    assert jnp.abs(flat).max() < 1e-8


def test_initialized_layers_have_the_given_sizes(key):
    layers = jax.eval_shape(lambda key: dense.init(key, (3, 5, 2)), key)
    assert [layer.W.shape for layer in layers] == [(5, 3), (2, 5)]
    assert [layer.b.shape for layer in layers] == [(5,), (2,)]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: dense.forward([dense.Layer(np.zeros((2, 3)), np.zeros(2))], np.zeros((1, 4))),
            r"got .*\(1, 4\)",
        ),
        (lambda: activations.pair("softmax"), "got 'softmax'"),
        (lambda: hand_losses.squared_error(np.zeros(2), np.zeros(3)), r"\(2,\) and \(3,\)"),
    ],
)
def test_invalid_arguments_raise(call, message):
    with pytest.raises(ValueError, match=message):
        call()
