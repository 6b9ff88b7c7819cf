"""Score matching (Vincent, 2011; Song and Ermon, 2019) and flow matching (Lipman et al., 2023), with their samplers."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxdl.arrays import expand_leading, to_floating
from jaxdl.checks import check_in_range, check_positive_integer
from jaxdl.typing import Array, ArrayLike, Key

Field = Callable[[Array, Array], Array]
"""A score or a velocity ``field(x, t)``, of examples ``[B, ...]`` and deviations or times ``[B]``."""


def denoising_score_matching(score: Field, x: ArrayLike, std: ArrayLike, noise: ArrayLike) -> Array:
    """Compute ``mean (std score(x + std e, std) + e)^2`` for every example.

    The score of examples with Gaussian noise, ``grad ln q(x + std e)``, minimizes its expectation; the factor makes all
    deviations count alike.

    Args:
        score: ``score(x, std)``.
        x: examples ``[B, ...]``.
        std: deviations of the noise ``[B]``.
        noise: ``e``, standard normal, ``[B, ...]``.

    Returns:
        ``[B]``.

    >>> true = lambda x, std: -x / (1 + std[:, None] ** 2)          # of standard normal examples
    >>> denoising_score_matching(true, jnp.zeros((1, 2)), jnp.ones(1), jnp.ones((1, 2))).item()
    0.25
    """
    x, noise, std = to_floating(x), to_floating(noise), to_floating(std)
    spread = _like(std, x)
    return _mean_square(spread * score(x + spread * noise, std) + noise)


def make_score(predict: Field, stds: ArrayLike) -> Field:
    """Make the score of a network of numbered deviations, ``score(x, std) = predict(x, i) / std`` (Song, Ermon, 2020).

    Args:
        predict: ``predict(x, i)``, of examples ``[B, ...]`` and integers ``[B]``.
        stds: deviations ``[L]``; the nearest one of those has the number ``i``.

    Returns:
        ``score(x, std)``, of deviations ``[B]``.

    >>> score = make_score(lambda x, i: -x * i[:, None], [1.0, 2.0])
    >>> score(jnp.ones((1, 2)), jnp.array([2.0])).tolist()
    [[-0.5, -0.5]]
    """
    stds = jnp.asarray(stds)

    def score(x: Array, std: Array) -> Array:
        number = jnp.argmin(jnp.abs(stds[None] - std[:, None]), axis=1)
        return predict(x, number) / _like(std, x)

    return score


def sample_langevin(
    key: Key, score: Field, x: ArrayLike, stds: ArrayLike, *, num_steps: int = 100, step_size: ArrayLike = 0.1
) -> Array:
    """Draw examples by annealed Langevin dynamics (Song and Ermon, 2019)::

        x <- x + a / 2 score(x, std) + sqrt(a) noise               a = step_size std^2

    ``num_steps`` times for each deviation. It is one nested `jax.lax.scan`.

    Args:
        key: random key.
        score: ``score(x, std)``.
        x: where to start, ``[B, ...]``.
        stds: deviations, from the largest to the least, ``[L]``.
        num_steps: steps for each.
        step_size: of a step relative to the variance.
    """
    x, stds = to_floating(x), to_floating(stds)
    check_positive_integer("num_steps", num_steps)
    check_in_range("step_size", step_size, includes_low=False)

    def anneal(x: Array, inputs: tuple[Array, Array]) -> tuple[Array, None]:
        level, std = inputs
        size = (step_size * jnp.square(std)).astype(x.dtype)

        def step(x: Array, i: Array) -> tuple[Array, None]:
            noise = jax.random.normal(jax.random.fold_in(jax.random.fold_in(key, level), i), x.shape, x.dtype)
            return x + size / 2 * score(x, jnp.full(x.shape[:1], std)) + jnp.sqrt(size) * noise, None

        return jax.lax.scan(step, x, jnp.arange(num_steps))[0], None

    return jax.lax.scan(anneal, x, (jnp.arange(len(stds)), stds))[0]


def flow_matching(velocity: Field, x: ArrayLike, t: ArrayLike, noise: ArrayLike) -> Array:
    """Compute the mean squared error of a velocity on the straight line from noise to every example::

        x_t = (1 - t) e + t x                  mean (velocity(x_t, t) - (x - e))^2

    Args:
        velocity: ``velocity(x, t)``.
        x: examples ``[B, ...]``.
        t: times ``[B]``, uniform from 0 to 1.
        noise: ``e``, standard normal, ``[B, ...]``.

    Returns:
        ``[B]``.

    >>> x, noise = jnp.ones((1, 2)), jnp.zeros((1, 2))
    >>> flow_matching(lambda x, t: x / t[:, None], x, jnp.array([0.5]), noise).item()
    0.0
    """
    x, noise, t = to_floating(x), to_floating(noise), to_floating(t)
    share = _like(t, x)
    return _mean_square(velocity((1 - share) * noise + share * x, t) - (x - noise))


def integrate_euler(velocity: Field, x: ArrayLike, num_steps: int) -> Array:
    """Follow a velocity from time 0 to 1 by Euler's method, ``x <- x + h velocity(x, t)`` with ``h = 1 / num_steps``.

    It is one `jax.lax.scan`.

    Args:
        velocity: ``velocity(x, t)``.
        x: noise ``[B, ...]``.
        num_steps: number of steps, each with one call of the velocity.

    >>> integrate_euler(lambda x, t: x, jnp.ones((1, 1)), 2).item()
    2.25
    """
    return _integrate(lambda x, t, h: x + h * velocity(x, t), x, num_steps)


def integrate_heun(velocity: Field, x: ArrayLike, num_steps: int) -> Array:
    """Follow a velocity from time 0 to 1 by Heun's method, whose error falls with the square of the steps::

        a = velocity(x, t)        b = velocity(x + h a, t + h)        x <- x + h (a + b) / 2

    Args:
        velocity: ``velocity(x, t)``.
        x: noise ``[B, ...]``.
        num_steps: number of steps, each with two calls of the velocity.

    >>> integrate_heun(lambda x, t: x, jnp.ones((1, 1)), 1).item()
    2.5
    """

    def step(x: Array, t: Array, h: float) -> Array:
        a = velocity(x, t)
        return x + h / 2 * (a + velocity(x + h * a, t + h))

    return _integrate(step, x, num_steps)


def _integrate(step: Callable[[Array, Array, float], Array], x: ArrayLike, num_steps: int) -> Array:
    check_positive_integer("num_steps", num_steps)
    x, h = to_floating(x), 1 / num_steps
    dtype = jnp.promote_types(x.dtype, jnp.float32)

    def body(x: Array, number: Array) -> tuple[Array, None]:
        return step(x, jnp.full(x.shape[:1], h * number, dtype), h).astype(x.dtype), None

    return jax.lax.scan(body, x, jnp.arange(num_steps))[0]


def _like(values: Array, x: Array) -> Array:
    """Align ``[B]``, or one value for all, with ``[B, ...]``."""
    return expand_leading(values, x.ndim) if values.ndim == 0 else values.reshape(-1, *(1,) * (x.ndim - 1))


def _mean_square(error: Array) -> Array:
    """Average the squares over all but the first dimension."""
    return jnp.mean(jnp.square(error), axis=tuple(range(1, error.ndim)))
