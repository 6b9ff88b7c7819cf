"""Checkpoints of a training run: written whole or not at all, checked bit by bit before they are used again."""

import errno
import hashlib
import json
import logging
import os
import shutil
import stat
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp

from jaxdl import tree
from jaxdl.train.fit import Report
from jaxdl.train.integrity import (
    DamagedError,
    Form,
    file_digest,
    forms,
    is_key,
    key_implementation,
    leaf_digest,
    refuse_differences,
)
from jaxdl.typing import PyTree

FORMAT = 1
"""The layout of a checkpoint folder that this module writes and reads."""
MANIFEST_LIMIT = 256 * 2**20
"""Most bytes of a manifest that are read."""


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
    """

    def __init__(self, directory: Path | str, *, config: dict[str, Any], keep: int = 2):
        if keep < 1:
            raise ValueError(f"expected keep >= 1, got {keep}")
        self.directory = Path(directory).absolute()
        self.config = json.loads(json.dumps(config, allow_nan=False))
        self.keep = keep
        for step in reversed(self.steps()):
            try:
                manifest = _read_manifest(self.folder(step))
            except DamagedError:
                continue
            self._refuse_another_config(manifest, step)
            break

    def folder(self, step: int) -> Path:
        """Name the folder of a step's checkpoint."""
        return self.directory / f"{step:08d}"

    def steps(self) -> list[int]:
        """List the steps that have a checkpoint, in order."""
        if not self.directory.is_dir():
            return []
        return sorted(int(path.name) for path in self.directory.iterdir() if path.name.isdecimal() and path.is_dir())

    def latest(self) -> int | None:
        """Return the newest checkpoint's step, ``None`` where there is no checkpoint."""
        return max(self.steps(), default=None)

    def position(self, step: int | None = None) -> dict[str, Any] | None:
        """Return the position in the data that was saved with a checkpoint, by default the newest."""
        return _read_manifest(self.folder(self._chosen(step)[-1]))["position"]

    def save(self, state: PyTree, *, position: dict[str, Any] | None = None) -> Path:
        """Write a checkpoint of ``state`` under the number ``state.step``, and remove those beyond ``keep``.

        Raises:
            FileExistsError: there is a checkpoint of this step or a later one: nothing is overwritten.
            OSError: too little space, or a folder that must not be written to.
        """
        step = int(np.ravel(state.step)[0])
        self._refuse_going_back(step)
        self.directory.mkdir(parents=True, exist_ok=True)
        for leftover in self.directory.glob("*.partial"):
            shutil.rmtree(leftover)
        arrays = _arrays(state)
        self._refuse_too_little_space(sum(array.nbytes for array in arrays.values()))
        partial = self.directory / f"{step:08d}.partial"
        try:
            partial.mkdir()
            _write(partial, step, arrays, forms(state), position, self.config)
            partial.rename(self.folder(step))
            _flush(self.directory)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise
        for old in self.steps()[: -self.keep]:
            # Renamed first: what is left of a removal that is interrupted is no checkpoint.
            shutil.rmtree(self.folder(old).rename(self.directory / f"{old:08d}.partial"))
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
        damaged: dict[int, str] = {}
        for candidate in reversed(self._chosen(step)):
            try:
                state = self._read(candidate, like)
            except DamagedError as error:
                if not fallback:
                    raise
                damaged[candidate] = str(error)
                continue
            for number, reason in damaged.items():
                warnings.warn(f"{reason}; went back to step {candidate}", RuntimeWarning, stacklevel=2)
                _set_aside(self.folder(number))
            return state
        raise DamagedError(f"no good checkpoint in {self.directory}: {'; '.join(damaged.values())}")

    def _read(self, step: int, like: PyTree) -> PyTree:
        folder = self.folder(step)
        manifest = _read_manifest(folder)
        self._refuse_another_config(manifest, step)
        stored = {name: Form(leaf["dtype"], tuple(leaf["shape"])) for name, leaf in manifest["leaves"].items()}
        refuse_differences(stored, forms(like), folder)
        _verify_files(folder, manifest)
        return _restore(folder, manifest, like)

    def _chosen(self, step: int | None) -> list[int]:
        """List the checkpoints up to the one that is asked for."""
        steps = self.steps()
        if not steps:
            raise FileNotFoundError(f"there is no checkpoint in {self.directory}")
        if step is not None and step not in steps:
            raise FileNotFoundError(f"there is no checkpoint of step {step} in {self.directory}: it has {steps}")
        return [number for number in steps if step is None or number <= step]

    def _refuse_another_config(self, manifest: dict[str, Any], step: int) -> None:
        before, now = manifest["config"], self.config
        if before != now:
            changed = [
                f"{name} was {before.get(name)!r}, is {now.get(name)!r}"
                for name in sorted(before.keys() | now.keys())
                if before.get(name) != now.get(name)
            ]
            raise ValueError(f"{self.folder(step)} is of another configuration: {', '.join(changed)}")

    def _refuse_going_back(self, step: int) -> None:
        latest = self.latest()
        if latest is not None and latest >= step:
            raise FileExistsError(
                f"{self.directory} has a checkpoint of step {latest}, a checkpoint of step {step} would undo it: "
                "restore it first, or give another folder"
            )

    def _refuse_too_little_space(self, needed: int) -> None:
        free = shutil.disk_usage(self.directory).free
        if free < needed + needed // 8 + 2**20:
            raise OSError(
                errno.ENOSPC,
                f"a checkpoint takes about {needed:,} bytes, but only {free:,} are free in {self.directory}",
            )


class SaveEvery:
    """A hook that saves a checkpoint at the end of every ``epochs`` epochs and when the run ends or is stopped.

    Args:
        checkpoints: where to.
        epochs: epochs between checkpoints; a fraction saves inside an epoch, at the next report.
        position: what identifies the data, as ``loader.state()`` returns it; its ``step`` is set to the report's.
    """

    def __init__(self, checkpoints: Checkpoints, epochs: float = 1, *, position: dict[str, Any] | None = None):
        if epochs <= 0:
            raise ValueError(f"expected epochs > 0, got {epochs}")
        self.checkpoints, self.epochs, self.position = checkpoints, epochs, position or {}
        self.saved = checkpoints.latest()

    def __call__(self, report: Report) -> None:
        """Save where an interval has ended."""
        if report.step == report.total or self._intervals(report) > self._intervals_before(report):
            self.finish(report)

    def finish(self, report: Report) -> None:
        """Save the state that a run ends with, unless it is saved."""
        if self.saved != report.step:
            self.checkpoints.save(report.state, position={**self.position, "step": report.step})
            self.saved = report.step

    def _intervals(self, report: Report) -> int:
        return int(report.epoch / self.epochs + 1e-9)

    def _intervals_before(self, report: Report) -> int:
        steps = len(next(iter(report.metrics.values())))
        return int(report.epoch * (report.step - steps) / report.step / self.epochs + 1e-9)


def _arrays(state: PyTree) -> dict[str, Any]:
    """Map the path of every leaf to an array that can be written: a key becomes its data."""
    return {name: jax.random.key_data(leaf) if is_key(leaf) else leaf for name, leaf in tree.flatten(state).items()}


def _folder_name(leaf: str) -> str:
    """Name a leaf's folder: ``params.conv1.kernel``."""
    return leaf.replace("/", ".")


def _write(
    folder: Path,
    step: int,
    arrays: dict[str, Any],
    written: dict[str, Form],
    position: dict[str, Any] | None,
    config: dict[str, Any],
) -> None:
    """Write state, manifest and its digest, and see that they are on the disk."""
    names = {_folder_name(name): name for name in arrays}
    if len(names) < len(arrays) or any(name.startswith(".") for name in names):
        raise ValueError("leaves need paths that differ, also with a dot in place of each slash, and start with a name")
    # An array without numbers has nothing to write, and Orbax refuses it.
    with _orbax() as checkpointer:
        values = {_folder_name(name): array for name, array in arrays.items() if array.size}
        checkpointer.save(folder / "state", args=ocp.args.PyTreeSave(values))
    with ThreadPoolExecutor() as pool:
        digests = dict(zip(arrays, pool.map(lambda leaf: leaf_digest(np.asarray(leaf)), arrays.values()), strict=True))
        files = _files(folder)
        file_digests = dict(zip(files, pool.map(file_digest, files.values()), strict=True))
    leaves = {
        name: {"dtype": form.dtype, "shape": form.shape, "sha256": digests[name]} for name, form in written.items()
    }
    manifest = {
        "format": FORMAT,
        "step": step,
        "position": position,
        "config": config,
        "leaves": leaves,
        "files": file_digests,
    }
    text = json.dumps(manifest, indent=1).encode()
    (folder / "manifest.json").write_bytes(text)
    (folder / "manifest.sha256").write_bytes(_seal(text))
    for path in folder.rglob("*"):
        _flush(path)
    _flush(folder)


def _seal(manifest: bytes) -> bytes:
    """Write the manifest's digest as the program sha256sum does, which can check it too."""
    return f"{hashlib.sha256(manifest).hexdigest()}  manifest.json\n".encode()


def _read_manifest(folder: Path) -> dict[str, Any]:
    path, seal = folder / "manifest.json", folder / "manifest.sha256"
    for file in (path, seal):
        if not _is_plain(file):
            raise DamagedError(f"{file} is missing or no plain file")
    if path.stat().st_size > MANIFEST_LIMIT or seal.stat().st_size != len(_seal(b"")):
        raise DamagedError(f"{path} or {seal.name} is damaged: its size cannot be")
    text = path.read_bytes()
    if seal.read_bytes() != _seal(text):
        raise DamagedError(f"{path} or {seal.name} is damaged: the SHA-256 of one is not what the other says")
    manifest = json.loads(text)
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise ValueError(f"{path} is not of a checkpoint of format {FORMAT}")
    return manifest


def _verify_files(folder: Path, manifest: dict[str, Any]) -> None:
    """Raise DamagedError unless the folder holds exactly the manifest's files, bit for bit."""
    leaves = {_folder_name(name): name for name in manifest["leaves"]}

    def described(name: str) -> str:
        parts = name.split("/")
        leaf = leaves.get(parts[1]) if len(parts) > 1 else None
        return f"{folder / name}" + (f" (leaf {leaf})" if leaf else "")

    present, expected = _files(folder), manifest["files"]
    outside = [name for name in expected if name.startswith("/") or ".." in name.split("/")]
    if outside:
        raise DamagedError(f"{folder / 'manifest.json'} names a file outside its folder: {outside[0]!r}")
    for name in sorted(present.keys() ^ expected.keys()):
        raise DamagedError(f"{described(name)} is " + ("missing" if name in expected else "not in the manifest"))
    for name, path in present.items():
        if not _is_plain(path):
            raise DamagedError(f"{described(name)} is no plain file")
    with ThreadPoolExecutor() as pool:
        for name, digest in zip(present, pool.map(file_digest, present.values()), strict=True):
            if digest != expected[name]:
                raise DamagedError(f"{described(name)} is damaged: its SHA-256 is not the manifest's")


def _restore(folder: Path, manifest: dict[str, Any], like: PyTree) -> PyTree:
    """Read the arrays onto the devices of ``like`` and check each against its digest."""
    expected = tree.flatten(like)
    targets = {
        name: jax.eval_shape(jax.random.key_data, leaf) if is_key(leaf) else leaf for name, leaf in expected.items()
    }
    values = {_folder_name(name): target for name, target in targets.items() if target.size}
    for name, target in targets.items():
        if target.size:
            _refuse_absurd_header(folder / "state" / _folder_name(name) / ".zarray", name, target)
    with _orbax() as checkpointer:
        arguments = ocp.checkpoint_utils.construct_restore_args(values)
        restored = checkpointer.restore(
            folder / "state", args=ocp.args.PyTreeRestore(item=values, restore_args=arguments)
        )

    def leaf_of(name: str, leaf: Any) -> Any:
        target = targets[name]
        array = restored[_folder_name(name)] if target.size else jnp.zeros(target.shape, target.dtype)
        if leaf_digest(np.asarray(array)) != manifest["leaves"][name]["sha256"]:
            raise DamagedError(
                f"{folder / 'state' / _folder_name(name)} (leaf {name}) is damaged: other numbers came out"
            )
        if is_key(leaf):
            key = jax.random.wrap_key_data(jnp.asarray(array), impl=key_implementation(leaf))
            return key if leaf.sharding is None else jax.device_put(key, leaf.sharding)
        return array

    return tree.map_with_path(leaf_of, like)


def _refuse_absurd_header(path: Path, leaf: str, target: Any) -> None:
    """Refuse an array file whose header asks for more memory than the leaf has."""
    header = json.loads(path.read_bytes()) if _is_plain(path) else {}
    shape, chunks = header.get("shape"), header.get("chunks")
    if (
        shape != list(target.shape)
        or not isinstance(chunks, list)
        or np.prod(chunks, dtype=float) > max(1, target.size)
    ):
        raise DamagedError(f"{path} (leaf {leaf}) is damaged: it declares shape {shape} in pieces of {chunks}")


@contextmanager
def _orbax() -> Iterator[ocp.Checkpointer]:
    """Give Orbax in the form with a folder for each leaf, without its remarks about the form that is not used."""
    remarks = logging.getLogger("absl")

    def is_wanted(record: logging.LogRecord) -> bool:
        return "Skipping merge of OCDBT" not in record.getMessage()

    remarks.addFilter(is_wanted)
    try:
        with ocp.Checkpointer(ocp.PyTreeCheckpointHandler(use_ocdbt=False, use_zarr3=False)) as checkpointer:
            yield checkpointer
    finally:
        remarks.removeFilter(is_wanted)


def _files(folder: Path) -> dict[str, Path]:
    """Map the name of every file of a checkpoint, but the manifest's two, to its path."""
    paths = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if not _is_folder(path)}
    return {name: path for name, path in paths.items() if name not in ("manifest.json", "manifest.sha256")}


def _is_folder(path: Path) -> bool:
    return stat.S_ISDIR(path.lstat().st_mode)


def _is_plain(path: Path) -> bool:
    """Say whether a path is a file with contents, neither a link nor a pipe, which would never end."""
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except FileNotFoundError:
        return False


def _set_aside(folder: Path) -> None:
    """Rename a damaged checkpoint, so that a good one can take its name."""
    names = (folder.with_suffix(f".damaged{number or ''}") for number in range(1000))
    folder.rename(next(name for name in names if not name.exists()))


def _flush(path: Path) -> None:
    """See that a file or folder is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
