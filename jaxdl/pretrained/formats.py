"""Formats of weight files: safetensors, npz, torch's two, pickles of NumPy arrays; none of them runs code.

A reader of a format may raise anything for a damaged file; `open_file` turns all of it into one ValueError.
"""

import json
import math
import pickle
import struct
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from safetensors import safe_open

from jaxdl.checks import shorten
from jaxdl.data.files import pickles
from jaxdl.data.files.archive import check_directory
from jaxdl.data.files.opening import open_regular
from jaxdl.data.files.pickle_bounds import check_bounds

TORCH_MAGIC = pickle.dumps(0x1950A86A20F9469CFC6C, protocol=2)[:-1]
"""The first bytes of a torch file in the old format."""
TORCH_PICKLES = 5
"""The pickles of that format: magic number, protocol, system, tensors, names of the storages."""
TORCH_KEYS = ("text", "number")
"""Kinds of keys in torch files; an optimizer numbers its parameters."""
MAX_VIEW = 1 << 24
"""Bytes that a tensor may have beyond its storage, of which it can be a view that repeats it."""

CODES = {"f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1"}
"""Dtypes accepted in a pickle: of weights, counters and masks."""
FLOAT8 = {"F8_E4M3": jnp.float8_e4m3fn, "F8_E5M2": jnp.float8_e5m2}
"""Dtypes of safetensors files that its reader does not give to NumPy."""
MAX_HEADER = 100_000_000
ZIP_RATIO = 1032
"""The largest compression of deflate."""


class Pickled(dict[str, Any]):
    """The dictionaries of a pickle, with an `ArraySpec` for each array."""


class ForeignContentError(ValueError):
    """A file that is sound as such holds something else than arrays by name."""


def open_file(path: Path) -> Mapping[str, Any]:
    """Read a file in any of the formats, recognized by its first bytes.

    Raises:
        FileNotFoundError: there is no file.
        ValueError: it is no regular file, of no known format, damaged, or holds more than arrays in dictionaries.
        ImportError: a torch file, and torch is not installed.
    """
    with open_regular(path) as file:
        start = file.read(16)
    read, kind = _reader(path, start)
    try:
        return read(path)
    except (ImportError, ForeignContentError):
        raise
    except Exception as error:
        fault = shorten(error) or type(error).__name__
        raise ValueError(f"{path} is a damaged {kind} file, or none: {fault}") from error


def _reader(path: Path, start: bytes) -> tuple[Any, str]:
    if start.startswith(b"PK"):
        return _zip, "npz or torch"
    if start[8:9] == b"{":
        return _safetensors, "safetensors"
    if start.startswith(TORCH_MAGIC):
        return _old_torch, "torch"
    if start.startswith(b"\x80"):
        return _pickle, "pickle"
    if start.startswith(b"GGUF"):
        raise ValueError(f"{path} is a GGUF file; load it with pretrained.load_gguf, or read it with read_gguf")
    if start.startswith(b"{"):
        raise ValueError(f"{path} is text, perhaps the index of several files, whose name would end in .index.json")
    raise ValueError(f"{path} is neither a safetensors, an npz nor a torch file; it starts with {start!r}")


def _safetensors(path: Path) -> dict[str, Any]:
    with open_regular(path) as file:
        (length,) = struct.unpack("<Q", file.read(8))
        if length > MAX_HEADER:
            raise ValueError(f"a header of {length} bytes")
        header = json.loads(file.read(length), object_pairs_hook=unique)
        arrays = {}
        with safe_open(path, framework="numpy") as reader:  # checks the header against the file
            for name in [name for name in header if name != "__metadata__"]:
                dtype = FLOAT8.get(header[name]["dtype"])
                if dtype is None:
                    arrays[name] = _named(name, reader.get_tensor, name)
                else:
                    first, end = header[name]["data_offsets"]
                    file.seek(8 + length + first)
                    arrays[name] = np.frombuffer(file.read(end - first), dtype).reshape(header[name]["shape"])
    return arrays


def _zip(path: Path) -> Mapping[str, Any]:
    with open_regular(path) as file, zipfile.ZipFile(file) as archive:
        check_directory(archive)
        members = archive.infolist()
        unique((member.filename, member) for member in members)
        tensors = [member for member in members if member.filename.rpartition("/")[2] == "data.pkl"]
        if tensors:
            if any(member.compress_type != zipfile.ZIP_STORED for member in members):
                raise ValueError("compressed members, which torch does not write")
            for member in members:
                if member.filename.endswith(".pkl"):
                    _check_bounds(path, archive.read(member))
                else:
                    _check_member(archive, member)
            return _torch(path)
        return unique((member.filename.removesuffix(".npy"), _npy(path, archive, member)) for member in members)


def _check_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> None:
    """Read a member to its checksum, which torch does not."""
    with archive.open(member) as file:
        while file.read(1 << 20):
            pass


def _npy(path: Path, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> np.ndarray:
    """Read an array, after its header was compared with the sizes of the member and of the file."""
    name = member.filename
    if member.file_size > ZIP_RATIO * max(member.compress_size, 1):
        raise ValueError(f"{name} of {member.compress_size} bytes cannot hold {member.file_size}")
    with archive.open(member) as file:
        shape, fortran, dtype = _named(name, _npy_header, file)
        if dtype.hasobject:
            raise ForeignContentError(
                f"{path} is no npz file of plain arrays: {name} has objects, which could run code"
            )
        expected = math.prod(shape) * dtype.itemsize
        if expected != member.file_size - file.tell():
            raise ValueError(f"{name} should have {expected} bytes, and has {member.file_size - file.tell()}")
        content = _named(name, file.read)
        if len(content) != expected:
            raise ValueError(f"{name} should have {expected} bytes, and has {len(content)}")
    return np.frombuffer(content, dtype).reshape(shape, order="F" if fortran else "C").copy()


def _npy_header(file: Any) -> tuple[tuple[int, ...], bool, np.dtype]:
    version = np.lib.format.read_magic(file)
    if version == (1, 0):
        return np.lib.format.read_array_header_1_0(file)
    if version == (2, 0):
        return np.lib.format.read_array_header_2_0(file)
    raise ValueError(f"version {version} of the format")


def _old_torch(path: Path) -> Mapping[str, Any]:
    with open_regular(path) as file:
        content = file.read()
    _check_bounds(path, content, TORCH_PICKLES)
    return _torch(path)


def _check_bounds(path: Path, content: bytes, count: int = 1) -> None:
    position = 0
    for _ in range(count):
        try:
            position = check_bounds(content, position, keys=TORCH_KEYS)
        except pickle.UnpicklingError as error:
            raise _refused(path, "tensors in dictionaries", error) from None


def _torch(path: Path) -> Mapping[str, Any]:
    try:
        import torch
    except ImportError:
        raise ImportError(
            f"{path} is a torch file, which torch alone can read: pip install torch, or convert it to safetensors"
        ) from None
    try:
        holds = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise _refused(path, "tensors in dictionaries", str(error).partition("\n")[0]) from None
    if not isinstance(holds, Mapping):
        raise ForeignContentError(f"{path} holds no dictionary of tensors but a {type(holds).__name__}")
    _check_views(holds)
    return holds


def _check_views(holds: Mapping[Any, Any]) -> None:
    """Check that no tensor repeats its storage without end."""
    for name, value in holds.items():
        if isinstance(value, Mapping):
            _check_views(value)
        elif hasattr(value, "untyped_storage") and str(value.layout) == "torch.strided":
            size, stored = value.numel() * value.element_size(), value.untyped_storage().nbytes()
            if size > stored + MAX_VIEW:
                raise ValueError(f"{shorten(name)} repeats {stored} bytes to {size}")


def _pickle(path: Path) -> Pickled:
    with open_regular(path) as file:
        content = file.read()
    try:
        holds = pickles.loads(content)
        if not isinstance(holds, dict):
            raise ValueError(f"a {type(holds).__name__} in place of a dictionary")
    except Exception as error:  # damage can surface as any exception that an instruction of pickle knows
        raise _refused(path, "arrays in dictionaries", error) from None
    return Pickled(holds)


def _refused(path: Path, content: str, error: object) -> ForeignContentError:
    fault = shorten(error) or type(error).__name__
    return ForeignContentError(
        f"{path} holds more than {content}, or is damaged, and a pickle can run anything: it is refused ({fault}). "
        "Where you trust its origin, load it with the library that wrote it and save its arrays as safetensors"
    )


def arrays_of_pickle(holds: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """List the values of nested dictionaries, each with the keys that lead to it, joined by dots.

    Raises:
        ValueError: a value of a pickle is no array of numbers.
    """
    for name, value in holds.items():
        if isinstance(value, dict):
            yield from arrays_of_pickle(value, f"{prefix}{name}.")
        elif isinstance(value, pickles.ArraySpec):
            try:
                yield f"{prefix}{name}", value.array(CODES)
            except ValueError as error:
                raise ValueError(f"{shorten(prefix + name)}: {error}") from None
        else:
            raise ValueError(f"{shorten(f'{prefix}{name}')} is a {type(value).__name__}")


def unique(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Make a dictionary, and refuse that one entry takes the place of another."""
    entries = {}
    for name, value in pairs:
        if name in entries:
            raise ValueError(f"expected different names, got two entries {shorten(repr(name))}; rename one of them")
        entries[name] = value
    return entries


def _named(name: str, call: Any, *arguments: Any) -> Any:
    """Call a reader of one entry; its error names the entry."""
    try:
        return call(*arguments)
    except Exception as error:
        raise ValueError(f"{shorten(name)}: {shorten(error) or type(error).__name__}") from error
