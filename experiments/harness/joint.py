"""Runs of a sweep that differ in their learning rate alone, trained as one program.

An update is the learning rate times a direction that does not depend on it, for every optimizer of the experiments. So
member ``i`` learns by the optimizer of the first, whose updates are multiplied by ``rate_i / rate_1``.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import numpy as np
import optax
from rich.console import Console

from jaxdl import data, tasks, train, tree
from jaxdl.train import ensemble
from jaxdl.typing import Array, PyTree

RATE = "optimizer.learning-rate"
"""The flag in which the members differ."""


class Trained(NamedTuple):
    """The members after training: stacked states, the rows of the log, and the metrics, lists with one number each."""

    states: train.TrainState
    history: list[dict[str, Any]]
    measured: dict[str, list[float]]


@dataclass
class Joint:
    """Runs with these learning rates; the first that trains trains all."""

    rates: tuple[float, ...]
    trained: Trained | None = None


class Member(NamedTuple):
    """The place of a run among those that are trained together."""

    joint: Joint
    index: int


def join(combinations: list[dict[str, str]]) -> list[Member | None]:
    """Join the combinations of settings that differ in their learning rate alone; None for one without others.

    >>> found = join([{RATE: "0.1", "seed": "0"}, {RATE: "0.2", "seed": "0"}, {RATE: "0.1", "seed": "1"}])
    >>> [member and (member.joint.rates, member.index) for member in found]
    [((0.1, 0.2), 0), ((0.1, 0.2), 1), None]
    """
    groups: dict[tuple[tuple[str, str], ...], list[int]] = {}
    named = [{name.replace("_", "-"): value for name, value in each.items()} for each in combinations]
    for place, each in enumerate(named):
        groups.setdefault(tuple(item for item in each.items() if item[0] != RATE), []).append(place)
    members: list[Member | None] = [None] * len(named)
    for places in (places for places in groups.values() if len(places) > 1):
        joint = Joint(tuple(float(named[place][RATE]) for place in places))
        for index, place in enumerate(places):
            members[place] = Member(joint, index)
    return members


def scaled(optimizer: optax.GradientTransformation, factor: Array) -> optax.GradientTransformationExtraArgs:
    """Multiply the updates of an optimizer, with its state."""

    def update(updates: PyTree, state: PyTree, params: PyTree = None, **extra: Any) -> tuple[PyTree, PyTree]:
        updates, state = optax.with_extra_args_support(optimizer).update(updates, state, params, **extra)
        return jax.tree.map(lambda leaf: (factor * leaf).astype(leaf.dtype), updates), state

    return optax.GradientTransformationExtraArgs(optimizer.init, update)


def train_together(
    joint: Joint,
    name: str,
    state: train.TrainState,
    task: tasks.Task,
    loader: data.Loader,
    optimizer: optax.GradientTransformation,
    test_arrays: dict[str, Any],
    *,
    index: int,
    epochs: float,
    **options: Any,
) -> Trained:
    """Train all members from one state, with the optimizer of the member ``index``; options are of ``make_step``."""
    factors = np.float32(np.divide(joint.rates, joint.rates[index]))

    def make(factor: Array) -> train.Step:
        return train.make_step(task.loss, scaled(optimizer, factor), **options)

    evaluation = train.make_evaluation(jax.vmap(task.measure, in_axes=(0, None)), test_arrays)
    states, step = ensemble.repeat(state, len(factors)), ensemble.over_settings(make, factors)
    with train.ProgressBar(loader.batch_size, f"{name} x {len(factors)}", console=Console(stderr=True)) as bar:
        states, history = train.fit(step, states, loader, epochs=epochs, evaluate=evaluation, hooks=[bar])
    rates = "train/learning_rate"
    for row in history:  # has that of the optimizer of one member
        row.update({rates: np.multiply(row[rates], factors).tolist()} if rates in row else {})
    return Trained(states, history, evaluation(states.variables))


def take_member(
    trained: Trained, index: int, metrics: train.MetricsFile
) -> tuple[train.TrainState, list[dict[str, Any]], dict[str, float]]:
    """Write the log of one member; return its state, its rows and its metrics.

    Raises:
        NonfiniteError: its loss is not finite.
    """

    def own(row: Mapping[str, Any]) -> dict[str, Any]:
        return {name: value[index] if isinstance(value, list) else value for name, value in row.items()}

    rows = [own(row) for row in trained.history]
    for row in rows:
        if not math.isfinite(row["train/loss"]):
            message = f"expected a finite loss, got {row['train/loss']} up to step {row['step']}; lower --{RATE}"
            raise train.NonfiniteError(message, step=row["step"], metric="loss", leaf=None)
    finite = [{name: value if np.isfinite(value) else None for name, value in row.items()} for row in rows]
    metrics.path.write_text("".join(json.dumps(row) + "\n" for row in finite))
    return tree.take(trained.states, index), rows, own(trained.measured)
