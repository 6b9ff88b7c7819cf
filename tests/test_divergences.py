"""The divergence of Gaussians against torch.distributions."""

import jax
import numpy as np
import pytest

from jaxdl import losses
from tests.peers import torch


@pytest.mark.usefixtures("float64")
def test_the_divergence_of_gaussians_is_torchs_with_its_gradients():
    distributions = torch().distributions
    arrays = np.random.default_rng(0).normal(size=(4, 5, 3))
    weights = np.array([1.0, 0.5, 0.0, 2.0, 1.0])
    hidden = arrays.copy()
    hidden[:, 2] = np.nan

    @jax.jit
    def ours(arrays, hidden):
        return (
            jax.value_and_grad(lambda each: losses.gaussian_kl(*each))(arrays),
            jax.value_and_grad(lambda each: losses.gaussian_kl(*each, mask=weights, reduction="sum"))(hidden),
            losses.gaussian_kl(arrays[0], arrays[1], reduction="none"),
        )

    (mean, slope), (total, masked_slope), standard = ours(arrays, hidden)
    leaves = torch().tensor(arrays, requires_grad=True)
    q, p = (distributions.Normal(leaves[i], leaves[i + 1].exp()) for i in (0, 2))
    each = distributions.kl_divergence(q, p).sum(-1)
    np.testing.assert_allclose(mean, each.mean().item(), rtol=1e-12)
    np.testing.assert_allclose(total, (each.detach().numpy() * weights).sum(), rtol=1e-12)
    (expected,) = torch().autograd.grad(each.mean(), leaves, retain_graph=True)
    np.testing.assert_allclose(slope, expected, rtol=1e-10, atol=1e-14)
    (expected,) = torch().autograd.grad((each * torch().tensor(weights)).sum(), leaves)
    np.testing.assert_allclose(masked_slope, expected, rtol=1e-10, atol=1e-14)
    prior = distributions.Normal(torch().zeros(()).double(), torch().ones(()).double())
    np.testing.assert_allclose(standard, distributions.kl_divergence(q, prior).sum(-1).detach(), rtol=1e-12)


def test_shapes_that_differ_are_errors():
    with pytest.raises(ValueError, match=r"\(2, 3\), \(3,\)"):
        losses.gaussian_kl(np.zeros((2, 3)), np.zeros(3))
    with pytest.raises(ValueError, match=r"\(\)"):
        losses.gaussian_kl(0.0, 0.0)
