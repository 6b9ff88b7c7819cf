"""Read files of named arrays: safetensors, npz, and the plain tensors of torch files; write safetensors."""

import pickle
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from jaxdl.data.files import pickles

TORCH_MAGIC = pickle.dumps(0x1950A86A20F9469CFC6C, protocol=2)[:-1]
"""The first bytes of a torch file in the old format."""

CODES = {"f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1"}
"""Dtypes accepted in a pickle: of weights, counters and masks."""


def read(file: Path | str | Mapping[str, Any], entry: str | None = None, prefix: str = "") -> dict[str, np.ndarray]:
    """Return the arrays of a file by their names.

    The format of a file is recognized by its first bytes, not its name. Torch files need torch. Torch files and pickles
    of NumPy arrays are read without executing their code: a file with anything else is rejected. Names in nested
    dictionaries of such a pickle are joined by dots, from ``entry`` on.

    Args:
        file: a safetensors, npz or torch file, or a pickle of NumPy's arrays; or a mapping of arrays or torch tensors,
            returned as arrays.
        entry: for a file of several dictionaries, ``{"model": ..., "optimizer": ...}``, which of them; a slash leads to
            one within another, ``"ema/state_dict"``.
        prefix: removed from the names, such as the ``"module."`` of torch's ``DataParallel``; entries without it are
            ignored.

    Raises:
        ValueError: the format is unknown, the file is damaged, or holds anything else than arrays of different names.
        TypeError: neither a path nor a mapping, such as the model itself.
        ImportError: a torch file, and torch is not installed.

    >>> read({"weight": [1.0, 2.0]})
    {'weight': array([1., 2.])}
    """
    if not isinstance(file, Path | str | Mapping):
        hint = ": give its state_dict()" if hasattr(file, "state_dict") else ""
        raise TypeError(f"expected a file or named arrays, got {type(file).__name__}{hint}")
    holds = _inside(file, entry) if isinstance(file, Mapping) else _open(Path(file), entry)
    groups = _groups(holds)
    if groups:
        found = [group if entry is None else f"{entry}/{group}" for group in groups]
        raise ValueError(f"expected named arrays, got dictionaries; give entry={found[0]!r}, or one of {found}")
    named = ((str(name), value) for name, value in holds.items())
    wanted = _single((name.removeprefix(prefix), value) for name, value in named if name.startswith(prefix))
    if holds and not wanted:
        raise ValueError(f"expected names with prefix={prefix!r}, got {next(iter(holds))!r} and others")
    return _numbers(wanted)


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
        save_file({name: np.array(array, order="C") for name, array in _numbers(entries).items()}, partial)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _open(path: Path, entry: str | None) -> Mapping[str, Any]:
    with path.open("rb") as file:
        start = file.read(16)
    if start.startswith(b"PK"):
        try:
            with zipfile.ZipFile(path) as archive:
                names = archive.namelist()
        except zipfile.BadZipFile as error:
            raise ValueError(f"{path} is a damaged npz or torch file: {error}") from None
        torch_file = any(name.endswith("data.pkl") for name in names)
        return _inside(_torch(path) if torch_file else _npz(path), entry)
    if start[8:9] == b"{":
        try:
            holds = load_file(path)
        except (SafetensorError, KeyError, AttributeError) as error:
            raise ValueError(f"{path} is no safetensors file that can be read, or damaged: {error}") from None
        return _inside(holds, entry)
    if start.startswith(b"{"):
        raise ValueError(f"{path} is text, perhaps the index of several files: read each, and join the dictionaries")
    if start.startswith(TORCH_MAGIC):
        return _inside(_torch(path), entry)
    if start.startswith(b"\x80"):
        return _pickle(path, entry)
    raise ValueError(f"{path} is neither a safetensors, an npz nor a torch file; it starts with {start!r}")


def _npz(path: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as file:
            return dict(file)
    except (ValueError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} is no npz file of plain arrays, or damaged: {error}") from None


def _torch(path: Path) -> Mapping[str, Any]:
    try:
        import torch
    except ImportError:
        raise ImportError(
            f"{path} is a torch file, which torch alone can read: pip install torch, or convert it to safetensors"
        ) from None
    try:
        holds = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise ValueError(
            f"{path} holds more than tensors in dictionaries, and a pickle can run anything: it is refused. Where you "
            "trust its origin, load it in torch and give model.state_dict() or a safetensors file of that"
        ) from None
    except (RuntimeError, EOFError) as error:
        raise ValueError(f"{path} is no torch file that can be read, or damaged: {error}") from None
    if not isinstance(holds, Mapping):
        raise ValueError(f"{path} holds no dictionary of tensors but a {type(holds).__name__}")
    return holds


def _pickle(path: Path, entry: str | None) -> dict[str, np.ndarray]:
    try:
        holds = pickles.loads(path.read_bytes())
        if not isinstance(holds, dict):
            raise ValueError(f"a {type(holds).__name__} in place of a dictionary")
    except Exception as error:  # damage can surface as any exception that an instruction of pickle knows
        raise ValueError(
            f"{path} holds more than arrays in dictionaries, or is damaged, and a pickle can run anything: it is "
            f"refused ({error or type(error).__name__}). Where you trust its origin, save its arrays as safetensors"
        ) from None
    holds = _inside(holds, entry)
    try:
        return _single(_arrays(holds, ""))
    except (ValueError, RecursionError) as error:  # a dictionary may be within itself
        raise ValueError(f"{path} holds something else than named arrays of numbers: {error}") from None


def _inside(holds: Mapping[str, Any], entry: str | None) -> Mapping[str, Any]:
    """Return the dictionary to which the parts of ``entry`` lead."""
    for part in [] if entry is None else entry.split("/"):
        if not isinstance(holds.get(part), Mapping):
            raise ValueError(f"expected a dictionary {part!r}, got the entries {', '.join(map(str, holds))}")
        holds = holds[part]
    return holds


def _arrays(holds: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, np.ndarray]]:
    """List the arrays of nested dictionaries, each with the keys that lead to it, joined by dots."""
    for name, value in holds.items():
        if isinstance(value, dict):
            yield from _arrays(value, f"{prefix}{name}.")
        elif isinstance(value, pickles.ArraySpec):
            try:
                yield f"{prefix}{name}", value.array(CODES)
            except ValueError as error:
                raise ValueError(f"{prefix}{name}: {error}") from None
        else:
            raise ValueError(f"{prefix}{name} is a {type(value).__name__}")


def _single(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Make a dictionary, and refuse that one entry takes the place of another."""
    entries = {}
    for name, value in pairs:
        if name in entries:
            raise ValueError(f"expected different names, got two entries {name!r}; rename one of them")
        entries[name] = value
    return entries


def _groups(holds: Mapping[str, Any]) -> list[str]:
    """Return the names of the dictionaries in a dictionary, those of arrays first."""
    groups = {str(name): value for name, value in holds.items() if isinstance(value, Mapping)}
    full = {name for name, group in groups.items() if group and all(hasattr(leaf, "shape") for leaf in group.values())}
    return sorted(groups, key=lambda name: name not in full)


def _numbers(entries: Mapping[str, Any]) -> dict[str, np.ndarray]:
    arrays = {name: _array(name, value) for name, value in entries.items()}
    others = [name for name, array in arrays.items() if array.dtype.hasobject or array.dtype.kind in "SU"]
    if others:
        raise ValueError(f"expected arrays of numbers, got others for {', '.join(others)}; leave them out")
    return arrays


def _array(name: str, value: Any) -> np.ndarray:
    """Make an array of anything that is like one; torch's bfloat16, which numpy does not know, as float32."""
    try:
        if hasattr(value, "detach"):
            value = value.detach().cpu()
            value = value.float() if str(value.dtype) == "torch.bfloat16" else value
            return value.numpy()
        return np.asarray(value)
    except (ValueError, TypeError, RuntimeError) as error:  # ragged lists; sparse and quantised tensors
        raise ValueError(f"{name}: a {type(value).__name__} that is no array: {error}") from None
