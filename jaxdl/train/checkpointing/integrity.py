"""Digests of arrays and files, and the differences between what is stored and what is wanted."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np

from jaxdl import tree
from jaxdl.typing import Array, PyTree

SHOWN = 20
"""How many differing leaves a message names before it only counts the rest."""


class DamagedError(ValueError):
    """What is stored is not what was written: bits have changed, or a part is missing or too much."""


class Form(NamedTuple):
    """The dtype and shape of a leaf.

    >>> print(Form("float32", (5, 8)))
    float32[5, 8]
    """

    dtype: str
    shape: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.dtype}{list(self.shape)}"


def forms(state: PyTree) -> dict[str, Form]:
    """Map the path of every leaf to its form; a random key has a dtype such as ``key<fry>``.

    Raises:
        TypeError: for a leaf that is no array.

    >>> forms({"a": np.zeros((2, 3), np.int32)})
    {'a': Form(dtype='int32', shape=(2, 3))}
    """
    leaves = jax.tree_util.tree_leaves_with_path(state)
    named = {tree.path_name(path): leaf for path, leaf in leaves}
    others = [name for name, leaf in named.items() if not is_array(leaf)]
    if others:
        raise TypeError(f"expected arrays at all leaves, but these are none: {', '.join(others)}")
    if len(named) < len(leaves):
        raise ValueError("two leaves have the same path: a name in a dict contains a slash")
    return {name: Form(str(leaf.dtype), tuple(leaf.shape)) for name, leaf in named.items()}


def is_array(leaf: object) -> bool:
    """Say whether a leaf is an array of numbers, or the form of one (``jax.ShapeDtypeStruct``)."""
    if isinstance(leaf, np.ndarray | np.generic):
        return not leaf.dtype.hasobject
    return isinstance(leaf, jax.Array | jax.ShapeDtypeStruct)


def is_key(leaf: Array | jax.ShapeDtypeStruct) -> bool:
    """Say whether a leaf is a typed random key."""
    return jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def key_implementation(leaf: Array | jax.ShapeDtypeStruct) -> object:
    """Return the generator of a typed random key, for ``jax.random.wrap_key_data``.

    >>> key_implementation(jax.eval_shape(lambda: jax.random.key(0)))
    'threefry2x32'
    """
    found = []
    # The form of a key is made a key by tracing.
    jax.eval_shape(lambda key: found.append(jax.random.key_impl(key)), leaf)
    return found[0]


def leaf_digest(leaf: np.ndarray) -> str:
    """Return the SHA-256 of a leaf's dtype, shape and numbers, in hexadecimal.

    >>> leaf_digest(np.zeros(2)) == leaf_digest(np.zeros((2, 1)))
    False
    """
    digest = hashlib.sha256(str(Form(str(leaf.dtype), leaf.shape)).encode())
    digest.update(np.ascontiguousarray(leaf).reshape(-1).view(np.uint8))
    return digest.hexdigest()


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_same_forms(stored: Mapping[str, Form], wanted: Mapping[str, Form], source: object) -> None:
    """Raise ValueError unless both have the same leaves, each with the same dtype and shape.

    >>> check_same_forms({"a": Form("float32", (2,))}, {"a": Form("int8", (2,)), "b": Form("int8", ())}, "weights")
    Traceback (most recent call last):
    ValueError: weights does not fit, 2 leaves differ:
      a: stored float32[2], expected int8[2]
      b: not stored, expected int8[]
    """
    lines = []
    for name in sorted(stored.keys() | wanted.keys()):
        if name not in wanted:
            lines.append(f"{name}: stored {stored[name]}, not expected")
        elif name not in stored:
            lines.append(f"{name}: not stored, expected {wanted[name]}")
        elif stored[name] != wanted[name]:
            lines.append(f"{name}: stored {stored[name]}, expected {wanted[name]}")
    if lines:
        more = [f"and {len(lines) - SHOWN} more"] if len(lines) > SHOWN else []
        shown = "".join(f"\n  {line}" for line in [*lines[:SHOWN], *more])
        raise ValueError(
            f"{source} does not fit, {len(lines)} {'leaf differs' if len(lines) == 1 else 'leaves differ'}:{shown}"
        )
