"""The run under stress: a small network with every kind of state, trained by the library's loop."""

import os
import resource
import sys
import warnings
from pathlib import Path

import jax
import numpy as np
from flax import linen

from jaxdl import data, optim, tasks, train
from jaxdl.train.checkpointing import snapshot

EPOCHS = 2
STEPS = 12 * EPOCHS
STEPS_PER_SAVE = 4
FINAL, STARTED, OUTPUT, WEIGHTS = "final.npz", "started", "output.txt", "weights.safetensors"


class Network(linen.Module):
    """A network with parameters, batch statistics and dropout."""

    @linen.compact
    def __call__(self, x, train=False):
        """Map ``[B, 6]`` to ``[B, 3]``."""
        x = linen.BatchNorm(use_running_average=not train, momentum=0.9)(linen.Dense(16)(x))
        return linen.Dense(3)(linen.Dropout(0.2, deterministic=not train)(linen.relu(x)))


def make_arrays() -> dict[str, np.ndarray]:
    """Return the examples."""
    images = np.random.default_rng(0).normal(size=(96, 6)).astype(np.float32)
    return {"image": images, "label": np.argmax(images[:, :3], axis=1).astype(np.int32)}


def make_run() -> tuple[train.Step, train.TrainState, data.Loader]:
    """Return the step, the initial state and the loader."""
    loader = data.Loader(make_arrays(), 8, seed=1)
    task, optimizer = tasks.classification(Network()), optim.momentum(0.1, 0.9)

    @jax.jit  # one program instead of one per operation: the process starts faster
    def create(batch: dict[str, jax.Array]) -> train.TrainState:
        return train.TrainState.create(task.init(jax.random.key(0), batch), optimizer, jax.random.key(1))

    return train.make_step(task.loss, optimizer), create(loader.batch(0)), loader


def checkpoints_of(folder: Path) -> train.Checkpoints:
    """Return the checkpoints of the run in a folder."""
    return train.Checkpoints(folder / "checkpoints", config={"run": "stress", "epochs": EPOCHS})


def train_in(folder: Path, cache: Path, stop_at: int | None = None, full_at: int | None = None) -> None:
    """Start or resume the run in ``folder``, as the main function of a process; write ``final.npz`` at the end.

    Args:
        folder: the folder of the checkpoints.
        cache: the folder of compiled programs.
        stop_at: the step after which a hook stops the run.
        full_at: the step after which files are limited to a hundred bytes, as on a full disk.
    """
    enter_process(folder, cache)
    step, state, loader = make_run()
    checkpoints = checkpoints_of(folder)
    if checkpoints.latest() is not None:
        state = checkpoints.restore(state, fallback=True)
        loader.restore(checkpoints.position())
    checkpoints.prepare(state)

    def disturb(report: train.Report) -> train.Stop | None:
        if report.step == full_at:
            resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
        return train.STOP if report.step == stop_at else None

    save = train.SaveEvery(checkpoints, STEPS_PER_SAVE / loader.steps_per_epoch, position=loader.state())
    with train.interruptible() as interruption:
        (folder / STARTED).touch()
        hooks = [train.StopAtNonfinite(), interruption, save, disturb]
        if int(state.step) < STEPS:
            state, _ = train.fit(step, state, loader, epochs=EPOCHS, report_every=STEPS_PER_SAVE, hooks=hooks)
    if int(state.step) == STEPS:
        train.weights.save(folder / WEIGHTS, state.variables)
        write_final(folder, state, checkpoints.position())


def enter_process(folder: Path, cache: Path) -> None:
    """Write the output of this process to a file in ``folder``, and use one CPU and a cache of compiled programs."""
    with (folder / OUTPUT).open("a") as output:
        os.dup2(output.fileno(), sys.stdout.fileno())
        os.dup2(output.fileno(), sys.stderr.fileno())
    os.environ.pop("XLA_FLAGS", None)  # one device starts faster than several simulated ones
    warnings.simplefilter("always")
    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_compilation_cache_dir", str(cache))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


def write_final(folder: Path, state: train.TrainState, position: dict[str, int]) -> None:
    """Write the leaves of the state and the position as plain arrays, without the code under test."""
    leaves = {name: np.asarray(leaf) for name, leaf in snapshot.storable(state).items()}
    partial = folder / "final.partial.npz"
    np.savez(partial, **leaves, **{f"position/{name}": np.int64(value) for name, value in position.items()})
    partial.rename(folder / FINAL)


def differences(folder: Path, reference: Path) -> list[str]:
    """Return the names of the leaves and positions that differ between two runs."""
    ours, theirs = dict(np.load(folder / FINAL)), dict(np.load(reference / FINAL))
    shared = sorted(ours.keys() & theirs.keys())
    different = [name for name in shared if ours[name].tobytes() != theirs[name].tobytes()]
    return [*different, *(ours.keys() ^ theirs.keys())]
