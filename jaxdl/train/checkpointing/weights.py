"""Weights of a model in one safetensors file, each leaf under its path, with digests that `load` verifies."""

import json
import os
from pathlib import Path
from typing import Any

import jax
import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from jaxdl import tree
from jaxdl.data.files.opening import check_regular
from jaxdl.train.checkpointing.integrity import DamagedError, check_same_forms
from jaxdl.train.leaves import forms, leaf_digest
from jaxdl.typing import PyTree

HEADER_LIMIT = 100 * 2**20
"""The largest size of a header in bytes, the limit of the format's own reader."""


def save(path: Path | str, variables: PyTree) -> None:
    """Write the leaves under their paths, ``"params/conv1/kernel"`` or ``"batch_stats/norm1/mean"``.

    The file is written atomically, after it has been read again and compared; equal weights give equal files. Its
    metadata hold the SHA-256 of every leaf under ``"sha256"``, as JSON.

    Args:
        path: the file; an existing one is replaced.
        variables: nested dicts of arrays: ``state.variables``, or the result of ``model.init``.

    Raises:
        TypeError: a leaf is not an array of numbers, or its dtype is unknown to the format.
    """
    path = Path(path)
    forms(variables)
    arrays = {name: np.asarray(leaf, order="C") for name, leaf in tree.flatten(jax.device_get(variables)).items()}
    digests = {name: leaf_digest(arrays[name]) for name in sorted(arrays)}
    partial = path.with_name(f"{path.name}.partial")
    try:
        save_file(arrays, partial, metadata={"sha256": _compact(digests)})
        _read(partial, verify=True)
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        partial.replace(path)
    except (SafetensorError, DamagedError) as error:
        raise TypeError(f"expected weights that safetensors can hold, got {error}") from error
    finally:
        partial.unlink(missing_ok=True)


def load(path: Path | str, like: PyTree | None = None, *, verify: bool = True) -> PyTree:
    """Read weights into nested dicts, split at the slashes of their names, or into the structure of ``like``.

    Args:
        path: a safetensors file.
        like: the expected leaves, dtypes and shapes, for instance ``jax.eval_shape`` of ``model.init``.
        verify: check every leaf against the digest written by `save`. Files of other programs have none.

    Raises:
        DamagedError: a bit has changed; the message names file and leaf.
        ValueError: the file has no digests, 64-bit leaves without ``jax_enable_x64``, or other leaves, dtypes or shapes
            than ``like``, each named.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(f"{folder}/line.safetensors", {"params": {"w": np.float32([1, 2])}})
    ...     load(f"{folder}/line.safetensors")
    {'params': {'w': Array([1., 2.], dtype=float32)}}
    """
    path = Path(path)
    arrays = _read(path, verify=verify)
    narrowed = [name for name, array in arrays.items() if jax.dtypes.canonicalize_dtype(array.dtype) != array.dtype]
    if narrowed:
        raise ValueError(
            f"expected leaves of at most 32 bits, got {', '.join(sorted(narrowed))} in {path}; set jax_enable_x64"
        )
    if like is None:
        return _nested(path, arrays)
    check_same_forms(forms(arrays), forms(like), path)
    return tree.map_with_path(lambda name, leaf: jax.device_put(arrays[name], getattr(leaf, "sharding", None)), like)


def _read(path: Path, *, verify: bool) -> dict[str, np.ndarray]:
    check_regular(path)
    digests = _read_header(path, verify=verify)
    try:
        arrays = load_file(path)
    except (SafetensorError, KeyError, AttributeError) as error:
        raise DamagedError(f"{path} is damaged or not a safetensors file: {error}") from None
    if verify:
        for name, array in arrays.items():
            if digests.get(name) != leaf_digest(array):
                raise DamagedError(f"{path} is damaged at leaf {name}: its SHA-256 is not the file's")
    return arrays


def _read_header(path: Path, *, verify: bool) -> dict[str, str]:
    """Check the header, its size before any memory is allocated, and return the digests in it."""
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > min(size - 8, HEADER_LIMIT):
            raise DamagedError(f"{path} is damaged or not a safetensors file: a header of {length:,} bytes in {size:,}")
        text = file.read(length)
    try:
        header = json.loads(text)
        written = header.get("__metadata__", {}).get("sha256") if verify else "{}"
        digests = None if written is None else json.loads(written)
    except (ValueError, AttributeError, TypeError, RecursionError):
        raise DamagedError(f"{path} is damaged or not a safetensors file: its header is unreadable") from None
    if digests is None:
        raise ValueError(
            f"expected digests, got none in {path}, damaged or of another program; load it with verify=False"
        )
    if verify:
        # A header in another format than the writer's could hide a changed bit.
        if _compact(header).encode() != text.rstrip(b" ") or _compact(digests) != written:
            raise DamagedError(f"{path} is damaged: its header is not the written one")
        names = header.keys() - {"__metadata__"}
        for name in sorted(names ^ digests.keys()):
            raise DamagedError(
                f"{path} is damaged: leaf {name} has " + ("no digest" if name in names else "no numbers")
            )
    return digests


def _nested(path: Path, arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    """Build nested dicts of arrays from names with slashes."""
    nested: dict[str, Any] = {}
    for name, array in arrays.items():
        *parents, last = name.split("/")
        branch = nested
        for parent in parents:
            branch = branch.setdefault(parent, {})
            if not isinstance(branch, dict):
                raise ValueError(f"expected no leaf {parent!r} above another, got {name} in {path}")
        if last in branch:
            raise ValueError(f"expected no leaves below {name}, got some in {path}")
        branch[last] = jax.numpy.asarray(array)
    return nested


def _compact(value: object) -> str:
    """Format JSON like the writer of safetensors."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
