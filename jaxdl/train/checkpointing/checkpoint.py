"""Checkpoints of a training run: written atomically, and verified bit by bit when restored."""

import errno
import os
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module, util
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxdl.checks import check_positive_integer
from jaxdl.train.checkpointing import snapshot
from jaxdl.train.checkpointing.integrity import DamagedError, UnreadableError, check_same_forms
from jaxdl.train.leaves import forms
from jaxdl.typing import PyTree

fcntl = import_module("fcntl") if util.find_spec("fcntl") else None  # Windows has none


class Checkpoints:
    """The checkpoints of one run in one folder, each with the state, the position in the data and the configuration.

    A checkpoint is a folder ``00000040`` named by its step. It holds ``state/`` in the format of Orbax, a folder for
    each leaf; ``manifest.json`` with the SHA-256 of every leaf and of every file; and ``manifest.sha256``, the digest
    of the manifest itself. It is written under the name ``00000040.partial`` and renamed when it is complete and on the
    disk: an interrupted save leaves the previous checkpoint intact. The next save removes its remains.

    Args:
        directory: the folder; the first save makes it.
        config: the configuration of the run: numbers (NumPy's too), text, lists and dicts, as JSON has them.
        keep: number of checkpoints to keep; with two there is one to fall back on.

    Raises:
        ValueError: ``directory`` holds checkpoints of another configuration, or ``keep`` is below one.
        TypeError: a value of the configuration is not of these types.

    >>> import tempfile, optax
    >>> from jaxdl import train
    >>> state = train.TrainState.create({"params": {"w": np.ones(2)}}, optax.sgd(0.1), jax.random.key(0))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     checkpoints = Checkpoints(folder, config={"learning_rate": 0.1})
    ...     written = checkpoints.save(state.replace(step=np.int32(40)))
    ...     restored = checkpoints.restore(state)
    >>> written.name, int(restored.step), restored.params["w"].tolist()
    ('00000040', 40, [1.0, 1.0])
    """

    def __init__(self, directory: Path | str, *, config: dict[str, Any], keep: int = 2):
        check_positive_integer("keep", keep)
        self.directory = Path(directory).absolute()
        self.config = snapshot.as_json("config", config)
        self.keep = keep
        self.unreadable: set[int] = set()
        for step in reversed(self.steps()):
            try:
                manifest = snapshot.read_manifest(self.folder(step))
            except DamagedError:
                continue
            self._check_config(manifest, step)
            break

    def folder(self, step: int) -> Path:
        """Return the folder of a step's checkpoint."""
        return self.directory / f"{step:08d}"

    def steps(self) -> list[int]:
        """Return the steps with a checkpoint, in order."""
        if not self.directory.is_dir():
            return []
        names = [path.name for path in self.directory.iterdir() if path.is_dir()]
        return sorted(int(name) for name in names if name.isdecimal() and self.folder(int(name)).name == name)

    def latest(self) -> int | None:
        """Return the step of the newest checkpoint, ``None`` if there is none."""
        return max(self.steps(), default=None)

    def position(self, step: int | None = None) -> dict[str, Any] | None:
        """Return the position in the data saved in a checkpoint, by default the newest."""
        return snapshot.read_manifest(self.folder(self._candidates(step)[-1]))["position"]

    def prepare(self, state: PyTree) -> None:
        """Check before training, with the initial state, that its checkpoints can be saved.

        Raises:
            FileExistsError: the folder holds checkpoints of later steps.
            OSError: the folder is not writable, or has too little space for the checkpoints of this state.
            TypeError: a leaf of the state is not an array.
        """
        forms(state)
        self._check_newer(_step_of(state) + 1)
        probe = self._partial("probe")
        try:
            probe.mkdir(parents=True, exist_ok=True)
            probe.rmdir()
        except OSError as error:
            raise OSError(error.errno, f"cannot write checkpoints: {error.strerror}", str(probe.parent)) from error
        self._check_space(state, copies=max(1, self.keep + 1 - len(self.steps())))

    def save(self, state: PyTree, *, position: dict[str, Any] | None = None) -> Path:
        """Write a checkpoint of ``state`` for the step ``state.step``, and remove the oldest beyond ``keep``.

        Raises:
            FileExistsError: there is a checkpoint of this step or a later one; nothing is overwritten.
            BlockingIOError: another process saves to this folder.
            OSError: there is too little space, or the folder is not writable.
        """
        forms(state)
        self._check_newer(_step_of(state))
        self.directory.mkdir(parents=True, exist_ok=True)
        with _locked(self.directory):
            return self._save(_step_of(state), state, position)

    def _save(self, step: int, state: PyTree, position: dict[str, Any] | None) -> Path:
        self._check_newer(step)  # again: another process may have saved before the folder was locked
        for leftover in self.directory.glob("*.partial"):
            shutil.rmtree(leftover)
        self._check_space(state, copies=1)
        partial = self._partial(f"{step:08d}")
        partial.mkdir()
        try:
            snapshot.write(partial, state, step=step, position=position, config=self.config)
            if step in self.unreadable and self.folder(step).exists():
                self._set_aside(step)
            partial.rename(self.folder(step))
        except BaseException as error:
            shutil.rmtree(partial, ignore_errors=True)
            error.add_note(f"no checkpoint of step {step} was written to {self.directory}; the earlier ones are intact")
            raise
        snapshot.flush(self.directory)
        readable = [number for number in self.steps() if number not in self.unreadable]
        for old in readable[: -self.keep]:
            # Renamed first, so that an interrupted removal leaves no damaged checkpoint.
            shutil.rmtree(self.folder(old).rename(self._partial(f"{old:08d}")))
        return self.folder(step)

    def restore(self, like: PyTree, *, step: int | None = None, fallback: bool = False) -> PyTree:
        """Read a checkpoint, by default the newest, into the structure and onto the devices of ``like``.

        Args:
            like: a state with the expected leaves, dtypes and shapes, or its ``jax.eval_shape``.
            step: the step of the checkpoint.
            fallback: if the checkpoint is damaged, warn and restore the newest intact one before it. The damaged ones
                are renamed ``00000040.damaged``, so that training can continue; those that the system cannot read, for
                now, only when a checkpoint of the same step is saved.

        Raises:
            DamagedError: a bit has changed or a file is missing; the message names file and leaf.
            ValueError: the checkpoint has other leaves, dtypes or shapes, or another configuration.
            FileNotFoundError: there is no such checkpoint.
        """
        damaged: dict[int, DamagedError] = {}
        for candidate in reversed(self._candidates(step)):
            try:
                state = self._read(candidate, like)
            except DamagedError as error:
                if not fallback:
                    raise
                damaged[candidate] = error
                continue
            for number, error in damaged.items():
                warnings.warn(f"{error}; restored step {candidate} instead", RuntimeWarning, stacklevel=2)
                if isinstance(error, UnreadableError):
                    self.unreadable.add(number)
                else:
                    self._set_aside(number)
            return state
        raise DamagedError(f"no intact checkpoint in {self.directory}: {'; '.join(map(str, damaged.values()))}")

    def _read(self, step: int, like: PyTree) -> PyTree:
        folder = self.folder(step)
        manifest = snapshot.read_manifest(folder)
        if manifest["step"] != step:
            raise DamagedError(f"expected a checkpoint of step {step} in {folder}, got one of step {manifest['step']}")
        self._check_config(manifest, step)
        check_same_forms(snapshot.stored_forms(manifest), forms(like), folder)
        snapshot.verify_files(folder, manifest)
        return snapshot.read(folder, manifest, like)

    def _candidates(self, step: int | None) -> list[int]:
        """Return the steps with checkpoints up to ``step``, in order."""
        steps = self.steps()
        if not steps:
            raise FileNotFoundError(f"expected a checkpoint in {self.directory}, got none")
        if step is not None and step not in steps:
            raise FileNotFoundError(f"expected one of the steps {steps} in {self.directory}, got {step}")
        return [number for number in steps if step is None or number <= step]

    def _partial(self, name: str) -> Path:
        return self.directory / f"{name}.partial"

    def _set_aside(self, step: int) -> None:
        if jax.process_index() != 0:
            return
        names = (self.directory / f"{step:08d}.damaged{number or ''}" for number in range(1000))
        self.folder(step).rename(next(name for name in names if not name.exists()))

    def _check_config(self, manifest: dict[str, Any], step: int) -> None:
        before, now = manifest["config"], self.config
        if before != now:
            changed = [
                f"{name} {before.get(name)!r}, got {now.get(name)!r}"
                for name in sorted(before.keys() | now.keys())
                if before.get(name) != now.get(name)
            ]
            raise ValueError(
                f"expected the configuration of {self.folder(step)}: {', '.join(changed)}; use another folder"
            )

    def _check_newer(self, step: int) -> None:
        latest = max((number for number in self.steps() if number not in self.unreadable), default=None)
        if latest is not None and latest >= step:
            raise FileExistsError(
                f"expected a step after {latest}, the newest checkpoint in {self.directory}, got {step}; "
                "restore that one, or use another folder"
            )

    def _check_space(self, state: PyTree, copies: int) -> None:
        size = sum(array.nbytes for array in snapshot.storable(state).values())
        needed = copies * (size + size // 8 + 2**20)
        free = shutil.disk_usage(self.directory).free
        if free < needed:
            message = f"expected {needed:,} free bytes for {copies} checkpoints in {self.directory}, got {free:,}"
            raise OSError(errno.ENOSPC, message)


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Lock a folder for other processes; the system unlocks it when this one ends, however it ends."""
    if fcntl is None:
        yield
        return
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            message = f"expected one process that saves to {directory}, got another; give each run its own folder"
            raise BlockingIOError(error.errno, message) from None
        except OSError:  # a file system without locks
            pass
        yield
    finally:
        os.close(descriptor)


def _step_of(state: PyTree) -> int:
    return int(np.ravel(state.step)[0])
