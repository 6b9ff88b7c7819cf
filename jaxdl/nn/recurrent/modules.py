"""Recurrent networks as linen modules: the parameters of a cell, one step, and layers over time."""

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxdl.nn.recurrent.cells import Cell, Parameters
from jaxdl.nn.recurrent.scanning import DIRECTIONS, stack
from jaxdl.typing import Array, PyTree


class CellParameters(nn.Module):
    """The parameters of a cell, or of the two of a ``bidirectional_scan``, as a linen module that returns them."""

    cell: Cell
    bidirectional: bool = False
    param_dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, in_features: int) -> Parameters:
        """Make or read the parameters for inputs of ``in_features``."""
        if self.bidirectional:
            ways = {way: CellParameters(self.cell, False, self.param_dtype, name=way) for way in DIRECTIONS}
            return {way: parameters(in_features) for way, parameters in ways.items()}
        shapes = self.cell.shapes(in_features)
        return {name: self.param(name, draw, shape, self.param_dtype) for name, (draw, shape) in shapes.items()}


class RecurrentCell(nn.Module):
    """One step of a cell as a linen module, for a loop of one's own."""

    cell: Cell
    param_dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, carry: PyTree, x: Array) -> tuple[PyTree, Array]:
        """Map ``(carry, x_t)`` to ``(carry, y_t)``."""
        shapes = self.cell.shapes(x.shape[-1])
        parameters = {name: self.param(name, draw, shape, self.param_dtype) for name, (draw, shape) in shapes.items()}
        return self.cell(jax.tree.map(lambda leaf: leaf.astype(x.dtype), parameters), carry, x)


class RNN(nn.Module):
    """``stack`` with parameters: ``num_layers`` times the same cell."""

    cell: Cell
    num_layers: int = 1
    bidirectional: bool = False
    dropout_rate: float = 0.0
    remat_chunks: int = 1
    tbptt_length: int | None = None
    param_dtype: Any = jnp.float32
    backend: str = "scan"

    @nn.compact
    def __call__(
        self,
        x: Array,
        carries: Sequence[PyTree] | None = None,
        *,
        lengths: Array | None = None,
        mask: Array | None = None,
        train: bool = False,
    ) -> tuple[tuple[PyTree, ...], Array]:
        """Map ``[..., T, D]`` to the last states, one a layer, and ``[..., T, H]`` or ``[..., T, 2 H]``."""
        parameters, in_features = {}, x.shape[-1]
        for name in [f"layer{index}" for index in range(self.num_layers)]:
            layer = CellParameters(self.cell, self.bidirectional, self.param_dtype, name=name)
            parameters[name] = layer(in_features)
            in_features = self.cell.output_size * (1 + self.bidirectional)
        train = train and self.dropout_rate > 0
        return stack(
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
