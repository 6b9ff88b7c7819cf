"""Two players on points of the plane: data, networks, training of many runs as one program, and what is measured."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax

from jaxdl import models, tasks, train
from jaxdl.train import Metrics
from jaxdl.typing import Array, Batch, Key, PyTree

LATENT = 2
"""Elements of the latent vectors."""
MODES, RADIUS, DEVIATION = 8, 2.0, 0.1
"""Gaussians on a ring."""


def networks(hidden_sizes: tuple[int, ...], outputs: int) -> dict[str, models.MLP]:
    """Make a generator of ``outputs`` numbers, and a discriminator with leaky ReLU."""
    return {
        "generator": models.MLP(hidden_sizes, outputs, activation="relu"),
        "discriminator": models.MLP(hidden_sizes, 1, activation=leaky),
    }


def leaky(x: Array) -> Array:
    """Apply leaky ReLU with a slope of 0.2."""
    return jax.nn.leaky_relu(x, 0.2)


def ring_centres() -> Array:
    """Return the centres of the Gaussians, ``[MODES, 2]``."""
    angles = 2 * jnp.pi * jnp.arange(MODES) / MODES
    return RADIUS * jnp.stack([jnp.cos(angles), jnp.sin(angles)], axis=-1)


def draw_ring(key: Key, count: int) -> Array:
    """Draw points of the ring, ``[count, 2]``."""
    mode_key, noise_key = jax.random.split(key)
    modes = jax.random.randint(mode_key, (count,), 0, MODES)
    return ring_centres()[modes] + DEVIATION * jax.random.normal(noise_key, (count, 2))


def nearest_modes(x: Array) -> tuple[Array, Array]:
    """Return the nearest mode of points ``[N, 2]``, and whether they are within three deviations of its centre."""
    distances = jnp.linalg.norm(x[:, None] - ring_centres()[None], axis=-1)
    return jnp.argmin(distances, axis=-1), jnp.min(distances, axis=-1) < 3 * DEVIATION


def coverage(x: Array) -> Metrics:
    """Return the number of modes with at least a fifth of their share of the points, and the share of near points."""
    modes, near = nearest_modes(x)
    counts = jnp.zeros(MODES).at[modes].add(near)
    return {"modes": jnp.sum(counts >= len(x) / MODES / 5), "near": jnp.mean(near)}


def play(
    game: tasks.Game,
    optimizers: Mapping[str, optax.GradientTransformation],
    sample: Callable[[Key], Batch],
    steps: int,
    key: Key,
    *,
    updates: Mapping[str, int] | None = None,
    simultaneous: bool = False,
    follow: Callable[[PyTree], Metrics] = lambda variables: {},
    every: int = 1,
) -> tuple[PyTree, Metrics]:
    """Train on new examples in every step; return the variables and the metrics ``[steps / every]``.

    ``follow(variables)`` gives further metrics, before every ``every``-th step.
    """
    init_key, data_key, run_key = jax.random.split(key, 3)
    variables = game.init(init_key, sample(data_key))
    state = train.TrainState.create(variables, train.combine_optimizers(optimizers), run_key)
    if simultaneous:
        step = train.make_simultaneous_step(game.losses, optimizers)
    else:
        step = train.make_alternating_step(game.losses, optimizers, updates=updates)

    def chunk(state: train.TrainState, keys: Any) -> tuple[train.TrainState, Metrics]:
        followed = follow(state.variables)
        state, metrics = jax.lax.scan(lambda state, key: step(state, sample(key)), state, keys)
        return state, {**jax.tree.map(lambda metric: metric[0], metrics), **followed}

    keys = jax.random.split(data_key, (max(1, steps // every), every))
    state, metrics = jax.lax.scan(chunk, state, keys)
    return state.variables, metrics


def generate(generator: Any, variables: PyTree, key: Key, count: int) -> Array:
    """Generate examples in evaluation, ``[count, ...]``."""
    z = jax.random.normal(key, (count, LATENT))
    return generator.apply(tasks.player_variables(variables, "generator"), z)
