"""Backpropagation by hand through convolution, pooling and normalisation, against jax.grad in float64."""

import ast
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl import backprop
from jaxdl.backprop import batch_norm, convolution, pooling
from jaxdl.nn import normalization

close = partial(np.testing.assert_allclose, rtol=1e-10, atol=1e-12)


def normals(*shapes):
    rng = np.random.default_rng(sum(map(sum, shapes)))
    return [rng.normal(size=shape) for shape in shapes]


def pulled_back(function, d_y, *args):
    """Value and gradients by jax."""

    @jax.jit
    def run(d_y, *args):
        y, pull = jax.vjp(function, *args)
        return y, pull(d_y)

    return run(d_y, *args)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize(
    ("shape", "kernel", "stride", "padding"),
    [
        ((2, 5, 6, 3), (3, 2, 3, 4), 1, ((0, 0), (0, 0))),
        ((1, 7, 8, 1), (3, 3, 1, 2), 2, ((1, 1), (0, 2))),
        ((2, 4, 5, 2), (1, 1, 2, 3), 1, ((0, 0), (0, 0))),
        ((1, 8, 6, 2), (2, 3, 2, 1), 3, ((2, 1), (1, 0))),
    ],
    ids=["plain", "stride 2, padded", "one by one", "stride 3, a rest left over"],
)
def test_convolutions_have_the_gradients_of_jax(shape, kernel, stride, padding):
    x, W, b = normals(shape, kernel, kernel[-1:])

    def by_lax(x, W, b):
        dimensions = ("NHWC", "HWIO", "NHWC")
        y = jax.lax.conv_general_dilated(x, W, (stride, stride), padding, dimension_numbers=dimensions)
        return y + b[None, None, None]

    @jax.jit
    def by_hand(x, W, b, d_y):
        y, padded = convolution.forward(x, W, b, stride=stride, padding=padding)
        return y, convolution.backward(padded, W, d_y, stride=stride, padding=padding)

    (d_y,) = normals(jax.eval_shape(by_lax, x, W, b).shape)
    jax.tree.map(close, by_hand(x, W, b, d_y), pulled_back(by_lax, d_y, x, W, b))


def test_a_shared_weight_gets_the_sum_over_its_places_not_the_average():
    x, W = jnp.ones((1, 5, 5, 1)), jnp.ones((1, 1, 1, 1))
    _, d_W, d_b = jax.jit(convolution.backward)(x, W, jnp.ones((1, 5, 5, 1)))
    assert d_W.item() == d_b.item() == 25


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize(
    ("shape", "size", "stride"),
    [((2, 4, 6, 3), 2, 2), ((1, 7, 5, 2), 3, 2), ((2, 5, 5, 1), 3, 1)],
    ids=["tiles", "overlapping", "every place"],
)
def test_pooling_has_the_gradients_of_jax(shape, size, stride):
    (x,) = normals(shape)

    def by_lax(x):
        args = (1, size, size, 1), (1, stride, stride, 1), "VALID"
        largest = jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, *args)
        return largest, jax.lax.reduce_window(x, 0.0, jax.lax.add, *args) / size**2

    @jax.jit
    def by_hand(x, d_max, d_average):
        windows = {"size": size, "stride": stride}
        largest, switches = pooling.max_forward(x, **windows)
        d_x = pooling.max_backward(x, switches, d_max, **windows)
        d_x = d_x + pooling.average_backward(x, d_average, **windows)
        return (largest, pooling.average_forward(x, **windows)), (d_x,)

    out, _ = jax.eval_shape(by_lax, x)
    d_y = normals(out.shape, out.shape)
    jax.tree.map(close, by_hand(x, *d_y), pulled_back(by_lax, tuple(d_y), x))


def test_of_equal_entries_the_first_gets_the_gradient():
    x = jnp.ones((1, 2, 2, 1))
    _, switches = pooling.max_forward(x)
    d_x = pooling.max_backward(x, switches, jnp.ones((1, 1, 1, 1)))
    assert d_x.reshape(-1).tolist() == [1, 0, 0, 0]


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("shape", [(6, 3), (3, 2, 4, 5)], ids=str)
def test_normalization_has_the_gradients_of_jax(shape):
    C = shape[-1]
    x, gamma, beta, mu, d_y = normals(shape, (C,), (C,), (C,), shape)
    var = mu**2 + 0.1

    @jax.jit
    def by_hand(x, gamma, beta):
        batch, cache = batch_norm.batch_norm_forward(x, gamma, beta)
        layer, other = batch_norm.layer_norm_forward(x, gamma, beta)
        fixed, third = batch_norm.fixed_norm_forward(x, mu, var, gamma, beta)
        return (
            (batch, batch_norm.batch_norm_backward(cache, d_y)),
            (layer, batch_norm.layer_norm_backward(other, d_y)),
            (fixed, batch_norm.fixed_norm_backward(third, d_y)),
        )

    peers = (
        lambda x, gamma, beta: normalization.batch_norm(x, gamma, beta)[0],
        normalization.layer_norm,
        lambda x, gamma, beta: normalization.normalize(x, mu, var, gamma, beta),
    )
    for ours, peer in zip(by_hand(x, gamma, beta), peers, strict=True):
        jax.tree.map(close, ours, pulled_back(peer, d_y, x, gamma, beta))


@pytest.mark.usefixtures("float64")
def test_the_gradient_of_batch_norm_has_zero_mean_and_is_orthogonal_to_the_input():
    x, gamma, d_y = normals((8, 3), (3,), (8, 3))
    _, cache = batch_norm.batch_norm_forward(x, gamma, 0 * gamma, eps=0.0)
    d_x, *_ = batch_norm.batch_norm_backward(cache, d_y)
    np.testing.assert_allclose(d_x.mean(0), np.zeros(3), atol=1e-14)
    np.testing.assert_allclose((d_x * cache.x_hat).mean(0), np.zeros(3), atol=1e-14)


def test_automatic_differentiation_is_never_called():
    forbidden = {"grad", "value_and_grad", "vjp", "jvp", "linearize", "jacrev", "jacfwd", "hessian"}
    for path in Path(backprop.__file__).parent.glob("*.py"):
        nodes = ast.walk(ast.parse(path.read_text()))
        assert not {node.attr for node in nodes if isinstance(node, ast.Attribute)} & forbidden, path.name


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: convolution.forward(np.zeros((1, 4, 4, 2)), np.zeros((3, 3, 3, 1)), np.zeros(1)), r"\(3, 3, 3, 1\)"),
        (lambda: pooling.max_forward(np.zeros((1, 2, 2, 1)), size=3), r"3 x 3.* got \(1, 2, 2, 1\)"),
        (lambda: batch_norm.batch_norm_forward(np.zeros((2, 3)), np.zeros(2), np.zeros(3)), r"got \(2,\) and \(3,\)"),
    ],
)
def test_invalid_arguments_raise(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, bool])
def test_integers_are_computed_with_as_floating_point_numbers(dtype):
    a, y = np.array([[0, 101], [120, 1]], dtype), np.array([[1, 0], [0, 1]], dtype)

    @jax.jit
    def all_of(a, y):
        return (
            backprop.losses.squared_error(a, y),
            backprop.losses.softmax_cross_entropy(a, y),
            backprop.losses.sigmoid_cross_entropy(a, y),
            pooling.average_forward(a[None, :, :, None]),
        )

    expected = all_of(a.astype(np.float32), y.astype(np.float32))
    jax.tree.map(np.testing.assert_array_equal, all_of(a, y), expected)


def test_infinite_logits_have_no_loss_where_they_are_right():
    a = jnp.array([[jnp.inf, -jnp.inf]])
    loss, d_a = backprop.losses.sigmoid_cross_entropy(a, jnp.array([[1.0, 0.0]]))
    assert loss == 0
    assert not d_a.any()
    assert backprop.losses.softmax_cross_entropy(jnp.array([[0.0, -jnp.inf]]), jnp.array([0]))[0] == 0
    with pytest.raises(ValueError, match="got 2"):
        backprop.losses.softmax_cross_entropy(jnp.zeros((1, 2)), jnp.array([2]))
