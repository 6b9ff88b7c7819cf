"""Checks of arguments, each an error that says what was expected and what was got, and advice on misspelled names."""

import difflib
import functools
import math
import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

if TYPE_CHECKING:
    from typing_extensions import TypeIs

_Class = TypeVar("_Class", bound=type)


def known_value(value: object) -> np.ndarray | None:
    """Return numbers that are known before tracing as a NumPy array: of Python, of NumPy, or in an array.

    Returns:
        None for a traced array, an array of another process, a function, or anything else that is not numbers.

    >>> known_value(np.float32(0.5)), known_value(jax.numpy.arange(2)), known_value("0.5")
    (array(0.5, dtype=float32), array([0, 1], dtype=int32), None)
    >>> jax.jit(lambda x: x if known_value(x) is None else -x)(1.0).item()
    1.0
    """
    if isinstance(value, Tracer):
        return None
    if isinstance(value, jax.Array):
        return np.asarray(value) if value.is_fully_addressable else None
    return np.asarray(value) if isinstance(value, int | float | np.number | np.bool_ | np.ndarray) else None


def is_zero(value: object) -> bool:
    """Return whether a number is known to be 0; a traced one is not known.

    >>> is_zero(np.float32(0)), is_zero(jax.numpy.zeros(())), is_zero(0.5)
    (True, True, False)
    """
    known = known_value(value)
    return known is not None and bool(np.all(known == 0))


def is_integer(value: object) -> "TypeIs[int]":
    """Return whether a value is one integer, of Python, of NumPy or in an array of no dimensions; Booleans are not.

    >>> is_integer(np.int64(3)), is_integer(np.array(3)), is_integer(3.0), is_integer(True)
    (True, True, False, False)
    """
    known = known_value(value)
    return known is not None and known.ndim == 0 and np.issubdtype(known.dtype, np.integer)


def check_in_range(
    name: str,
    value: object,
    low: float = 0.0,
    high: float = math.inf,
    *,
    includes_low: bool = True,
    includes_high: bool = True,
) -> None:
    """Check that numbers lie in a range; schedules and traced arrays pass unchecked.

    Raises:
        ValueError: the number is outside of the range, or nan.
        TypeError: the value is neither a number, nor an array, nor a function.

    >>> check_in_range("rate", 1.0, 0.0, 1.0, includes_high=False)
    Traceback (most recent call last):
    ValueError: expected rate in [0, 1), got 1.0
    """
    known = known_value(value)
    if known is None:
        if isinstance(value, jax.Array) or callable(value):
            return
        raise TypeError(
            f"expected {name} to be a number, an array or a function of the step, got {shorten(repr(value))}"
        )
    above = np.all(np.greater_equal(known, low) if includes_low else np.greater(known, low))
    below = np.all(np.less_equal(known, high) if includes_high else np.less(known, high))
    if not (above and below):
        left, right = "[" if includes_low else "(", "]" if includes_high and high < math.inf else ")"
        raise ValueError(f"expected {name} in {left}{low:g}, {high:g}{right}, got {value}")


def check_decay(name: str, value: object) -> None:
    """Check that the decay rate of an average lies in [0, 1).

    Raises:
        ValueError: the number is outside of the range, or nan.
        TypeError: the value is neither a number, nor an array, nor a function.
    """
    check_in_range(name, value, 0.0, 1.0, includes_high=False)


def check_positive_integer(name: str, value: object) -> None:
    """Check that a value is an integer of at least 1, Python's or NumPy's.

    Raises:
        ValueError: the value is less than 1, or not an integer.

    >>> check_positive_integer("steps", 2.5)
    Traceback (most recent call last):
    ValueError: expected steps to be an integer >= 1, got 2.5
    """
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise ValueError(f"expected {name} to be an integer >= 1, got {shorten(repr(value))}")


def check_indices(name: str, indices: object, size: int) -> None:
    """Check that integers lie in ``0 .. size - 1``; traced ones pass unchecked.

    Raises:
        ValueError: an integer is outside of the range.

    >>> check_indices("tokens", np.array([3, -1]), 5)
    Traceback (most recent call last):
    ValueError: expected tokens in 0 .. 4, got -1
    """
    known = known_value(jnp.asarray(indices) if isinstance(indices, list | tuple) else indices)
    if known is not None and known.size and not (known.min() >= 0 and known.max() < size):
        outside = known.min() if known.min() < 0 else known.max()
        raise ValueError(f"expected {name} in 0 .. {size - 1}, got {outside}")


def check_one_of(name: str, value: object, choices: Iterable[object]) -> None:
    """Check that a value is one of a few choices; for many names, see `did_you_mean`.

    Raises:
        ValueError: the value is none of them.

    >>> check_one_of("padding", "full", ("same", "valid"))
    Traceback (most recent call last):
    ValueError: expected padding to be one of 'same', 'valid', got 'full'
    """
    choices = tuple(choices)
    if value not in choices:
        raise ValueError(f"expected {name} to be one of {', '.join(map(repr, choices))}, got {shorten(repr(value))}")


def shorten(text: object, width: int = 200) -> str:
    """Shorten a text for an error message, which a name of a megabyte would fill.

    >>> shorten("weights" * 1000, 17)
    'weights...weights'
    """
    text = str(text)
    half = (width - 3) // 2
    return text if len(text) <= width else f"{text[:half]}...{text[-half:]}"


def did_you_mean(name: object, names: Iterable[str]) -> str:
    """Suggest the one or two nearest of the known names, or list them all when none is near.

    The result ends an error: ``f"expected a model, got {shorten(repr(name))}; {did_you_mean(name, names)}"``.

    >>> did_you_mean("lenet", ["lenet5", "vgg16"])
    "did you mean 'lenet5'?"
    >>> did_you_mean("gru", ["lenet5", "vgg16"])
    "choose from 'lenet5', 'vgg16'"
    >>> did_you_mean("--lr", ["--learning-rate", "--model"])
    "did you mean '--learning-rate'?"
    """
    names = sorted(names)
    nearest = [known for known in names if _initials(known) == _initials(str(name), whole=True)][:2]
    nearest = nearest or difflib.get_close_matches(str(name), names, n=2)
    if nearest:
        return f"did you mean {' or '.join(map(repr, nearest))}?"
    return f"choose from {', '.join(map(repr, names))}"


def _initials(name: str, *, whole: bool = False) -> str | None:
    """Return the initials of a name of several words, or the ``whole`` name as initials: "lr" for "learning-rate"."""
    words = [word for word in re.split("[-_. ]+", name.lower()) if word]
    if whole:
        return "".join(words)
    return "".join(word[0] for word in words) if len(words) > 1 else None


def former_dropout(new: str, prefix: str = "") -> dict[str, str]:
    """Name the field that earlier versions had for dropout, the share of units kept, for `renamed_fields`.

    >>> former_dropout("rate")
    {'retain_probability': 'rate, the share dropped: 1 - retain_probability'}
    """
    old = f"{prefix}retain_probability"
    return {old: f"{new}, the share dropped: 1 - {old}"}


def renamed_fields(**new_names: str) -> Callable[[_Class], _Class]:
    """Decorate a class so that fields called by their old names raise an error that gives the new ones.

    A value is the new name, or a sentence where the meaning changed too. The names, and those of the base classes, are
    kept in the attribute ``_renamed_fields``. A subclass has a constructor of its own: decorate it again, with
    ``@renamed_fields()`` for the names that it inherits.

    >>> import dataclasses
    >>> @renamed_fields(heads="num_heads")
    ... @dataclasses.dataclass
    ... class Attention:
    ...     num_heads: int
    >>> Attention(heads=4)
    Traceback (most recent call last):
    TypeError: Attention has no field 'heads': it is 'num_heads' now
    """

    def decorate(cls: _Class) -> _Class:
        renamed = {**getattr(cls, "_renamed_fields", {}), **new_names}
        construct = cls.__init__

        @functools.wraps(construct)
        def init(self: object, *args: object, **kwargs: object) -> None:
            for old in kwargs:
                if old in renamed:
                    raise TypeError(f"{cls.__name__} has no field {old!r}: it is {renamed[old]!r} now")
            construct(self, *args, **kwargs)

        cls.__init__ = init
        cls._renamed_fields = renamed
        return cls

    return decorate
