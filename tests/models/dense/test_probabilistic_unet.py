"""Probabilistic U-Net: its parts by themselves, its loss as a sum of two terms, and what ignored pixels change."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl import losses, tasks
from jaxdl.models import ProbabilisticUNet
from tests.variables import draw

MODEL = ProbabilisticUNet(3, (2, 3), 2)


@pytest.fixture(scope="module")
def batch():
    rng = np.random.default_rng(0)
    mask = rng.integers(0, 2, (3, 8, 6))
    mask[2] = 0
    image = rng.normal(size=(3, 8, 6, 1)).astype(np.float32)
    return {"image": image, "label": rng.integers(0, 3, (3, 8, 6)), "mask": mask}


@pytest.fixture(scope="module")
def variables(batch):
    return draw(tasks.probabilistic_segmentation(MODEL).init, jax.random.key(0), batch, seed=1)


def test_a_sample_with_the_posteriors_vector_is_the_training_result(batch, variables):
    noise = np.random.default_rng(1).normal(size=(2, 3, 2)).astype(np.float32)
    labels = jax.nn.one_hot(batch["label"], 3)

    @jax.jit
    def run(variables, x, noise):
        logits, posterior, prior = MODEL.apply(variables, x, noise[0], labels)
        again = (posterior.sample(noise[0]) - prior.mean) / jnp.exp(prior.log_std)
        samples = MODEL.apply(variables, x, jnp.stack([again, noise[1]]), method="sample_segmentations")
        return logits, samples

    logits, samples = run(variables, batch["image"], noise)
    assert samples.shape == (2, 3, 8, 6, 3)
    np.testing.assert_allclose(samples[0], logits, rtol=1e-4, atol=1e-5)
    assert np.abs(samples[1] - logits).max() > 1e-3


def test_the_loss_is_the_bound_and_ignored_pixels_have_no_influence(batch, variables):
    task = tasks.probabilistic_segmentation(MODEL, beta=3.0)

    @jax.jit
    def run(variables, batch):
        key = jax.random.key(1)
        (value, (_, parts)), gradients = jax.value_and_grad(lambda v: task.loss(v, batch, key), has_aux=True)(variables)
        noise = jax.random.normal(jax.random.split(key)[0], (3, 2))
        shown = jax.nn.one_hot(batch["label"], 3) * (batch["mask"] != 0)[..., None]
        logits, posterior, prior = MODEL.apply(variables, batch["image"], noise, shown)
        each = losses.cross_entropy(logits, batch["label"], mask=batch["mask"], reduction="sum")
        kl = losses.gaussian_kl(*posterior, *prior, reduction="none")
        count = task.loss.count(batch)
        return (value, parts, gradients, task.measure(variables, batch), count), {"cross_entropy": each / 2, "kl": kl}

    results, expected = run(variables, batch)
    value, parts, gradients, _, count = results
    others = {**batch, "label": np.where(batch["mask"] != 0, batch["label"], 255)}
    jax.tree.map(np.testing.assert_array_equal, run(variables, others)[0], results)
    assert all(np.any(leaf != 0) for leaf in jax.tree.leaves(gradients))
    np.testing.assert_allclose(value, parts["cross_entropy"] + 3 * parts["kl"], rtol=1e-6)
    assert count == 2
    np.testing.assert_allclose(parts["cross_entropy"], expected["cross_entropy"], rtol=1e-5)
    np.testing.assert_allclose(parts["kl"], expected["kl"][:2].mean(), rtol=1e-5)
