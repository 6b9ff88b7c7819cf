"""Noise by its frequencies, penalties against closed forms, and pre-training by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl import generative
from tests.peers import torch


def test_noise_replaces_the_share_that_is_asked_for():
    x = np.full((100, 100), 0.5)
    masked, mixed = jax.jit(
        lambda key, rate: (
            generative.masking_noise(key, x, rate),
            generative.salt_and_pepper_noise(key, x, rate),
        )
    )(jax.random.key(0), 0.4)
    assert set(np.unique(masked)) == {0.0, 0.5}
    assert np.mean(masked == 0) == pytest.approx(0.4, abs=0.02)
    assert [np.mean(mixed == value) for value in (0, 0.5, 1)] == pytest.approx([0.2, 0.6, 0.2], abs=0.02)
    ints = np.arange(3)
    assert generative.masking_noise(jax.random.key(0), ints, 0.0).tolist() == [0.0, 1.0, 2.0]
    for noise in (generative.masking_noise, generative.salt_and_pepper_noise):
        with pytest.raises(ValueError, match=r"got 1\.5"):
            noise(jax.random.key(0), x, 1.5)


def test_the_sparsity_penalty_is_a_divergence_of_bernoullis(float64):
    codes = np.random.default_rng(0).uniform(0.1, 0.9, (5, 3))
    distributions, tensor = torch().distributions, torch().tensor
    for rows, mask in ((slice(None), None), (slice(3), np.array([1, 1, 1, 0, 0]))):
        means = tensor(codes[rows].mean(0))
        target = distributions.Bernoulli(tensor(0.2, dtype=means.dtype))
        theirs = distributions.kl_divergence(target, distributions.Bernoulli(means)).sum()
        ours = jax.jit(lambda codes, mask=mask: generative.sparsity_penalty(codes, 0.2, mask=mask))(codes)
        np.testing.assert_allclose(ours, theirs, rtol=1e-10)
    hidden = np.where(np.arange(5)[:, None] < 3, codes, np.nan)
    assert np.isfinite(generative.sparsity_penalty(hidden, 0.2, mask=np.array([1, 1, 1, 0, 0])))
    assert generative.sparse(3.0, 0.2)(lambda x: x, codes, None) == 3 * generative.sparsity_penalty(codes, 0.2)


def test_units_that_never_fire_have_a_finite_penalty_and_a_gradient():
    value, gradient = jax.value_and_grad(lambda h: generative.sparsity_penalty(h, 0.05))(jnp.zeros((4, 2)))
    assert np.isfinite(value)
    assert (gradient < 0).all()
    assert np.isfinite(gradient).all()
    for codes, target, message in ((np.zeros(3), 0.1, r"\(3,\)"), (np.zeros((2, 3)), 1.0, r"got 1\.0")):
        with pytest.raises(ValueError, match=message):
            generative.sparsity_penalty(codes, target)


def test_the_contractive_penalty_of_a_sigmoid_layer_is_its_closed_form(float64):
    rng = np.random.default_rng(0)
    x, kernel, mask = rng.normal(size=(5, 2, 2)), rng.normal(size=(4, 3)), np.array([1, 1, 0, 1, 0])

    def encode(kernel, x):
        return jax.nn.sigmoid(x.reshape(len(x), -1) @ kernel)

    def closed(kernel, x):
        h = encode(kernel, x)
        return jnp.sum(jnp.square(h * (1 - h)) * jnp.sum(jnp.square(kernel), axis=0)[None], axis=-1)

    @jax.jit
    def run(kernel):
        ours = jax.value_and_grad(lambda w: generative.contractive_penalty(lambda x: encode(w, x), x))(kernel)
        masked = generative.contractive(2.0)(lambda x: encode(kernel, x), x, mask)
        return ours, jax.value_and_grad(lambda w: jnp.mean(closed(w, x)))(kernel), masked, closed(kernel, x)

    ours, theirs, masked, each = run(kernel)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-10), ours, theirs)
    np.testing.assert_allclose(masked, 2 * each[mask == 1].mean(), rtol=1e-10)


def test_each_layer_is_pre_trained_on_the_layer_below():
    rng = np.random.default_rng(0)
    x, seen = rng.normal(size=(6, 2, 2)), []

    def fit_layer(number, size, h):
        seen.append(np.asarray(h))
        return {"kernel": rng.normal(size=(h.shape[1], size)), "bias": np.full(size, float(number))}

    layers = generative.pretrain_layers(fit_layer, x, (3, 2), "sigmoid")
    np.testing.assert_allclose(seen[0], x.reshape(6, 4), rtol=1e-6)
    expected = 1 / (1 + np.exp(-(x.reshape(6, 4) @ layers[0]["kernel"] + 1)))
    np.testing.assert_allclose(seen[1], expected, rtol=1e-5)
    forms = {
        "hidden1": {"kernel": np.zeros((4, 3)), "bias": np.zeros(3)},
        "hidden2": {"kernel": np.zeros((3, 2)), "bias": np.zeros(2)},
        "output": {"kernel": np.ones((2, 2))},
    }
    merged = generative.merge_layers(forms, layers)
    np.testing.assert_array_equal(merged["hidden2"]["kernel"], layers[1]["kernel"])
    assert merged["output"] is forms["output"]
    assert not forms["hidden1"]["kernel"].any()
    with pytest.raises(ValueError, match=r"\(3, 2\)"):
        generative.merge_layers(forms, layers[1:])
    with pytest.raises(ValueError, match="got 0"):
        generative.pretrain_layers(fit_layer, x, (3, 0), "sigmoid")
