"""Adaptive pooling against torch's, and its gradient."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl.nn.convolution.adaptive_pooling import adaptive_average_pool
from tests.peers import torch


@pytest.mark.parametrize(
    ("shape", "size"),
    [((2, 5, 3), (3,)), ((2, 13, 9, 3), (6, 7)), ((2, 14, 6, 3), 7), ((1, 4, 6, 5, 2), (2, 3, 5)), ((2, 3, 2, 4), 1)],
)
@pytest.mark.usefixtures("float64")
def test_means_and_their_gradients_are_torchs(shape, size):
    library = torch()
    random = np.random.RandomState(0)
    x = random.standard_normal(shape)
    images = library.tensor(np.moveaxis(x, -1, 1).copy(), requires_grad=True)
    pool = {3: "1d", 4: "2d", 5: "3d"}[len(shape)]
    expected = getattr(library.nn.functional, f"adaptive_avg_pool{pool}")(images, size)
    weights = random.standard_normal(expected.detach().movedim(1, -1).shape)

    @jax.jit
    def run(x, weights):
        y, pull = jax.vjp(lambda x: adaptive_average_pool(x, size), x)
        return y, *pull(weights)

    y, gradient = run(x, weights)
    np.testing.assert_allclose(y, np.moveaxis(expected.detach().numpy(), 1, -1), rtol=1e-12, atol=1e-14)
    expected.backward(library.tensor(np.moveaxis(weights, -1, 1).copy()))
    np.testing.assert_allclose(gradient, np.moveaxis(images.grad.numpy(), 1, -1), rtol=1e-12, atol=1e-14)


def test_narrow_numbers_are_summed_wide():
    x = jnp.full((1, 300, 1, 1), 1.5, jnp.bfloat16)
    y = adaptive_average_pool(x, (7, 1))
    assert y.dtype == jnp.bfloat16
    np.testing.assert_array_equal(y.astype(np.float32), 1.5)


def test_integers_have_means_that_are_none_and_sizes_may_be_numpys():
    y = adaptive_average_pool(np.array([[0], [1], [3]]), (2,))
    assert y.ravel().tolist() == [0.5, 2.0]
    assert adaptive_average_pool(np.ones((4, 6, 1)), np.int64(2)).shape == (2, 2, 1)


@pytest.mark.parametrize(
    ("shape", "size", "message"),
    [
        ((4, 4, 1), 0, "got 0"),
        ((4, 1), 2, r"got \(4, 1\)"),
        ((0, 4, 1), 2, r"got \(0, 4, 1\)"),
        ((4, 4, 1), (1, 1, 1, 1), r"got \(1, 1, 1, 1\)"),
    ],
)
def test_invalid_arguments_raise(shape, size, message):
    with pytest.raises(ValueError, match=message):
        adaptive_average_pool(np.zeros(shape), size)
