"""A small run with batch statistics, momentum and shuffled batches, for tests on several devices."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax.sharding import PartitionSpec

from jaxdl import data, metrics, optim, tasks, train
from jaxdl.nn.normalization import BatchNorm
from jaxdl.train import parallel

STEPS = 10
BATCH = 16
TENSOR_PARALLEL = parallel.by_path(
    [
        ("up/kernel$", PartitionSpec(None, "model")),
        ("(up/bias|norm/.*)$", PartitionSpec("model")),
        ("down/kernel$", PartitionSpec("model")),
    ]
)


class Normalised(nn.Module):
    """Two products with batch normalisation between them, and every dimension a multiple of eight."""

    axis_name: str | None = None

    @nn.compact
    def __call__(self, x, train=False):
        x = nn.Dense(16, name="up")(x)
        x = BatchNorm(axis_name=self.axis_name, name="norm")(x, train=train)
        return nn.Dense(8, name="down")(nn.relu(x))


def make_loader(batch_size=BATCH, size=80, **kwargs):
    """Make a loader of five batches an epoch, so that `STEPS` are two chunks of one length and one program."""
    generator = np.random.default_rng(0)
    x = generator.normal(size=(size, 8)).astype(np.float32)
    return data.Loader({"image": x, "label": np.argmax(x, axis=1).astype(np.int32)}, batch_size, seed=1, **kwargs)


@functools.cache
def make_run(axis_name=None):
    """Make task, step, state and loader; copy the state before training, which donates it."""
    loader = make_loader()
    task = tasks.classification(Normalised(axis_name))
    optimizer = optim.momentum(0.1, 0.9)

    @jax.jit  # one program instead of one for each operation
    def create(batch):
        return train.TrainState.create(task.init(jax.random.key(0), batch), optimizer, jax.random.key(1))

    return task, train.make_step(task.loss, optimizer, axis_name=axis_name), create(loader.batch(0)), loader


def train_ten(step, state, loader, **kwargs):
    """Train for ten steps on a copy of the state."""
    return train.fit(step, jax.tree.map(jnp.copy, state), loader, epochs=STEPS / loader.steps_per_epoch, **kwargs)


@functools.cache
def alone():
    """Return the state after ten steps on one device, and the history."""
    _, step, state, loader = make_run()
    return train_ten(step, state, loader)


def numbers(state):
    """Return a state on the host without its key, which never changes."""
    return jax.device_get(state.replace(key=None))


def assert_close(a, b, tolerance=1e-6):
    chex.assert_trees_all_close(numbers(a), numbers(b), rtol=0, atol=tolerance)


def linear(axis_name, **kwargs):
    """Make a step whose update is the gradient itself, the mean of ``x`` over the unmasked examples."""

    def loss(variables, batch, key):
        mean = metrics.mean(variables["params"]["w"] * batch["x"], batch.get("mask")).value
        return mean, ({}, {"x": mean})

    return train.make_step(loss, optim.sgd(1.0), axis_name=axis_name, **kwargs)


def make_numbers(batch_size, size, **kwargs):
    """Make a loader of scalars for `linear`."""
    x = np.random.default_rng(1).normal(size=size).astype(np.float32)
    return data.Loader({"x": x}, batch_size, seed=1, **kwargs)


def linear_state(w=1.0):
    return train.TrainState.create({"params": {"w": jnp.array(w)}}, optim.sgd(1.0), jax.random.key(0))
