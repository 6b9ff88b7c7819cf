"""Checkpoints of a training run: written whole or not at all, checked bit by bit before they are used again."""

import errno
import json
import shutil
import warnings
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxdl.train.checkpointing import snapshot
from jaxdl.train.checkpointing.integrity import DamagedError, check_same_forms, forms
from jaxdl.typing import PyTree


class Checkpoints:
    """The checkpoints of one run in one folder, each with the state, the position in the data and the configuration.

    A checkpoint is a folder ``00000040`` named by its step. It holds ``state/`` as Orbax writes it, a folder for each
    leaf; ``manifest.json`` with the SHA-256 of every leaf and of every file; and ``manifest.sha256``, the digest of the
    manifest itself. It is written under the name ``00000040.partial`` and renamed when it is complete and on the disk:
    whatever stops a save, the checkpoint before it stays whole. A later save removes what was left half written.

    Args:
        directory: where the checkpoints are; it is made by the first save.
        config: what the run was begun with, as JSON can write it. Another configuration is refused.
        keep: how many checkpoints stay; two leave one to fall back on.

    Raises:
        ValueError: ``directory`` holds checkpoints of another configuration.

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
        if keep < 1:
            raise ValueError(f"expected keep >= 1, got {keep}")
        self.directory = Path(directory).absolute()
        self.config = json.loads(json.dumps(config, allow_nan=False))
        self.keep = keep
        for step in reversed(self.steps()):
            try:
                manifest = snapshot.read_manifest(self.folder(step))
            except DamagedError:
                continue
            self._check_another_config(manifest, step)
            break

    def folder(self, step: int) -> Path:
        """Name the folder of a step's checkpoint."""
        return self.directory / f"{step:08d}"

    def steps(self) -> list[int]:
        """List the steps that have a checkpoint, in order."""
        if not self.directory.is_dir():
            return []
        names = [path.name for path in self.directory.iterdir() if path.is_dir()]
        return sorted(int(name) for name in names if name.isdecimal() and self.folder(int(name)).name == name)

    def latest(self) -> int | None:
        """Return the newest checkpoint's step, ``None`` where there is no checkpoint."""
        return max(self.steps(), default=None)

    def position(self, step: int | None = None) -> dict[str, Any] | None:
        """Return the position in the data that was saved with a checkpoint, by default the newest."""
        return snapshot.read_manifest(self.folder(self._chosen(step)[-1]))["position"]

    def prepare(self, state: PyTree) -> None:
        """Refuse before training, with ``state`` as it begins, what ``save`` would refuse afterwards.

        Raises:
            FileExistsError: the folder holds checkpoints of later steps, which the run would undo.
            OSError: the folder cannot be written to, or has too little space for the checkpoints of this state.
            TypeError: the state has leaves that are no arrays.
        """
        forms(state)
        self._check_going_back(_step_of(state) + 1)
        probe = self._partial("probe")
        try:
            probe.mkdir(parents=True, exist_ok=True)
            probe.rmdir()
        except OSError as error:
            raise OSError(error.errno, f"no checkpoint can be written: {error.strerror}", str(probe.parent)) from error
        missing = max(1, self.keep + 1 - len(self.steps()))
        self._check_too_little_space(state, missing)

    def save(self, state: PyTree, *, position: dict[str, Any] | None = None) -> Path:
        """Write a checkpoint of ``state`` under the number ``state.step``, and remove the oldest beyond ``keep``.

        Raises:
            FileExistsError: there is a checkpoint of this step or a later one: nothing is overwritten.
            OSError: too little space, or a folder that cannot be written to.
        """
        step = _step_of(state)
        forms(state)
        self._check_going_back(step)
        self.directory.mkdir(parents=True, exist_ok=True)
        for leftover in self.directory.glob("*.partial"):
            shutil.rmtree(leftover)
        self._check_too_little_space(state, 1)
        partial = self._partial(f"{step:08d}")
        partial.mkdir()
        try:
            snapshot.write(partial, state, step=step, position=position, config=self.config)
            partial.rename(self.folder(step))
        except BaseException as error:
            shutil.rmtree(partial, ignore_errors=True)
            error.add_note(f"no checkpoint of step {step} was written to {self.directory}; those before it are whole")
            raise
        snapshot.flush(self.directory)
        for old in self.steps()[: -self.keep]:
            # Renamed first: what is left of a removal that is interrupted is no checkpoint.
            shutil.rmtree(self.folder(old).rename(self._partial(f"{old:08d}")))
        return self.folder(step)

    def restore(self, like: PyTree, *, step: int | None = None, fallback: bool = False) -> PyTree:
        """Read a checkpoint, by default the newest, into the structure and onto the devices of ``like``.

        Args:
            like: a state with the leaves, dtypes and shapes that are expected; ``jax.eval_shape`` of one will do.
            step: which checkpoint.
            fallback: where it is damaged, warn and take the newest good one before it. The damaged ones are
                renamed ``00000040.damaged``, so that training can go on.

        Raises:
            DamagedError: a bit has changed or a file is missing; the message names file and leaf.
            ValueError: the checkpoint is of another model or another configuration; nothing is ever cast.
            FileNotFoundError: there is no checkpoint.
        """
        damaged: dict[int, DamagedError] = {}
        for candidate in reversed(self._chosen(step)):
            try:
                state = self._read(candidate, like)
            except DamagedError as error:
                if not fallback:
                    raise
                damaged[candidate] = error
                continue
            for number, error in damaged.items():
                warnings.warn(f"{error}; went back to step {candidate}", RuntimeWarning, stacklevel=2)
                self._set_aside(number)
            return state
        raise DamagedError(f"no good checkpoint in {self.directory}: {'; '.join(map(str, damaged.values()))}")

    def _read(self, step: int, like: PyTree) -> PyTree:
        folder = self.folder(step)
        manifest = snapshot.read_manifest(folder)
        if manifest["step"] != step:
            raise DamagedError(f"{folder} holds the checkpoint of step {manifest['step']}")
        self._check_another_config(manifest, step)
        check_same_forms(snapshot.stored_forms(manifest), forms(like), folder)
        snapshot.verify_files(folder, manifest)
        return snapshot.read(folder, manifest, like)

    def _chosen(self, step: int | None) -> list[int]:
        """List the checkpoints up to the one that is asked for."""
        steps = self.steps()
        if not steps:
            raise FileNotFoundError(f"there is no checkpoint in {self.directory}")
        if step is not None and step not in steps:
            raise FileNotFoundError(f"there is no checkpoint of step {step} in {self.directory}: it has {steps}")
        return [number for number in steps if step is None or number <= step]

    def _partial(self, name: str) -> Path:
        return self.directory / f"{name}.partial"

    def _set_aside(self, step: int) -> None:
        if jax.process_index() != 0:
            return
        names = (self.directory / f"{step:08d}.damaged{number or ''}" for number in range(1000))
        self.folder(step).rename(next(name for name in names if not name.exists()))

    def _check_another_config(self, manifest: dict[str, Any], step: int) -> None:
        before, now = manifest["config"], self.config
        if before != now:
            changed = [
                f"{name} was {before.get(name)!r}, is {now.get(name)!r}"
                for name in sorted(before.keys() | now.keys())
                if before.get(name) != now.get(name)
            ]
            raise ValueError(f"{self.folder(step)} is of another configuration: {', '.join(changed)}")

    def _check_going_back(self, step: int) -> None:
        latest = self.latest()
        if latest is not None and latest >= step:
            raise FileExistsError(
                f"{self.directory} has a checkpoint of step {latest}, which one of step {step} would undo: "
                "go on from it with restore, or give another folder"
            )

    def _check_too_little_space(self, state: PyTree, copies: int) -> None:
        size = sum(array.nbytes for array in snapshot.storable(state).values())
        needed = copies * (size + size // 8 + 2**20)
        free = shutil.disk_usage(self.directory).free
        if free < needed:
            what = "a checkpoint takes" if copies == 1 else f"{copies} checkpoints take"
            message = f"{what} about {needed:,} bytes, but only {free:,} are free in {self.directory}"
            raise OSError(errno.ENOSPC, message)


def _step_of(state: PyTree) -> int:
    return int(np.ravel(state.step)[0])
