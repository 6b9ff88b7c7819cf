"""Snapshots of one run as an ensemble: the minima at the ends of the cycles of the learning rate.

    python -m experiments run snapshot_ensemble

A network with two hidden layers of 64 units learns from 300 of scikit-learn's digits for 60 epochs of Adam: with one
cosine decay of the learning rate, or with six cycles of ten epochs, whose last states are averaged by their predictions
(Huang et al., 2017). Both cost the same. For comparison, six networks from different initializations are averaged, at
six times the cost. 12 seeds; the gains are intervals of the error in the test, single minus ensemble.
"""

from dataclasses import dataclass

import jax
import numpy as np

from experiments.harness.claims import with_interval
from experiments.harness.errors import preparing
from experiments.harness.members import Repeated, apply_members
from experiments.harness.results import means
from experiments.harness.run_folder import Run
from experiments.harness.seeds import init_each
from experiments.regularization import drawings
from jaxdl import data, models, optim, tasks, train
from jaxdl.optim import schedules
from jaxdl.train import ensemble
from jaxdl.typing import Key, PyTree, Schedule

MODEL = models.MLP(hidden_sizes=(64, 64))
RATE, BATCH = 0.01, 50


@dataclass(frozen=True)
class Config(Repeated):
    """Snapshots against a single network and an ensemble."""

    SMOKE = {"seeds": 2, "epochs": 2, "members": 2, "examples": 50}

    seeds: int = 12
    epochs: int = 60
    members: int = 6
    """Cycles, and members of an ensemble; divides the epochs."""
    examples: int = 300
    """Digits in training, of 1,437."""


def run(config: Config, run: Run) -> dict[str, float]:
    """Train with a decay and with cycles, average, compare, draw."""
    with preparing():
        dataset = data.digits()
    arrays = {name: array[: config.examples] for name, array in dataset.train.items()}
    loader = data.Loader(arrays, min(BATCH, config.examples), seed=config.seed)
    steps, cycle = config.epochs * loader.steps_per_epoch, config.epochs // config.members
    x, label = dataset.test["image"], dataset.test["label"]
    keys = jax.random.split(jax.random.key(config.seed), config.seeds * config.members)
    (last,) = learn(config, loader, schedules.cosine_decay(RATE, steps), keys, config.epochs)
    cycles = schedules.cosine_restarts(RATE, cycle * loader.steps_per_epoch)
    snapshots = learn(config, loader, cycles, keys[: config.seeds], cycle)
    independent = np.asarray(apply_members(MODEL, last["params"], x)).reshape(
        config.members, config.seeds, *label.shape, -1
    )
    along = np.stack([np.asarray(apply_members(MODEL, taken["params"], x)) for taken in snapshots])
    errors = {
        "single": wrong(independent[:1], label),
        "last cycle": wrong(along[-1:], label),
        "snapshots": wrong(along, label),
        "independent": wrong(independent, label),
    }
    by_count = {
        name: np.stack([wrong(logits[-count:], label) for count in range(1, len(logits) + 1)], axis=1)
        for name, logits in (("snapshots", along), ("independent", independent[::-1]))
    }
    run.figure("ensembles", drawings.draw_ensembles(errors, by_count))
    result = means(error=errors)
    for name in ("snapshots", "independent"):
        result |= with_interval(f"gain_{name}", errors["single"] - errors[name], (-1, 1))
    return result


def learn(config: Config, loader: data.Loader, rate: Schedule, keys: Key, every: int) -> list[PyTree]:
    """Train a network for each key; return the variables ``[keys, ...]`` after every ``every`` epochs."""
    task, optimizer = tasks.classification(MODEL), optim.adam(rate)

    def create(key: Key) -> train.TrainState:
        return train.TrainState.create(task.init(key, loader.batch(0)), optimizer, key)

    snapshots = ensemble.Snapshots(every)
    step = jax.vmap(train.make_step(task.loss, optimizer), in_axes=(0, None))
    train.fit(step, init_each(create, keys), loader, epochs=config.epochs, hooks=[train.StopAtNonfinite(), snapshots])
    return snapshots.variables


def wrong(logits: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Return the error of the averaged predictions of ``logits [members, seeds, N, 10]``, ``[seeds]``."""
    averaged = np.asarray(ensemble.average_predictions(logits))
    return np.mean(averaged.argmax(axis=-1) != label, axis=-1)
