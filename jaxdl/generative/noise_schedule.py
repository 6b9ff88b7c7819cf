"""Noise schedules of diffusion models, the diffusion itself and its posterior (Ho et al., 2020)."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxdl.arrays import to_floating
from jaxdl.checks import check_indices, check_positive_integer
from jaxdl.typing import Array, ArrayLike


class NoiseSchedule(NamedTuple):
    """The steps ``0 .. T - 1`` of a diffusion: ``x_t = signal_t x_0 + noise_t e`` with standard normal ``e``.

    All are arrays ``[T]``, computed in float64.

    Attributes:
        betas: variance of the noise of every step.
        signal: ``sqrt(a_t)`` with ``a_t = prod_(s <= t) (1 - beta_s)``.
        noise: ``sqrt(1 - a_t)``.
        posterior_x0: the factor of ``x_0`` in the mean of ``q(x_(t-1) | x_t, x_0)``.
        posterior_x: the factor of ``x_t`` in it.
        posterior_variance: its variance, 0 at the first step.
    """

    betas: Array
    signal: Array
    noise: Array
    posterior_x0: Array
    posterior_x: Array
    posterior_variance: Array

    @property
    def num_steps(self) -> int:
        """The number of steps ``T``."""
        return len(self.betas)

    @property
    def default_variance(self) -> Array:
        """The variances of the reverse steps: those of the posterior, and ``beta_0`` at the first step."""
        return self.posterior_variance.at[0].set(self.betas[0])


def make_schedule(betas: ArrayLike) -> NoiseSchedule:
    """Make the schedule of given variances ``[T]``, in (0, 1).

    Raises:
        ValueError: a variance is outside of (0, 1), or there are none.
    """
    given = np.asarray(betas, np.float64)
    if given.ndim != 1 or not given.size or not (np.all(given > 0) and np.all(given < 1)):
        raise ValueError(f"expected betas [T] in (0, 1), got shape {given.shape} with {given.ravel()[:3]}")
    kept = np.cumprod(1 - given)
    before = np.concatenate([[1.0], kept[:-1]])
    return NoiseSchedule(
        *map(
            jnp.asarray,
            (
                given,
                np.sqrt(kept),
                np.sqrt(1 - kept),
                np.sqrt(before) * given / (1 - kept),
                np.sqrt(1 - given) * (1 - before) / (1 - kept),
                given * (1 - before) / (1 - kept),
            ),
        )
    )


def linear_schedule(num_steps: int = 1000, first: float = 1e-4, last: float = 0.02) -> NoiseSchedule:
    """Make the schedule of variances that rise linearly (Ho et al., 2020).

    The defaults suit 1,000 steps; for fewer, variances should be larger in proportion.

    Raises:
        ValueError: there is no step, or a variance is outside of (0, 1).

    >>> schedule = linear_schedule(1000)
    >>> schedule.num_steps, round(schedule.signal[-1].item(), 4)
    (1000, 0.0064)
    """
    check_positive_integer("num_steps", num_steps)
    return make_schedule(np.linspace(first, last, num_steps))


def cosine_schedule(num_steps: int = 1000, offset: float = 0.008, largest: float = 0.999) -> NoiseSchedule:
    """Make the schedule ``a_t ~ cos^2((t / T + s) / (1 + s) pi / 2)`` (Nichol and Dhariwal, 2021).

    Args:
        num_steps: ``T``.
        offset: ``s``, which keeps the first steps from being too small.
        largest: largest variance of a step.

    Raises:
        ValueError: there is no step.

    >>> round(cosine_schedule(100).signal[49].item(), 3)            # about sqrt(1/2) in the middle
    0.703
    """
    check_positive_integer("num_steps", num_steps)
    kept = np.cos((np.arange(num_steps + 1) / num_steps + offset) / (1 + offset) * np.pi / 2) ** 2
    return make_schedule(np.minimum(1 - kept[1:] / kept[:-1], largest))


def diffuse(schedule: NoiseSchedule, x0: ArrayLike, t: ArrayLike, noise: ArrayLike) -> Array:
    """Compute ``x_t = signal_t x_0 + noise_t e``, a sample of ``q(x_t | x_0)``.

    Args:
        schedule: of ``T`` steps.
        x0: examples ``[B, ...]``.
        t: steps ``[B]``, integers below ``T``.
        noise: ``e``, standard normal, ``[B, ...]``.

    Raises:
        ValueError: a step is known to be outside of the schedule.
    """
    check_indices("t", t, schedule.num_steps)
    x0 = to_floating(x0)
    return factors_at(schedule.signal, t, x0) * x0 + factors_at(schedule.noise, t, x0) * noise


def posterior_mean(schedule: NoiseSchedule, x0: ArrayLike, x: ArrayLike, t: ArrayLike) -> Array:
    """Compute the mean of ``q(x_(t-1) | x_t, x_0)``; its variance is ``schedule.posterior_variance[t]``.

    Args:
        schedule: of ``T`` steps.
        x0: clean examples ``[B, ...]``.
        x: noisy examples ``x_t``, ``[B, ...]``.
        t: steps ``[B]``.
    """
    x0, x = to_floating(x0), to_floating(x)
    return factors_at(schedule.posterior_x0, t, x) * x0 + factors_at(schedule.posterior_x, t, x) * x


def factors_at(values: Array, t: ArrayLike, x: Array) -> Array:
    """Pick the values ``[T]`` of the steps ``[B]``, for products with examples ``x``: ``[B, 1, ...]`` of its dtype.

    >>> factors_at(jnp.array([0.5, 0.25]), jnp.array([1, 0]), jnp.zeros((2, 3))).tolist()
    [[0.25], [0.5]]
    """
    return values[jnp.asarray(t)].astype(x.dtype).reshape(-1, *(1,) * (x.ndim - 1))
