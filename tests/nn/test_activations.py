"""Activations against torch, finite differences, and the ends of the number line."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from jaxdl.nn import activations

ELEMENTWISE = {name: function for name, function in activations.ACTIVATIONS.items() if name != "softmax"}
POINTS = np.linspace(-7.3, 7.1, 24).reshape(4, 6)


@pytest.fixture
def torch():
    return pytest.importorskip("torch", reason="torch is the peer")


def all_of(functions, x):
    return jnp.stack([function(x) for function in functions])


@pytest.mark.usefixtures("float64")
def test_values_and_gradients_are_torchs(torch):
    functional = torch.nn.functional
    peers = [
        (activations.sigmoid, torch.sigmoid),
        (activations.tanh, torch.tanh),
        (activations.relu, functional.relu),
        (activations.leaky_relu, functional.leaky_relu),
        (partial(activations.leaky_relu, negative_slope=0.1), partial(functional.leaky_relu, negative_slope=0.1)),
        (activations.elu, functional.elu),
        (partial(activations.elu, alpha=0.5), partial(functional.elu, alpha=0.5)),
        (activations.gelu, functional.gelu),
        (partial(activations.gelu, approximate="tanh"), partial(functional.gelu, approximate="tanh")),
        (activations.silu, functional.silu),
        (activations.softplus, functional.softplus),
        (activations.softmax, partial(functional.softmax, dim=-1)),
        (partial(activations.softmax, axis=0), partial(functional.softmax, dim=0)),
    ]
    x = POINTS.copy()
    x[0, 0] = 0  # where torch has chosen one of two slopes
    cotangent = np.random.default_rng(0).normal(size=x.shape)

    @jax.jit
    def ours(x):
        values, pull = zip(*[jax.vjp(function, x) for function, _ in peers], strict=True)
        return values, [back(jnp.asarray(cotangent))[0] for back in pull]

    values, gradients = ours(x)
    for (function, peer), value, gradient in zip(peers, values, gradients, strict=True):
        t = torch.tensor(x, requires_grad=True)
        out = peer(t)
        out.backward(torch.tensor(cotangent))
        np.testing.assert_allclose(value, out.detach(), rtol=1e-12, atol=1e-14, err_msg=str(function))
        np.testing.assert_allclose(gradient, t.grad, rtol=1e-10, atol=1e-13, err_msg=str(function))


@pytest.mark.usefixtures("float64")
def test_learned_slopes_are_torchs(torch):
    alpha = np.array([0.25, 0.1, 0.0, -0.5, 1.0, 2.0])
    slopes = jax.jit(jax.grad(lambda alpha: activations.prelu(POINTS, alpha).sum()))(alpha)
    t = torch.tensor(alpha, requires_grad=True)
    out = torch.nn.functional.prelu(torch.tensor(POINTS), t)
    out.sum().backward()
    np.testing.assert_allclose(activations.prelu(POINTS, alpha), out.detach(), rtol=1e-12)
    np.testing.assert_allclose(slopes, t.grad, rtol=1e-12)


@pytest.mark.usefixtures("float64")
def test_gradients_are_those_of_finite_differences():
    points = POINTS[np.abs(POINTS) > 1e-3]
    check_grads(jax.jit(partial(all_of, ELEMENTWISE.values())), (points,), order=1, modes=["rev"], rtol=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_ends_of_the_number_line_are_finite_and_keep_the_dtype(dtype):
    largest = float(jnp.finfo(dtype).max) / 2
    x = np.array([-largest, -1e4, -100.0, -1e-30, 0.0, 100.0, 1e4, largest]).astype(dtype)

    @jax.jit
    def run(x, rows):
        values, pull = jax.vjp(partial(all_of, ELEMENTWISE.values()), x)
        return values, jax.lax.map(pull, rows)[0]

    rows = np.eye(len(ELEMENTWISE))[..., None] * np.ones(8)
    values, gradients = run(x, rows.astype(dtype))
    assert values.dtype == dtype
    assert np.isfinite(np.asarray(values, np.float32)).all()
    for name, gradient in zip(ELEMENTWISE, np.asarray(gradients, np.float32), strict=True):
        assert np.isfinite(gradient).all(), name


def test_the_scaled_hyperbolic_tangent_is_one_at_one():
    np.testing.assert_allclose(activations.scaled_tanh(jnp.array([-1.0, 1.0])), [-1.0, 1.0], rtol=1e-5)


def test_maxout_is_a_relu_and_an_absolute_value():
    x = jnp.linspace(-2, 2, 5)
    np.testing.assert_array_equal(activations.maxout(jnp.stack([x, 0 * x], -1), 2)[:, 0], activations.relu(x))
    np.testing.assert_array_equal(activations.maxout(jnp.stack([x, -x], -1), 2)[:, 0], jnp.abs(x))


def test_the_gradient_of_maxout_is_that_of_the_first_largest_piece():
    random = np.random.default_rng(0)
    x, kernel = (random.normal(size=shape).astype(np.float32) for shape in [(301, 1), (3, 1, 8)])
    bias = random.normal(size=(3, 8)).astype(np.float32)

    def loss(kernel, bias):
        return jnp.sum(activations.maxout(x * kernel + bias[None], 4))

    slopes, _ = jax.jit(jax.vmap(jax.grad(loss, (0, 1))))(kernel, bias)
    for run in range(3):
        lines = (x * kernel[run] + bias[run]).reshape(301, 2, 4)
        expected = np.einsum("n,nkp->kp", x[:, 0], np.eye(4)[lines.argmax(axis=-1)])
        np.testing.assert_allclose(slopes[run, 0], expected.ravel(), rtol=1e-5, atol=1e-4)
    tie = jax.grad(lambda x: activations.maxout(x, 2)[0])(jnp.array([1.0, 1.0]))
    assert tie.tolist() == [1.0, 0.0]
    assert np.isnan(activations.maxout(np.array([1.0, np.nan]), 2)).all()
    assert activations.maxout(np.array([-np.inf, np.inf, -np.inf, -np.inf]), 2).tolist() == [np.inf, -np.inf]


def test_the_mean_of_the_stochastic_gelu_is_the_gelu(key):
    x = np.linspace(-3, 3, 13, dtype=np.float32)
    draws = np.asarray(jax.jit(jax.vmap(activations.stochastic_gelu, (0, None)))(jax.random.split(key, 20_000), x))
    expected = np.asarray(jax.jit(activations.gelu)(x))
    phi = expected / np.where(x == 0, 1, x)
    error = np.abs(x) * np.sqrt(phi * (1 - phi) / len(draws))
    assert (np.abs(draws.mean(0) - expected) <= 4 * error + 1e-6).all()
    assert ((draws == 0) | (draws == x[None])).all()


def test_a_masked_softmax_is_the_softmax_of_what_is_left():
    x = np.float32([[1.0, np.nan, 3.0, -2.0], [0.0, 0.0, 0.0, 0.0]])
    mask = np.array([[True, False, True, True], [False] * 4])
    weights = np.arange(8, dtype=np.float32).reshape(2, 4)

    @jax.jit
    @jax.value_and_grad
    def weighted(x):
        return jnp.sum(weights * activations.softmax(x, mask=mask))

    left = np.exp([1.0, 3.0, -2.0]) / np.exp([1.0, 3.0, -2.0]).sum()
    value, gradient = weighted(x)
    np.testing.assert_allclose(value, left @ [0, 2, 3], rtol=1e-6)
    assert np.isfinite(gradient).all()
    np.testing.assert_array_equal(np.where(mask, 0, gradient), np.zeros((2, 4)))


def test_modules_hold_the_learned_numbers(key):
    x = jnp.array([[-1.0, 2.0]])
    (out, variables) = activations.PReLU().init_with_output(key, x)
    assert variables["params"]["alpha"].shape == (2,)
    np.testing.assert_array_equal(out, [[-0.25, 2.0]])
    (out, variables) = activations.Swish().init_with_output(key, x)
    np.testing.assert_allclose(out, activations.silu(x), rtol=1e-6)
    assert variables["params"]["beta"].shape == ()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: activations.get_activation("sigmod"), "got 'sigmod'; did you mean 'sigmoid'"),
        (lambda: activations.get_activation("quux"), "got 'quux'"),
        (lambda: activations.maxout(np.zeros((2, 5)), 2), r"pieces=2, got x of shape \(2, 5\)"),
        (lambda: activations.gelu(np.zeros(2), "erf"), "got 'erf'"),
        (lambda: activations.softmax(np.zeros((2, 3)), mask=np.zeros(3)), r"\(2, 3\), got \(3,\)"),
    ],
)
def test_invalid_arguments_raise(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_a_function_is_returned_unchanged():
    assert activations.get_activation(jnp.sin) is jnp.sin


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, bool])
def test_integers_give_what_their_floating_point_numbers_give(dtype):
    x = np.array([0, 1, 2, 101], dtype)

    @jax.jit
    def all_of(x):
        return {name: function(x) for name, function in activations.ACTIVATIONS.items()} | {
            "maxout": activations.maxout(x, 2)
        }

    for module, name in ((activations.PReLU(), "alpha"), (activations.Swish(), "beta")):
        fraction = {"params": {name: np.full(4 if name == "alpha" else (), 0.25, np.float32)}}
        y = jax.jit(module.apply)(fraction, -x.astype(np.int8))
        np.testing.assert_array_equal(y, jax.jit(module.apply)(fraction, -x.astype(np.int8).astype(np.float32)))
    for ours, expected in zip(jax.tree.leaves(all_of(x)), jax.tree.leaves(all_of(x.astype(np.float32))), strict=True):
        assert ours.dtype == np.float32
        np.testing.assert_array_equal(ours, expected)


def test_at_infinity_a_function_has_its_limit_and_nan_stays_nan():
    x = np.array([-np.inf, np.inf, np.nan], np.float32)
    functions = {name: function for name, function in activations.ACTIVATIONS.items() if name != "softmax"}
    values = jax.jit(lambda x: {name: function(x) for name, function in functions.items()})(x)
    low = {"identity": -np.inf, "leaky_relu": -np.inf, "tanh": -1, "scaled_tanh": -1.7159, "elu": -1}
    high = {"step": 1, "sigmoid": 1, "tanh": 1, "scaled_tanh": 1.7159}
    for name, value in values.items():
        np.testing.assert_allclose(value, [low.get(name, 0), high.get(name, np.inf), np.nan], rtol=1e-6, err_msg=name)
    slopes = jax.jit(jax.vmap(jax.grad(lambda x: activations.gelu(x) + activations.silu(x))))(x[:1])
    assert slopes.tolist() == [0]


def test_complex_numbers_and_masks_of_numbers_are_type_errors():
    with pytest.raises(TypeError, match="got complex64"):
        activations.relu(np.array([1j], np.complex64))
    with pytest.raises(TypeError, match="got float32"):
        activations.softmax(np.zeros(2), mask=np.array([0.0, -1e4], np.float32))


def test_soft_maximum_is_the_softmax_times_its_argument():
    x = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
    weights = np.exp(x) / np.exp(x).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(activations.soft_maximum(x), (weights * x).sum(axis=1), rtol=1e-5)
    np.testing.assert_allclose(activations.soft_maximum(100 * x, axis=0), 100 * x.max(axis=0), rtol=1e-3)
    hidden = np.array([[True, True, False, False]])
    spoiled = np.where(hidden, x, np.nan)
    np.testing.assert_allclose(
        activations.soft_maximum(spoiled, mask=hidden), activations.soft_maximum(x[:, :2]), rtol=1e-6
    )
    assert activations.soft_maximum(np.array([-np.inf, 1.0, 1.0])) == 1
    assert activations.soft_maximum(x.astype(np.float16)).dtype == np.float16
