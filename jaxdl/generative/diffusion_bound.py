"""The variational bound of a diffusion model's likelihood, each term in closed form (Ho et al., 2020)."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxdl import losses
from jaxdl.arrays import flatten_examples, to_floating
from jaxdl.generative.diffusion import Predict
from jaxdl.generative.levels import check_levels
from jaxdl.generative.noise_schedule import NoiseSchedule, diffuse, posterior_mean
from jaxdl.typing import Array, ArrayLike, Key


class VariationalBound(NamedTuple):
    """The terms of an upper bound of ``-ln p(x_0)``, in nats for each example.

    Attributes:
        prior: ``KL(q(x_T | x_0) || N(0, 1))``, ``[B]``.
        steps: ``KL(q(x_(t-1) | x_t, x_0) || p(x_(t-1) | x_t))`` for ``t = 1 .. T - 1``, ``[B, T - 1]``.
        reconstruction: ``-ln p(x_0 | x_1)``, ``[B]``.
    """

    prior: Array
    steps: Array
    reconstruction: Array

    @property
    def total(self) -> Array:
        """The bound, the sum of all terms ``[B]``."""
        return self.prior + jnp.sum(self.steps, axis=1) + self.reconstruction


def variational_bound(
    key: Key,
    denoise: Predict,
    schedule: NoiseSchedule,
    x0: ArrayLike,
    levels: int,
    *,
    variance: ArrayLike | None = None,
) -> VariationalBound:
    """Compute every term of the bound of discrete examples in closed form, with one ``x_t`` for each step.

    The divergences are those of Gaussians. The first term is the probability of the bin of ``x_0`` under the Gaussian
    of the last reverse step (`binned_gaussian_log_likelihood`). It is one `jax.lax.scan` over the steps.

    Args:
        key: of the noise in ``x_t``.
        denoise: the denoiser.
        schedule: of ``T`` steps.
        x0: examples ``[B, ...]``, each number one of ``levels`` from -1 to 1.
        levels: number of levels.
        variance: of the reverse steps ``[T]``, as in `sample_ddpm`.
    """
    x0 = to_floating(x0)
    variance = schedule.default_variance if variance is None else jnp.asarray(variance)

    def estimate(t: Array) -> tuple[Array, Array, Array]:
        """Return the steps ``[B]``, ``x_t`` and the mean of the reverse step."""
        times = jnp.full(x0.shape[:1], t)
        x = diffuse(schedule, x0, times, jax.random.normal(jax.random.fold_in(key, t), x0.shape, x0.dtype))
        return times, x, posterior_mean(schedule, denoise(x, times), x, times)

    def step(_: None, t: Array) -> tuple[None, Array]:
        times, x, mean = estimate(t)
        true = posterior_mean(schedule, x0, x, times)
        deviations = [0.5 * jnp.log(each[t]).astype(x.dtype) for each in (schedule.posterior_variance, variance)]
        return None, _gaussian_kl(true, deviations[0], mean, deviations[1])

    _, terms = jax.lax.scan(step, None, jnp.arange(1, schedule.num_steps))
    _, _, mean = estimate(jnp.zeros((), jnp.int32))
    likelihood = binned_gaussian_log_likelihood(x0, mean, jnp.sqrt(variance[0]), levels)
    last = (schedule.signal[-1].astype(x0.dtype) * x0, jnp.log(schedule.noise[-1]).astype(x0.dtype))
    return VariationalBound(_gaussian_kl(*last, 0.0, 0.0), terms.T, -_sum(likelihood))


def binned_gaussian_log_likelihood(x: ArrayLike, mean: ArrayLike, std: ArrayLike, levels: int) -> Array:
    """Compute the logarithm of a Gaussian's probability of the bin around each number.

    Bins have the width ``2 / (levels - 1)``; the first begins at minus infinity and the last ends at infinity, so that
    the probabilities of all levels sum to 1.

    Args:
        x: numbers among ``levels`` ones, evenly spaced from -1 to 1, ``[...]``.
        mean: of the Gaussians, ``[...]``.
        std: of the Gaussians, a number or ``[...]``.
        levels: number of levels.

    Raises:
        ValueError: there are less than two levels.

    >>> p = jnp.exp(binned_gaussian_log_likelihood(jnp.array([-1.0, 0.0, 1.0]), jnp.zeros(3), 0.5, 3))
    >>> [round(each, 4) for each in p.tolist()]
    [0.1587, 0.6827, 0.1587]
    """
    check_levels(levels)
    x = to_floating(x)
    half = 1 / (levels - 1)
    upper, lower = ((x - mean + side) / std for side in (half, -half))
    # Mirrored where both ends are above the mean, so that no difference of numbers near 1 is taken.
    flip = lower > 0
    upper, lower = jnp.where(flip, -lower, upper), jnp.where(flip, -upper, lower)
    first, last = x < half - 1, x > 1 - half
    open_low, open_high = jnp.where(flip, last, first), jnp.where(flip, first, last)
    high = jnp.where(open_high, 0.0, jax.scipy.stats.norm.logcdf(upper))
    ratio = jnp.where(open_low, -jnp.inf, jax.scipy.stats.norm.logcdf(lower) - high)
    return high + jnp.log(-jnp.expm1(jnp.minimum(ratio, -1e-30)))


def _gaussian_kl(mean: ArrayLike, log_std: ArrayLike, other_mean: ArrayLike, other_log_std: ArrayLike) -> Array:
    """Compute the divergence of Gaussians ``[B, ...]`` of common deviations, ``[B]``."""
    shape = jnp.shape(mean)
    full = [
        flatten_examples(jnp.broadcast_to(jnp.asarray(each), shape))
        for each in (mean, log_std, other_mean, other_log_std)
    ]
    return losses.gaussian_kl(*full, reduction="none")


def _sum(x: Array) -> Array:
    """Sum all but the first dimension."""
    return jnp.sum(x, axis=tuple(range(1, x.ndim)))
