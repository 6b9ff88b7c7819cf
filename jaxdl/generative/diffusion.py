"""Diffusion models: objective, denoisers and samplers (Ho et al., 2020; Song et al., 2021).

A network is any function ``predict(x, t)`` of noisy examples ``[B, ...]`` and the numbers of their steps ``[B]``. The
samplers and the bound take a denoiser ``denoise(x, t)``, the estimate of the clean example, which `make_denoiser` makes
of a network and the `Parametrization` that it has learned.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxdl.arrays import to_floating
from jaxdl.checks import check_in_range, check_positive_integer, is_zero
from jaxdl.generative.noise_schedule import NoiseSchedule, diffuse, factors_at, posterior_mean
from jaxdl.typing import Array, ArrayLike, Key

Predict = Callable[[Array, Array], Array]
"""``predict(x, t)`` or ``denoise(x, t)``: examples ``[B, ...]`` at the steps ``[B]``, integers, to ``[B, ...]``."""


class Parametrization(NamedTuple):
    """What a network of a diffusion model predicts: `NOISE`, `X0` or `VELOCITY`.

    With the factors ``s`` and ``n`` of signal and noise, ``x_t = s x_0 + n e``.

    Attributes:
        target: ``target(s, n, x0, noise)``, the right output.
        to_x0: ``to_x0(s, n, x, output)``, the estimate of ``x_0``.
    """

    target: Callable[[Array, Array, Array, Array], Array]
    to_x0: Callable[[Array, Array, Array, Array], Array]


NOISE = Parametrization(lambda s, n, x0, noise: noise, lambda s, n, x, output: (x - n * output) / s)
"""The network predicts the noise ``e``, so that ``x_0 = (x_t - n e) / s``."""

X0 = Parametrization(lambda s, n, x0, noise: x0, lambda s, n, x, output: output)
"""The network predicts the clean example ``x_0``."""

VELOCITY = Parametrization(lambda s, n, x0, noise: s * noise - n * x0, lambda s, n, x, output: s * x - n * output)
"""The network predicts ``v = s e - n x_0``, so that ``x_0 = s x_t - n v`` (Salimans and Ho, 2022)."""

PARAMETRIZATIONS = {"noise": NOISE, "x0": X0, "velocity": VELOCITY}
"""All of them by name."""


def diffusion_loss(
    predict: Predict,
    schedule: NoiseSchedule,
    x0: ArrayLike,
    t: ArrayLike,
    noise: ArrayLike,
    parametrization: Parametrization = NOISE,
) -> Array:
    """Compute the mean squared error of a network's prediction for every example, the simple objective of DDPM.

    Args:
        predict: the network.
        schedule: of ``T`` steps.
        x0: examples ``[B, ...]``.
        t: steps ``[B]``, drawn uniformly from ``0 .. T - 1``.
        noise: standard normal, ``[B, ...]``.
        parametrization: of the network.

    Returns:
        ``[B]``.

    >>> from jaxdl.generative import linear_schedule
    >>> x0, t, noise = jnp.ones((2, 3)), jnp.array([0, 5]), jnp.full((2, 3), 0.5)
    >>> diffusion_loss(lambda x, t: jnp.zeros_like(x), linear_schedule(10), x0, t, noise).tolist()
    [0.25, 0.25]
    """
    x0, noise = to_floating(x0), to_floating(noise)
    t = jnp.asarray(t)
    output = predict(diffuse(schedule, x0, t, noise), t)
    s, n = factors_at(schedule.signal, t, x0), factors_at(schedule.noise, t, x0)
    error = jnp.square(output - parametrization.target(s, n, x0, noise))
    return jnp.mean(error, axis=tuple(range(1, error.ndim)))


def make_denoiser(
    predict: Predict,
    schedule: NoiseSchedule,
    parametrization: Parametrization = NOISE,
    *,
    limit: float | None = None,
) -> Predict:
    """Make ``denoise(x, t)``, the estimate of ``x_0``, of a network.

    Args:
        predict: the network.
        schedule: of its training.
        parametrization: of its training.
        limit: largest magnitude of the estimate, 1 for images from -1 to 1; None for no limit.
    """

    def denoise(x: Array, t: Array) -> Array:
        s, n = factors_at(schedule.signal, t, x), factors_at(schedule.noise, t, x)
        x0 = parametrization.to_x0(s, n, x, predict(x, t))
        return x0 if limit is None else jnp.clip(x0, -limit, limit)

    return denoise


def denoiser_of_score(score: Predict, schedule: NoiseSchedule) -> Predict:
    """Make a denoiser of the score of ``x_t``: ``E[x_0 | x_t] = (x_t + n^2 grad ln q(x_t)) / s`` (Tweedie).

    Args:
        score: ``score(x, t)``, the gradient of the log-density of the noisy examples of step ``t``.
        schedule: of the steps.
    """

    def denoise(x: Array, t: Array) -> Array:
        return (x + jnp.square(factors_at(schedule.noise, t, x)) * score(x, t)) / factors_at(schedule.signal, t, x)

    return denoise


def guide(
    predict: Callable[[Array, Array, Array], Array], labels: ArrayLike, no_label: ArrayLike, weight: ArrayLike
) -> Predict:
    """Make a network with classifier-free guidance, ``(1 + w) predict(x, t, y) - w predict(x, t, none)``.

    Both predictions are one call of twice the rows (Ho and Salimans, 2022). Training replaces some labels by
    ``no_label``, as `jaxdl.tasks.denoising_diffusion` does.

    Args:
        predict: ``predict(x, t, labels)``.
        labels: ``y``, ``[B]``.
        no_label: the label that stands for no class.
        weight: ``w``; 0 for the class alone, larger for examples that are more typical of it.

    >>> guide(lambda x, t, y: y[:, None] * x, jnp.array([2]), 1, 0.5)(jnp.ones((1, 1)), jnp.zeros(1)).item()
    2.5
    """
    labels, w = jnp.asarray(labels), jnp.asarray(weight)

    def guided(x: Array, t: Array) -> Array:
        both = jnp.concatenate([labels, jnp.full_like(labels, no_label)])
        output = predict(jnp.concatenate([x, x]), jnp.concatenate([t, t]), both)
        with_class, without = jnp.split(output, 2)
        return (1 + w) * with_class - w * without

    return guided


def sample_ddpm(
    key: Key, denoise: Predict, schedule: NoiseSchedule, x: ArrayLike, *, variance: ArrayLike | None = None
) -> Array:
    """Draw examples by all steps in reverse order, ``x_(t-1) ~ N(posterior_mean(denoise(x_t), x_t), variance_t)``.

    It is one `jax.lax.scan`. The last step adds no noise.

    Args:
        key: random key.
        denoise: the denoiser.
        schedule: of ``T`` steps.
        x: standard normal, ``[B, ...]``.
        variance: of every step ``[T]``, by default ``schedule.default_variance``; ``schedule.betas`` is the other usual
            choice.
    """
    x = to_floating(x)
    variance = schedule.default_variance if variance is None else jnp.asarray(variance)

    def step(x: Array, t: Array) -> tuple[Array, None]:
        times = jnp.full(x.shape[:1], t)
        mean = posterior_mean(schedule, denoise(x, times), x, times)
        noise = jax.random.normal(jax.random.fold_in(key, t), x.shape, x.dtype)
        return mean + jnp.where(t > 0, jnp.sqrt(variance[t]), 0).astype(x.dtype) * noise, None

    return jax.lax.scan(step, x, jnp.arange(schedule.num_steps)[::-1])[0]


def sample_ddim(
    denoise: Predict,
    schedule: NoiseSchedule,
    x: ArrayLike,
    num_steps: int,
    *,
    eta: float = 0.0,
    key: Key | None = None,
) -> Array:
    """Draw examples by some of the steps, without noise by default (DDIM, Song et al., 2021)::

        e = (x_t - s_t x_0) / n_t                                  x_0 = denoise(x_t, t)
        x_r = s_r x_0 + sqrt(n_r^2 - c^2) e + c noise              c = eta n_r / n_t sqrt(1 - s_t^2 / s_r^2)

    from every step ``t`` to the next chosen one ``r``, and from the last to ``x_0``. It is one `jax.lax.scan`.

    Args:
        denoise: the denoiser.
        schedule: of ``T`` steps.
        x: standard normal, ``[B, ...]``.
        num_steps: number of steps, evenly spaced from ``T - 1`` to 0.
        eta: amount of noise; 1 for that of DDPM.
        key: random key, needed with noise.

    Raises:
        ValueError: there are more steps than in the schedule, or noise without a key.
    """
    x, total = to_floating(x), schedule.num_steps
    check_positive_integer("num_steps", num_steps)
    check_in_range("eta", eta, 0.0, 1.0)
    if num_steps > total:
        raise ValueError(f"expected num_steps of at most {total}, the steps of the schedule, got {num_steps}")
    noisy = not is_zero(eta)
    if noisy and key is None:
        raise ValueError(f"expected a key with eta={eta}, got None; pass key=jax.random.key(seed)")
    times = np.round(np.linspace(total - 1, 0, num_steps) if num_steps > 1 else [total - 1]).astype(np.int32)
    signal, noise = (jnp.append(each[times], end) for each, end in ((schedule.signal, 1.0), (schedule.noise, 0.0)))
    factors: Any = (
        jnp.asarray(times),
        *((each[:-1].astype(x.dtype), each[1:].astype(x.dtype)) for each in (signal, noise)),
    )

    def step(x: Array, inputs: tuple[Array, Any, Any]) -> tuple[Array, None]:
        t, (s, s_next), (n, n_next) = inputs
        x0 = denoise(x, jnp.full(x.shape[:1], t))
        direction = (x - s * x0) / n
        added = eta * n_next / n * jnp.sqrt(jnp.maximum(1 - jnp.square(s / s_next), 0))
        x = s_next * x0 + jnp.sqrt(jnp.maximum(jnp.square(n_next) - jnp.square(added), 0)) * direction
        if noisy and key is not None:
            x = x + added * jax.random.normal(jax.random.fold_in(key, t), x.shape, x.dtype)
        return x, None

    return jax.lax.scan(step, x, factors)[0]
