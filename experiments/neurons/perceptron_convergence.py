"""The perceptron makes at most 1 / delta^2 mistakes on separable points with margin delta.

    python -m experiments run perceptron_convergence

A thousand random sets of points, each separated by a random line with a random margin, are learned by one mapped
program, from weights of zero and with points of length one. Recorded are the mistakes, compared with the bound
1 / delta^2, and the cosine of the angle between the weights and the separating vector, compared with the bound
k delta / sqrt(k) of the proof (Novikoff, 1962).
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from experiments.harness import configuration
from experiments.harness.run_folder import Run
from experiments.neurons import drawings
from jaxdl.models import neurons
from jaxdl.typing import Array, Key

GOAL = {"within_bound": 1000, "cosine_above_bound": 1000}
ROUNDING = 1e-5


@dataclass(frozen=True)
class Config(configuration.Config):
    """Random linearly separable sets."""

    SMOKE = {"sets": 4, "followed": 4}

    sets: int = 1000
    """Number of sets."""
    points: int = 30
    """Points in a set."""
    dimensions: int = 2
    """Dimension of the points."""
    followed: int = 200
    """Number of corrections over which the angle is recorded."""


def run(config: Config, run: Run) -> dict[str, float]:
    """Train on every set and compare with the bounds of the proof."""

    def one(key: Key) -> dict[str, Array]:
        x, labels, w_star = separable_set(key, config.points, config.dimensions)
        bound = neurons.mistake_bound(neurons.signed_points(x, labels, normalize=True), w_star)
        # One mistake more than the bound would be a counterexample.
        learned = neurons.learn_perceptron(x, labels, rule="negated", max_mistakes=jnp.floor(bound) + 1)
        angle = neurons.convergence(x, labels, w_star, config.followed)
        return {"bound": bound, "mistakes": learned.mistakes, "converged": learned.converged, **angle._asdict()}

    found = jax.device_get(jax.jit(jax.vmap(one))(jax.random.split(jax.random.key(config.seed), config.sets)))
    within = found["converged"] & (found["mistakes"] <= found["bound"])
    above = np.all(found["cosine"] >= found["lower_bound"] - ROUNDING, axis=1)
    run.figure("bound", drawings.draw_bound(found))
    run.figure("angle", drawings.draw_angle(found))
    return {
        "sets": config.sets,
        "within_bound": int(np.sum(within)),
        "cosine_above_bound": int(np.sum(above)),
        "most_mistakes": int(np.max(found["mistakes"])),
        "largest_share_of_bound": float(np.max(found["mistakes"] / found["bound"])),
        "median_share_of_bound": float(np.median(found["mistakes"] / found["bound"])),
    }


def separable_set(key: Key, points: int, dimensions: int) -> tuple[Array, Array, Array]:
    """Draw points ``[N, n]``, labels ``[N]`` and the vector ``[n + 1]`` that separates them, the bias first.

    The points are normal ones, moved away from the line by a distance that is drawn from 0.01 to 1 on a log scale.
    """
    line, position, place = jax.random.split(key, 3)
    direction = jax.random.normal(line, (dimensions,))
    direction = direction / jnp.linalg.norm(direction)
    bias, distance = jax.random.uniform(position, (2,), minval=jnp.array([-1.0, -2.0]), maxval=jnp.array([1.0, 0.0]))
    x = jax.random.normal(place, (points, dimensions))
    side = jnp.where(x @ direction + bias >= 0, 1.0, -1.0)
    x = x + (side * 10**distance)[:, None] * direction[None]
    return x, side > 0, jnp.concatenate([bias[None], direction])
