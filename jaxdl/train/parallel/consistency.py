"""What processes that train as one must have in common; it is compared before they begin.

JAX takes what each process says to be the same: two processes with different seeds would train without an error, each
with parameters of its own.
"""

import json
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh

from jaxdl import tree
from jaxdl.train.checkpointing.integrity import SHOWN, is_key, leaf_digest
from jaxdl.typing import ArrayLike, PyTree


def check_consistent(values: Mapping[str, Any]) -> None:
    """Raise ValueError, in every process, unless all of them give the same values under the same names.

    Every process must call it; one alone agrees with itself.

    Args:
        values: what JSON can write; of anything else its text is compared.

    >>> check_consistent({"seed": 0, "step": 11})
    """
    mine = {
        name: value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str)
        for name, value in values.items()
    }
    said = [json.loads(text) for text in hear_all(json.dumps(mine))]
    lines = []
    for name in dict.fromkeys(name for one in said for name in one):
        others = [i for i, one in enumerate(said) if one.get(name) != said[0].get(name)]
        if others:
            there = f"{said[others[0]].get(name)} in process {others[0]}"
            lines.append(f"{name} is {said[0].get(name)} in process 0, {there}")
    if lines:
        more = [f"and {len(lines) - SHOWN} more"] if len(lines) > SHOWN else []
        raise ValueError(
            f"the processes would not train as one: {'; '.join([*lines[:SHOWN], *more])}: start all with the same "
            "program and settings, on the same files"
        )


def check_same_leaves(state: PyTree, mesh: Mesh) -> None:
    """Raise ValueError, in every process, unless all of them pass the same numbers to a mesh that spans them all.

    Leaves that are cut over processes already are no one's to compare.
    """
    spanned = {device.process_index for device in mesh.devices.flat}
    if 1 < len(spanned) == jax.process_count():
        leaves = tree.flatten(state).items()
        check_consistent({path: _described(leaf) for path, leaf in leaves if _is_whole(leaf)})


def hear_all(text: str) -> list[str]:
    """Tell every process a text, and return what each has told, in the order of their numbers.

    >>> hear_all("here")
    ['here']
    """
    if jax.process_count() == 1:
        return [text]
    mine = np.frombuffer(text.encode(), np.uint8)
    lengths = np.ravel(multihost_utils.process_allgather(np.int32(len(mine))))
    padded = np.pad(mine, (0, int(lengths.max()) - len(mine)))
    rows = multihost_utils.process_allgather(padded)
    return [bytes(row[:length]).decode() for row, length in zip(rows, lengths, strict=True)]


def _is_whole(leaf: ArrayLike) -> bool:
    return not isinstance(leaf, jax.Array) or leaf.is_fully_addressable or leaf.is_fully_replicated


def _described(leaf: ArrayLike) -> str:
    """Write a single number as it is, and an array by its form and the beginning of its digest."""
    if isinstance(leaf, jax.Array) and is_key(leaf):
        leaf = jax.random.key_data(leaf)
    array = np.asarray(leaf)
    return str(array) if array.ndim == 0 else f"{array.dtype}{list(array.shape)} of digest {leaf_digest(array)[:16]}"
