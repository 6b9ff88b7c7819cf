"""Processes that are killed, terminated or left without disk space, and then resumed."""

import functools
import multiprocessing
import os
import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np

from experiments.stress import run_folders, victim

POLL = 0.0005
"""Seconds between two polls of a folder."""
PATIENCE = 120
"""Seconds after which a process counts as hanging."""


EARLY = 0.2
"""Seconds in which a process is killed early."""
PROBLEMS = {"differ": "accepted wrong", "hang": "hang"}
"""Verdicts by the first words of problems."""


@dataclass(frozen=True)
class Outcome:
    """The outcome of a disturbed and resumed run.

    Attributes:
        identical: whether its end equals that of the undisturbed run bit for bit.
        during_save: whether a checkpoint was partially written when it was killed.
        problem: the error, empty if there is none.
    """

    identical: bool
    during_save: bool = False
    problem: str = ""

    @property
    def verdict(self) -> str:
        """The verdict, as on other attacks."""
        if self.identical:
            return "accepted"
        return next((verdict for start, verdict in PROBLEMS.items() if self.problem.startswith(start)), "raw exception")


class Laboratory:
    """Starts the run under stress, from a fork server that has imported everything.

    Args:
        folder: the folder of the runs.
        seed: the seed of the chosen moments.
    """

    def __init__(self, folder: Path, seed: int):
        self.folder = folder
        self.generator = np.random.default_rng(seed)
        self.processes = multiprocessing.get_context("forkserver")
        self.processes.set_forkserver_preload(["experiments.stress.run_folders"])
        self.cache = folder / "cache"
        self.reference = self.new_folder("reference")
        # The first fills the cache of compiled programs, the second measures the duration of a run.
        self.finish(self.new_folder("warm"))
        started = time.perf_counter()
        self.finish(self.reference)
        self.seconds = time.perf_counter() - started
        self.save_seconds = _save_seconds(self.reference)

    def new_folder(self, name: str) -> Path:
        """Make a folder for a run."""
        folder = self.folder / f"{name}{len(list(self.folder.glob(f'{name}*')))}"
        folder.mkdir(parents=True)
        return folder

    def start(self, folder: Path, run: Callable[..., None] = victim.train_in, **changes: int) -> BaseProcess:
        """Start the run in a folder."""
        process = self.processes.Process(target=run, args=(folder, self.cache), kwargs=changes)
        process.start()
        return process

    def finish(self, folder: Path, run: Callable[..., None] = victim.train_in) -> None:
        """Run to the end in a folder."""
        process = self.start(folder, run)
        if not _join(process):
            raise RuntimeError(f"hangs for {PATIENCE} s: {_output(folder)}")
        if process.exitcode != 0:
            raise RuntimeError(f"the run ended with status {process.exitcode}: {_output(folder)}")

    def compare(self, folder: Path, *, during_save: bool = False) -> Outcome:
        """Resume the run in a folder and compare its end with that of the undisturbed run."""
        try:
            self.finish(folder)
        except RuntimeError as error:
            return Outcome(False, during_save, str(error))
        different = victim.differences(folder, self.reference)
        shutil.rmtree(folder)
        return Outcome(not different, during_save, f"differ: {', '.join(different)}" if different else "")

    def kill(self, *, during_save: bool) -> Outcome:
        """Kill a run with SIGKILL, at a random moment or while it saves, and resume it."""
        while True:
            folder = self.new_folder("killed")
            process = self.start(folder)
            if during_save:
                step = victim.STEPS_PER_SAVE * self.generator.integers(1, victim.STEPS // victim.STEPS_PER_SAVE + 1)
                partial = folder / "checkpoints" / f"{step:08d}.partial"
                _wait(partial.exists, process)
                time.sleep(self.generator.uniform(0, self.save_seconds))
            else:
                time.sleep(self.generator.uniform(0, self.seconds))
            process.kill()
            _join(process)
            if process.exitcode == -signal.SIGKILL:
                return self.compare(folder, during_save=any((folder / "checkpoints").glob("*.partial")))
            shutil.rmtree(folder)  # it had already finished

    def kill_early(self, number: int) -> Outcome:
        """Kill an experiment with a run folder, every second one before it trains, and give the same command again."""
        reference = self.experiment
        longest = EARLY if number % 2 else self.experiment_seconds
        folder = self.new_folder("experiment")
        process = self.start(folder, run_folders.run_in)
        time.sleep(self.generator.uniform(0, longest))
        process.kill()
        process.join()
        try:
            self.finish(folder, run_folders.run_in)
        except RuntimeError as error:
            return Outcome(False, problem=str(error))
        same = run_folders.same_end(folder, reference)
        shutil.rmtree(folder)
        return Outcome(same, problem="" if same else "differ: weights or metrics")

    @functools.cached_property
    def experiment(self) -> Path:
        """The folder of an undisturbed experiment."""
        self.finish(self.new_folder("warm-experiment"), run_folders.run_in)
        folder = self.new_folder("reference-experiment")
        started = time.perf_counter()
        self.finish(folder, run_folders.run_in)
        self.experiment_seconds = time.perf_counter() - started
        return folder

    def terminate(self) -> Outcome:
        """Stop a run with SIGTERM; it must save, exit with status 0, and resume exactly."""
        while True:
            folder = self.new_folder("stopped")
            process = self.start(folder)
            _wait((folder / victim.STARTED).exists, process)
            time.sleep(self.generator.uniform(0, self.save_seconds * victim.STEPS / victim.STEPS_PER_SAVE))
            os.kill(process.pid, signal.SIGTERM)
            _join(process)
            if process.exitcode == 0 and not (folder / victim.FINAL).exists():
                saved = victim.checkpoints_of(folder).latest()
                return self.compare(folder) if saved else Outcome(False, problem="nothing was saved")
            if process.exitcode != 0:
                return Outcome(False, problem=f"status {process.exitcode}: {_output(folder)}")
            shutil.rmtree(folder)  # it had already finished

    def fill(self) -> Outcome:
        """Fill the disk while a run saves; it must report it, lose nothing, and resume when there is space."""
        folder = self.new_folder("full")
        full_at = victim.STEPS_PER_SAVE * int(self.generator.integers(1, victim.STEPS // victim.STEPS_PER_SAVE))
        process = self.start(folder, full_at=full_at)
        _join(process)
        if process.exitcode != 1 or "File too large" not in _output(folder, 10**6):
            return Outcome(False, problem=f"status {process.exitcode}: {_output(folder)}")
        if victim.checkpoints_of(folder).latest() != full_at:
            return Outcome(False, problem=f"the checkpoint of step {full_at} is missing")
        return self.compare(folder)

    def damage_newest(self, damage: Callable[[Path, np.random.Generator], None]) -> Outcome:
        """Damage the newest checkpoint of a run, which must resume from the previous one."""
        folder = self.new_folder("damaged")
        process = self.start(folder, stop_at=victim.STEPS // 2)
        _join(process)
        checkpoints = victim.checkpoints_of(folder)
        newest = checkpoints.latest()
        damage(checkpoints.folder(newest), self.generator)
        return self.compare(folder)


def _save_seconds(folder: Path) -> float:
    """Estimate the duration of a save from the times of the first and the last file of the last checkpoint."""
    checkpoints = victim.checkpoints_of(folder)
    files = [path for path in checkpoints.folder(checkpoints.latest()).rglob("*") if path.is_file()]
    times = [path.stat().st_mtime for path in files]
    return 1.5 * (max(times) - min(times))


def _wait(condition: Callable[[], bool], process: BaseProcess) -> None:
    deadline = time.monotonic() + PATIENCE
    while process.is_alive() and not condition() and time.monotonic() < deadline:
        time.sleep(POLL)


def _join(process: BaseProcess) -> bool:
    """Wait for a process; return whether it has ended by itself."""
    process.join(PATIENCE)
    ended = not process.is_alive()
    process.kill()
    process.join()
    return ended


def _output(folder: Path, at_most: int = 400) -> str:
    return (folder / victim.OUTPUT).read_text()[-at_most:]
