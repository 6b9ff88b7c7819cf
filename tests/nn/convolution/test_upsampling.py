"""Upsampling against torch's: values, gradients, dtypes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl.nn.convolution.upsampling import upsample_bilinear, upsample_nearest


def to_torch(a):
    torch = pytest.importorskip("torch", reason="parity with torch")
    return torch.tensor(np.moveaxis(np.asarray(a), -1, 1).copy(), requires_grad=True)


@pytest.mark.parametrize(("sizes", "factor"), [((4,), (3,)), ((3, 4), (2, 3)), ((2, 3, 2), (2, 1, 3))])
@pytest.mark.usefixtures("float64")
def test_upsampling_is_that_of_torch(sizes, factor):
    interpolate = pytest.importorskip("torch", reason="parity with torch").nn.functional.interpolate
    x = np.random.RandomState(0).standard_normal((2, *sizes, 2))
    mode = ("linear", "bilinear", "trilinear")[len(sizes) - 1]
    new = tuple(n * f for n, f in zip(sizes, factor, strict=True))
    others = (new, tuple(n + 3 for n in sizes), tuple(max(n - 1, 1) for n in sizes), (1,) * len(sizes))
    lines = [{"size": size, "align_corners": align} for size in others for align in (False, True)]

    @jax.jit
    def compute(x):
        by_factor = [upsample_nearest(x, factor), upsample_bilinear(x, factor)]
        return by_factor + [upsample_bilinear(x, **options) for options in lines]

    wanted = [{"scale_factor": factor, "mode": "nearest"}, {"scale_factor": factor, "mode": mode}]
    wanted += [options | {"mode": mode} for options in lines]
    for ours, options in zip(compute(x), wanted, strict=True):
        expected = np.moveaxis(interpolate(to_torch(x), **options).detach().numpy(), 1, -1)
        np.testing.assert_allclose(ours, expected, atol=1e-13, err_msg=str(options))


@pytest.mark.usefixtures("float64")
def test_the_gradient_of_bilinear_upsampling_is_that_of_torch():
    interpolate = pytest.importorskip("torch", reason="parity with torch").nn.functional.interpolate
    x = np.random.RandomState(0).standard_normal((1, 3, 4, 1))
    weights = np.random.RandomState(1).standard_normal((1, 6, 8, 1))
    a = to_torch(x)
    (interpolate(a, scale_factor=2, mode="bilinear") * to_torch(weights).detach()).sum().backward()
    ours = jax.jit(jax.grad(lambda x: jnp.sum(weights * upsample_bilinear(x, 2))))(x)
    np.testing.assert_allclose(ours, np.moveaxis(a.grad.numpy(), 1, -1), atol=1e-13)


def test_invalid_arguments_raise():
    x = np.zeros((4, 4, 1), np.int32)
    assert upsample_nearest(x, 2).dtype == np.int32
    assert upsample_bilinear(x, 2).dtype == np.float32
    for wrong in ({}, {"factor": 2, "size": (8, 8)}):
        with pytest.raises(ValueError, match="got factor="):
            upsample_bilinear(x, **wrong)
    with pytest.raises(ValueError, match="got 0"):
        upsample_nearest(x, 0)
    with pytest.raises(ValueError, match=r"got \(4, 4, 1\)"):
        upsample_bilinear(x, (2, 2, 2))


def test_dtypes_stay_and_leading_dimensions_are_as_many_as_one_likes():
    x = np.random.RandomState(0).standard_normal((2, 3, 3, 2))

    @jax.jit
    def compute(x):
        return [[f(a, 2) for a in (x, x[0], x[:, None])] for f in (upsample_nearest, upsample_bilinear)]

    for dtype in (jnp.bfloat16, jnp.float32):
        for results in compute(jnp.asarray(x, dtype)):
            assert all(y.dtype == dtype for y in results)
            batch, single, nested = (np.asarray(y, np.float32) for y in results)
            rtol = 1e-6 if dtype == jnp.float32 else 1e-2
            np.testing.assert_allclose(single, batch[0], rtol, 1e-6)
            np.testing.assert_allclose(nested[:, 0], batch, rtol, 1e-6)


def test_the_integers_of_numpy_are_taken():
    x, two = jnp.ones((4, 5, 3)), np.int64(2)
    for function in (upsample_nearest, upsample_bilinear):
        assert jax.eval_shape(lambda x, function=function: function(x, two), x).shape == (8, 10, 3)
