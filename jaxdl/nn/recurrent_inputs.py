"""What a scan over time takes: sequences with lengths or masks, parameters, and the state before the first time."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxdl.nn.cells import Cell, Parameters
from jaxdl.typing import Array, ArrayLike, PyTree


def check_sequences(
    x: ArrayLike, lengths: ArrayLike | None, mask: ArrayLike | None, segments: int, truncation: int | None
) -> tuple[Array, Array | None]:
    """Return the sequence, and a mask of Booleans ``[..., T]`` or None."""
    x = jnp.asarray(x)
    if x.ndim < 2 or not jnp.issubdtype(x.dtype, jnp.floating):
        raise ValueError(f"scan expects x [..., T, D] of floating-point numbers; got {x.shape} of {x.dtype}")
    if not x.shape[-2]:
        raise ValueError(f"scan expects at least one time in x [..., T, D]; got {x.shape}")
    if segments < 1 or (truncation is not None and truncation < 1):
        raise ValueError(f"segments and truncation must be at least 1; got {segments} and {truncation}")
    if lengths is not None and mask is not None:
        raise ValueError("scan takes lengths or a mask, not both; a mask says everything that lengths do")
    if lengths is not None:
        _check_lengths(lengths, x.shape[-2])
        lengths, (*batch_shape, steps) = jnp.asarray(lengths), x.shape[:-1]
        if lengths.shape != tuple(batch_shape):
            raise ValueError(f"lengths must be one for each sequence, {tuple(batch_shape)}; got {lengths.shape}")
        mask = jnp.arange(steps).reshape((1,) * lengths.ndim + (steps,)) < lengths[..., None]
    if mask is not None:
        mask = jnp.asarray(mask) != 0
        if mask.shape != x.shape[:-1]:
            raise ValueError(f"mask must be {x.shape[:-1]}, as x without its last dimension; got {mask.shape}")
    return x, mask


def check_parameters(cell: Cell, parameters: Parameters, in_features: int) -> None:
    """Refuse parameters that are not those of the cell for inputs of ``in_features``."""
    expected = {name: tuple(shape) for name, (_, shape) in cell.shapes(in_features).items()}
    for name, leaf in parameters.items():
        if jnp.shape(leaf) != expected.get(name):
            raise ValueError(
                f"for x of {in_features} features the parameters of {cell} are {expected}; "
                f"got {name!r} of {jnp.shape(leaf)}"
            )


def first_state(cell: Cell, carry: PyTree | None, batch_shape: tuple[int, ...], dtype: Any) -> PyTree:
    """Return the first state with all batch dimensions as one."""
    expected = jax.eval_shape(lambda: cell.initial_carry(batch_shape, dtype))
    if carry is None:
        carry = cell.initial_carry(batch_shape, dtype)
    shapes = [jax.tree.map(jnp.shape, tree) for tree in (expected, carry)]
    if shapes[0] != shapes[1]:
        raise ValueError(f"the carry of this cell must have the shapes {shapes[0]}; got {shapes[1]}")
    return jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype).reshape(-1, leaf.shape[-1]), carry)


def _check_lengths(lengths: ArrayLike, steps: int) -> None:
    if isinstance(lengths, jax.core.Tracer) or not np.size(lengths):
        return
    lengths = np.asarray(lengths)
    if lengths.min() < 0 or lengths.max() > steps:
        raise ValueError(f"lengths must be from 0 to {steps}, the times of x; got {lengths.min()} to {lengths.max()}")
