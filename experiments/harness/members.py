"""Ensembles of runs trained as one program, on the same batches or each on its own examples."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen

from experiments.harness.configuration import Config
from experiments.harness.errors import preparing
from experiments.harness.learning import Loss
from experiments.harness.seeds import init_each
from jaxdl import data, losses, metrics, optim, tasks, train, tree
from jaxdl.data.batching import permutation
from jaxdl.optim import schedules
from jaxdl.train import ensemble
from jaxdl.train.step import Step
from jaxdl.typing import Array, Key, PyTree

History = list[dict[str, Any]]


@dataclass(frozen=True)
class Repeated(Config):
    """Independent runs, which differ in their random numbers."""

    LEAST: ClassVar[dict[str, int]] = {"seeds": 2, "epochs": 1}

    seeds: int = 16
    """Independent runs of each kind."""
    epochs: int = 20
    """Passes over the training examples."""


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
    variables = jax.device_get(states.variables)
    return [tree.take(variables, member) for member in range(members)], history


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


@partial(jax.jit, static_argnums=0)
def apply_members(model: linen.Module, params: PyTree, x: Array) -> Array:
    """Apply a model with the parameters of every run, ``[runs, N, ...]``."""
    return jax.vmap(lambda params: model.apply({"params": params}, x))(params)


@partial(jax.jit, static_argnums=0)
def predict_probabilities(model: linen.Module, params: PyTree, x: Array) -> Array:
    """Return the probabilities of the classes by the parameters of every run, ``[runs, N, K]``."""
    return jax.nn.softmax(apply_members(model, params, x))


def measure_splits(logits: Array, labels: Array, order: Array, *, splits: dict[str, slice]) -> dict[str, Array]:
    """Measure ``{split}_error`` and ``{split}_loss`` ``[runs]`` of logits ``[runs, N, K]``.

    The splits are parts of the examples in the order of each run, ``[runs, N]``.
    """
    labels = jnp.broadcast_to(labels, logits.shape[:2])
    values = {
        "error": 1 - metrics.correct(logits, labels),
        "loss": losses.cross_entropy(logits, labels, reduction="none"),
    }
    ordered = {name: jnp.take_along_axis(value, order, axis=1) for name, value in values.items()}
    return {
        f"{split}_{name}": jnp.mean(value[:, places], axis=1)
        for name, value in ordered.items()
        for split, places in splits.items()
    }


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


def evaluations(history: History, name: str) -> np.ndarray:
    """Return a metric of every evaluation, ``[evaluations, ...]``."""
    return np.stack([row[f"evaluation/{name}"] for row in history if f"evaluation/{name}" in row])


def at_early_stop(history: History, name: str, patience: int) -> dict[str, np.ndarray]:
    """Take the metrics of each run at its best epoch by a metric that is to fall, ``[runs]``, with early stopping.

    A run stops after ``patience`` epochs without a lower value of ``evaluation/<name>``.
    """
    rows = [row for row in history if f"evaluation/{name}" in row]
    chosen = []
    for values in evaluations(history, name).T:
        best = 0
        for epoch, value in enumerate(values):
            best = epoch if value < values[best] else best
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


def train_and_test(
    config: Repeated,
    task: tasks.Task,
    optimizer: optax.GradientTransformation,
    examples: dict[str, Any],
    test: dict[str, Any],
    *,
    batch_size: int,
) -> tuple[train.TrainState, np.ndarray]:
    """Train every run in its own order; return the states, and the accuracies after each epoch, ``[epochs, runs]``."""
    first = tree.take(examples, slice(1))
    measure = jax.jit(jax.vmap(lambda variables: task.measure(variables, test)["accuracy"].value))
    state, history = train_in_own_orders(
        config,
        task.loss,
        optimizer,
        lambda key: task.init(key, first),
        examples,
        batch_size=batch_size,
        evaluate=lambda state: {"accuracy": np.asarray(measure(state.variables))},
    )
    return state, evaluations(history, "accuracy")


def simulate_averages(generator: np.random.Generator, draws: int, correlation: float, members: int) -> np.ndarray:
    """Average errors of variance 1 and a given correlation; return the mean squares for 1 to ``members`` of them.

    >>> simulate_averages(np.random.default_rng(0), 20_000, 1.0, 2).round(1).tolist()
    [1.0, 1.0]
    """
    common, own = generator.normal(size=(draws, 1)), generator.normal(size=(draws, members))
    errors = np.sqrt(correlation) * common + np.sqrt(1 - correlation) * own
    return np.square(np.cumsum(errors, axis=1) / np.arange(1, members + 1)).mean(0)


def balanced_order(seed: int | np.random.Generator, label: np.ndarray) -> np.ndarray:
    """Return a random order of labelled examples in which the classes alternate, so that every prefix is balanced.

    >>> label = np.array([0, 0, 0, 1, 1, 1])
    >>> label[balanced_order(0, label)].reshape(3, 2).sum(axis=1).tolist()
    [1, 1, 1]
    """
    order = np.random.default_rng(seed).permutation(len(label))
    turn = np.empty(len(label), int)
    for name in np.unique(label):
        own = label[order] == name
        turn[own] = np.arange(own.sum())
    return order[np.argsort(turn, kind="stable")]


def orders(size: int, runs: int, *, seed: int) -> np.ndarray:
    """Return a permutation of all examples for every run, ``[runs, size]``."""
    return np.stack([permutation(size, seed, run) for run in range(runs)])
