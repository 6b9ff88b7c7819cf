"""Autoencoders against torch constructions with the same weights, in values and gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl import models, tree
from tests.peers import torch
from tests.variables import draw


def compare(model, x, peer_output):
    """Compare outputs and the gradients of a sum of squares of ours and of ``peer_output(params, x)`` in torch."""
    variables = draw(model.init, jax.random.key(0), x)
    params = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), variables["params"])

    @jax.jit
    def run(params, x):
        output = lambda params: model.apply({"params": params}, x)  # noqa: E731
        return output(params), jax.grad(lambda params: jnp.sum(jnp.square(output(params))))(params)

    ours, gradients = run(params, x)
    leaves = {path: torch().tensor(leaf, requires_grad=True) for path, leaf in tree.flatten(params).items()}
    theirs = peer_output(leaves, torch().tensor(x))
    theirs.square().sum().backward()
    np.testing.assert_allclose(ours, theirs.detach(), rtol=1e-9, atol=1e-12)
    for path, gradient in tree.flatten(gradients).items():
        np.testing.assert_allclose(gradient, leaves[path].grad, rtol=1e-8, atol=1e-9, err_msg=path)


def test_the_dense_autoencoder_is_torchs(float64):
    def peer(p, x):
        relu = torch().relu
        layer = lambda x, name: x @ p[f"{name}/kernel"] + p[f"{name}/bias"]  # noqa: E731
        h = layer(relu(layer(x.flatten(1), "encoder_0")), "encoder_1").sigmoid()
        return layer(relu(layer(h, "decoder_0")), "decoder_1").reshape(x.shape)

    model = models.Autoencoder((3, 2, 1), (5, 2), code_activation="sigmoid")
    compare(model, np.random.default_rng(0).normal(size=(4, 3, 2, 1)), peer)


def test_tied_weights_are_transposed_and_get_both_gradients(float64):
    def peer(p, x):
        linear = torch().nn.functional.linear
        h = torch().tanh(linear(x, p["kernel1"].T, p["encoder_bias1"]))
        h = linear(h, p["kernel2"].T, p["encoder_bias2"])
        h = torch().tanh(linear(h, p["kernel2"], p["decoder_bias2"]))
        return linear(h, p["kernel1"], p["decoder_bias1"])

    model = models.TiedAutoencoder((6,), (4, 2), activation="tanh")
    compare(model, np.random.default_rng(0).normal(size=(5, 6)), peer)


def test_convolutions_and_transposed_ones_are_torchs(float64):
    def peer(p, x):
        functional = torch().nn.functional
        options = {"stride": 2, "padding": 1}
        x = x.permute(0, 3, 1, 2)
        for number in (0, 1):
            kernel = p[f"encoder_{number}/kernel"].permute(3, 2, 0, 1)
            x = functional.conv2d(x, kernel, p[f"encoder_{number}/bias"], **options)
            x = x.relu() if number == 0 else x
        for number in (0, 1):
            kernel = p[f"decoder_{number}/kernel"].permute(3, 2, 0, 1)
            x = functional.conv_transpose2d(x, kernel, p[f"decoder_{number}/bias"], **options)
            x = x.relu() if number == 0 else x
        return x.permute(0, 2, 3, 1)

    compare(models.ConvAutoencoder((3, 2), channels=2), np.random.default_rng(0).normal(size=(2, 8, 4, 2)), peer)


def test_unpooling_with_switches_is_torchs(float64):
    def peer(p, x):
        functional = torch().nn.functional
        conv = lambda x, name: functional.conv2d(  # noqa: E731
            x, p[f"{name}/kernel"].permute(3, 2, 0, 1).contiguous(), p[f"{name}/bias"], padding=1
        )
        x, first = functional.max_pool2d(conv(x.permute(0, 3, 1, 2), "encoder_0").relu(), 2, return_indices=True)
        x, second = functional.max_pool2d(conv(x, "encoder_1"), 2, return_indices=True)
        x = conv(functional.max_unpool2d(x, second, 2), "decoder_0").relu()
        return conv(functional.max_unpool2d(x, first, 2), "decoder_1").permute(0, 2, 3, 1)

    compare(models.UnpoolingAutoencoder((3, 2)), np.random.default_rng(0).normal(size=(2, 8, 4, 1)), peer)


@pytest.mark.parametrize(
    ("model", "shape", "message"),
    [
        (models.Autoencoder((4,), (2,)), (3, 5), r"\(3, 5\)"),
        (models.Autoencoder((4,), ()), (3, 4), "none"),
        (models.TiedAutoencoder((4,), (2, 0)), (3, 4), "got 0"),
        (models.ConvAutoencoder((2, 2)), (1, 6, 8, 1), r"\(1, 6, 8, 1\)"),
        (models.UnpoolingAutoencoder((2, 2)), (8, 8, 1), r"\(8, 8, 1\)"),
    ],
)
def test_inputs_of_other_shapes_are_refused(model, shape, message):
    with pytest.raises(ValueError, match=message):
        jax.eval_shape(model.init, jax.random.key(0), jnp.zeros(shape))


@pytest.mark.parametrize(
    "model",
    [
        models.Autoencoder((8, 8, 1), (3,)),
        models.TiedAutoencoder((8, 8, 1), (3,)),
        models.ConvAutoencoder((2, 2)),
        models.UnpoolingAutoencoder((2, 2)),
        models.CategoricalVAE((8, 8, 1), (4,), 2, 3),
        models.VQVAE((2, 2), 3),
    ],
    ids=lambda model: type(model).__name__,
)
def test_every_network_computes_in_its_dtype_and_names_its_code(model):
    x = jnp.zeros((2, 8, 8, 1), jnp.uint8)
    build = lambda key: model.clone(dtype=jnp.bfloat16).init_with_output(key, x, return_intermediates=True)  # noqa: E731
    (x_hat, out), variables = jax.eval_shape(build, jax.random.key(0))
    assert (x_hat.shape, x_hat.dtype) == (x.shape, jnp.bfloat16)
    assert out
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype(jnp.float32)}
