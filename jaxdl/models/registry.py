"""Models by name: a name is a function without arguments that returns a model, and ``create`` changes its fields."""

import dataclasses
import fnmatch
from collections.abc import Callable, Sequence

import flax.linen as nn

from jaxdl.checks import did_you_mean

Builder = Callable[[], nn.Module]

_BUILDERS: dict[str, Builder] = {}
_INPUT_SHAPES: dict[str, tuple[int, ...]] = {}
_INPUT_DTYPES: dict[str, str] = {}


def register(input_shape: Sequence[int], input_dtype: str = "float32") -> Callable[[Builder], Builder]:
    """Make the model that a function returns known by the name of the function.

    Args:
        input_shape: shape of one example that the model takes as it stands, ``(32, 32, 1)``.
        input_dtype: of an example, ``"int32"`` for tokens.

    Raises:
        ValueError: the name is taken.
    """

    def known(builder: Builder) -> Builder:
        name = builder.__name__
        if name in _BUILDERS:
            raise ValueError(f"a model called {name!r} is registered already, in {_BUILDERS[name].__module__}")
        _BUILDERS[name], _INPUT_SHAPES[name], _INPUT_DTYPES[name] = builder, tuple(input_shape), input_dtype
        return builder

    return known


def input_shape(name: str) -> tuple[int, ...]:
    """Return the shape of one example that the model of this name takes.

    Raises:
        ValueError: there is no such model; the nearest is named.

    >>> from jaxdl import models
    >>> models.input_shape("lenet5")
    (32, 32, 1)
    """
    _check_unknown(name)
    return _INPUT_SHAPES[name]


def input_dtype(name: str) -> str:
    """Return the dtype of an example that the model of this name takes.

    Raises:
        ValueError: there is no such model; the nearest is named.

    >>> from jaxdl import models
    >>> models.input_dtype("gpt2")
    'int32'
    """
    _check_unknown(name)
    return _INPUT_DTYPES[name]


def create(name: str, **changes: object) -> nn.Module:
    """Return the model of this name with some of its fields changed.

    Raises:
        ValueError: there is no such model, or it has no such field; the nearest are named.

    >>> from jaxdl import models
    >>> models.create("mlp", hidden_sizes=(32,)).hidden_sizes
    (32,)
    >>> models.create("lenet", num_classes=2)
    Traceback (most recent call last):
    ...
    ValueError: expected the name of a model, got 'lenet'; did you mean 'lenet5'...?
    """
    _check_unknown(name)
    model = _BUILDERS[name]()
    fields = [field.name for field in dataclasses.fields(model) if field.name not in {"parent", "name"}]
    for change in changes:
        if change not in fields:
            renamed = getattr(model, "_renamed_fields", {}).get(change)
            advice = f"it is {renamed!r} now" if renamed else did_you_mean(change, fields)
            raise ValueError(f"expected a field of model {name!r}, got {change!r}; {advice}")
    return model.clone(**changes)


def list(pattern: str = "*") -> tuple[str, ...]:
    """Return the names that fit a shell pattern, in alphabetical order.

    >>> from jaxdl import models
    >>> models.list("lenet*")
    ('lenet5', 'lenet5_original')
    """
    return tuple(sorted(name for name in _BUILDERS if fnmatch.fnmatchcase(name, pattern)))


def _check_unknown(name: str) -> None:
    if name not in _BUILDERS:
        raise ValueError(f"expected the name of a model, got {name!r}; {did_you_mean(name, _BUILDERS)}")
