"""Several runs from different starts, trained as one program on the same batches."""

from functools import partial
from typing import Any

import jax

from experiments.harness.errors import preparing
from jaxdl import data, optim, tasks, train, tree
from jaxdl.optim import schedules
from jaxdl.typing import Key, PyTree


def train_members(
    task: tasks.Task,
    arrays: dict[str, Any],
    *,
    members: int,
    epochs: float,
    batch_size: int,
    learning_rate: float,
    seed: int,
) -> tuple[list[PyTree], list[dict[str, Any]]]:
    """Train by Adam, whose rate goes to 0 as a cosine; return the variables of every member, and the mean history."""
    with preparing():
        loader = data.Loader(arrays, batch_size, seed=seed)
    optimizer = optim.adam(schedules.cosine_decay(learning_rate, train.count_steps(epochs, loader.steps_per_epoch)))

    def create(key: Key) -> train.TrainState:
        init_key, run_key = jax.random.split(key)
        return train.TrainState.create(task.init(init_key, loader.batch(0)), optimizer, run_key)

    # One after the other: mapped, the factorisations that make matrices orthogonal may block each other on a CPU.
    states = jax.jit(partial(jax.lax.map, create))(jax.random.split(jax.random.key(seed), members))
    step = jax.vmap(train.make_step(task.loss, optimizer), in_axes=(0, None))
    states, history = train.fit(step, states, loader, epochs=epochs)
    return [tree.take(states.variables, member) for member in range(members)], history
