"""Transposed convolution against torch, and against the convolution that is transposed."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl.nn.convolution.convolution import convolve
from jaxdl.nn.convolution.transposed import ConvTranspose, transposed_convolve, transposed_output_size
from tests.peers import torch

# spatial sizes, kernel size, channels, features, options
CASES = {
    "1-D": ((5,), (3,), 2, 3, {}),
    "1-D strided": ((4,), (5,), 2, 3, {"stride": 3, "padding": 2, "output_padding": 2}),
    "2-D": ((4, 3), (3, 2), 3, 2, {"padding": 1}),
    "2-D strided": ((4, 3), (4, 4), 3, 2, {"stride": 2, "padding": 1}),
    "2-D with gaps": ((3, 2), (2, 1), 2, 2, {"stride": 3, "output_padding": (2, 1)}),
    "2-D uneven": ((3, 4), (3, 2), 2, 3, {"stride": (2, 3), "padding": (1, 0), "output_padding": (1, 2)}),
    "2-D more cut off than the kernel adds": ((6, 5), (2, 2), 2, 2, {"stride": 2, "padding": 3}),
    "2-D dilated": ((3, 4), (3, 2), 2, 3, {"stride": (2, 1), "dilation": (2, 3), "output_padding": (1, 0)}),
    "2-D two groups": ((3, 4), (3, 3), 4, 6, {"stride": 2, "padding": 1, "groups": 2}),
    "2-D depthwise": ((3, 4), (2, 2), 3, 6, {"stride": 2, "groups": 3}),
    "3-D": ((2, 3, 2), (2, 3, 2), 2, 2, {"stride": (2, 1, 2), "padding": (0, 1, 0), "output_padding": (1, 0, 0)}),
}


def arrays(sizes, kernel_size, channels, features, groups=1):
    random = np.random.RandomState(0)
    x = random.standard_normal((2, *sizes, channels))
    return x, random.standard_normal((*kernel_size, features // groups, channels))


def to_torch(a, moved_from, moved_to):
    return torch().tensor(np.moveaxis(np.asarray(a), moved_from, moved_to).copy(), requires_grad=True)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.usefixtures("float64")
def test_every_form_agrees_with_torch_in_values_and_gradients(case):
    sizes, kernel_size, channels, features, options = CASES[case]
    x, kernel = arrays(sizes, kernel_size, channels, features, options.get("groups", 1))
    a, k = to_torch(x, -1, 1), to_torch(kernel, (-1, -2), (0, 1))
    y = getattr(torch().nn.functional, f"conv_transpose{len(sizes)}d")(a, k, **options)
    expected = np.moveaxis(y.detach().numpy(), 1, -1)
    weights = np.random.RandomState(1).standard_normal(expected.shape)
    (y * to_torch(weights, -1, 1).detach()).sum().backward()
    gradients = np.moveaxis(a.grad.numpy(), 1, -1), np.moveaxis(k.grad.numpy(), (0, 1), (-1, -2))
    plain = options.get("groups", 1) == 1 and "dilation" not in options
    forms = ["auto", "lax", "phases"] if plain else ["auto"]

    @jax.jit
    def compute(x, kernel, weights):
        results = {}
        for form in forms:
            y, pull = jax.vjp(lambda x, k, form=form: transposed_convolve(x, k, form=form, **options), x, kernel)
            results[form] = (y, *pull(weights))
        return results

    for form, results in compute(x, kernel, weights).items():
        for ours, theirs in zip(results, (expected, *gradients), strict=True):
            np.testing.assert_allclose(ours, theirs, atol=1e-12, err_msg=form)


@pytest.mark.usefixtures("float64")
def test_it_is_the_gradient_of_a_convolution_with_respect_to_its_input():
    x, kernel = arrays((4, 3), (3, 3), 2, 3)

    @jax.jit
    def compute(x):
        results = []
        for padding, extra in [("valid", 0), ("valid", 1), ("same", 0), ("full", 0), (((1, 0), (2, 1)), 1)]:
            y = transposed_convolve(x, kernel, stride=2, padding=padding, output_padding=extra)
            convolution = partial(convolve, kernel=kernel, stride=2, padding=padding, form="lax")
            back, pull = jax.vjp(convolution, jnp.zeros(y.shape))
            assert back.shape == x.shape
            results.append((y, *pull(x)))
        return results

    for y, gradient in compute(x):
        np.testing.assert_allclose(y, gradient, atol=1e-12)


@pytest.mark.usefixtures("float64")
def test_it_does_not_invert_the_convolution():
    z, kernel = np.random.RandomState(0).standard_normal((6, 1)), np.array([0.5, 1.0]).reshape(2, 1, 1)

    @jax.jit
    def there_and_back(z):
        y = convolve(z, kernel)
        return y, transposed_convolve(y, kernel)

    matrix = np.eye(5, 6) * 0.5 + np.eye(5, 6, 1)
    y, back = there_and_back(z)
    np.testing.assert_allclose(y, matrix @ z, atol=1e-12)
    np.testing.assert_allclose(back, matrix.T @ matrix @ z, atol=1e-12)
    assert back.shape == z.shape
    assert np.abs(back - z).max() > 0.5


def test_sizes_are_those_that_a_convolution_takes_back():
    assert transposed_output_size(28, 2, stride=2) == 56
    assert transposed_output_size(4, 3, stride=2, padding="same") == 8
    assert transposed_output_size(4, 3, padding="full") == 2
    x = np.zeros((1, 5, 1), np.float32)
    for kernel_size, stride, padding, dilation, extra in [(3, 1, 0, 1, 0), (3, 2, 1, 2, 1), (4, 3, "full", 1, 2)]:
        options = {"stride": stride, "padding": padding, "dilation": dilation, "output_padding": extra}
        kernel = np.zeros((kernel_size, 1, 1), np.float32)
        y = jax.eval_shape(lambda x, kernel=kernel, options=options: transposed_convolve(x, kernel, **options), x)
        assert y.shape[1] == transposed_output_size(5, kernel_size, **options)
    assert transposed_output_size(5, 3, 2, padding=(1, 0)) == 10


def test_the_form_is_that_of_the_platform_of_the_program():
    x, kernel = np.zeros((2, 5, 5, 16), np.float32), np.zeros((4, 4, 8, 16), np.float32)

    def loss(x, kernel):
        return jnp.sum(transposed_convolve(x, kernel, stride=2) ** 2)

    traced = jax.jit(jax.value_and_grad(loss, argnums=(0, 1))).trace(x, kernel)
    cpu, tpu = (traced.lower(lowering_platforms=(platform,)).as_text() for platform in ("cpu", "tpu"))
    assert tpu.count("stablehlo.convolution") == 3
    assert tpu.count("stablehlo.dot_general") == 0
    assert "lhs_dilate = [2, 2]" in tpu
    assert "lhs_dilate = [2, 2]" not in cpu
    assert "stablehlo.dot_general" in cpu  # the gradient of the kernel of the phases


def test_dtypes_stay_and_leading_dimensions_are_as_many_as_one_likes():
    @jax.jit
    def compute(x, kernel):
        return [transposed_convolve(a, kernel, stride=2) for a in (x, x[0], x[:, None])]

    for dtype in (jnp.bfloat16, jnp.float32):
        results = compute(*(jnp.asarray(a, dtype) for a in arrays((3, 3), (2, 2), 2, 3)))
        assert all(y.dtype == dtype for y in results)
        batch, single, nested = (np.asarray(y, np.float32) for y in results)
        assert (batch.shape[:3], nested.shape[:2]) == ((2, 6, 6), (2, 1))
        rtol = 1e-6 if dtype == jnp.float32 else 1e-2
        np.testing.assert_allclose(single, batch[0], rtol, 1e-6)
        np.testing.assert_allclose(nested[:, 0], batch, rtol, 1e-6)


def test_the_module_has_a_kernel_and_a_bias_and_counts_its_inputs(key):
    layer = ConvTranspose(4, (3, 3), stride=2, padding="same", groups=2, bias_init=jax.nn.initializers.ones)
    x = np.random.default_rng(0).standard_normal((2, 4, 4, 6), np.float32)

    @jax.jit
    def compute(key, x):
        y, variables = layer.init_with_output(key, x)
        params = variables["params"]
        assert {name: leaf.shape for name, leaf in params.items()} == {"kernel": (3, 3, 2, 6), "bias": (4,)}
        return y, transposed_convolve(x, params["kernel"], stride=2, padding="same", groups=2) + 1

    y, expected = compute(key, x)
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-6)
    wide = jax.jit(ConvTranspose(2, (3, 3), use_bias=False).init)(key, jnp.zeros((1, 1, 1, 400)))["params"]
    assert set(wide) == {"kernel"}
    assert float(np.std(wide["kernel"])) == pytest.approx((9 * 400) ** -0.5, rel=0.05)
    with pytest.raises(ValueError, match="got 4"):
        ConvTranspose(4, (3, 3), groups=4).init(key, x)
    with pytest.raises(ValueError, match="got 3"):
        ConvTranspose(4, 3).init(key, x)


@pytest.mark.parametrize(
    ("x", "kernel", "options", "message"),
    [
        ((2, 6, 8, 8), (3, 3, 4, 6), {}, r"moveaxis\(x, -3, -1\)"),
        ((2, 8, 8, 4), (3, 3, 4, 6), {}, "6 channels.* got 4.*swapaxes"),
        ((8, 6), (3, 3, 4, 6), {}, r"got \(8, 6\)"),
        ((2, 8, 8, 3), (3, 3), {}, r"got \(3, 3\)"),
        ((2, 8, 8, 6), (3, 3, 4, 6), {"output_padding": 1}, "got 1"),
        ((2, 8, 8, 6), (3, 3, 4, 6), {"padding": "same", "stride": 2, "output_padding": 1}, r"got \(1, 1\)"),
        ((2, 8, 8, 6), (3, 3, 4, 6), {"padding": 5}, "got 1 .* = 0;"),
        ((2, 8, 8, 6), (3, 3, 4, 6), {"padding": "SAME"}, "got 'SAME'"),
        ((2, 8, 8, 6), (3, 3, 4, 6), {"stride": 0}, "got 0"),
        ((2, 8, 8, 6), (3, 3, 4, 6), {"groups": 4}, "got 4"),
        ((2, 8, 8, 6), (3, 3, 4, 6), {"dilation": 2, "form": "phases"}, r"got 1 and \(2, 2\)"),
        ((2, 8, 8, 6), (3, 3, 4, 6), {"form": "fft"}, "got 'fft'"),
    ],
)
def test_invalid_arguments_raise(x, kernel, options, message):
    with pytest.raises(ValueError, match=message):
        transposed_convolve(np.zeros(x, np.float32), np.zeros(kernel, np.float32), **options)


def test_the_integers_of_numpy_are_taken():
    x, kernel, two, one = jnp.ones((4, 5, 3)), jnp.ones((2, 2, 1, 3)), np.int64(2), np.int64(1)
    assert transposed_convolve(x, kernel, stride=two, output_padding=one).shape == (9, 11, 1)
    assert transposed_output_size(4, 3, two, one) == transposed_output_size(4, 3, 2, 1) == 7
