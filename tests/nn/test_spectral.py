"""Spectral normalization against torch's power iteration and the singular values of NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen

from jaxdl import nn
from tests.peers import torch


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("iterations", [1, 3])
@pytest.mark.parametrize("shape", [(5, 4), (3, 3, 2, 4)])
def test_it_is_the_power_iteration_of_torch_with_its_gradient(shape, iterations):
    generator = np.random.default_rng(0)
    kernel, x = generator.normal(size=shape), generator.normal(size=shape)
    library = torch()
    layer = library.nn.Linear(5, 4) if len(shape) == 2 else library.nn.Conv2d(2, 4, 3)
    theirs = np.ascontiguousarray(np.moveaxis(kernel, (-1, -2), (0, 1)))
    layer.weight = library.nn.Parameter(library.tensor(theirs))
    layer = library.nn.utils.spectral_norm(layer, n_power_iterations=iterations)
    u = layer.weight_u.double().numpy()
    u = u / np.linalg.norm(u)
    layer.weight_u, layer.weight_v = library.tensor(u), library.zeros(int(np.prod(shape[:-1])), dtype=library.double)
    hook = next(iter(layer._forward_pre_hooks.values()))

    @jax.jit
    def ours(kernel, u):
        def loss(kernel):
            normalized, new = nn.spectral_normalize(kernel, u, iterations=iterations)
            return jnp.sum(normalized * x), (normalized, new)

        return jax.value_and_grad(loss, has_aux=True)(kernel)

    for _ in range(2):
        (_, (normalized, u)), gradient = ours(kernel, u)
        hook(layer, None)
        np.testing.assert_allclose(u, layer.weight_u.numpy(), rtol=1e-9)
        axes = (*range(2, len(shape)), 1, 0)
        np.testing.assert_allclose(normalized, layer.weight.detach().numpy().transpose(axes), rtol=1e-9)
        (layer.weight * library.tensor(np.ascontiguousarray(np.moveaxis(x, (-1, -2), (0, 1))))).sum().backward()
        np.testing.assert_allclose(gradient, layer.weight_orig.grad.numpy().transpose(axes), rtol=1e-8, atol=1e-12)
        layer.weight_orig.grad = None


@pytest.mark.usefixtures("float64")
def test_the_estimate_converges_to_the_largest_singular_value():
    kernel = np.random.default_rng(1).normal(size=(6, 3))
    normalized, _ = nn.spectral_normalize(kernel, np.ones(3) / 3**0.5, iterations=200)
    np.testing.assert_allclose(np.linalg.norm(normalized, 2), 1, rtol=1e-10)


def test_a_layer_follows_its_singular_value_in_training_alone():
    model = nn.SpectralNorm(linen.Dense(3))
    x = np.random.default_rng(2).normal(size=(4, 5)).astype(np.float32)
    variables = jax.jit(model.init)(jax.random.key(0), x)
    start = variables["batch_stats"]["u"]
    np.testing.assert_allclose(np.linalg.norm(start), 1, rtol=1e-6)
    train = jax.jit(lambda variables: model.apply(variables, x, train=True, mutable="batch_stats"))
    for _ in range(30):
        y, updated = train(variables)
        variables = {**variables, **updated}
    assert np.any(np.asarray(start) != variables["batch_stats"]["u"])
    dense = jax.device_get(variables["params"]["layer"])
    expected = x @ dense["kernel"] / np.linalg.norm(dense["kernel"], 2) + dense["bias"]
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(model.apply(variables, x), expected, rtol=1e-4, atol=1e-5)


def test_shapes_that_do_not_match_are_an_error():
    with pytest.raises(ValueError, match=r"got \(2, 3\) and \(2,\)"):
        nn.spectral_normalize(np.ones((2, 3)), np.ones(2))
    with pytest.raises(ValueError, match="got 0"):
        nn.SpectralNorm(linen.Dense(3), iterations=0).init(jax.random.key(0), np.ones((1, 2), np.float32))


def test_a_kernel_of_zeros_stays_and_keeps_the_direction():
    u = jnp.array([0.6, 0.8])
    kernel, new = nn.spectral_normalize(jnp.zeros((3, 2)), u)
    assert not kernel.any()
    np.testing.assert_array_equal(new, u)
    slope = jax.grad(lambda kernel: jnp.sum(nn.spectral_normalize(kernel, u)[0]))(jnp.zeros((3, 2)))
    assert np.isfinite(slope).all()
    later, _ = nn.spectral_normalize(jnp.diag(jnp.array([4.0, 2.0])), new, iterations=50)
    np.testing.assert_allclose(later, jnp.diag(jnp.array([1.0, 0.5])), atol=1e-6)
