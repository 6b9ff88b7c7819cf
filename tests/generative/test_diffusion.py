"""Diffusion: schedules and posteriors in plain loops, the bound in closed form, samplers with an exact score."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from jaxdl import generative
from tests.peers import torch

SCHEDULES = {
    "linear": (lambda: generative.linear_schedule(12, 0.01, 0.4), np.linspace(0.01, 0.4, 12)),
    "cosine": (lambda: generative.cosine_schedule(12), None),
}
MEANS, STDS, WEIGHTS = np.array([-1.5, 1.0]), np.array([0.2, 0.4]), np.array([0.3, 0.7])


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.usefixtures("float64")
def test_a_schedule_and_its_posterior_equal_a_plain_loop(name):
    make, betas = SCHEDULES[name]
    schedule = make()
    if betas is None:  # Nichol and Dhariwal (2021), equation 17

        def level(t):
            return np.cos((t / 12 + 0.008) / 1.008 * np.pi / 2) ** 2

        betas = np.array([min(1 - level(t + 1) / level(t), 0.999) for t in range(12)])
    np.testing.assert_allclose(schedule.betas, betas, rtol=1e-12)
    x0, x, kept = 0.7, -0.4, 1.0
    for t, beta in enumerate(betas):
        before, kept = kept, kept * (1 - beta)
        np.testing.assert_allclose([schedule.signal[t], schedule.noise[t]], np.sqrt([kept, 1 - kept]), rtol=1e-10)
        mean = generative.posterior_mean(schedule, jnp.full((1, 1), x0), jnp.full((1, 1), x), jnp.array([t]))[0, 0]
        if t == 0:
            np.testing.assert_allclose([mean, schedule.posterior_variance[0]], [x0, 0], atol=1e-12)
            continue
        # The product of the Gaussians q(x_t | x_(t-1)) and q(x_(t-1) | x_0) in x_(t-1).
        precision = (1 - beta) / beta + 1 / (1 - before)
        expected = (np.sqrt(1 - beta) * x / beta + np.sqrt(before) * x0 / (1 - before)) / precision
        np.testing.assert_allclose([mean, schedule.posterior_variance[t]], [expected, 1 / precision], rtol=1e-9)


@pytest.mark.parametrize("name", generative.PARAMETRIZATIONS)
@pytest.mark.usefixtures("float64")
def test_the_right_output_has_no_loss_and_gives_the_clean_example(name):
    kind, schedule, rng = generative.PARAMETRIZATIONS[name], generative.cosine_schedule(12), np.random.default_rng(0)
    x0, noise, t = *rng.normal(size=(2, 3, 2, 2)), np.array([0, 5, 10])
    s, n = (np.asarray(each)[t][:, None, None] for each in (schedule.signal, schedule.noise))
    target = {"noise": noise, "x0": x0, "velocity": s * noise - n * x0}[name]

    def predict(x, steps):
        np.testing.assert_allclose(x, s * x0 + n * noise, rtol=1e-12)
        np.testing.assert_array_equal(steps, t)
        return jnp.asarray(target)

    np.testing.assert_allclose(generative.diffusion_loss(predict, schedule, x0, t, noise, kind), 0, atol=1e-20)
    found = generative.diffusion_loss(lambda x, t: target + 2, schedule, x0, t, noise, kind)
    np.testing.assert_allclose(found, 4, rtol=1e-12)
    denoise = generative.make_denoiser(predict, schedule, kind)
    np.testing.assert_allclose(denoise(jnp.asarray(s * x0 + n * noise), t), x0, atol=1e-9)
    limited = generative.make_denoiser(predict, schedule, kind, limit=0.5)
    np.testing.assert_allclose(limited(jnp.asarray(s * x0 + n * noise), t), np.clip(x0, -0.5, 0.5), atol=1e-9)


@pytest.mark.usefixtures("float64")
def test_the_terms_of_the_bound_are_torchs_divergences():
    schedule, levels, key = generative.linear_schedule(4, 0.05, 0.5), 5, jax.random.key(1)
    x0 = np.random.default_rng(0).integers(0, levels, (3, 2)) / 2 - 1

    def denoise(x, t):
        return jnp.tanh(x) / (1 + 0.1 * t[:, None])

    @jax.jit
    def run(x):
        noise = jax.vmap(lambda t: jax.random.normal(jax.random.fold_in(key, t), x.shape))(jnp.arange(4))
        return generative.variational_bound(key, denoise, schedule, x, levels), noise

    bound, noises = run(x0)
    library = torch()
    normal, divergence = library.distributions.Normal, library.distributions.kl_divergence
    s, n = np.asarray(schedule.signal), np.asarray(schedule.noise)
    prior = divergence(normal(library.tensor(s[-1] * x0), n[-1]), normal(0.0, 1.0)).sum(dim=1)
    np.testing.assert_allclose(bound.prior, prior, rtol=1e-9)
    for t in range(4):
        x = s[t] * x0 + n[t] * np.asarray(noises[t])
        estimate = np.tanh(x) / (1 + 0.1 * t)
        true, mean = (
            library.tensor(float(schedule.posterior_x0[t]) * start + float(schedule.posterior_x[t]) * x)
            for start in (x0, estimate)
        )
        if t:
            std = float(schedule.posterior_variance[t]) ** 0.5
            term = divergence(normal(true, std), normal(mean, std)).sum(dim=1)
            np.testing.assert_allclose(bound.steps[:, t - 1], term, rtol=1e-7)
        else:
            law = scipy.stats.norm(mean.numpy(), float(schedule.betas[0]) ** 0.5)
            upper, lower = np.where(x0 == 1, 1, law.cdf(x0 + 0.25)), np.where(x0 == -1, 0, law.cdf(x0 - 0.25))
            np.testing.assert_allclose(bound.reconstruction, -np.log(upper - lower).sum(axis=1), rtol=1e-9)
    np.testing.assert_allclose(bound.total, bound.prior + bound.steps.sum(axis=1) + bound.reconstruction, rtol=1e-12)


def test_the_bins_of_a_gaussian_share_its_probability_and_far_ones_are_finite():
    x = jnp.linspace(-1, 1, 17)
    means = jnp.array([-30.0, -1.0, 0.13, 0.99, 5.0])

    @jax.jit
    def run(means):
        each = generative.binned_gaussian_log_likelihood(x[None], means[:, None], 0.1, 17)
        gradient = jax.grad(lambda m: jnp.sum(generative.binned_gaussian_log_likelihood(x[None], m, 0.1, 17)))
        return each, gradient(means[:, None])

    each, gradient = run(means)
    np.testing.assert_allclose(np.exp(each).sum(axis=1), 1, rtol=1e-5)
    assert np.isfinite(each).all()
    assert np.isfinite(gradient).all()
    with pytest.raises(ValueError, match="got 1"):
        generative.binned_gaussian_log_likelihood(x, x, 1.0, 1)


def mixture_score(schedule):
    """Return the score of the noisy examples of a mixture of two Gaussians."""

    def score(x, t):
        def log_density(x, s, n):
            variances = (s * STDS) ** 2 + n**2
            squares = (x - s * MEANS) ** 2 / variances
            return jax.nn.logsumexp(jnp.log(WEIGHTS) - 0.5 * (squares + jnp.log(variances)))

        s, n = schedule.signal[t], schedule.noise[t]
        return jax.vmap(jax.grad(log_density))(x[:, 0], s, n)[:, None]

    return score


@pytest.mark.usefixtures("float64")
def test_samplers_with_the_exact_score_recover_a_mixture():
    schedule, traced = generative.cosine_schedule(150), []

    def counted(x, t):
        traced.append(x.shape)
        return generative.denoiser_of_score(mixture_score(schedule), schedule)(x, t)

    @jax.jit
    def run(x):
        key = jax.random.key(1)
        return {
            "ddpm": generative.sample_ddpm(key, counted, schedule, x),
            "ddim": generative.sample_ddim(counted, schedule, x, 75),
            "ddim with noise": generative.sample_ddim(counted, schedule, x, 150, eta=1.0, key=key),
        }

    found = run(np.random.default_rng(0).normal(size=(6000, 1)))
    assert len(traced) <= 6  # each sampler is one scan
    mean = WEIGHTS @ MEANS
    std = np.sqrt(WEIGHTS @ (STDS**2 + MEANS**2) - mean**2)
    for name, x in found.items():
        np.testing.assert_allclose([np.mean(x), np.std(x)], [mean, std], atol=0.06, err_msg=name)
        left = np.asarray(x)[np.asarray(x) < -0.5]
        np.testing.assert_allclose(len(left) / len(x), 0.3, atol=0.03, err_msg=name)
        np.testing.assert_allclose([left.mean(), left.std()], [-1.5, 0.2], atol=0.03, err_msg=name)
    # With all steps and their noise, DDIM is DDPM.
    np.testing.assert_allclose(found["ddim with noise"], found["ddpm"], atol=1e-9)


def test_guidance_extrapolates_from_no_class_in_one_call():
    calls = []

    def predict(x, t, labels):
        calls.append(x.shape)
        return x * labels[:, None] + t[:, None]

    x, t, labels = jnp.arange(6.0).reshape(3, 2), jnp.ones(3), jnp.array([1, 2, 3])
    found = generative.guide(predict, labels, 9, 2.0)(x, t)
    np.testing.assert_allclose(found, 3 * (x * labels[:, None] + 1) - 2 * (9 * x + 1))
    assert calls == [(6, 2)]


@pytest.mark.parametrize(
    ("call", "got"),
    [
        (lambda s: generative.make_schedule([0.5, 1.0]), r"got shape \(2,\)"),
        (lambda s: generative.make_schedule([]), r"got shape \(0,\)"),
        (lambda s: generative.cosine_schedule(0), "got 0"),
        (lambda s: generative.linear_schedule(2.5), "got 2.5"),
        (lambda s: generative.diffuse(s, jnp.zeros((1, 1)), jnp.array([3]), jnp.zeros((1, 1))), "got 3"),
        (lambda s: generative.sample_ddim(lambda x, t: x, s, jnp.zeros((1, 1)), 4), "got 4"),
        (lambda s: generative.sample_ddim(lambda x, t: x, s, jnp.zeros((1, 1)), 2, eta=0.5), "got None"),
        (lambda s: generative.sample_ddim(lambda x, t: x, s, jnp.zeros((1, 1)), 2, eta=-1.0), "got -1.0"),
    ],
)
def test_invalid_arguments_raise(call, got):
    with pytest.raises(ValueError, match=got):
        call(generative.make_schedule([0.1, 0.2, 0.3]))


@pytest.mark.parametrize("dtype", [np.uint8, np.int32])
def test_integers_are_diffused_as_numbers(dtype):
    schedule, t, noise = generative.linear_schedule(10), np.array([5]), np.full((1, 2), 0.5, np.float32)
    x = np.array([[200, 3]], dtype)
    real = x.astype(np.float32)
    np.testing.assert_array_equal(
        generative.diffuse(schedule, x, t, noise), generative.diffuse(schedule, real, t, noise)
    )
    np.testing.assert_array_equal(
        generative.posterior_mean(schedule, x, x, t), generative.posterior_mean(schedule, real, real, t)
    )
    for parametrization in generative.PARAMETRIZATIONS.values():
        found, expected = (
            generative.diffusion_loss(lambda x, t: 0 * x, schedule, each, t, noise, parametrization)
            for each in (x, real)
        )
        np.testing.assert_array_equal(found, expected)
    ddim, expected = (
        generative.sample_ddim(lambda x, t: x / 2, schedule, each, 4) for each in (x.astype(np.int32), real)
    )
    np.testing.assert_array_equal(ddim, expected)


def test_there_may_be_no_examples_and_integers_have_a_bound():
    schedule, key, x = generative.linear_schedule(4), jax.random.key(0), np.array([[1, -1]])
    bounds = [
        generative.variational_bound(key, lambda x, t: x, schedule, each, 2) for each in (x, x.astype(np.float32))
    ]
    np.testing.assert_array_equal(bounds[0].total, bounds[1].total)
    assert generative.variational_bound(key, lambda x, t: x, schedule, np.zeros((0, 2)), 2).total.shape == (0,)
    assert generative.flow_log_likelihood(np.zeros((0, 2, 3)), np.zeros(0)).shape == (0,)
    levels = generative.sample_pixels(key, lambda x: jnp.zeros((*x.shape, 3)), np.zeros((0, 2, 2), int))
    assert levels.shape == (0, 2, 2)


def test_the_amount_of_noise_may_be_traced():
    schedule, key, x = generative.linear_schedule(6), jax.random.key(0), jnp.ones((2, 3))

    def draw(eta):
        return generative.sample_ddim(lambda x, t: x / 2, schedule, x, 4, eta=eta, key=key)

    for eta in (0.0, 0.5, 1.0):
        np.testing.assert_allclose(jax.jit(draw)(eta), draw(eta), rtol=1e-5)
    with pytest.raises(ValueError, match="expected a key"):
        jax.jit(lambda eta: generative.sample_ddim(lambda x, t: x, schedule, x, 4, eta=eta))(0.5)
