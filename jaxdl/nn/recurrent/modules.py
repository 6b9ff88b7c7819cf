"""Recurrent networks as linen modules: the parameters of a cell, one step, and layers over time."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen

from jaxdl.arrays import to_floating
from jaxdl.checks import former_dropout, renamed_fields
from jaxdl.nn.recurrent.cells.base import Cell
from jaxdl.nn.recurrent.scanning import DIRECTIONS
from jaxdl.nn.recurrent.stacking import stacked_scan
from jaxdl.typing import Array, PyTree


class CellParameters(linen.Module):
    """The parameters of a cell, or of both cells of a ``bidirectional_scan``, returned by a linen module."""

    cell: Cell
    bidirectional: bool = False
    param_dtype: Any = jnp.float32

    @linen.compact
    def __call__(self, input_size: int) -> PyTree:
        """Create or read the parameters for inputs ``[..., input_size]``."""
        if self.bidirectional:
            cells = {name: CellParameters(self.cell, False, self.param_dtype, name=name) for name in DIRECTIONS}
            return {name: parameters(input_size) for name, parameters in cells.items()}
        shapes = self.cell.shapes(input_size)
        return {name: self.param(name, draw, shape, self.param_dtype) for name, (draw, shape) in shapes.items()}


class RecurrentCell(linen.Module):
    """One step of a cell as a linen module, for custom loops."""

    cell: Cell
    param_dtype: Any = jnp.float32

    @linen.compact
    def __call__(self, carry: PyTree, x: Array) -> tuple[PyTree, Array]:
        """Map ``(carry, x_t)`` to ``(carry, y_t)``."""
        x = to_floating(x)
        shapes = self.cell.shapes(x.shape[-1])
        parameters = {name: self.param(name, draw, shape, self.param_dtype) for name, (draw, shape) in shapes.items()}
        return self.cell(jax.tree.map(lambda leaf: leaf.astype(x.dtype), parameters), carry, x)


@renamed_fields(
    layers="num_layers",
    segments="remat_chunks",
    truncation="tbptt_length",
    **former_dropout("dropout_rate"),
)
class RNN(linen.Module):
    """``stacked_scan`` of ``num_layers`` equal cells, with parameters."""

    cell: Cell
    num_layers: int = 1
    bidirectional: bool = False
    dropout_rate: float = 0.0
    remat_chunks: int = 1
    tbptt_length: int | None = None
    param_dtype: Any = jnp.float32
    backend: str = "scan"

    @linen.compact
    def __call__(
        self,
        x: Array,
        carries: Sequence[PyTree] | None = None,
        *,
        lengths: Array | None = None,
        mask: Array | None = None,
        train: bool = False,
    ) -> tuple[tuple[PyTree, ...], Array]:
        """Map ``[..., T, D]`` to the last states, one per layer, and ``[..., T, H]`` or ``[..., T, 2 H]``."""
        parameters, input_size = {}, x.shape[-1]
        for name in [f"layer{index}" for index in range(self.num_layers)]:
            layer = CellParameters(self.cell, self.bidirectional, self.param_dtype, name=name)
            parameters[name] = layer(input_size)
            input_size = self.cell.output_size * (2 if self.bidirectional else 1)
        train = train and self.dropout_rate > 0
        return stacked_scan(
            [self.cell] * self.num_layers,
            parameters,
            x,
            carries,
            bidirectional=self.bidirectional,
            dropout_rate=self.dropout_rate,
            key=self.make_rng("dropout") if train else None,
            train=train,
            lengths=lengths,
            mask=mask,
            remat_chunks=self.remat_chunks,
            tbptt_length=self.tbptt_length,
            backend=self.backend,
        )
