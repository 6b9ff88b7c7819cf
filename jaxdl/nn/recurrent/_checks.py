"""Arguments of a scan over time: checks and defaults."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from jaxdl.arrays import check_weights
from jaxdl.nn.recurrent.cells.base import Cell, Parameters
from jaxdl.nn.recurrent.inputs import valid_steps
from jaxdl.typing import Array, ArrayLike, PyTree


def check_sequences(
    x: ArrayLike, lengths: ArrayLike | None, mask: ArrayLike | None, remat_chunks: int, tbptt_length: int | None
) -> tuple[Array, Array | None]:
    """Return the sequences as an array, and a mask of Booleans ``[..., T]`` or None."""
    x = jnp.asarray(x)
    if x.ndim < 2 or not x.shape[-2] or not jnp.issubdtype(x.dtype, jnp.floating):
        raise ValueError(f"expected x [..., T, D] of floating-point dtype with T >= 1, got {x.shape} of {x.dtype}")
    if remat_chunks < 1 or (tbptt_length is not None and tbptt_length < 1):
        raise ValueError(f"expected remat_chunks >= 1 and tbptt_length >= 1, got {remat_chunks} and {tbptt_length}")
    if lengths is not None and mask is not None:
        raise ValueError("expected lengths or a mask, got both; pass the mask alone")
    if lengths is not None:
        lengths = jnp.asarray(lengths)
        if lengths.shape != x.shape[:-2]:
            raise ValueError(f"expected lengths of shape {x.shape[:-2]}, one per sequence, got {lengths.shape}")
        mask = valid_steps(lengths, x.shape[-2])
    if mask is not None:
        mask = jnp.asarray(mask)
        if mask.shape != x.shape[:-1]:
            raise ValueError(f"expected a mask of shape {x.shape[:-1]}, as x without D, got {mask.shape}")
        check_weights(mask)
        mask = mask > 0
    return x, mask


def check_names(whose: str, parameters: PyTree, names: tuple[str, ...]) -> None:
    """Check the names of a dict of parameters."""
    given = sorted(parameters) if isinstance(parameters, Mapping) else type(parameters).__name__
    if given != sorted(names):
        raise ValueError(f"expected parameters with the entries {', '.join(names)} for {whose}, got {given}")


def check_parameters(cell: Cell, parameters: Parameters, input_size: int) -> None:
    """Check the names and shapes of a cell's parameters; biases may be absent."""
    expected = {name: tuple(shape) for name, (_, shape) in cell.shapes(input_size).items()}
    if not isinstance(parameters, Mapping):
        raise ValueError(f"expected the parameters {expected} for {cell}, got {type(parameters).__name__}")
    given = {name: jnp.shape(leaf) for name, leaf in parameters.items()}
    required = {name: shape for name, shape in expected.items() if name in given or not name.endswith("bias")}
    if given != required:
        raise ValueError(f"expected the parameters {expected} for {cell} and x [..., {input_size}], got {given}")


def prepare_carry(cell: Cell, carry: PyTree | None, batch_shape: tuple[int, ...], dtype: Any) -> PyTree:
    """Return the initial state with the batch dimensions merged, ``[B, H]``."""
    expected = jax.eval_shape(lambda: cell.init_carry(batch_shape, dtype))
    if carry is None:
        carry = cell.init_carry(batch_shape, dtype)
    if jax.tree.structure(carry) != jax.tree.structure(expected):
        raise ValueError(f"expected a carry like {expected}, got {carry}; make it with cell.init_carry")
    shapes = [jax.tree.map(jnp.shape, tree) for tree in (expected, carry)]
    if shapes[0] != shapes[1]:
        raise ValueError(f"expected a carry of the shapes {shapes[0]}, got {shapes[1]}")
    return jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype).reshape(-1, leaf.shape[-1]), carry)
