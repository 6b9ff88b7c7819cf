"""Ensembles of runs trained as one program, on the same batches or each on its own examples."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
import optax
from flax import linen

from experiments.harness.configuration import Config, at_least
from experiments.harness.errors import preparing
from experiments.harness.learning import Loss
from experiments.harness.seeds import init_each
from jaxdl import data, optim, tasks, train, tree
from jaxdl.data.batching import permutation
from jaxdl.optim import schedules
from jaxdl.train import ensemble
from jaxdl.train.step import Step
from jaxdl.typing import Key, PyTree

History = list[dict[str, Any]]


@dataclass(frozen=True)
class Repeated(Config):
    """Independent runs, which differ in their random numbers."""

    seeds: int = 16
    """Independent runs of each kind."""
    epochs: int = 20
    """Passes over the training examples."""

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(self, seeds=2, epochs=1)


def train_members(
    task: tasks.Task,
    arrays: dict[str, Any],
    *,
    members: int,
    epochs: float,
    batch_size: int,
    learning_rate: float,
    seed: int,
) -> tuple[list[PyTree], History]:
    """Train with Adam and a cosine decay; return the variables of every member and the mean history."""
    with preparing():
        loader = data.Loader(arrays, batch_size, seed=seed)
    optimizer = optim.adam(schedules.cosine_decay(learning_rate, train.count_steps(epochs, loader.steps_per_epoch)))

    def create(key: Key) -> train.TrainState:
        init_key, run_key = jax.random.split(key)
        return train.TrainState.create(task.init(init_key, loader.batch(0)), optimizer, run_key)

    states = init_each(create, jax.random.split(jax.random.key(seed), members))
    step = jax.vmap(train.make_step(task.loss, optimizer), in_axes=(0, None))
    states, history = train.fit(step, states, loader, epochs=epochs, hooks=[train.StopAtNonfinite()])
    return [tree.take(states.variables, member) for member in range(members)], history


def train_configured(task: tasks.Task, arrays: dict[str, Any], config: Any) -> tuple[list[PyTree], History]:
    """Train members with the settings ``seeds``, ``epochs``, ``batch_size``, ``learning_rate`` and ``seed``."""
    settings = {name: getattr(config, name) for name in ("epochs", "batch_size", "learning_rate", "seed")}
    return train_members(task, arrays, members=config.seeds, **settings)


def predict_members(model: linen.Module, members: list[PyTree], x: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Apply a model of sequences with the variables of every member, ``[members, N, ...]``."""
    predict = jax.jit(model.apply)
    pieces = np.array_split(np.arange(len(x)), -(-len(x) // 1000))
    return np.stack(
        [np.concatenate([predict(member, x[piece], lengths[piece]) for piece in pieces]) for member in members]
    )


def train_on_samples(
    step: Step,
    states: train.TrainState,
    arrays: dict[str, Any],
    samples: np.ndarray,
    *,
    epochs: float,
    batch_size: int,
    seed: int = 0,
    evaluate: Callable[[train.TrainState], dict[str, Any]] | None = None,
) -> tuple[train.TrainState, History]:
    """Train each of the states ``[runs, ...]`` on the examples at its own indices, ``samples [runs, n]``."""
    loader = data.Loader({"index": np.arange(samples.shape[1])}, batch_size, seed=seed)
    step = ensemble.on_samples(step, arrays, samples)
    return train.fit(step, states, loader, epochs=epochs, evaluate=evaluate, hooks=[train.StopAtNonfinite()])


def at_early_stop(history: History, name: str, patience: int) -> dict[str, np.ndarray]:
    """Take the metrics of each run at its best epoch by a metric that is to fall, ``[runs]``, with early stopping.

    A run stops after ``patience`` epochs without a lower value of ``evaluation/<name>``.
    """
    rows = [row for row in history if f"evaluation/{name}" in row]
    chosen = []
    for curve in np.stack([row[f"evaluation/{name}"] for row in rows]).T:
        best = 0
        for epoch, value in enumerate(curve):
            best = epoch if value < curve[best] else best
            if epoch - best >= patience:
                break
        chosen.append(best)
    return {
        metric.removeprefix("evaluation/"): np.array([rows[epoch][metric][run] for run, epoch in enumerate(chosen)])
        for metric in rows[0]
        if metric.startswith("evaluation/")
    }


def train_in_own_orders(
    config: Repeated,
    loss: Loss,
    optimizer: optax.GradientTransformation,
    init: Callable[[Key], PyTree],
    arrays: dict[str, Any],
    *,
    batch_size: int,
    evaluate: Callable[[train.TrainState], dict[str, Any]] | None = None,
) -> tuple[train.TrainState, History]:
    """Train variables ``init(key)`` for every run on all examples, each run in an order of its own."""
    size = len(arrays["label"])
    create = jax.jit(jax.vmap(lambda key: train.TrainState.create(init(key), optimizer, key)))
    return train_on_samples(
        train.make_step(loss, optimizer),
        create(jax.random.split(jax.random.key(config.seed), config.seeds)),
        arrays,
        orders(size, config.seeds, seed=config.seed),
        epochs=config.epochs,
        batch_size=min(batch_size, size),
        seed=config.seed,
        evaluate=evaluate,
    )


def orders(size: int, runs: int, *, seed: int) -> np.ndarray:
    """Return a permutation of all examples for every run, ``[runs, size]``."""
    return np.stack([permutation(size, seed, run) for run in range(runs)])
