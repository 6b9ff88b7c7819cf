"""The variational autoencoder against torch's example with the same weights, loss and gradients included."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl import generative, models, tree
from jaxdl.models.generative.vae import nearest_vectors
from tests.peers import torch
from tests.variables import draw

MODEL = models.VAE((3, 2, 1), hidden_sizes=(5,), latent_size=2)


def test_bound_and_gradients_are_those_of_a_torch_module(float64):
    rng = np.random.default_rng(0)
    x, noise = rng.uniform(size=(4, 3, 2, 1)), rng.normal(size=(4, 2))
    params = draw(MODEL.init, jax.random.key(0), x)["params"]
    params = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), params)

    @jax.jit
    def run(params):
        def loss(params):
            apply = lambda method: lambda x: MODEL.apply({"params": params}, x, method=method)  # noqa: E731
            likelihood = lambda x, z: generative.bernoulli_log_likelihood(apply("decode")(z), x)  # noqa: E731
            return -jnp.sum(generative.evidence_lower_bound(apply("encode"), likelihood, x, noise).value)

        logits = MODEL.apply({"params": params}, x, noise=noise)
        return jax.value_and_grad(loss)(params), logits

    (value, gradients), logits = run(params)
    leaves = {path: torch().tensor(leaf, requires_grad=True) for path, leaf in tree.flatten(params).items()}
    layer = lambda x, name: x @ leaves[f"{name}/kernel"] + leaves[f"{name}/bias"]  # noqa: E731
    peer = torch().tensor(x)
    mean, half = layer(layer(peer.flatten(1), "encoder/hidden1").relu(), "encoder/output").chunk(2, 1)
    log_variance = 2 * half
    z = mean + torch().tensor(noise) * torch().exp(0.5 * log_variance)
    theirs = layer(layer(z, "decoder/hidden1").relu(), "decoder/output")
    entropy = torch().nn.functional.binary_cross_entropy(theirs.sigmoid(), peer.flatten(1), reduction="sum")
    loss = entropy - 0.5 * torch().sum(1 + log_variance - mean.pow(2) - log_variance.exp())
    loss.backward()
    np.testing.assert_allclose(logits.reshape(4, 6), theirs.detach(), rtol=1e-10)
    np.testing.assert_allclose(value, loss.item(), rtol=1e-10)
    for path, gradient in tree.flatten(gradients).items():
        np.testing.assert_allclose(gradient, leaves[path].grad, rtol=1e-8, atol=1e-10, err_msg=path)


def test_without_noise_the_mean_is_decoded():
    x = np.random.default_rng(0).uniform(size=(2, 3, 2, 1)).astype(np.float32)
    variables = draw(MODEL.init, jax.random.key(0), x)
    run = jax.jit(lambda noise: MODEL.apply(variables, x, return_intermediates=True, noise=noise))
    plain, out = jax.jit(lambda: MODEL.apply(variables, x, return_intermediates=True))()
    np.testing.assert_allclose(run(jnp.zeros((2, 2)))[0], plain, rtol=1e-6)
    np.testing.assert_array_equal(out["latent"], out["mean"])
    again, other = run(jnp.ones((2, 2)))
    np.testing.assert_allclose(other["latent"], out["mean"] + np.exp(out["log_std"]), rtol=1e-6)
    assert np.abs(again - plain).max() > 1e-3


def test_the_reconstruction_of_a_quantized_autoencoder_is_that_of_its_codebook():
    model, x = models.VQVAE((3, 2), 4), np.random.default_rng(0).normal(size=(2, 8, 4, 1)).astype(np.float32)
    variables = draw(model.init, jax.random.key(0), x)
    logits, out = jax.jit(lambda: model.apply(variables, x, return_intermediates=True))()
    codebook = variables["params"]["codebook"]
    found = generative.quantize_vectors(out["code"], codebook)
    np.testing.assert_allclose(out["latent"], found.vectors, rtol=1e-6)
    np.testing.assert_allclose(model.apply(variables, found.vectors, method="decode"), logits, rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(model.apply(variables, method="vectors"), codebook)
    ties = nearest_vectors(jnp.zeros((1, 1)), jnp.array([[1.0], [-1.0]]))
    assert ties.tolist() == [0]


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (models.VAE((4,), latent_size=0), "got 0"),
        (models.CategoricalVAE((4,), num_categories=0), "got 0"),
        (models.VAE((5,)), r"\(2, 4\)"),
    ],
)
def test_impossible_sizes_are_refused(model, message):
    with pytest.raises(ValueError, match=message):
        jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((2, 4)))
