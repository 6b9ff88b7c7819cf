"""Levels of pixels, likelihoods of flows and their units against SciPy and torch."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import scipy.stats

from jaxdl import generative
from tests.peers import torch


def test_levels_survive_noise_and_rounding():
    numbers = np.arange(17, dtype=np.uint8).repeat(40).reshape(17, 40)
    spread = np.asarray(generative.dequantize(jax.random.key(0), numbers, 17))
    np.testing.assert_array_equal(np.floor(spread * 17), numbers)
    # Within its bin the noise is uniform.
    assert scipy.stats.kstest((spread * 17 - numbers).ravel(), "uniform").pvalue > 0.01
    np.testing.assert_array_equal(generative.quantize(numbers / np.float16(16), 17), numbers)
    np.testing.assert_array_equal(generative.quantize(np.array([-3.0, 7.0, 1.0]), 2), [0, 1, 1])


@pytest.mark.usefixtures("float64")
def test_the_likelihood_of_a_linear_flow_is_that_of_a_gaussian():
    rng = np.random.default_rng(0)
    matrix, x = rng.normal(size=(3, 3)), rng.normal(size=(5, 3))
    log_det = np.full(5, np.linalg.slogdet(matrix)[1])
    found = generative.flow_log_likelihood(x @ matrix, log_det)
    expected = scipy.stats.multivariate_normal(np.zeros(3), np.linalg.inv(matrix @ matrix.T)).logpdf(x)
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    np.testing.assert_allclose(
        generative.standard_normal_log_density(x.reshape(5, 1, 3)), scipy.stats.norm.logpdf(x).sum(axis=1), rtol=1e-12
    )


@pytest.mark.usefixtures("float64")
def test_logits_and_their_slopes_match_scipy_and_torch():
    x = np.linspace(0, 1, 12).reshape(3, 2, 2)
    y, log_det = generative.to_logits(x, 0.1)
    inner = 0.05 + 0.9 * x
    np.testing.assert_allclose(y, scipy.special.logit(inner), rtol=1e-12)
    transform = torch().distributions.SigmoidTransform().inv
    slopes = transform.log_abs_det_jacobian(torch().tensor(inner), torch().tensor(np.asarray(y))).numpy() + np.log(0.9)
    np.testing.assert_allclose(log_det, slopes.sum(axis=(1, 2)), rtol=1e-12)
    np.testing.assert_allclose(generative.from_logits(y, 0.1), x, atol=1e-14)


def test_bits_per_dimension_of_uniform_levels_is_their_logarithm():
    np.testing.assert_allclose(generative.bits_per_dimension(12 * np.log(1 / 16), 12), 4.0, rtol=1e-6)
    np.testing.assert_allclose(generative.bits_per_dimension(np.zeros(2), 12, 16), [4.0, 4.0], rtol=1e-6)


def test_samples_of_a_flow_pass_through_its_inverse():
    found = generative.sample_flow(jax.random.key(0), lambda z: 3 + z, (1000, 2), temperature=0.5)
    np.testing.assert_allclose([np.mean(found), np.std(found)], [3, 0.5], atol=0.05)


@pytest.mark.parametrize(
    ("call", "got"),
    [
        (lambda: generative.quantize(jnp.zeros(2), 1), "got 1"),
        (lambda: generative.dequantize(jax.random.key(0), jnp.zeros(2), 2.5), "got 2.5"),
        (lambda: generative.flow_log_likelihood(jnp.zeros((2, 3)), jnp.zeros(3)), r"\(2, 3\) and \(3,\)"),
        (lambda: generative.to_logits(jnp.zeros(2), 0.0), "got 0.0"),
        (lambda: generative.sample_flow(jax.random.key(0), lambda z: z, (1,), temperature=-1.0), "got -1.0"),
    ],
)
def test_invalid_arguments_raise(call, got):
    with pytest.raises(ValueError, match=got):
        call()


def test_bytes_are_no_numbers_from_0_to_1():
    with pytest.raises(ValueError, match="got 200 of uint8"):
        generative.quantize(np.array([0, 200], np.uint8), 256)
    assert generative.quantize(np.array([0, 1], np.uint8), 2).tolist() == [0, 1]
