"""Registry of named models: a name is a family of models, the shape of its inputs and some of its fields.

>>> from jaxdl import models
>>> models.create("resnet34", num_classes=10).depths
(3, 4, 6, 3)
"""

import dataclasses
import fnmatch
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from flax import linen

from jaxdl.checks import did_you_mean, shorten


class _Entry(NamedTuple):
    family: Callable[..., linen.Module]
    input_shape: tuple[int, ...]
    input_dtype: str
    description: str
    fields: Mapping[str, object]


LEAST = {"num_classes": 0, "num_layers": 1, "num_heads": 1, "d_model": 1, "context_length": 1}
"""The least values of counts among the fields of models; sizes are at least 1."""

_ENTRIES: dict[str, _Entry] = {}


def register(
    name: str,
    family: Callable[..., linen.Module],
    *,
    input_shape: Sequence[int],
    input_dtype: str = "float32",
    description: str = "",
    **fields: object,
) -> None:
    """Register ``family(**fields)`` under a name, for `create`.

    Args:
        name: a new name.
        family: a module class, or a function that returns a module.
        input_shape: shape of one example, without the batch, ``(32, 32, 1)``.
        input_dtype: dtype of an example, ``"int32"`` for tokens.
        description: one line for ``python -m jaxdl models``.
        **fields: fields of the family that differ from its defaults.

    Raises:
        ValueError: the name is registered already.
    """
    if name in _ENTRIES:
        raise ValueError(f"expected a new name, got {name!r}, which is registered already; choose another name")
    _ENTRIES[name] = _Entry(family, tuple(input_shape), input_dtype, description, fields)


def input_shape(name: str) -> tuple[int, ...]:
    """Return the shape of one example that a registered model takes.

    Raises:
        ValueError: no model has this name; the error suggests the nearest.

    >>> from jaxdl import models
    >>> models.input_shape("lenet5")
    (32, 32, 1)
    """
    return _find(name).input_shape


def input_dtype(name: str) -> str:
    """Return the dtype of an example that a registered model takes.

    Raises:
        ValueError: no model has this name; the error suggests the nearest.

    >>> from jaxdl import models
    >>> models.input_dtype("gpt2")
    'int32'
    """
    return _find(name).input_dtype


def description(name: str) -> str:
    """Return the one-line description of a registered model.

    Raises:
        ValueError: no model has this name; the error suggests the nearest.

    >>> from jaxdl import models
    >>> models.description("resnet34")
    'ResNet of 34 layers, basic blocks'
    """
    return _find(name).description


def create(name: str, /, **changes: Any) -> linen.Module:
    """Create a registered model, with some of its fields changed.

    In the ``@linen.compact`` method of another module it is a submodule, like any other; ``create("lenet5",
    name="encoder")`` names it.

    Raises:
        ValueError: no model has this name, or the model has no such field; the error suggests the nearest. Or a count
            is too small.

    >>> from jaxdl import models
    >>> models.create("mlp", hidden_sizes=(32,)).hidden_sizes
    (32,)
    >>> models.create("lenet", num_classes=2)
    Traceback (most recent call last):
    ...
    ValueError: expected the name of a model, got 'lenet'; did you mean 'lenet5'...?
    """
    entry = _find(name)
    is_class = isinstance(entry.family, type)
    family = entry.family if is_class else type(entry.family(**entry.fields))
    fields = [field.name for field in dataclasses.fields(family)]  # pyright: ignore[reportArgumentType]
    for change in changes:
        if change not in fields:
            renamed = getattr(family, "_renamed_fields", {}).get(change)
            known = [field for field in fields if field not in {"parent", "name"}]
            advice = f"it is {renamed!r} now" if renamed else did_you_mean(change, known)
            raise ValueError(f"expected a field of model {name!r}, got {shorten(repr(change))}; {advice}")
    for field, value in changes.items():
        least = LEAST.get(field, 1 if field.endswith(("_size", "_dim", "_sizes")) else None)
        for count in value if isinstance(value, tuple) else (value,):
            is_number = isinstance(count, int | float | np.number | str)
            if least is not None and is_number and not (isinstance(count, int | np.integer) and count >= least):
                shown = shorten(repr(value))
                raise ValueError(f"expected {field} of model {name!r} to be an integer >= {least}, got {shown}")
    if is_class:
        return entry.family(**{**entry.fields, **changes})
    model = entry.family(**entry.fields)
    return model.clone(**{"parent": model.parent, "name": None, **changes}) if changes else model


def list(pattern: str = "*") -> tuple[str, ...]:
    """List the names that match a shell pattern, in alphabetical order.

    >>> from jaxdl import models
    >>> models.list("lenet*")
    ('lenet5', 'lenet5_original')
    """
    return tuple(sorted(name for name in _ENTRIES if fnmatch.fnmatchcase(name, pattern)))


def _find(name: str) -> _Entry:
    if name not in _ENTRIES:
        raise ValueError(f"expected the name of a model, got {shorten(repr(name))}; {did_you_mean(name, _ENTRIES)}")
    return _ENTRIES[name]
