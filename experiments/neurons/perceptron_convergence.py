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
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from experiments.harness import configuration
from experiments.harness.figures import COLOURS
from experiments.harness.run_folder import Run
from jaxdl.models import neurons
from jaxdl.typing import Array, Key

GOAL = {"within_bound": 1000, "cosine_above_bound": 1000}
ROUNDING = 1e-5


@dataclass(frozen=True)
class Config(configuration.Config):
    """Random linearly separable sets."""

    SMOKE = {"sets": 4, "followed": 4}
    LEAST = {"sets": 1, "points": 1, "dimensions": 1, "followed": 1}

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
    run.figure("bound", draw_bound(found))
    run.figure("angle", draw_angle(found))
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


def draw_bound(found: dict[str, np.ndarray]) -> Figure:
    """Draw each set's mistakes over its bound."""
    figure, axis = plt.subplots(figsize=(5.2, 4))
    ends = np.array([1, found["bound"].max()])
    axis.fill_between(ends, ends, 10 * ends[1], color=COLOURS[1], alpha=0.12, linewidth=0)
    axis.plot(ends, ends, color=COLOURS[1], label="the bound")
    axis.scatter(found["bound"], found["mistakes"], s=7, alpha=0.5, label="a set")
    axis.set(xscale="log", yscale="log", xlabel=r"bound, $1 / \delta^2$", ylabel="mistakes until all points are right")
    axis.set(xlim=ends, ylim=(0.7, 1.5 * ends[1]), title=f"Mistakes on {len(found['bound']):,} separable sets")
    axis.legend(loc="upper left", frameon=False)
    return figure


def draw_angle(found: dict[str, np.ndarray]) -> Figure:
    """Draw the cosine and its bound for the sets that took longest, up to their last correction."""
    figure, axis = plt.subplots(figsize=(5.2, 4))
    longest = np.argsort(found["mistakes"])[::-1][:4]
    for number, colour in zip(longest, COLOURS, strict=False):
        k = np.arange(1, min(int(found["mistakes"][number]), found["cosine"].shape[1]) + 1)
        axis.plot(k, found["cosine"][number][: len(k)], color=colour, linewidth=1.2)
        axis.plot(k, found["lower_bound"][number][: len(k)], "--", color=colour, linewidth=1)
    axis.plot([], [], color="black", label=r"$\cos\beta$")
    axis.plot([], [], "--", color="black", label=r"its bound, $k \delta / \sqrt{k}$")
    axis.set(xlabel="corrections, $k$", ylabel=r"cosine of the angle to $w^*$", ylim=(0, 1.05), xscale="log")
    axis.set_title("The four sets with most mistakes")
    axis.legend(frameon=False, loc="center right")
    return figure
