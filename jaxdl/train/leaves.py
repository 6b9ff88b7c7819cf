"""Leaves of a state: their forms (dtype and shape), random keys among them, and their digests."""

import hashlib
from typing import Any, NamedTuple, TypeGuard

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from jaxdl import tree
from jaxdl.typing import PyTree


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
        TypeError: a leaf is not an array.
        ValueError: two leaves have the same path.

    >>> forms({"a": np.zeros((2, 3), np.int32)})
    {'a': Form(dtype='int32', shape=(2, 3))}
    """
    check_alive(state)
    leaves = jax.tree_util.tree_leaves_with_path(state)
    named = {tree.path_name(path): leaf for path, leaf in leaves}
    others = [f"{name} of type {type(leaf).__name__}" for name, leaf in named.items() if not is_array(leaf)]
    if others:
        raise TypeError(f"expected arrays at all leaves, got {', '.join(others)}; convert them or leave them out")
    if len(named) < len(leaves):
        raise ValueError(f"expected different paths, got {len(leaves)} leaves under {len(named)}; rename keys with '/'")
    return {name: Form(str(leaf.dtype), tuple(leaf.shape)) for name, leaf in named.items()}


def is_array(leaf: object) -> TypeGuard[jax.Array]:
    """Return whether a leaf is an array of numbers or keys, or the form of one (``jax.ShapeDtypeStruct``)."""
    if isinstance(leaf, np.ndarray | np.generic):
        return not leaf.dtype.hasobject
    return isinstance(leaf, jax.Array | jax.ShapeDtypeStruct)


def check_alive(state: PyTree) -> None:
    """Check that no leaf of a state was donated to a compiled function, which has reused its memory.

    Raises:
        ValueError: a leaf was.
    """
    for name, leaf in tree.flatten(state).items():
        if isinstance(leaf, jax.Array) and not isinstance(leaf, Tracer) and leaf.is_deleted():
            raise ValueError(
                f"expected a state that can be read, got one whose leaf {name} was donated to train.fit or a jitted "
                "step; continue with the state that this call has returned, or copy the state before it"
            )


def is_key(leaf: Any) -> bool:
    """Return whether a leaf is a typed random key, or the form of one."""
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def key_implementation(leaf: jax.Array | jax.ShapeDtypeStruct) -> Any:
    """Return the generator of a typed random key, for ``jax.random.wrap_key_data``.

    >>> key_implementation(jax.eval_shape(lambda: jax.random.key(0)))
    'threefry2x32'
    """
    found = []
    # The form of a key becomes a key by tracing.
    jax.eval_shape(lambda key: found.append(jax.random.key_impl(key)), leaf)
    return found[0]


def leaf_digest(leaf: np.ndarray) -> str:
    """Return the SHA-256 of a leaf's dtype, shape and numbers, in hexadecimal.

    >>> leaf_digest(np.zeros(2)) == leaf_digest(np.zeros((2, 1)))
    False
    """
    digest = hashlib.sha256(str(Form(str(leaf.dtype), leaf.shape)).encode())
    digest.update(np.ascontiguousarray(leaf).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def abridge(lines: list[str], *, limit: int = 20) -> list[str]:
    """Cut a list for an error message: the first lines, and the number of the others.

    >>> abridge(["a", "b", "c"], limit=1)
    ['a', 'and 2 more']
    """
    return lines if len(lines) <= limit else [*lines[:limit], f"and {len(lines) - limit} more"]
