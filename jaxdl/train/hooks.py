"""What may happen between chunks of steps: stop early, keep the best state, show progress, write a log."""

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

from jaxdl.train.checkpointing.checkpoint import Checkpoints
from jaxdl.train.checkpointing.integrity import DamagedError
from jaxdl.train.guard import check_finite
from jaxdl.train.parallel.distributed import collect
from jaxdl.train.report import Hook, Report, summarise
from jaxdl.typing import PyTree


class EarlyStopping:
    """Stop when an evaluated metric has not improved for ``patience`` evaluations; keep the state at its best.

    With ``best_t = min(best_(t-1), m_t)`` (``max`` for ``mode="max"``) the run ends at the first evaluation ``t`` for
    which the last improvement by more than ``min_delta`` lies ``patience`` evaluations back.

    Args:
        metric: name in what ``evaluate`` returns, ``"loss"`` for instance.
        patience: evaluations without improvement that are tolerated, at least one.
        mode: ``"min"`` where less is better, ``"max"`` where more is.
        min_delta: the least change that counts as an improvement.
        checkpoints: where the best state is also saved, so that a run that is continued still has it.

    Attributes:
        best: best value so far.
        best_step: its step.
        best_state: a copy of its state, ``None`` before the first evaluation.

    Source: Prechelt, "Early stopping - but when?", 1998.
    """

    def __init__(
        self,
        metric: str = "loss",
        *,
        patience: int,
        mode: str = "min",
        min_delta: float = 0.0,
        checkpoints: Checkpoints | None = None,
    ):
        if mode not in ("min", "max"):
            raise ValueError(f"expected mode 'min' or 'max', got {mode!r}")
        if patience < 1 or min_delta < 0:
            raise ValueError(f"expected patience >= 1 and min_delta >= 0, got {patience} and {min_delta}")
        self.metric, self.patience, self.min_delta, self.checkpoints = metric, patience, min_delta, checkpoints
        self.sign = 1.0 if mode == "min" else -1.0
        self.best = self.sign * math.inf
        self.best_step = 0
        self.best_state: PyTree = None
        self.waited = 0

    def __call__(self, report: Report) -> bool:
        """Look at a report; true ends the run."""
        if report.evaluation is None:
            return False
        if self.metric not in report.evaluation:
            raise ValueError(f"no metric {self.metric!r} in the evaluation: it has {sorted(report.evaluation)}")
        if self._improves(report.evaluation[self.metric], report.step):
            self.best_state = jax.tree.map(jnp.copy, report.state)
            # A run that went back to an older checkpoint comes by the steps of its former future again.
            if self.checkpoints is not None and report.step > (self.checkpoints.latest() or 0):
                self.checkpoints.save(self.best_state)
        return self.exhausted

    @property
    def exhausted(self) -> bool:
        """Whether patience has run out."""
        return self.waited >= self.patience

    def replay(self, rows: Iterable[Mapping[str, Any]], *, like: PyTree) -> None:
        """Go through the evaluations of a run that is continued, and fetch its best state from the checkpoints.

        Args:
            rows: as ``fit`` returns them and ``MetricsFile.read`` reads them.
            like: a state, for the structure of the best one.
        """
        for row in rows:
            if row.get(f"evaluation/{self.metric}") is not None:
                self._improves(row[f"evaluation/{self.metric}"], row["step"])
        if self.checkpoints is None or not self.best_step:
            return
        try:
            self.best_state = self.checkpoints.restore(like, step=self.best_step)
        except (DamagedError, FileNotFoundError) as error:
            warnings.warn(f"the best state so far is lost: {error}", RuntimeWarning, stacklevel=2)

    def _improves(self, value: float, step: int) -> bool:
        """Note an evaluation; say whether it is the best."""
        if np.ndim(value):
            raise ValueError(
                f"expected one number for {self.metric!r}, got {len(value)}, one a member: "
                "let evaluate average them or take the one that decides"
            )
        if self.sign * value < self.sign * self.best - self.min_delta:
            self.best, self.best_step, self.waited = value, step, 0
            return True
        self.waited += 1
        return False


class MetricsFile:
    """Write a line of JSON for every report, ``{"step": ..., "train/loss": ..., "evaluation/accuracy": ...}``.

    A run that is continued from ``step`` cuts off the lines after it, so that the file reads as one undisturbed run.
    Numbers that are not finite are written as null, which every reader of JSON understands.
    """

    def __init__(self, path: Path, *, step: int = 0):
        self.path = Path(path)
        kept = [row for row in self.read(self.path) if row["step"] <= step] if step and self.path.exists() else []
        self.path.write_text("".join(json.dumps(row) + "\n" for row in kept))

    @staticmethod
    def read(path: Path) -> list[dict[str, Any]]:
        """Read the rows of a file; a last line that was cut off in the middle is no row."""
        rows = []
        for line in path.read_text().splitlines():
            try:
                rows.append(json.loads(line))
            except json.JSONDecodeError:
                break
        return rows

    def __call__(self, report: Report) -> None:
        """Append the report's row."""
        row = {name: _finite_or_none(value) for name, value in summarise(report).items()}
        with self.path.open("a") as file:
            file.write(json.dumps(row) + "\n")


class ProgressBar:
    """Show a bar with epoch, loss, learning rate, examples/s, elapsed and remaining time; use it with ``with``.

    Args:
        batch_size: examples in a step, for examples/s.
        description: text before the bar.
        console: where to draw; by default the terminal's standard error.
    """

    def __init__(self, batch_size: int, description: str = "training", *, console: Console | None = None):
        self.batch_size = batch_size
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=12),
            TextColumn("{task.completed:.0f}/{task.total:.0f}"),
            TextColumn("{task.fields[numbers]}", table_column=Column()),
            TimeElapsedColumn(),
            TextColumn("ETA"),
            TimeRemainingColumn(),
            console=console or Console(stderr=True),
        )
        self.task: TaskID = self.progress.add_task(description, total=math.inf, numbers="compiling")

    def __enter__(self) -> "ProgressBar":
        self.progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.progress.stop()

    def __call__(self, report: Report) -> None:
        """Move the bar to the report's step."""
        rate = report.steps * self.batch_size / max(report.seconds, 1e-9)
        parts = [f"epoch {report.epoch:.2f}"]
        for name, label in (("loss", "loss"), ("learning_rate", "learning rate")):
            if name in report.metrics:
                parts.append(f"{label} {np.mean(report.metrics[name][-1]):.3g}")
        numbers = "  ".join([*parts, f"{rate:,.0f} examples/s"])
        self.progress.update(self.task, total=report.total, completed=report.step, numbers=numbers)


class SaveEvery:
    """A hook that saves a checkpoint after every ``epochs`` epochs, and when the run ends or is stopped.

    A state with numbers that are not finite is never saved: it raises NonfiniteError.

    Args:
        checkpoints: where to.
        epochs: epochs between checkpoints; a fraction saves inside an epoch, at the next report.
        position: what identifies the data, as ``loader.state()`` returns it; its ``step`` is set to the report's.
    """

    def __init__(self, checkpoints: Checkpoints, epochs: float = 1, *, position: dict[str, Any] | None = None):
        if epochs <= 0:
            raise ValueError(f"expected epochs > 0, got {epochs}")
        self.checkpoints, self.epochs, self.position = checkpoints, epochs, position or {}
        self.saved: int | None = None

    def __call__(self, report: Report) -> None:
        """Save where an interval has ended."""
        before = report.epoch * (report.step - report.steps) / report.step
        # Quotients of steps: what lies a rounding error below a whole number has reached it.
        if int(report.epoch / self.epochs + 1e-9) > int(before / self.epochs + 1e-9):
            self.finish(report)

    def finish(self, report: Report) -> None:
        """Save the state that a run ends with, unless it is saved."""
        if self.saved != report.step:
            check_finite(report)
            self.checkpoints.save(report.state, position={**self.position, "step": report.step})
            self.saved = report.step


class OnFirstProcess:
    """A hook that only process 0 heeds: for what writes files or draws on a terminal.

    Its answer is ignored: what ends a run must end it in every process.

    Args:
        hook: what process 0 calls.
        state: whether the hook looks at the state. Then it is collected for every report; else the hook is given None.
    """

    def __init__(self, hook: Hook, *, state: bool = False):
        self.hook, self.state = hook, state

    def __call__(self, report: Report) -> None:
        """Tell the hook in process 0."""
        report = self._collected(report)
        if jax.process_index() == 0:
            self.hook(report)

    def finish(self, report: Report) -> None:
        """Tell the hook in process 0 that the run ends, where it wants to know."""
        report = self._collected(report)
        if jax.process_index() == 0 and hasattr(self.hook, "finish"):
            self.hook.finish(report)

    def _collected(self, report: Report) -> Report:
        return report._replace(state=collect(report.state) if self.state else None)


def _finite_or_none(value: object) -> object:
    if isinstance(value, list):
        return [_finite_or_none(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
