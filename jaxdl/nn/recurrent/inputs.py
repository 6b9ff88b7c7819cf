"""What a scan over time takes: sequences with lengths or masks, parameters, and the state before the first time."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxdl.nn.recurrent.cells import Cell, Parameters
from jaxdl.typing import Array, ArrayLike, PyTree


def check_names(whose: str, parameters: PyTree, names: tuple[str, ...]) -> None:
    """Refuse parameters that are not by these names."""
    given = sorted(parameters) if isinstance(parameters, Mapping) else type(parameters).__name__
    if given != sorted(names):
        raise ValueError(f"the parameters of {whose} have the entries {', '.join(names)}; got {given}")


def check_sequences(
    x: ArrayLike, lengths: ArrayLike | None, mask: ArrayLike | None, remat_chunks: int, tbptt_length: int | None
) -> tuple[Array, Array | None]:
    """Return the sequence, and a mask of Booleans ``[..., T]`` or None."""
    x = jnp.asarray(x)
    if x.ndim < 2 or not jnp.issubdtype(x.dtype, jnp.floating):
        raise ValueError(f"scan expects x [..., T, D] of floating-point numbers; got {x.shape} of {x.dtype}")
    if not x.shape[-2]:
        raise ValueError(f"scan expects at least one time in x [..., T, D]; got {x.shape}")
    if remat_chunks < 1 or (tbptt_length is not None and tbptt_length < 1):
        raise ValueError(f"remat_chunks and tbptt_length must be at least 1; got {remat_chunks} and {tbptt_length}")
    if lengths is not None and mask is not None:
        raise ValueError("scan takes lengths or a mask, not both; a mask says everything that lengths do")
    if lengths is not None:
        lengths = jnp.asarray(lengths)
        if lengths.shape != x.shape[:-2]:
            raise ValueError(f"lengths must be one for each sequence, {x.shape[:-2]}; got {lengths.shape}")
        mask = valid_steps(lengths, x.shape[-2])
    if mask is not None:
        mask = jnp.asarray(mask) != 0
        if mask.shape != x.shape[:-1]:
            raise ValueError(f"mask must be {x.shape[:-1]}, as x without its last dimension; got {mask.shape}")
    return x, mask


def valid_steps(lengths: ArrayLike, steps: int) -> Array:
    """Say which of ``steps`` times belong to a sequence: lengths ``[...]`` to Booleans ``[..., T]``.

    Raises:
        ValueError: the lengths are no integers, or known to be less than 0 or more than ``steps``.

    >>> valid_steps(jnp.array([2, 0]), 3).astype(int).tolist()
    [[1, 1, 0], [0, 0, 0]]
    """
    lengths = jnp.asarray(lengths)
    if not jnp.issubdtype(lengths.dtype, jnp.integer):
        raise ValueError(f"lengths must be numbers of times, integers; got {lengths.dtype}")
    if lengths.size and not isinstance(lengths, jax.core.Tracer):
        shortest, longest = np.asarray(lengths).min(), np.asarray(lengths).max()
        if shortest < 0 or longest > steps:
            raise ValueError(f"lengths must be from 0 to {steps}, the times of x; got {shortest} to {longest}")
    return jnp.arange(steps).reshape((1,) * lengths.ndim + (steps,)) < lengths[..., None]


def check_parameters(cell: Cell, parameters: Parameters, in_features: int) -> None:
    """Refuse parameters that are not those of the cell for inputs of ``in_features``."""
    expected = {name: tuple(shape) for name, (_, shape) in cell.shapes(in_features).items()}
    if not isinstance(parameters, Mapping):
        raise ValueError(f"the parameters of {cell} are {expected}, by name; got {type(parameters).__name__}")
    given = {name: jnp.shape(leaf) for name, leaf in parameters.items()}
    needed = {name: shape for name, shape in expected.items() if name in given or not name.endswith("bias")}
    if given != needed:
        raise ValueError(f"for x of {in_features} features the parameters of {cell} are {expected}; got {given}")


def prepare_carry(cell: Cell, carry: PyTree | None, batch_shape: tuple[int, ...], dtype: Any) -> PyTree:
    """Return the first state with all batch dimensions as one."""
    expected = jax.eval_shape(lambda: cell.init_carry(batch_shape, dtype))
    if carry is None:
        carry = cell.init_carry(batch_shape, dtype)
    if jax.tree.structure(carry) != jax.tree.structure(expected):
        raise ValueError(f"the carry of this cell is made as {expected}; got {carry}")
    shapes = [jax.tree.map(jnp.shape, tree) for tree in (expected, carry)]
    if shapes[0] != shapes[1]:
        raise ValueError(f"the carry of this cell must have the shapes {shapes[0]}; got {shapes[1]}")
    return jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype).reshape(-1, leaf.shape[-1]), carry)
