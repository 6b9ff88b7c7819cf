"""Separable convolution against torch's grouped convolutions with the same weights."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl.nn.convolution.separable import SeparableConv


@pytest.mark.parametrize(("multiplier", "stride", "dilation"), [(1, 1, 1), (1, 1, 2), (3, 2, 1)])
@pytest.mark.usefixtures("float64")
def test_values_and_gradients_are_those_of_two_convolutions_of_torch(multiplier, stride, dilation):
    torch = pytest.importorskip("torch", reason="parity with torch")
    random = np.random.RandomState(0)
    x, depthwise = random.standard_normal((2, 7, 6, 4)), random.standard_normal((3, 3, 1, 4 * multiplier))
    pointwise, bias = random.standard_normal((1, 1, 4 * multiplier, 5)), random.standard_normal(5)
    layer = SeparableConv(5, (3, 3), stride, 1, dilation, multiplier, use_bias=True)

    @jax.jit
    def run(params, x):
        y, pull = jax.vjp(lambda params, x: layer.apply({"params": params}, x), params, x)
        return y, *pull(jnp.sin(y))

    params = {"depthwise": {"kernel": depthwise}, "pointwise": {"kernel": pointwise, "bias": bias}}
    y, gradient, x_gradient = run(params, x)
    leaves = (x.transpose(0, 3, 1, 2), depthwise.transpose(3, 2, 0, 1), pointwise.transpose(3, 2, 0, 1), bias)
    leaves = [torch.tensor(leaf.copy(), requires_grad=True) for leaf in leaves]
    maps = torch.nn.functional.conv2d(leaves[0], leaves[1], None, stride, 1, dilation, groups=4)
    theirs = torch.nn.functional.conv2d(maps, leaves[2], leaves[3])
    theirs.backward(torch.sin(theirs.detach()))
    np.testing.assert_allclose(y, theirs.detach().permute(0, 2, 3, 1), rtol=1e-11, atol=1e-11)
    ours = (x_gradient, gradient["depthwise"]["kernel"], gradient["pointwise"]["kernel"])
    for leaf, peer, order in zip(ours, leaves, [(0, 2, 3, 1), (2, 3, 1, 0), (2, 3, 1, 0)], strict=False):
        np.testing.assert_allclose(leaf, peer.grad.permute(order), rtol=1e-11, atol=1e-11)
    np.testing.assert_allclose(gradient["pointwise"]["bias"], leaves[3].grad, rtol=1e-11, atol=1e-11)


def test_it_is_a_full_convolution_whose_kernel_is_a_sum_of_products(key):
    x = np.random.default_rng(0).standard_normal((2, 9, 3), np.float32)
    layer = SeparableConv(5, (4,), multiplier=2)
    y, variables = jax.jit(layer.init_with_output)(key, x)
    depthwise, pointwise = (np.asarray(part["kernel"]) for part in variables["params"].values())
    assert depthwise.shape == (4, 1, 6)
    assert pointwise.shape == (1, 6, 5)
    kernel = np.einsum("ucm,cmo->uco", depthwise.reshape(4, 3, 2), pointwise.reshape(3, 2, 5))
    expected = [np.einsum("buc,uco->bo", x[:, i : i + 4], kernel) for i in range(6)]
    np.testing.assert_allclose(y, np.stack(expected, axis=1), rtol=1e-4, atol=1e-5)


def test_it_computes_in_the_dtype_that_is_asked_for_and_keeps_its_weights_in_float32(key):
    build = SeparableConv(4, (3, 3), dtype=jnp.bfloat16).init_with_output
    y, variables = jax.eval_shape(build, key, jnp.zeros((1, 5, 5, 2)))
    assert y.dtype == jnp.bfloat16
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype(jnp.float32)}


def test_a_multiplier_below_one_is_refused(key):
    with pytest.raises(ValueError, match="got 0"):
        SeparableConv(4, (3, 3), multiplier=0).init(key, jnp.zeros((1, 5, 5, 2)))
