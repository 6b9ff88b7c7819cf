"""Stacked recurrent layers, with dropout between them."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from jaxdl.nn.noise import dropout
from jaxdl.nn.recurrent._checks import check_names
from jaxdl.nn.recurrent.cells.base import Cell, init_cell
from jaxdl.nn.recurrent.scanning import DIRECTIONS, bidirectional_scan, scan
from jaxdl.typing import Array, ArrayLike, Key, PyTree


def stacked_scan(
    cells: Sequence[Cell],
    parameters: PyTree,
    x: ArrayLike,
    carries: Sequence[PyTree] | None = None,
    *,
    bidirectional: bool = False,
    dropout_rate: ArrayLike = 0.0,
    key: Key | None = None,
    train: bool = False,
    **options: Any,
) -> tuple[tuple[PyTree, ...], Array]:
    """Scan layers of cells, each over the outputs of the previous one, with dropout between them.

    Args:
        cells: one per layer.
        parameters: ``{"layer0": ..., "layer1": ...}``, from ``init_stacked``.
        x: ``[..., T, D]``.
        carries: the initial states, one per layer, or None.
        bidirectional: make every layer a ``bidirectional_scan``.
        dropout_rate: share dropped of the outputs of every layer but the last.
        key: random key of the dropout.
        train: apply dropout.
        options: of ``scan``.

    Returns:
        The last states, one per layer, and the outputs of the last layer.

    Raises:
        ValueError: the numbers of carries and of cells differ, or a key is missing.
    """
    carries = [None] * len(cells) if carries is None else carries
    if len(carries) != len(cells):
        raise ValueError(f"expected one carry for each of {len(cells)} cells, got {len(carries)}")
    check_names(f"{len(cells)} stacked layers", parameters, tuple(f"layer{index}" for index in range(len(cells))))
    layer = bidirectional_scan if bidirectional else scan
    keys = [None] * len(cells) if key is None else jax.random.split(key, len(cells))
    last, y = [], jnp.asarray(x)
    for index, cell in enumerate(cells):
        if index and train:
            y = dropout(keys[index], y, dropout_rate)
        carry, y = layer(cell, parameters[f"layer{index}"], y, carries[index], **options)
        last.append(carry)
    return tuple(last), y


def init_stacked(
    key: Key, cells: Sequence[Cell], input_size: int, *, bidirectional: bool = False, dtype: Any = jnp.float32
) -> dict[str, PyTree]:
    """Draw the parameters of ``stacked_scan``."""
    parameters = {}
    directions = DIRECTIONS if bidirectional else DIRECTIONS[:1]
    for index, (cell, keys) in enumerate(zip(cells, jax.random.split(key, (len(cells), 2)), strict=True)):
        layer = {name: init_cell(keys[i], cell, input_size, dtype) for i, name in enumerate(directions)}
        parameters[f"layer{index}"] = layer if bidirectional else layer["forward"]
        input_size = cell.output_size * len(directions)
    return parameters
