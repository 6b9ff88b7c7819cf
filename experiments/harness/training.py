"""Training in a run folder: resumed, saved, logged and guarded, on one device or several."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
import optax
from jax.experimental import multihost_utils
from rich.console import Console

from experiments.harness import joint
from experiments.harness.errors import UsageError, preparing
from experiments.harness.run_folder import Run
from jaxdl import data, tasks, train, tree
from jaxdl.train import parallel
from jaxdl.train.parallel import consistency, distributed


class Interrupted(Exception):
    """A signal stopped the run, whose state is saved."""


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
    hooks: Sequence[train.Hook] = (),
    together: bool = False,
) -> tuple[train.TrainState, dict[str, float]]:
    """Train on the loader's batches; return the last (or the best) state and its metrics on the test examples.

    Progress and patience use the ``validation`` examples if there are any. The run folder keeps ``metrics.jsonl``,
    ``checkpoints/``, ``best/`` with patience, and ``weights.safetensors``. Each of several processes has its own; the
    checkpoints are those of process 0. ``hooks`` are called with every report. With ``together`` the runs of a sweep
    over the learning rate, on which nothing but the optimizer may depend, are one program.

    Raises:
        UsageError: the folder or the mesh does not suit this run, or the processes differ.
        Interrupted: a signal arrived, and the state was saved.
    """
    mesh = run.mesh
    run.uses_mesh = True
    run.uses_precision = True
    with preparing():
        step = train.make_step(task.loss, optimizer, accumulate=accumulate, mesh=mesh, precision=run.precision)
        start = prepare(run, task, loader, optimizer, patience, step)
    joined = run.member if together and patience is None and not (mesh or hooks or run.skip_nonfinite) else None
    if joined is not None and int(start.state.step) == 0:
        options = {"accumulate": accumulate, "precision": run.precision}
        return train_member(run, joined, start, task, loader, optimizer, test_arrays, epochs=epochs, **options)
    evaluation = train.make_evaluation(task.measure, test_arrays, mesh=mesh)
    watched = evaluation if validation is None else train.make_evaluation(task.measure, validation, mesh=mesh)
    state = advance(run, start, step, loader, epochs=epochs, evaluate=watched, hooks=hooks)
    stopping = start.stopping
    if stopping and stopping.best_state is not None:
        state = parallel.on_mesh(stopping.best_state, mesh)
    measured = evaluation(state.variables)
    state, result = finish(run, start, state)
    return state, {**measured, **result}


def train_member(
    run: Run,
    member: joint.Member,
    start: "Start",
    task: tasks.Task,
    loader: data.Loader,
    optimizer: optax.GradientTransformation,
    test_arrays: dict[str, Any],
    **options: Any,
) -> tuple[train.TrainState, dict[str, float]]:
    """Train all runs of a sweep, or take what another one has trained; save and return that of this run."""
    together, index = member
    if together.trained is None:
        given = (start.state, task, loader, optimizer, test_arrays)
        together.trained = joint.train_together(together, run.name, *given, index=index, **options)
    state, rows, measured = joint.take_member(together.trained, index, start.metrics)
    start.checkpoints.save(state, position=loader.state())
    run.note_times(rows)
    state, result = finish(run, start, state)
    return state, {**measured, **result}


def train_beside(
    task: tasks.Task, loader: data.Loader, optimizer: optax.GradientTransformation, *, epochs: float, seed: int
) -> Any:
    """Train another model for a comparison, which the run folder does not keep; return its variables."""
    state, step = train.start(task, optimizer, loader, seed), train.make_step(task.loss, optimizer)
    return train.fit(step, state, loader, epochs=epochs, hooks=[train.StopAtNonfinite()])[0].variables


def train_on_arrays(
    run: Run,
    task: tasks.Task,
    arrays: dict[str, Any],
    test_arrays: dict[str, Any],
    make_optimizer: Callable[[int], optax.GradientTransformation],
    *,
    epochs: float,
    batch_size: int,
    keep: bool = True,
) -> tuple[Any, dict[str, float]]:
    """Train on arrays by `train_task`; return the variables and the results.

    Args:
        run: whose seed is that of the batches.
        task: what is learned.
        arrays: examples of the training.
        test_arrays: examples of the test.
        make_optimizer: from the number of updates.
        epochs: passes over the examples.
        batch_size: examples in an update, at most all.
        keep: whether the run folder keeps the model; otherwise it is trained by `train_beside`, without results.
    """
    size, seed = len(next(iter(arrays.values()))), run.config["seed"]
    loader = data.Loader(arrays, min(batch_size, size), seed=seed)
    optimizer = make_optimizer(train.count_steps(epochs, loader.steps_per_epoch))
    if not keep:
        return train_beside(task, loader, optimizer, epochs=epochs, seed=seed), {}
    state, result = train_task(run, task, loader, optimizer, test_arrays, epochs=epochs)
    return state.variables, result


def train_game(
    run: Run,
    game: tasks.Game,
    loader: data.Loader,
    optimizers: Mapping[str, optax.GradientTransformation],
    *,
    epochs: float,
    simultaneous: bool = False,
    hooks: Sequence[train.Hook] = (),
) -> tuple[train.TrainState, dict[str, float]]:
    """Train the players of a game; return the last state, and its step and number of parameters.

    The run folder and errors are as for `train_task`, without evaluation; ``hooks`` are called with every report.
    """
    run.uses_mesh = True
    run.uses_precision = True
    with preparing():
        if simultaneous:
            step = train.make_simultaneous_step(game.losses, optimizers, precision=run.precision)
        else:
            step = train.make_alternating_step(game.losses, optimizers, mesh=run.mesh, precision=run.precision)
        start = prepare(run, game, loader, train.combine_optimizers(optimizers), None, step)
    state = advance(run, start, step, loader, epochs=epochs, hooks=hooks)
    return finish(run, start, state)


def advance(
    run: Run,
    start: "Start",
    step: train.Step,
    loader: data.Loader,
    *,
    epochs: float,
    evaluate: Callable[[train.TrainState], dict[str, Any]] | None = None,
    hooks: Sequence[train.Hook] = (),
) -> train.TrainState:
    """Run a step to the last epoch, with a progress bar, the log and checkpoints."""
    state, checkpoints, metrics, stopping = start
    if run.skip_nonfinite:
        step = train.skip_nonfinite(step)
    saves = [train.SaveEvery(checkpoints, position=loader.state())] if run.process == 0 else []
    if stopping and stopping.exhausted:
        epochs = step_of(state) / loader.steps_per_epoch
    terminal = Console(stderr=True, quiet=run.process > 0)
    bar = train.ProgressBar(loader.batch_size, run.name, console=terminal)
    with bar, train.interruptible() as interruption:
        every = [train.StopAtNonfinite(), bar, metrics, *filter(None, [stopping]), *hooks, interruption, *saves]
        finished = step_of(state) >= train.count_steps(epochs, loader.steps_per_epoch)
        if finished:
            state, history = parallel.on_mesh(state, run.mesh), []
        else:
            state, history = train.fit(
                step, state, loader, epochs=epochs, evaluate=evaluate, hooks=every, mesh=run.mesh
            )
    run.note_times(history)
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices("saved")  # wait until process 0 has written
    if interruption and step_of(state) < train.count_steps(epochs, loader.steps_per_epoch):
        raise Interrupted(f"{interruption.signal}: saved at step {step_of(state)}; --resume continues from there")
    return state


def finish(run: Run, start: "Start", state: train.TrainState) -> tuple[train.TrainState, dict[str, float]]:
    """Write the weights; return the state, collected from all processes, its step and its number of parameters."""
    if jax.process_count() > 1:
        state = distributed.collect(state)  # each process computes the rest by itself
    train.weights.save(run.directory / "weights.safetensors", state.variables)
    run.describe(run.directory)
    result = {"step": step_of(state), "parameters": tree.size(state.params)}
    if run.skip_nonfinite or run.precision == "float16":
        result["skipped"] = count_skipped(start.metrics.read(start.metrics.path))
    return state, result


class Start(NamedTuple):
    """The state from which a run starts or resumes, and what saves, logs and stops it."""

    state: train.TrainState
    checkpoints: train.Checkpoints
    metrics: train.MetricsFile
    stopping: train.EarlyStopping | None


def prepare(
    run: Run,
    task: tasks.Task | tasks.Game,
    loader: data.Loader,
    optimizer: optax.GradientTransformation,
    patience: int | None,
    step: train.Step,
) -> Start:
    """Initialize or restore the state, and check that all processes agree on it, before anything is written."""
    state = train.prepare(step, train.start(task, optimizer, loader, run.config["seed"]))
    if run.mesh is not None:
        parallel.check_divisible(loader.batch_size, parallel.data_devices(run.mesh))
    checkpoints = train.Checkpoints(run.shared / "checkpoints", config=run.identity)
    if run.resume:
        state = restore(checkpoints, state, loader)
    # A process without access to the checkpoints of process 0 would start anew.
    consistency.check_consistent({"the first step": int(state.step), "the data": loader.state()})
    if run.process == 0:
        checkpoints.prepare(state)
    metrics = train.MetricsFile(run.directory / "metrics.jsonl", step=int(state.step))
    best = train.Checkpoints(run.directory / "best", config=run.identity)
    stopping = train.EarlyStopping("loss", patience=patience, checkpoints=best) if patience else None
    if stopping:
        stopping.replay(metrics.read(metrics.path), like=state)
        best_so_far = {"step": stopping.best_step, "kept": stopping.best_state is not None}
        consistency.check_consistent({"the best state": best_so_far, "the patience used": stopping.waited})
    return Start(parallel.on_mesh(state, run.mesh), checkpoints, metrics, stopping)


def restore(checkpoints: train.Checkpoints, state: train.TrainState, loader: data.Loader) -> train.TrainState:
    """Restore the newest valid state and the position of the loader, if there is a checkpoint."""
    if checkpoints.latest() is None:
        return state
    state = checkpoints.restore(state, fallback=True)
    position = checkpoints.position(step_of(state))
    if position is None:
        raise UsageError(f"expected a checkpoint with the position in the data, got step {step_of(state)} without one")
    loader.restore(position)
    return state


def step_of(state: train.TrainState) -> int:
    """Return the number of updates made, the same for all members of stacked states."""
    return int(np.ravel(state.step)[0])


def count_skipped(rows: list[dict[str, Any]]) -> int:
    """Count the skipped steps, from the mean of each report."""
    steps = np.diff([0, *(row["step"] for row in rows)])
    return round(float(sum(count * row["train/skipped"] for count, row in zip(steps, rows, strict=True))))
