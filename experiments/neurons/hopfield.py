"""Hopfield networks: digits recalled from halves and noise, the capacity of Hebb's rule, and attention as a memory.

    python -m experiments run hopfield

One scanned digit of every class, 8 x 8 pixels of -1 and +1, is stored by Hebb's rule, by the pseudo-inverse, and as the
memories of the continuous network, whose update is attention. Cues are the digits with one of four halves white, or
with 15 % of the pixels changed. Random patterns show the capacity: with Hebb's rule the load at which the overlap of
the recalled pattern with the stored one falls through 0.7 (0.138 in theory), with attention the largest number of
patterns, a power of 2, of which 95 % are retrieved in one update after an eighth of their bits has changed. Goals: a
load within 0.01 of the theory, and a number that grows by at least e^(D / 4).
"""

from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from experiments.harness import configuration
from experiments.harness.errors import preparing
from experiments.harness.run_folder import Run
from experiments.neurons import drawings
from jaxdl import data
from jaxdl.models import neurons
from jaxdl.typing import Array, Key

GOAL = {"capacity_error": 0.01, "growth": 0.25, "pseudo_inverse_noise": 0.95, "attention_half": 0.95}
THEORY, MIDDLE, BETA, NOISE = 0.138, 0.7, 1.0, 0.15
LOADS = np.round(np.arange(0.09, 0.19, 0.01), 2)
CUES = ("half", "noise")


@dataclass(frozen=True)
class Config(configuration.Config):
    """Digits and random patterns in Hopfield networks."""

    SMOKE = {"seeds": 2, "units": 16, "recalled": 2, "sweeps": 2, "dimensions": (8, 16), "most": 2, "trials": 2}

    seeds: int = 4
    """Sets of random patterns."""
    units: int = 1000
    """Units of the network whose capacity is measured."""
    recalled: int = 50
    """Patterns of each set that are recalled."""
    sweeps: int = 30
    """Updates of every unit."""
    dimensions: tuple[int, ...] = (8, 16, 24, 32)
    """Dimensions of the patterns in continuous networks, multiples of 8."""
    most: int = 2**15
    """Largest number of patterns in continuous networks."""
    trials: int = 20
    """Noisy cues of each digit."""

    def __post_init__(self) -> None:
        super().__post_init__()
        multiples = all(size % 8 == 0 for size in self.dimensions)
        configuration.require(multiples, "dimensions", "multiples of 8", self.dimensions)


def run(config: Config, run: Run) -> dict[str, float]:
    """Recall digits, measure both capacities, draw."""
    with preparing():
        digits = stored_digits()
    key = jax.random.key(config.seed)
    cues = make_cues(np.random.default_rng(config.seed), digits, config.trials)
    found = jax.device_get(recall_digits(key, digits, cues))
    exact = {
        f"{name}_{cue}": float(np.mean(np.all(states == digits, axis=-1)))
        for name, by_cue in found.items()
        for cue, states in by_cue.items()
    }
    overlaps = np.asarray(overlap_by_load(config, jax.random.split(key, config.seeds)))
    most = {size: retrieved(config, size) for size in config.dimensions}
    capacity = crossing(LOADS, overlaps.mean(axis=0))
    run.figure("digits", drawings.draw_recall(digits, cues, found))
    run.figure("capacity", drawings.draw_capacity(LOADS, overlaps, THEORY, MIDDLE, most))
    growth = np.polyfit(list(most), np.log([np.mean(count) for count in most.values()]), 1)[0]
    return {
        "capacity": capacity,
        "capacity_error": abs(capacity - THEORY),
        "growth": float(growth),
        **exact,
        **{f"attention_patterns_{size}": float(np.mean(count)) for size, count in most.items()},
    }


def stored_digits() -> np.ndarray:
    """Return the first digit of every class as -1 and +1, ``[10, 64]``; ink is +1."""
    part = data.digits().train
    first = [int(np.argmax(part["label"] == digit)) for digit in range(10)]
    return np.where(part["image"][first].reshape(10, -1) > 0.5, 1, -1).astype(np.float32)


def make_cues(random: np.random.Generator, digits: np.ndarray, trials: int) -> dict[str, np.ndarray]:
    """Return the digits with a white half, ``[4, 10, 64]``, and with noise, ``[trials, 10, 64]``."""
    row, column = np.divmod(np.arange(64), 8)
    shown = np.stack([row < 4, row >= 4, column < 4, column >= 4])[:, None]
    flips = np.where(random.random((trials, *digits.shape)) < NOISE, -1, 1)
    return {"half": np.where(shown, digits, np.float32(-1)), "noise": (flips * digits).astype(np.float32)}


@jax.jit
def recall_digits(key: Key, digits: Array, cues: dict[str, Array]) -> dict[str, dict[str, Array]]:
    """Recall the digits from all cues by the three networks."""
    stored = {"hebb": neurons.hebbian_weights(digits), "pseudo_inverse": neurons.pseudo_inverse_weights(digits)}
    found = {
        name: {cue: neurons.recall(key, weights, states) for cue, states in cues.items()}
        for name, weights in stored.items()
    }
    attend = jax.vmap(lambda states: jnp.sign(neurons.retrieve(digits, states, BETA)))
    return found | {"attention": {cue: attend(states) for cue, states in cues.items()}}


@partial(jax.jit, static_argnums=0)
def overlap_by_load(config: Config, keys: Key) -> Array:
    """Return the mean overlap ``|s x| / N`` of recalled patterns with stored ones, ``[seeds, loads]``."""
    units, most = config.units, int(np.ceil(LOADS[-1] * config.units))

    def measure(inputs: tuple[Key, Array]) -> Array:
        key, load = inputs
        pattern_key, order_key = jax.random.split(key)
        patterns = jax.random.rademacher(pattern_key, (most, units), jnp.float32)
        stored = jnp.where(jnp.arange(most)[:, None] < jnp.round(load * units), patterns, 0)
        cues = patterns[: config.recalled]
        recalled = neurons.recall(order_key, neurons.hebbian_weights(stored), cues, sweeps=config.sweeps)
        return jnp.mean(jnp.abs(jnp.sum(recalled * cues, axis=1))) / units

    pairs = jnp.repeat(keys, len(LOADS)), jnp.tile(jnp.asarray(LOADS), len(keys))
    return jax.lax.map(measure, pairs).reshape(len(keys), len(LOADS))


def retrieved(config: Config, size: int) -> np.ndarray:
    """Return the largest number of patterns that attention retrieves, ``[seeds]``; 1 where it is less than two."""

    @partial(jax.jit, static_argnums=1)
    def share(keys: Key, count: int) -> Array:
        def of_seed(key: Key) -> Array:
            patterns = jax.random.rademacher(key, (count, size), jnp.float32)
            queries = patterns[:100].at[:, : size // 8].multiply(-1)
            return jnp.mean(jnp.all(jnp.sign(neurons.retrieve(patterns, queries, 4.0)) == patterns[:100], axis=1))

        return jax.lax.map(of_seed, keys)

    keys = jax.random.split(jax.random.key(config.seed), config.seeds)
    most, holds = np.ones(config.seeds), np.ones(config.seeds, bool)
    count = 2
    while holds.any() and count <= config.most:
        holds &= np.asarray(share(keys, count)) >= 0.95
        most, count = np.where(holds, count, most), 2 * count
    return most


def crossing(loads: np.ndarray, overlaps: np.ndarray) -> float:
    """Return the load at which a curve of overlaps first falls through 0.7; the last one if it does not.

    >>> crossing(np.array([0.1, 0.2, 0.3]), np.array([1.0, 0.8, 0.6])).round(3)
    0.25
    """
    below = np.flatnonzero(overlaps < MIDDLE)
    if not below.size:
        return float(loads[-1])
    i = max(1, int(below[0]))
    return np.interp(MIDDLE, overlaps[[i, i - 1]], loads[[i, i - 1]])
