"""Gaussian noise at the input of a linear model with squared error is the penalty s^2 ||w||^2 in expectation.

    python -m experiments run noise_is_l2

On scikit-learn's diabetes data (442 patients, 10 standardized features), at eight standard deviations s of the noise:
the mean squared error and the gradient of random weights, averaged over the noise, against the error without noise plus
s^2 ||w||^2; and the weights learned by gradient descent on noisy inputs, averaged over the second half of the steps,
against the closed form of ridge regression with strength N s^2 (Bishop, 1995).
"""

from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from sklearn.datasets import load_diabetes
from sklearn.linear_model import Ridge

from experiments.harness import configuration
from experiments.harness.run_folder import Run
from experiments.regularization import drawings
from jaxdl import losses, optim
from jaxdl.nn import noise
from jaxdl.typing import Array, Key

GOAL = {"loss_error": 0.002, "gradient_error": 0.005, "weights_error": 0.01}
SIZES = np.array([0.0, 0.1, 0.2, 0.5, 1.0, 2.0, 3.0, 5.0], np.float32)


@dataclass(frozen=True)
class Config(configuration.Config):
    """Noise and ridge regression."""

    SMOKE = {"draws": 50}
    LEAST = {"draws": 10}

    draws: int = 20_000
    """Samples of the noise for the loss and the gradient, and steps of training."""


def run(config: Config, run: Run) -> dict[str, float]:
    """Compare losses, gradients and learned weights."""
    (x, y), draws = diabetes(), config.draws
    key = jax.random.key(config.seed)
    w = np.random.default_rng(config.seed).normal(size=x.shape[1]).astype(np.float32)
    seen_loss, seen_gradient = average(key, SIZES, w, x, y, draws)
    formula = jax.jit(jax.vmap(jax.value_and_grad(penalised), (None, 0, None, None)))
    expected_loss, expected_gradient = jax.device_get(formula(w, SIZES, x, y))
    learned = np.asarray(learn(key, SIZES, x, y, draws))
    ridge = ridge_weights(x, y, SIZES)
    run.figure("ridge", drawings.draw_ridge(SIZES, seen_loss, expected_loss, learned, partial(ridge_weights, x, y)))
    difference = np.linalg.norm(seen_gradient - expected_gradient, axis=1)
    return {
        "loss_error": float(np.max(np.abs(seen_loss / expected_loss - 1))),
        "gradient_error": float(np.max(difference / np.linalg.norm(expected_gradient, axis=1))),
        "weights_error": float(np.max(np.linalg.norm(learned - ridge, axis=1) / np.linalg.norm(ridge, axis=1))),
    }


def diabetes() -> tuple[np.ndarray, np.ndarray]:
    """Return features ``[N, D]`` and target ``[N]``, each of mean 0 and variance 1."""
    x, y = load_diabetes(return_X_y=True, scaled=False)
    standard = ((values - values.mean(0)) / values.std(0) for values in (x, y))
    return tuple(values.astype(np.float32) for values in standard)


def noisy(w: Array, key: Key, s: Array, x: Array, y: Array) -> Array:
    """Return the mean squared error of a linear model with noise at its input."""
    return losses.mean_squared_error(noise.gaussian_noise(key, x, s) @ w, y)


def penalised(w: Array, s: Array, x: Array, y: Array) -> Array:
    """Return the mean squared error and its penalty."""
    return losses.mean_squared_error(x @ w, y) + s**2 * jnp.sum(w**2)


def average(key: Key, sizes: Array, w: Array, x: Array, y: Array, draws: int) -> tuple[np.ndarray, np.ndarray]:
    """Return loss ``[S]`` and gradient ``[S, D]`` averaged over draws of the noise, the same for each size."""

    def one(total: tuple, number: Array) -> tuple:
        drawn = jax.random.fold_in(key, number)
        values = jax.vmap(jax.value_and_grad(noisy), (None, None, 0, None, None))(w, drawn, sizes, x, y)
        return jax.tree.map(jnp.add, total, values), None

    zeros = jnp.zeros(sizes.shape), jnp.zeros((sizes.size, w.size))
    total, _ = jax.jit(lambda: jax.lax.scan(one, zeros, jnp.arange(draws)))()
    return jax.tree.map(lambda value: np.asarray(value) / draws, total)


def learn(key: Key, sizes: Array, x: Array, y: Array, steps: int) -> Array:
    """Learn the weights ``[S, D]`` with noise; they are averaged over the second half of the steps."""

    def one(s: Array) -> Array:
        optimizer = optim.sgd(0.1 / (1 + s**2))  # the largest rate falls as the noise steepens the loss
        w = jnp.zeros(x.shape[1])

        def step(carry: tuple, number: Array) -> tuple:
            w, state, mean = carry
            gradient = jax.grad(noisy)(w, jax.random.fold_in(key, number), s, x, y)
            updates, state = optimizer.update(gradient, state)
            w = w + updates
            averaged = optim.averaging.arithmetic(mean, w)
            mean = jax.tree.map(lambda new, old: jnp.where(number < steps // 2, old, new), averaged, mean)
            return (w, state, mean), None

        start = (w, optimizer.init(w), optim.averaging.init(w))
        return jax.lax.scan(step, start, jnp.arange(steps))[0][2].value

    return jax.jit(jax.vmap(one))(sizes)


def ridge_weights(x: np.ndarray, y: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Return the weights of ridge regression of the strength ``N s^2``, ``[S, D]``."""
    return np.stack([Ridge(len(x) * float(s) ** 2, fit_intercept=False).fit(x, y).coef_ for s in sizes])
