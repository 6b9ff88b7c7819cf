"""One checkpoint folder: a state in the format of Orbax, and a manifest with the digests of all leaves and files."""

import hashlib
import json
import logging
import os
import stat
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp

from jaxdl import tree
from jaxdl.train.checkpointing.integrity import DamagedError, UnreadableError, file_digest
from jaxdl.train.leaves import Form, forms, is_key, key_implementation, leaf_digest
from jaxdl.typing import PyTree

FORMAT = 1
"""The version of the folder's layout."""
MANIFEST, SEAL = "manifest.json", "manifest.sha256"
MANIFEST_LIMIT = 256 * 2**20
"""The largest size of a manifest in bytes."""
HEADER_LIMIT = 2**16
"""The largest size of the header of an array in bytes."""
LEAF_FIELDS = {"dtype", "shape", "sha256"}
FIELDS = {"format": int, "step": int, "position": dict | None, "config": dict, "leaves": dict, "files": dict}


def write(
    folder: Path, state: PyTree, *, step: int, position: Mapping[str, Any] | None, config: Mapping[str, Any]
) -> None:
    """Write a state into an empty folder, and flush it to the disk.

    Raises:
        ValueError: the path of a leaf cannot name a folder, or a leaf is sharded over several processes.
    """
    arrays = {name: _on_host(name, array) for name, array in storable(state).items()}
    folder_names = {_folder_name(name) for name in arrays}
    if len(folder_names) < len(arrays) or any(name.startswith(".") for name in folder_names):
        raise ValueError(
            f"expected paths that name different folders with dots for slashes, got {sorted(arrays)}; rename the leaves"
        )
    with _orbax() as checkpointer:
        # Orbax rejects empty arrays.
        values = {_folder_name(name): array for name, array in arrays.items() if array.size}
        checkpointer.save(folder / "state", args=ocp.args.PyTreeSave(values))
    files = _files(folder)
    with ThreadPoolExecutor() as pool:
        digests = dict(zip(arrays, pool.map(leaf_digest, arrays.values()), strict=True))
        file_digests = dict(zip(files, pool.map(file_digest, files.values()), strict=True))
    leaves = {
        name: {"dtype": form.dtype, "shape": form.shape, "sha256": digests[name]} for name, form in forms(state).items()
    }
    manifest = {"format": FORMAT, "step": step, "position": as_json("position", position), "config": config}
    text = json.dumps({**manifest, "leaves": leaves, "files": file_digests}, indent=1).encode()
    (folder / MANIFEST).write_bytes(text)
    (folder / SEAL).write_bytes(_seal(text))
    with ThreadPoolExecutor(32) as pool:
        list(pool.map(flush, [*folder.rglob("*"), folder]))


def as_json(name: str, value: Any) -> Any:
    """Convert a value to what JSON reads back: NumPy's numbers and arrays become numbers and lists.

    Raises:
        TypeError: a part of it is nothing that JSON has.
        ValueError: a number is NaN or infinite, or a part holds itself.

    >>> as_json("config", {"rate": np.float64(0.5), "sizes": (8, np.int64(4))})
    {'rate': 0.5, 'sizes': [8, 4]}
    """

    def convert(part: Any) -> Any:
        if isinstance(part, np.generic | np.ndarray | jax.Array) and not jnp.issubdtype(
            part.dtype, jnp.complexfloating
        ):
            return part.tolist()
        raise TypeError(f"expected {name} of numbers, text, lists and dicts, got {part!r:.100} in it; convert it")

    try:
        return json.loads(json.dumps(value, allow_nan=False, default=convert))
    except ValueError as error:
        raise ValueError(f"expected {name} that JSON can hold, got {value!r:.200}: {error}") from error


def read_manifest(folder: Path) -> dict[str, Any]:
    """Read a manifest: ``step``, ``position``, ``config``, ``leaves`` and ``files``.

    Raises:
        DamagedError: a bit has changed, or the file is not a manifest.
    """
    path, seal = folder / MANIFEST, folder / SEAL
    if folder.is_symlink():
        raise DamagedError(f"{folder} is a symbolic link, not a folder")
    for file in (path, seal):
        if not _is_regular(file):
            raise DamagedError(f"{file} is missing or not a regular file")
    try:
        if path.stat().st_size > MANIFEST_LIMIT or seal.stat().st_size != len(_seal(b"")):
            raise DamagedError(f"{path} or {SEAL} is damaged: its size is wrong")
        text, sealed = path.read_bytes(), seal.read_bytes()
    except OSError as error:
        raise UnreadableError(f"{path} or {SEAL} cannot be read: {error.strerror}") from error
    if sealed != _seal(text):
        raise DamagedError(f"{path} or {SEAL} is damaged: the SHA-256 of the first is not in the second")
    try:
        manifest = json.loads(text)
        complete = all(isinstance(manifest[name], kind) for name, kind in FIELDS.items())
        complete = complete and all(set(leaf) == LEAF_FIELDS for leaf in manifest["leaves"].values())
    except (ValueError, KeyError, TypeError, RecursionError):
        complete = False
    if not complete or manifest["format"] != FORMAT:
        raise DamagedError(f"{path} is not a manifest of format {FORMAT}")
    outside = [name for name in manifest["files"] if name.startswith(("/", "\\")) or ".." in name.split("/")]
    if outside:
        raise DamagedError(f"{path} names a file outside of its folder: {outside[0]!r}")
    return manifest


def stored_forms(manifest: dict[str, Any]) -> dict[str, Form]:
    """Map the path of every leaf in a manifest to its dtype and shape."""
    return {name: Form(leaf["dtype"], tuple(leaf["shape"])) for name, leaf in manifest["leaves"].items()}


def verify_files(folder: Path, manifest: dict[str, Any]) -> None:
    """Check that a folder holds exactly the files of a manifest, bit for bit.

    Raises:
        DamagedError: a file is missing, unexpected or changed.
    """
    leaves = {_folder_name(name): name for name in manifest["leaves"]}

    def describe(name: str) -> str:
        parts = name.split("/")
        leaf = leaves.get(parts[1]) if len(parts) > 1 else None
        return f"{folder / name}" + (f" (leaf {leaf})" if leaf else "")

    present, expected = _files(folder), manifest["files"]
    for name in sorted(present.keys() ^ expected.keys()):
        raise DamagedError(f"{describe(name)} is " + ("missing" if name in expected else "not in the manifest"))
    for name, path in present.items():
        if not _is_regular(path):
            raise DamagedError(f"{describe(name)} is not a regular file")

    def digest(name: str) -> str:
        try:
            return file_digest(present[name])
        except OSError as error:
            raise UnreadableError(f"{describe(name)} cannot be read: {error.strerror}") from error

    with ThreadPoolExecutor() as pool:
        for name, found in zip(present, pool.map(digest, present), strict=True):
            if found != expected[name]:
                raise DamagedError(f"{describe(name)} is damaged: its SHA-256 is not the manifest's")


def read(folder: Path, manifest: dict[str, Any], like: PyTree) -> PyTree:
    """Read the state onto the devices of ``like``, with the forms of the manifest, and check every leaf's digest.

    Raises:
        DamagedError: the restored numbers are not the written ones, or a header claims more memory than its leaf has.
    """
    targets = {
        name: jax.eval_shape(jax.random.key_data, leaf) if is_key(leaf) else leaf
        for name, leaf in tree.flatten(like).items()
    }
    nonempty = {name: target for name, target in targets.items() if target.size}
    for name, target in nonempty.items():
        _check_header(folder / "state" / _folder_name(name) / ".zarray", name, target.shape, np.dtype(target.dtype))
    values = {_folder_name(name): np.empty((), target.dtype) for name, target in nonempty.items()}
    with _orbax() as checkpointer:
        arguments = {name: ocp.RestoreArgs(restore_type=np.ndarray) for name in values}
        restored = checkpointer.restore(folder / "state", args=ocp.args.PyTreeRestore(values, restore_args=arguments))

    def leaf_of(name: str, leaf: Any) -> Any:
        array = restored[_folder_name(name)] if name in nonempty else np.zeros(leaf.shape, leaf.dtype)
        if leaf_digest(array) != manifest["leaves"][name]["sha256"]:
            raise DamagedError(f"{folder} is damaged at leaf {name}: its SHA-256 is not the manifest's")
        if isinstance(leaf, np.ndarray):
            return array
        # device_put accepts NumPy arrays only for devices of several processes: make the key there.
        placed = jax.device_put(array, leaf.sharding)
        return jax.random.wrap_key_data(placed, impl=key_implementation(leaf)) if is_key(leaf) else placed

    return tree.map_with_path(leaf_of, like)


def storable(state: PyTree) -> dict[str, Any]:
    """Map the path of every leaf to a storable array: the data of a random key, else the leaf itself."""
    return {name: jax.random.key_data(leaf) if is_key(leaf) else leaf for name, leaf in tree.flatten(state).items()}


def _on_host(name: str, array: Any) -> np.ndarray:
    if not getattr(array, "is_fully_addressable", True) and not array.is_fully_replicated:
        raise ValueError(
            f"expected leaf {name} in this process, got one sharded over several; collect the state with "
            "train.OnFirstProcess(SaveEvery(checkpoints), state=True)"
        )
    return np.asarray(array)


def flush(path: Path) -> None:
    """Flush a file or folder to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _folder_name(leaf: str) -> str:
    """Return the name of a leaf's folder: ``params.conv1.kernel``."""
    return leaf.replace("/", ".")


def _seal(manifest: bytes) -> bytes:
    """Format the manifest's digest for the program sha256sum."""
    return f"{hashlib.sha256(manifest).hexdigest()}  {MANIFEST}\n".encode()


def _check_header(path: Path, leaf: str, shape: tuple[int, ...], dtype: np.dtype) -> None:
    """Check that an array file's header has the shape and the dtype of the leaf, no filters, and chunks no larger.

    Its reader allocates what the header claims.
    """
    try:
        header = json.loads(path.read_bytes()) if path.stat().st_size <= HEADER_LIMIT else {}
        sound = header["shape"] == list(shape) and np.prod(header["chunks"], dtype=float) <= np.prod(shape, dtype=float)
        sound = sound and len(header["chunks"]) == len(shape) and all(size > 0 for size in header["chunks"])
        sound = sound and header["dtype"] in (dtype.str, dtype.name) and not header.get("filters")
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        sound = False
    if not sound:
        raise DamagedError(
            f"{path} (leaf {leaf}) is damaged: expected the header of an array of shape {list(shape)} of {dtype}"
        )


@contextmanager
def _orbax() -> Iterator[ocp.Checkpointer]:
    """Yield an Orbax checkpointer with a folder for each leaf, and silence its messages about the other format."""
    logger = logging.getLogger("absl")

    def is_wanted(record: logging.LogRecord) -> bool:
        return "Skipping merge of OCDBT" not in record.getMessage()

    # Only the calling process reads or writes: Orbax must not wait for the others.
    process = jax.process_index()
    options = ocp.options.MultiprocessingOptions(primary_host=process, active_processes={process})
    logger.addFilter(is_wanted)
    try:
        handler = ocp.PyTreeCheckpointHandler(use_ocdbt=False, use_zarr3=False, multiprocessing_options=options)
        with ocp.Checkpointer(handler, multiprocessing_options=options) as checkpointer:
            yield checkpointer
    finally:
        logger.removeFilter(is_wanted)


def _files(folder: Path) -> dict[str, Path]:
    """Map the names of a checkpoint's files, except the manifest's two, to their paths."""
    paths = [path for path in sorted(folder.rglob("*")) if not stat.S_ISDIR(path.lstat().st_mode)]
    named = {path.relative_to(folder).as_posix(): path for path in paths}
    return {name: path for name, path in named.items() if name not in (MANIFEST, SEAL)}


def _is_regular(path: Path) -> bool:
    """Return whether a path is a regular file: not a link, and not a pipe, which would block."""
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except FileNotFoundError:
        return False
