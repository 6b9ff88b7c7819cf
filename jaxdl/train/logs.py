"""Hooks that write the metrics of a run for other programs: a table, and TensorBoard."""

import csv
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from jaxdl.data.files.downloads import require
from jaxdl.train.report import Report, summarise


class CSVHook:
    """Write a table with a row for every report: ``step, epoch, seconds, ..., train/loss, ..., evaluation/accuracy``.

    Columns are added as metrics appear, those of an evaluation for instance; a cell without a value is empty. The file
    is complete after every report. A run resumed from ``step`` keeps the rows up to it.

    Args:
        path: of the table.
        step: the first step of the run.

    >>> import tempfile
    >>> report = Report(2, 1.0, None, {"loss": np.array([4.0, 2.0])}, None, 0.5, 0.1, 2, 2)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     CSVHook(Path(folder) / "metrics.csv")(report)
    ...     print((Path(folder) / "metrics.csv").read_text().strip())
    step,epoch,seconds,compile_seconds,train/loss
    2,1.0,0.5,0.1,3.0
    """

    def __init__(self, path: Path | str, *, step: int = 0):
        self.path = Path(path)
        self.rows: list[dict[str, Any]] = []
        if step and self.path.exists():
            with self.path.open(newline="") as file:
                self.rows = [row for row in csv.DictReader(file) if int(row["step"]) <= step]
            self._write()

    def __call__(self, report: Report) -> None:
        """Add the report's row."""
        row, columns = summarise(report), self._columns()
        self.rows.append(row)
        if columns and row.keys() <= set(columns):
            with self.path.open("a", newline="") as file:
                csv.DictWriter(file, columns).writerow(row)
        else:
            self._write()

    def _columns(self) -> list[str]:
        return list(dict.fromkeys(name for row in self.rows for name in row))

    def _write(self) -> None:
        """Write the whole table, at once."""
        partial = self.path.with_name(f"{self.path.name}.partial")
        with partial.open("w", newline="") as file:
            writer = csv.DictWriter(file, self._columns(), restval="")
            writer.writeheader()
            writer.writerows(self.rows)
        partial.replace(self.path)


class TensorBoardHook:
    """Write the metrics of every report as scalars for TensorBoard, by tensorboardX; a context manager.

    ``tensorboard --logdir FOLDER`` shows them; several runs beside each other in folders of one folder. A metric of
    stacked members is written by its mean. A run resumed into the same folder hides what an interrupted run has written
    after its first step.

    Args:
        folder: for the file of events.
        step: the first step of the run.

    Raises:
        ImportError: tensorboardX is not installed.
    """

    def __init__(self, folder: Path | str, *, step: int = 0):
        writer = require("tensorboardX", "TensorBoard's files", "tensorboard").SummaryWriter
        self.writer = writer(str(folder), purge_step=step + 1 if step else None, write_to_disk=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.writer.close()

    def __call__(self, report: Report) -> None:
        """Write the report's metrics."""
        for name, value in summarise(report).items():
            if name != "step":
                self.writer.add_scalar(name, float(np.mean(value)), report.step)
        self.writer.flush()

    def finish(self, report: Report) -> None:
        """Close the file."""
        del report
        self.writer.close()
