"""Read files and folders of named arrays: safetensors, npz, and the plain tensors of torch files; write safetensors."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from jaxdl.checks import shorten
from jaxdl.data.files.opening import read_plain_text
from jaxdl.pretrained.formats import Pickled, arrays_of_pickle, open_file, unique

WEIGHTS = ("model.safetensors", "pytorch_model.bin")
"""Files of weights in a folder of transformers, or the first parts of the names of their indices."""
INDEX = ".index.json"
SUFFIXES = frozenset({".safetensors", ".npz", ".bin", ".pt", ".pth", ".ckpt"})


def read(file: Path | str | Mapping[str, Any], entry: str | None = None, prefix: str = "") -> dict[str, np.ndarray]:
    """Return the arrays of a file by their names.

    The format of a file is recognized by its first bytes, not its name. Torch files need torch. Torch files and pickles
    of NumPy arrays are read without executing their code: a file with anything else is rejected. Names in nested
    dictionaries of such a pickle are joined by dots, from ``entry`` on. Tensors of bfloat16 and of 8 bits become
    float32 where NumPy has no such type.

    Args:
        file: a safetensors, npz or torch file, or a pickle of NumPy's arrays; a folder with one of them, as
            transformers writes it, or the index of several; or a mapping of arrays or torch tensors.
        entry: for a file of several dictionaries, ``{"model": ..., "optimizer": ...}``, which of them; a slash leads to
            one within another, ``"ema/state_dict"``.
        prefix: removed from the names, such as the ``"module."`` of torch's ``DataParallel``; entries without it are
            ignored.

    Raises:
        ValueError: the format is unknown, the file is damaged or no regular file, or holds anything else than arrays of
            different names.
        FileNotFoundError: there is no file, or none with weights in the folder.
        TypeError: neither a path nor a mapping, such as the model itself.
        ImportError: a torch file, and torch is not installed.

    >>> read({"weight": [1.0, 2.0]})
    {'weight': array([1., 2.])}
    """
    if not isinstance(file, Path | str | Mapping):
        hint = ": give its state_dict()" if hasattr(file, "state_dict") else ""
        raise TypeError(f"expected a file or named arrays, got {type(file).__name__}{hint}")
    holds = _inside(file, entry) if isinstance(file, Mapping) else _open(Path(file).expanduser(), entry)
    groups = _groups(holds)
    if groups:
        found = [group if entry is None else f"{entry}/{group}" for group in groups]
        raise ValueError(
            f"expected named arrays, got dictionaries; give entry={shorten(found[0])!r}, or one of {shorten(found)}"
        )
    named = ((str(name), value) for name, value in holds.items())
    wanted = unique((name.removeprefix(prefix), value) for name, value in named if name.startswith(prefix))
    if holds and not wanted:
        raise ValueError(f"expected names with prefix={prefix!r}, got {shorten(repr(next(iter(holds))))} and others")
    return _numbers(wanted)


def rename(entries: Mapping[str, np.ndarray], names: Mapping[str, str]) -> dict[str, np.ndarray]:
    """Replace the first parts of the names of entries.

    Raises:
        ValueError: no name has one of them.

    >>> rename({"linear.bias": np.zeros(2)}, {"linear": "fc"})
    {'fc.bias': array([0., 0.])}
    """

    def renamed(name: str) -> str:
        for theirs, wanted in names.items():
            if name == theirs or name.startswith(f"{theirs}."):
                return wanted + name.removeprefix(theirs)
        return name

    for theirs in names:
        if not any(name == theirs or name.startswith(f"{theirs}.") for name in entries):
            raise ValueError(f"expected names that begin with {theirs!r} to rename, got {shorten(sorted(entries))}")
    return unique((renamed(name), array) for name, array in entries.items())


def save(path: Path | str, entries: Mapping[str, Any]) -> None:
    """Write named arrays, as `export` gives them, to a safetensors file, which every library reads.

    Raises:
        ValueError: an entry is not an array of numbers.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(f"{folder}/line.safetensors", {"weight": np.float32([1, 2])})
    ...     read(f"{folder}/line.safetensors")
    {'weight': array([1., 2.], dtype=float32)}
    """
    path = Path(path)
    partial = path.with_name(f"{path.name}.partial")
    try:
        arrays = {name: np.array(array, order="C") for name, array in _numbers(entries).items()}
        save_file(arrays, partial, metadata={"format": "pt"})  # older transformers refuse files without
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _weights_in(folder: Path) -> Path:
    """Return the file of weights in a folder, or the index of several.

    Raises:
        FileNotFoundError: there is none.
        ValueError: there are several, none of them with the name that transformers gives.
    """
    for name in WEIGHTS:
        for path in (folder / name, folder / f"{name}{INDEX}"):
            if path.exists():
                return path
    found = sorted(path for path in folder.iterdir() if path.suffix in SUFFIXES)
    if not found:
        raise FileNotFoundError(f"expected weights in {folder}, such as {WEIGHTS[0]}, got none")
    if len(found) > 1:
        names = shorten(", ".join(path.name for path in found))
        raise ValueError(f"expected one file of weights in {folder}, got {names}; give one of them")
    return found[0]


def _open(path: Path, entry: str | None) -> Mapping[str, Any]:
    if path.is_dir():
        path = _weights_in(path)
    if path.name.endswith(INDEX):
        return _inside(_shards(path), entry)
    content = open_file(path)
    holds = _inside(content, entry)
    if not isinstance(content, Pickled):
        return holds
    try:
        return unique(arrays_of_pickle(holds))
    except ValueError as error:
        raise ValueError(f"{path} holds something else than named arrays of numbers: {error}") from None


def _shards(index: Path) -> dict[str, Any]:
    """Read the files of an index, ``{"weight_map": {entry: file}}``."""
    try:
        files = json.loads(read_plain_text(index))["weight_map"]
        names = set(files.values())
        if not names or not all(isinstance(name, str) and Path(name).name == name for name in names):
            raise ValueError("expected the names of files beside it")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"{index} is no index of files of weights: {shorten(error)}") from error
    absent = [name for name in sorted(names) if not index.with_name(name).exists()]
    if absent:
        raise FileNotFoundError(f"{index}: expected {shorten(repr(absent[0]))} beside it, got no such file")
    shards = {name: open_file(index.with_name(name)) for name in sorted(names)}
    missing = [entry for entry, name in files.items() if entry not in shards[name]]
    if missing:
        raise ValueError(f"{index}: expected {shorten(missing[0])} in {files[missing[0]]}, got a file without")
    return unique(item for shard in shards.values() for item in shard.items())


def _inside(holds: Mapping[str, Any], entry: str | None) -> Mapping[str, Any]:
    """Return the dictionary to which the parts of ``entry`` lead."""
    for part in [] if entry is None else entry.split("/"):
        if not isinstance(holds.get(part), Mapping):
            found = shorten(", ".join(map(str, holds)))
            raise ValueError(f"expected a dictionary {shorten(part)!r}, got the entries {found}")
        holds = holds[part]
    return holds


def _groups(holds: Mapping[str, Any]) -> list[str]:
    """Return the names of the dictionaries in a dictionary, those of arrays first."""
    groups = {str(name): value for name, value in holds.items() if isinstance(value, Mapping)}
    full = {name for name, group in groups.items() if group and all(hasattr(leaf, "shape") for leaf in group.values())}
    return sorted(groups, key=lambda name: name not in full)


def _numbers(entries: Mapping[str, Any]) -> dict[str, np.ndarray]:
    arrays = {name: _array(name, value) for name, value in entries.items()}
    others = [name for name, array in arrays.items() if array.dtype.hasobject or array.dtype.kind in "SU"]
    if others:
        raise ValueError(f"expected arrays of numbers, got others for {shorten(', '.join(others))}; leave them out")
    return arrays


def _array(name: str, value: Any) -> np.ndarray:
    """Make an array of anything that is like one; torch's types that NumPy does not know as float32."""
    try:
        if hasattr(value, "detach"):
            value = value.detach().cpu()
            value = value.float() if str(value.dtype).startswith(("torch.bfloat16", "torch.float8")) else value
            return value.numpy()
        return np.asarray(value)
    except (ValueError, TypeError, RuntimeError) as error:  # ragged lists; sparse and quantised tensors
        raise ValueError(f"{shorten(name)}: a {type(value).__name__} that is no array: {error}") from None
