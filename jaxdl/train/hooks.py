"""Hooks of the loop: early stopping, the best state, progress, a log, checkpoints."""

import json
import math
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Column

from jaxdl.checks import check_in_range, check_one_of, check_positive_integer, did_you_mean
from jaxdl.data.files.opening import open_regular
from jaxdl.train.checkpointing.checkpoint import Checkpoints
from jaxdl.train.checkpointing.integrity import DamagedError
from jaxdl.train.guard import check_finite
from jaxdl.train.parallel.distributed import collect
from jaxdl.train.report import STOP, Hook, Report, Stop, call_finish, summarise
from jaxdl.typing import PyTree


class EarlyStopping:
    """Stop when an evaluated metric has not improved for ``patience`` evaluations; keep the best state.

    With ``best_t = min(best_(t-1), m_t)`` (``max`` for ``mode="max"``) the run ends at the first evaluation ``t`` with
    the last improvement by more than ``min_delta`` at evaluation ``t - patience``. NaN never improves.

    Args:
        metric: a name in the result of ``evaluate``, ``"loss"`` for instance.
        patience: number of evaluations without improvement, at least one.
        mode: ``"min"`` for a loss, ``"max"`` for a score.
        min_delta: the smallest change that counts as an improvement.
        checkpoints: if given, the best state is saved there too, for a resumed run.

    Attributes:
        best: best value so far.
        best_step: the step of the best value.
        best_state: a copy of the state at that step, ``None`` before the first evaluation.

    Raises:
        ValueError: an argument is out of its range; when called, the evaluation lacks the metric, or has a list of
            values for it.

    Source: Prechelt, "Early stopping - but when?", 1998.
    """

    needs_evaluation = True

    def __init__(
        self,
        metric: str = "loss",
        *,
        patience: int,
        mode: str = "min",
        min_delta: float = 0.0,
        checkpoints: Checkpoints | None = None,
    ):
        check_one_of("mode", mode, ("min", "max"))
        check_positive_integer("patience", patience)
        check_in_range("min_delta", min_delta, includes_high=False)
        self.metric, self.patience, self.min_delta, self.checkpoints = metric, patience, min_delta, checkpoints
        self.sign = 1.0 if mode == "min" else -1.0
        self.best = self.sign * math.inf
        self.best_step = 0
        self.best_state: PyTree = None
        self.waited = 0

    def __call__(self, report: Report) -> Stop | None:
        """Update the best value; return `STOP`, to end the run, once patience has run out."""
        if report.evaluation is None:
            return None
        if self.metric not in report.evaluation:
            raise ValueError(
                f"expected an evaluation with {self.metric!r}, got {sorted(report.evaluation)}; "
                f"{did_you_mean(self.metric, report.evaluation)}"
            )
        if self._improves(report.evaluation[self.metric], report.step):
            self.best_state = jax.tree.map(jnp.copy, report.state)
            # A run resumed from an older checkpoint repeats steps that are saved already.
            if self.checkpoints is not None and report.step > (self.checkpoints.latest() or 0):
                self.checkpoints.save(self.best_state)
        return STOP if self.exhausted else None

    @property
    def exhausted(self) -> bool:
        """True once patience has run out."""
        return self.waited >= self.patience

    def replay(self, rows: Iterable[Mapping[str, Any]], *, like: PyTree) -> None:
        """Replay the evaluations of a resumed run, and restore its best state from the checkpoints.

        Args:
            rows: the history of ``fit``, or the rows of ``MetricsFile.read``.
            like: a state with the structure of the best one.
        """
        for row in rows:
            if f"evaluation/{self.metric}" in row:
                value = row[f"evaluation/{self.metric}"]
                self._improves(math.nan if value is None else value, row["step"])  # a file has null for NaN
        if self.checkpoints is None or not self.best_step:
            return
        try:
            self.best_state = self.checkpoints.restore(like, step=self.best_step)
        except (DamagedError, FileNotFoundError) as error:
            warnings.warn(f"the best state so far cannot be restored: {error}", RuntimeWarning, stacklevel=2)

    def _improves(self, value: Any, step: int) -> bool:
        """Record an evaluation; return whether it is the best so far."""
        if np.ndim(value):
            raise ValueError(
                f"expected one number for {self.metric!r}, got {len(value)}, one for each member; "
                "make evaluate return their mean, or the value of one member"
            )
        if self.sign * value < self.sign * self.best - self.min_delta:
            self.best, self.best_step, self.waited = value, step, 0
            return True
        self.waited += 1
        return False


class MetricsFile:
    """Write a line of JSON for every report, ``{"step": ..., "train/loss": ..., "evaluation/accuracy": ...}``.

    A run resumed from ``step`` removes the lines after it, so that the file is that of an uninterrupted run. NaN and
    infinity become null, since JSON has neither.
    """

    def __init__(self, path: Path, *, step: int = 0):
        self.path = Path(path)
        kept = [row for row in self.read(self.path) if row["step"] <= step] if step and self.path.exists() else []
        partial = self.path.with_name(f"{self.path.name}.partial")
        partial.write_text("".join(json.dumps(row) + "\n" for row in kept))
        partial.replace(self.path)

    @staticmethod
    def read(path: Path) -> list[dict[str, Any]]:
        """Read the rows of a file, up to the first line that is incomplete or no row."""
        rows = []
        with open_regular(path) as file:
            lines = file.read().splitlines()
        for line in lines:
            try:
                row = json.loads(line)
            except (ValueError, RecursionError):
                break
            if not isinstance(row, dict) or not isinstance(row.get("step"), int):
                break
            rows.append(row)
        return rows

    def __call__(self, report: Report) -> None:
        """Append the report's row."""
        row = {name: _finite_or_none(value) for name, value in summarise(report).items()}
        with self.path.open("a") as file:
            file.write(json.dumps(row) + "\n")


class ProgressBar:
    """Show a bar with epoch, mean loss, learning rate, examples/s, elapsed and remaining time; a context manager.

    The loss is the mean over the epoch so far. Before the first report the bar says "compiling".

    Args:
        batch_size: examples in a step, for examples/s.
        description: text before the bar.
        console: output; by default the terminal's standard error.
    """

    def __init__(self, batch_size: int, description: str = "training", *, console: Console | None = None):
        check_positive_integer("batch_size", batch_size)
        self.batch_size = batch_size
        self.epoch, self.losses, self.steps = 0, 0.0, 0
        self.progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=12),
            TextColumn("{task.fields[count]}", markup=False),
            TextColumn("{task.fields[numbers]}", table_column=Column(), markup=False),
            TimeElapsedColumn(),
            TextColumn("ETA"),
            TimeRemainingColumn(),
            console=console or Console(stderr=True),
        )
        self.task: TaskID = self.progress.add_task(description, total=None, count="", numbers="compiling")

    def __enter__(self) -> "ProgressBar":
        self.progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.progress.stop()

    def __call__(self, report: Report) -> None:
        """Move the bar to the report's step."""
        rate = report.steps * self.batch_size / max(report.seconds, 1e-9)
        parts = [f"epoch {report.epoch:.2f}"]
        if "loss" in report.metrics:
            parts.append(f"loss {self._mean_loss(report):.3g}")
        if "learning_rate" in report.metrics:
            parts.append(f"learning rate {np.mean(report.metrics['learning_rate'][-1]):.3g}")
        numbers = "  ".join([*parts, f"{rate:,.0f} examples/s"])
        count = f"{report.step}/{report.total}"
        self.progress.update(self.task, total=report.total, completed=report.step, count=count, numbers=numbers)

    def _mean_loss(self, report: Report) -> float:
        """Return the mean loss over the steps of the epoch so far; a report never crosses the end of an epoch."""
        epoch = math.ceil(report.epoch - 1e-9)
        if epoch != self.epoch:
            self.epoch, self.losses, self.steps = epoch, 0.0, 0
        self.losses += float(np.mean(report.metrics["loss"])) * report.steps
        self.steps += report.steps
        return self.losses / self.steps


class SaveEvery:
    """Save a checkpoint after every ``epochs`` epochs, and at the end of the run.

    Args:
        checkpoints: the checkpoints of the run.
        epochs: epochs between checkpoints; a fraction saves inside an epoch, at the next report.
        position: the position in the data, ``loader.state()``; its ``step`` is replaced by the report's.

    Raises:
        ValueError: ``epochs`` is not positive.
        NonfiniteError: when called, the state has NaN or infinity; it is not saved.
    """

    def __init__(self, checkpoints: Checkpoints, epochs: float = 1, *, position: dict[str, Any] | None = None):
        check_in_range("epochs", epochs, includes_low=False)
        self.checkpoints, self.epochs, self.position = checkpoints, epochs, position or {}
        self.saved: int | None = None

    def __call__(self, report: Report) -> None:
        """Save if a multiple of ``epochs`` lies in the report's chunk."""
        before = report.epoch * (report.step - report.steps) / report.step
        # Epochs are quotients of steps: tolerate a rounding error below a multiple.
        if int(report.epoch / self.epochs + 1e-9) > int(before / self.epochs + 1e-9):
            self.finish(report)

    def finish(self, report: Report) -> None:
        """Save the last state of a run, unless it is saved already."""
        if self.saved != report.step:
            check_finite(report)
            self.checkpoints.save(report.state, position={**self.position, "step": report.step})
            self.saved = report.step


class OnFirstProcess:
    """Call a hook in process 0 only, for hooks that write files or draw on a terminal.

    The hook's result is ignored: a run must end in every process or in none.

    Args:
        hook: the hook.
        state: whether the hook needs the state. If so, it is collected for every report; else the hook receives None.
    """

    def __init__(self, hook: Hook, *, state: bool = False):
        self.hook, self.state = hook, state

    def __call__(self, report: Report) -> None:
        """Call the hook in process 0."""
        report = self._collected(report)
        if jax.process_index() == 0:
            self.hook(report)

    def finish(self, report: Report) -> None:
        """Call the hook's ``finish`` in process 0, if it has one."""
        report = self._collected(report)
        if jax.process_index() == 0:
            call_finish(self.hook, report)

    def _collected(self, report: Report) -> Report:
        return report._replace(state=collect(report.state) if self.state else None)


def _finite_or_none(value: object) -> object:
    if isinstance(value, list):
        return [_finite_or_none(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
