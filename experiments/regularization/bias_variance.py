"""The expected squared error of polynomial regression is bias^2 + variance + noise.

    python -m experiments run bias_variance

Polynomials of degree 0 to 9 are fitted by least squares to 16 noisy points of a curve, one in each of 16 equal
intervals; 4,000 training sets in one program. Half of them measure the bias (mean prediction minus truth) and the
variance at fixed points; the noise is known. The other half, with new noisy targets, measures the expected error, so
that both sides are independent. The identity holds for a degree if the difference is within its 95 % interval.
"""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.harness import configuration
from experiments.harness.run_folder import Run
from experiments.regularization import drawings
from jaxdl.typing import Array, Key

GOAL = {"degrees_within_interval": 8}
DEGREES = 10
PLACES = np.linspace(-0.9, 0.9, 91)
SHOWN = (1, 3, 9)


@dataclass(frozen=True)
class Config(configuration.Config):
    """Polynomials on a noisy curve."""

    SMOKE = {"training_sets": 40}
    LEAST = {"training_sets": 4, "points": DEGREES + 1}
    POSITIVE = ("noise",)

    training_sets: int = 4000
    """Number of training sets."""
    points: int = 16
    """Points in a training set."""
    noise: float = 0.5
    """Standard deviation of the noise in the targets."""


class Parts(NamedTuple):
    """The parts of each degree's error, ``[degrees]``, and the uncertainty of both sides."""

    squared_bias: np.ndarray
    variance: np.ndarray
    noise: float
    error: np.ndarray
    half_interval: np.ndarray


def run(config: Config, run: Run) -> dict[str, float]:
    """Fit, decompose the error, compare."""
    with jax.enable_x64(True):  # the normal equations square the condition number
        keys = jax.random.split(jax.random.key(config.seed), (2, config.training_sets // 2))
        learn_all = jax.jit(jax.vmap(jax.vmap(lambda key: learn(key, config.points, config.noise))))
        predictions = np.asarray(learn_all(keys))
    fresh = np.random.default_rng(config.seed).normal(size=predictions[1, :, 0].shape) * config.noise
    parts = decompose(*predictions, fresh, config.noise)
    total = parts.squared_bias + parts.variance + parts.noise
    run.figure("parts", drawings.draw_parts(parts, total))
    run.figure("fits", drawings.draw_fits(PLACES, np.asarray(truth(PLACES)), predictions[0], SHOWN))
    return {
        "degrees_within_interval": int(np.sum(np.abs(parts.error - total) <= parts.half_interval)),
        "largest_relative_difference": float(np.max(np.abs(parts.error / total - 1))),
        "best_degree": int(np.argmin(parts.error)),
        "lowest_expected_error": float(np.min(parts.error)),
        "noise": parts.noise,
    }


def truth(x: Array) -> Array:
    """Return the curve."""
    return jnp.sin(3.5 * x) + 0.5 * x


def features(x: Array) -> Array:
    """Return the Legendre polynomials ``[N, degrees]`` of points in [-1, 1], by their recurrence."""
    columns = [jnp.ones_like(x), x]
    for n in range(1, DEGREES - 1):
        columns.append(((2 * n + 1) * x * columns[n] - n * columns[n - 1]) / (n + 1))
    return jnp.stack(columns, axis=-1)


def learn(key: Key, points: int, noise: float) -> Array:
    """Draw a training set and fit it with every degree; return the predictions ``[degrees, places]``."""
    key_x, key_noise = jax.random.split(key)
    x = -1 + 2 * (jnp.arange(points) + jax.random.uniform(key_x, (points,))) / points
    y = truth(x) + noise * jax.random.normal(key_noise, (points,))
    design = features(x)

    def fit(degree: Array) -> Array:
        used = jnp.arange(DEGREES) <= degree
        left = design * used[None]
        # Ones on the diagonal make the unused coefficients zero.
        weights = jnp.linalg.solve(left.T @ left + jnp.diag(1.0 - used), left.T @ y)
        return features(jnp.asarray(PLACES)) @ weights

    return jax.vmap(fit)(jnp.arange(DEGREES))


def decompose(first: np.ndarray, second: np.ndarray, fresh: np.ndarray, noise: float) -> Parts:
    """Measure bias and variance by the first predictions ``[sets, degrees, places]``, the error by the second."""
    deviation, true = first - first.mean(0), np.asarray(truth(PLACES))
    # The mean over n sets retains 1/n of the variance, which is not bias.
    variance = np.square(deviation).sum(0) / (len(first) - 1)
    squared_bias = np.square(first.mean(0) - true) - variance / len(first)
    errors = np.square(second - true - fresh[:, None]).mean(-1)
    sides = errors, np.square(first - true).mean(-1)
    standard_error = np.sqrt(sum(np.var(side, axis=0, ddof=1) / len(side) for side in sides))
    means = squared_bias.mean(-1), variance.mean(-1), noise**2, errors.mean(0)
    return Parts(*means, 1.96 * standard_error)
