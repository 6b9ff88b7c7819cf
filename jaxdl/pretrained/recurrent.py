"""Weights of recurrent layers from torch, Keras and flax, and back.

Our gates are concatenated in the order of ``cell.gates`` (see ``jaxdl.nn.recurrent.cells``)::

    source   entries of a layer                                             gates of an LSTM   of a GRU
    torch    weight_ih_l0, weight_hh_l0, bias_ih_l0, bias_hh_l0             i f g o            r z n
    keras    kernel, recurrent_kernel, bias                                 i f c o            z r h
    flax     i<gate>/kernel, h<gate>/kernel, and a bias of either           i f g o            r z n

torch adds two biases, of which ours is the sum; on export the second one is 0. A GRU with the reset after the product
(torch and flax always, Keras with ``reset_after=True``) has a second bias of ``n``, our ``recurrent_bias``. Layers
without biases (torch's ``bias=False``, Keras's ``use_bias=False``) have biases of 0 here. What the entries do not say
is up to the cell: the nonlinearity of a simple layer, and the ``reset`` of a GRU of Keras without biases.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxdl.checks import check_one_of
from jaxdl.nn.recurrent.cells import GRU, LSTM, Cell, Vanilla
from jaxdl.pretrained.files import read
from jaxdl.typing import PyTree

CELLS = (Vanilla, LSTM, GRU)
KERAS_GATES = {LSTM: "ifgo", GRU: "zrn", Vanilla: "h"}
TORCH_KERNELS = ("weight_ih", "weight_hh")
TORCH = (*TORCH_KERNELS, "bias_ih", "bias_hh")
KERAS_KERNELS = ("kernel", "recurrent_kernel")
Entries = Mapping[str, Any]


def load_cell(entries: Entries, cell: Cell, source: str) -> dict[str, np.ndarray]:
    """Return the parameters of a cell from the entries of one layer.

    Args:
        entries: arrays or tensors by the names of the table above, torch's without ``_l0``; flax's nested.
        cell: the cell, ``LSTM(64)``.
        source: ``"torch"``, ``"keras"`` or ``"flax"``.

    Raises:
        ValueError: the source has no equivalent of the cell, or entries are missing, unexpected or of another shape.

    >>> keras = {"kernel": np.ones((3, 4)), "recurrent_kernel": np.eye(4), "bias": np.zeros(4)}
    >>> sorted(load_cell(keras, Vanilla(4), "keras"))
    ['bias', 'kernel', 'recurrent_kernel']
    """
    _check_source(cell, source)
    kernel, recurrent_kernel, bias, second = _READERS[source](entries, cell)
    size = cell.hidden_size
    columns = len(cell.gates) * size
    shapes = [list(leaf.shape) for leaf in (kernel, recurrent_kernel, bias, second)]
    if shapes != [[*kernel.shape[:1], columns], [size, columns], [columns], [columns]]:
        raise ValueError(
            f"expected a kernel [D, {columns}], a recurrent kernel [{size}, {columns}] and a bias [{columns}] for "
            f"{cell}, got {', '.join(map(str, shapes))} from {source}"
        )
    parameters = {"kernel": kernel, "recurrent_kernel": recurrent_kernel, "bias": bias + second}
    if "recurrent_bias" in cell.shapes(1):
        inner = slice(2 * size, None)
        parameters["bias"] = np.concatenate([(bias + second)[: 2 * size], bias[inner]])
        parameters["recurrent_bias"] = second[inner]
    return parameters


def export_cell(parameters: Mapping[str, Any], cell: Cell, source: str) -> dict[str, Any]:
    """Return the entries of one layer: the inverse of `load_cell`."""
    _check_source(cell, source)
    arrays = read(parameters)
    if missing := {"kernel", "recurrent_kernel", "bias"} - arrays.keys():
        raise ValueError(f"expected {', '.join(sorted(missing))} of {cell} too, got {', '.join(sorted(arrays))}")
    bias = arrays["bias"]
    second = np.zeros_like(bias)
    if "recurrent_bias" in arrays:
        second[2 * cell.hidden_size :] = arrays["recurrent_bias"]
    return _WRITERS[source](cell, arrays["kernel"], arrays["recurrent_kernel"], bias, second)


def load_torch(state_dict: Entries, cell: Cell, *, num_layers: int = 1, bidirectional: bool = False) -> PyTree:
    """Return the parameters of ``recurrent.RNN(cell, num_layers, bidirectional)`` from torch's module.

    Raises:
        ValueError: as `load_cell`, or entries that belong to no layer.
    """
    entries, result, used = read(state_dict), {}, set()
    for index in range(num_layers):
        layer = {}
        for direction, suffix in _suffixes(index, bidirectional).items():
            names = {name: name + suffix for name in TORCH}
            if not any(name.startswith("bias_") for name in entries):
                names = {name: name + suffix for name in TORCH_KERNELS}
            missing = [name for name in names.values() if name not in entries]
            if missing:
                raise ValueError(f"expected the entries {', '.join(missing)} too, got {', '.join(sorted(entries))}")
            layer[direction] = load_cell({k: entries[v] for k, v in names.items()}, cell, "torch")
            used |= set(names.values())
        result[f"layer{index}"] = layer if bidirectional else layer["forward"]
    if entries.keys() - used:
        raise ValueError(f"expected entries of {num_layers} layers alone, got {sorted(entries.keys() - used)} too")
    return result


def export_torch(parameters: PyTree, cell: Cell, *, num_layers: int = 1, bidirectional: bool = False) -> dict[str, Any]:
    """Return the ``state_dict`` of torch's module: the inverse of `load_torch`."""
    result = {}
    for index in range(num_layers):
        layer = parameters[f"layer{index}"]
        for direction, suffix in _suffixes(index, bidirectional).items():
            exported = export_cell(layer[direction] if bidirectional else layer, cell, "torch")
            result |= {name + suffix: leaf for name, leaf in exported.items()}
    return result


def _suffixes(index: int, bidirectional: bool) -> dict[str, str]:
    suffixes = {"forward": f"_l{index}"}
    return suffixes | {"backward": f"_l{index}_reverse"} if bidirectional else suffixes


def _check_source(cell: Cell, source: str) -> None:
    check_one_of("source", source, sorted(_READERS))
    if type(cell) not in CELLS or getattr(cell, "update", "retain") != "retain":
        raise ValueError(f"expected Vanilla, LSTM, or GRU with update='retain', as {source} has them, got {cell}")
    if isinstance(cell, GRU) and cell.reset == "before" and source != "keras":
        raise ValueError(f"expected reset='after', the GRU of {source}, got {cell}; reset='before' is in Keras alone")


def _take(entries: Entries, kernels: tuple[str, ...], biases: tuple[str, ...]) -> list[np.ndarray]:
    """Return the arrays in this order, without biases where the entries have none."""
    names = (*kernels, *biases) if set(biases) & entries.keys() else kernels
    if entries.keys() != set(names):
        names = (*kernels, *biases)
        raise ValueError(f"expected the entries {list(names)}, got {sorted(entries)}")
    arrays = read(entries)
    return [arrays[name] for name in names]


def _from_torch(entries: Entries, cell: Cell) -> tuple[np.ndarray, ...]:
    weight_ih, weight_hh, *biases = _take(entries, TORCH_KERNELS, TORCH[2:])
    bias_ih, bias_hh = biases or [np.zeros(weight_hh.shape[:1], weight_hh.dtype)] * 2
    return weight_ih.T, weight_hh.T, bias_ih, bias_hh


def _to_torch(
    cell: Cell, kernel: np.ndarray, recurrent_kernel: np.ndarray, bias: np.ndarray, second: np.ndarray
) -> dict[str, np.ndarray]:
    return dict(zip(TORCH, (kernel.T, recurrent_kernel.T, bias, second), strict=True))


def _from_keras(entries: Entries, cell: Cell) -> tuple[np.ndarray, ...]:
    kernel, recurrent_kernel, *biases = _take(entries, KERAS_KERNELS, ("bias",))
    bias = biases[0] if biases else np.zeros(recurrent_kernel.shape[-1:], recurrent_kernel.dtype)
    two = bias.ndim == 2 and len(bias) == 2
    bias, second = bias if two else (bias, np.zeros_like(bias))
    order = KERAS_GATES[type(cell)]
    leaves = tuple(_reorder(leaf, order, cell.gates) for leaf in (kernel, recurrent_kernel, bias, second))
    if biases and isinstance(cell, GRU) and two != (cell.reset == "after"):
        wanted, got, reset = ("one bias", "two", "after") if two else ("two biases", "one", "before")
        raise ValueError(
            f"expected {wanted} for {cell}, got {got} from keras; load into GRU({cell.hidden_size}, reset={reset!r})"
        )
    return leaves


def _to_keras(cell: Cell, *leaves: np.ndarray) -> dict[str, np.ndarray]:
    order = KERAS_GATES[type(cell)]
    kernel, recurrent_kernel, bias, second = (_reorder(leaf, cell.gates, order) for leaf in leaves)
    two = isinstance(cell, GRU) and cell.reset == "after"
    return {"kernel": kernel, "recurrent_kernel": recurrent_kernel, "bias": np.stack([bias, second]) if two else bias}


def _reorder(leaf: np.ndarray, order: Sequence[str], wanted: Sequence[str]) -> np.ndarray:
    if leaf.shape[-1] % len(order):
        raise ValueError(f"expected columns for the gates {', '.join(order)}, got {list(leaf.shape)}")
    parts = dict(zip(order, np.split(leaf, len(order), axis=-1), strict=True))
    return np.concatenate([parts[gate] for gate in wanted], axis=-1)


def _flax_names(cell: Cell) -> tuple[list[str], list[str], str]:
    """Return the names of the layers on the input and on the state, and the letter of the layers with a bias."""
    if isinstance(cell, Vanilla):
        return ["i"], ["h"], "i"
    return [f"i{gate}" for gate in cell.gates], [f"h{gate}" for gate in cell.gates], "h" if type(cell) is LSTM else "i"


def _from_flax(entries: Entries, cell: Cell) -> tuple[np.ndarray, ...]:
    on_input, on_state, biased = _flax_names(cell)
    if entries.keys() != {*on_input, *on_state}:
        raise ValueError(f"expected the entries {[*on_input, *on_state]}, got {sorted(entries)}")
    layers = {name: read(layer) for name, layer in entries.items()}
    with_bias = on_state if biased == "h" else on_input
    for name, layer in layers.items():
        if missing := {"kernel", *(["bias"] if name in with_bias else [])} - layer.keys():
            raise ValueError(f"expected {' and '.join(sorted(missing))} in {name}, got {sorted(layer)}")
    zeros = np.zeros(cell.hidden_size, layers[on_input[0]]["kernel"].dtype)
    bias = [layers[name]["bias"] for name in with_bias]
    second = [layers[name].get("bias", zeros) if isinstance(cell, GRU) else zeros for name in on_state]
    kernels = ([layers[name]["kernel"] for name in names] for names in (on_input, on_state))
    return tuple(np.concatenate(parts, axis=-1) for parts in (*kernels, bias, second))


def _to_flax(cell: Cell, *leaves: np.ndarray) -> dict[str, dict[str, np.ndarray]]:
    on_input, on_state, biased = _flax_names(cell)
    kernels, recurrent_kernels, biases, seconds = (np.split(leaf, len(cell.gates), axis=-1) for leaf in leaves)
    layers = {name: {"kernel": kernel} for name, kernel in zip(on_input, kernels, strict=True)}
    layers |= {name: {"kernel": kernel} for name, kernel in zip(on_state, recurrent_kernels, strict=True)}
    for name, bias in zip(on_state if biased == "h" else on_input, biases, strict=True):
        layers[name]["bias"] = bias
    if isinstance(cell, GRU):
        layers["hn"]["bias"] = seconds[-1]
    return layers


_READERS = {"flax": _from_flax, "keras": _from_keras, "torch": _from_torch}
_WRITERS = {"flax": _to_flax, "keras": _to_keras, "torch": _to_torch}
