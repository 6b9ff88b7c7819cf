"""Training in a run folder: resumed where it was stopped, saved, logged, guarded, on one device or many."""

from typing import Any

import jax
import numpy as np
import optax

from experiments.harness.errors import preparing
from experiments.harness.run_folder import Run
from jaxdl import data, tasks, train, tree
from jaxdl.train import parallel


class Interrupted(Exception):
    """The run was asked to stop; what it learned is saved."""


def train_task(
    run: Run,
    task: tasks.Task,
    loader: data.Loader,
    optimizer: optax.GradientTransformation,
    test_arrays: dict[str, Any],
    *,
    epochs: float,
    accumulate: int = 1,
    patience: int | None = None,
    validation: dict[str, Any] | None = None,
) -> tuple[train.TrainState, dict[str, float]]:
    """Train on the loader's batches; return the state at the end (or at its best) and what was measured of it.

    Progress and patience look at the ``validation`` examples where they are given; the result is that of the test.

    The run folder keeps ``metrics.jsonl``, ``checkpoints/``, ``best/`` where there is patience, and
    ``weights.safetensors``.

    Raises:
        UsageError: the folder or the mesh cannot take this run.
        Interrupted: a signal came, and the state was saved.
    """
    mesh = run.mesh
    init_key, run_key = jax.random.split(jax.random.key(run.config["seed"]))
    run.uses_mesh = True
    with preparing():
        state = train.TrainState.create(task.init(init_key, loader.batch(0)), optimizer, run_key)
        if mesh is not None:
            parallel.refuse_remainder(loader.batch_size, parallel.data_devices(mesh))
            state = parallel.place(state, mesh)
        checkpoints = train.Checkpoints(run.directory / "checkpoints", config=run.identity)
        if run.resume and checkpoints.latest() is not None:
            state = checkpoints.restore(state, fallback=True)
            loader.restore(checkpoints.position(int(state.step)))
        checkpoints.prepare(state)
        metrics = train.MetricsFile(run.directory / "metrics.jsonl", step=int(state.step))
        best = train.Checkpoints(run.directory / "best", config=run.identity)
        stopping = train.EarlyStopping("loss", patience=patience, checkpoints=best) if patience else None
        if stopping:
            stopping.replay(metrics.read(metrics.path), like=state)
    step = train.make_step(task.loss, optimizer, accumulate=accumulate, mesh=mesh)
    if run.skip_nonfinite:
        step = train.skip_nonfinite(step)
    evaluation = train.make_evaluation(task.measure, test_arrays, mesh=mesh)
    watched = evaluation if validation is None else train.make_evaluation(task.measure, validation, mesh=mesh)
    save = train.SaveEvery(checkpoints, position=loader.state())
    if stopping and stopping.exhausted:
        epochs = int(state.step) / loader.steps_per_epoch
    with train.ProgressBar(loader.batch_size, run.name) as bar, train.interruptible() as interruption:
        hooks = [train.StopAtNonfinite(), bar, metrics, *filter(None, [stopping]), interruption, save]
        state, history = train.fit(
            step, state, loader, epochs=epochs, evaluate=lambda s: watched(s.variables), hooks=hooks, mesh=mesh
        )
    run.note_times(history)
    if interruption and int(state.step) < epochs * loader.steps_per_epoch:
        raise Interrupted(f"{interruption.signal}: saved at step {int(state.step)}; --resume goes on from there")
    if stopping and stopping.best_state is not None:
        state = stopping.best_state
    train.weights.save(run.directory / "weights.safetensors", state.variables)
    result = {"step": int(state.step), "parameters": tree.size(state.params)}
    if run.skip_nonfinite:
        result["skipped"] = count_skipped(metrics.read(metrics.path))
    return state, {**evaluation(state.variables), **result}


def count_skipped(rows: list[dict[str, Any]]) -> int:
    """Count the steps that were left out, from the mean of each stretch."""
    steps = np.diff([0, *(row["step"] for row in rows)])
    return round(float(sum(count * row["train/skipped"] for count, row in zip(steps, rows, strict=True))))
