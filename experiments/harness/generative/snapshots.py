"""What a generator makes as it learns: arrays in the run folder, which a resumed run continues."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np

from experiments.harness.run_folder import Run
from jaxdl import train
from jaxdl.typing import PyTree


class Snapshots:
    """A hook that saves ``make(variables)``, images ``[N, H, W, C]``, about ``count`` times in a run.

    Attributes:
        folder: of the files, named by the number of updates.
    """

    def __init__(self, run: Run, make: Callable[[PyTree], Any], count: int = 6):
        self.folder, self.make, self.count = Path(run.directory) / "progress", jax.jit(make), count

    def __call__(self, report: train.Report) -> None:
        """Save if the run has come to its next part."""
        before = (report.step - report.steps) * self.count // report.total
        if report.step * self.count // report.total > before:
            self.folder.mkdir(exist_ok=True)
            images = np.asarray(self.make(report.state.variables), np.float32)
            np.save(self.folder / f"{report.step:08d}.npy", images)

    def read(self) -> dict[int, np.ndarray]:
        """Read the images by the number of updates."""
        return {int(path.stem): np.load(path) for path in sorted(self.folder.glob("*.npy"))}
