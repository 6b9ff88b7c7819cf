"""Checks, before training, that all processes of a run have the same settings and states.

JAX does not compare the inputs of the processes: two with different seeds would train without an error, each with its
own parameters.
"""

import json
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh

from jaxdl import tree
from jaxdl.train.leaves import abridge, is_key, leaf_digest
from jaxdl.typing import ArrayLike, PyTree


def check_consistent(values: Mapping[str, Any]) -> None:
    """Check that all processes pass the same values under the same names.

    Every process must call it. A single process is always consistent.

    Args:
        values: named values; those that JSON cannot represent are compared as text.

    Raises:
        ValueError: in every process, if two of them differ; the values and processes are named.

    >>> check_consistent({"seed": 0, "step": 11})
    """
    mine = {
        name: value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str)
        for name, value in values.items()
    }
    gathered = [json.loads(text) for text in all_gather_text(json.dumps(mine))]
    first, differences = gathered[0], []
    for name in dict.fromkeys(name for values in gathered for name in values):
        other = next((i for i, values in enumerate(gathered) if values.get(name) != first.get(name)), None)
        if other is not None:
            differences.append(
                f"{name} is {first.get(name)} in process 0, {gathered[other].get(name)} in process {other}"
            )
    if differences:
        raise ValueError(
            f"expected the same values in all processes, got: {'; '.join(abridge(differences))}; start all with the "
            "same program and settings, on the same files"
        )


def check_same_leaves(state: PyTree, mesh: Mesh) -> None:
    """Check that all processes pass the same leaves, if a mesh spans all processes.

    Leaves that are already sharded over processes are not compared.

    Raises:
        ValueError: in every process, if two of them differ.
    """
    spanned = {device.process_index for device in mesh.devices.flat}
    if 1 < len(spanned) == jax.process_count():
        leaves = tree.flatten(state).items()
        check_consistent({path: _describe(leaf) for path, leaf in leaves if _is_complete(leaf)})


def all_gather_text(text: str) -> list[str]:
    """Gather a text from every process, in the order of the processes.

    >>> all_gather_text("here")
    ['here']
    """
    if jax.process_count() == 1:
        return [text]
    mine = np.frombuffer(text.encode(), np.uint8)
    lengths = np.ravel(multihost_utils.process_allgather(np.int32(len(mine))))
    padded = np.pad(mine, (0, int(lengths.max()) - len(mine)))
    rows = multihost_utils.process_allgather(padded)
    return [bytes(row[:length]).decode() for row, length in zip(rows, lengths, strict=True)]


def _is_complete(leaf: ArrayLike) -> bool:
    """Return whether this process holds all of a leaf."""
    return not isinstance(leaf, jax.Array) or leaf.is_fully_addressable or leaf.is_fully_replicated


def _describe(leaf: ArrayLike) -> str:
    """Format a scalar by its value, an array by its form and the start of its digest."""
    if isinstance(leaf, jax.Array) and is_key(leaf):
        leaf = jax.random.key_data(leaf)
    array = np.asarray(leaf)
    return str(array) if array.ndim == 0 else f"{array.dtype}{list(array.shape)} of digest {leaf_digest(array)[:16]}"
