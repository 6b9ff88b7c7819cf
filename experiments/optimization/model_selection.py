"""Choosing settings by a validation set: a search for the rate alone against random search over five settings.

    python -m experiments run model_selection

A network with 16 tanh units learns from 100 of the 569 patients of scikit-learn's table of breast cancer by 300 steps
of gradient descent; 200 validate, the others test, in 12 random splits. Both searches have the same budget of runs. The
first refines a logarithmic grid of learning rates, with the other settings at their defaults; the second draws rate,
momentum, L2 penalty, dropout and the scale of the initialization at once. The curves show the loss in the test of the
best trial of validation after every trial, and how much lower its loss of validation is: the best of many is chosen for
being low, and only a test set that chose nothing shows the truth.
"""

from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.harness import configuration
from experiments.harness.claims import with_interval
from experiments.harness.errors import preparing
from experiments.harness.optimization.patients import Split, split_patients
from experiments.harness.run_folder import Run
from experiments.optimization import drawings
from jaxdl import losses, nn, optim
from jaxdl.optim import search, trials
from jaxdl.typing import Array, Key, PyTree

HIDDEN, LEARNED, VALIDATED = 16, 100, 200
SPACE = {
    "learning_rate": trials.LogUniform(1e-3, 3.0),
    "momentum": trials.Uniform(0.0, 0.95),
    "l2": trials.LogUniform(1e-5, 0.3),
    "dropout": trials.Uniform(0.0, 0.7),
    "scale": trials.LogUniform(0.1, 3.0),
}
DEFAULT = {"momentum": 0.0, "l2": 0.0, "dropout": 0.0, "scale": 1.0}


@dataclass(frozen=True)
class Config(configuration.Config):
    """Two searches with one budget."""

    SMOKE = {"splits": 2, "steps": 2, "levels": 1, "points": 4}
    LEAST = {"splits": 2, "points": 2}

    splits: int = 12
    """Random splits of the patients."""
    points: int = 16
    """Learning rates of a grid."""
    levels: int = 2
    """Grids, each finer than the one before; the budget of both searches is points times levels."""
    steps: int = 300
    """Steps of gradient descent on all training examples."""


def run(config: Config, run: Run) -> dict[str, float]:
    """Search in both ways on every split, measure, draw."""
    with preparing():
        splits = split_patients(config.seed, config.splits, LEARNED, VALIDATED)
    splits = {name: (x, 1 - malignant) for name, (x, malignant) in splits.items()}
    keys = jax.random.split(jax.random.key(config.seed), config.splits)
    found = jax.device_get(jax.jit(jax.vmap(partial(search_both, config)))(keys, splits))
    curves = {name: best_so_far(*values) for name, values in found.items()}
    run.figure("budget", drawings.draw_budget(curves))
    result = {}
    for name, (validation, test) in curves.items():
        word = name.replace(" ", "_")
        result |= with_interval(f"{word}_test_loss", test[:, -1], (0, np.inf))
        result[f"{word}_optimism"] = float(np.mean(test[:, -1] - validation[:, -1]))
    gain = curves["rate alone"][1][:, -1] - curves["random search"][1][:, -1]
    return result | with_interval("random_search_gain", gain)


def search_both(config: Config, key: Key, split: Split) -> dict[str, tuple[Array, Array]]:
    """Return the losses of validation and test of all trials, ``[trials]``, in both searches."""
    search_key, run_key = jax.random.split(key)
    try_settings, rates = partial(learn, config, run_key, split), SPACE["learning_rate"]

    def try_rate(rate: Array) -> Array:
        return try_settings({**DEFAULT, "learning_rate": rate})[0]

    alone = search.refine(try_rate, rates.low, rates.high, config.points, config.levels)
    count = config.points * config.levels
    at_once = trials.random_search(search_key, lambda settings: try_settings(settings)[0], SPACE, count)
    default = {name: jnp.full(count, value) for name, value in DEFAULT.items()}
    chosen = {"rate alone": {**default, "learning_rate": alone.learning_rates}, "random search": at_once.settings}
    return {name: jax.vmap(try_settings)(settings) for name, settings in chosen.items()}


def learn(config: Config, key: Key, split: Split, settings: dict[str, Array]) -> tuple[Array, Array]:
    """Train with the settings; return the losses of validation and test."""
    init_key, dropout_key = jax.random.split(key)
    keys = jax.random.split(init_key)
    params = {
        "hidden": {"kernel": jax.random.normal(keys[0], (30, HIDDEN)) / 30**0.5, "bias": jnp.zeros(HIDDEN)},
        "output": {"kernel": jax.random.normal(keys[1], (HIDDEN, 1)) / HIDDEN**0.5, "bias": jnp.zeros(1)},
    }
    params = jax.tree.map(lambda leaf: settings["scale"] * leaf, params)

    def loss(params: PyTree, part: str, key: Key | None = None) -> Array:
        x, y = split[part]
        h = nn.tanh(nn.linear(x, **params["hidden"]))
        h = h if key is None else nn.dropout(key, h, settings["dropout"])
        return losses.binary_cross_entropy(nn.linear(h, **params["output"])[:, 0], y)

    optimizer = optax.chain(
        optim.add_decayed_weights(settings["l2"], "kernel$"),
        optim.momentum(settings["learning_rate"], settings["momentum"]),
    )

    def step(carry: tuple, key: Key) -> tuple:
        params, state = carry
        updates, state = optimizer.update(jax.grad(loss)(params, "train", key), state, params)
        return (optax.apply_updates(params, updates), state), None

    (params, _), _ = jax.lax.scan(step, (params, optimizer.init(params)), jax.random.split(dropout_key, config.steps))
    return loss(params, "validation"), loss(params, "test")


def best_so_far(validation: np.ndarray, test: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the losses ``[splits, trials]`` of the best trial of validation up to each trial.

    >>> [part.tolist() for part in best_so_far(np.array([[3.0, 1.0, 2.0]]), np.array([[4.0, 6.0, 5.0]]))]
    [[[3.0, 1.0, 1.0]], [[4.0, 6.0, 6.0]]]
    """
    validation = np.nan_to_num(validation, nan=np.inf)
    is_best = validation <= np.minimum.accumulate(validation, axis=1)
    best = np.maximum.accumulate(np.where(is_best, np.arange(validation.shape[1]), 0), axis=1)
    return np.take_along_axis(validation, best, axis=1), np.take_along_axis(test, best, axis=1)
