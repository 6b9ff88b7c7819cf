"""Pickles of NumPy's arrays in dictionaries, read without obeying them."""

import io
import pickle
import pickletools
from collections.abc import Callable
from pathlib import Path

import numpy as np

INSTRUCTIONS = {
    *{"PROTO", "FRAME", "STOP", "MARK", "NONE", "NEWTRUE", "NEWFALSE", "GLOBAL", "STACK_GLOBAL", "REDUCE", "BUILD"},
    *{"BININT", "BININT1", "BININT2", "LONG1", "BINUNICODE", "SHORT_BINUNICODE", "BINBYTES", "SHORT_BINBYTES"},
    *{"BINBYTES8", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "EMPTY_TUPLE", "EMPTY_DICT", "SETITEM", "SETITEMS"},
    *{"BINPUT", "LONG_BINPUT", "BINGET", "LONG_BINGET", "MEMOIZE"},
}
"""What putting arrays in dictionaries takes."""

CODES = {"f2", "f4", "f8"}
"""Types of the numbers that weights may have."""


def read(path: Path | str) -> dict[str, np.ndarray]:
    """Return the arrays, each under the keys that lead to it, joined by dots.

    A pickle is a program. This one may build dictionaries, tuples, strings and numbers, and name the three parts of
    which NumPy's arrays are put together, for which it is given stand-ins that only take notes.

    Raises:
        ValueError: for any other instruction or name, and for what does not make arrays of floating-point numbers.
    """
    path = Path(path)
    content = path.read_bytes()
    try:
        for opcode, argument, position in pickletools.genops(content):
            if opcode.name not in INSTRUCTIONS:
                raise pickle.UnpicklingError(f"instruction {opcode.name} at byte {position} is not admitted")
            if opcode.name.endswith("PUT") and (argument or 0) > len(content):  # the memo would grow to that length
                raise pickle.UnpicklingError(f"memo {argument} at byte {position} of {len(content)}")
        holds = _Unpickler(io.BytesIO(content)).load()
        if not isinstance(holds, dict):
            raise ValueError(f"a {type(holds).__name__} in place of a dictionary")
        return _arrays(holds, "")
    except Exception as error:  # damage can surface as any exception that an instruction of pickle knows
        raise ValueError(
            f"{path} holds more than arrays in dictionaries, or is damaged, and a pickle can run anything: it is "
            f"refused ({error or type(error).__name__}). Where you trust its origin, save its arrays as safetensors"
        ) from None


def _arrays(holds: dict, prefix: str) -> dict[str, np.ndarray]:
    arrays = {}
    for name, value in holds.items():
        if isinstance(value, dict):
            arrays |= _arrays(value, f"{prefix}{name}.")
        elif isinstance(value, _Array):
            arrays[f"{prefix}{name}"] = value.array()
        else:
            raise ValueError(f"{prefix}{name} is a {type(value).__name__}")
    return arrays


class _Array:
    """Takes the notes of a NumPy array: state is (version, shape, dtype, is it in Fortran's order, bytes)."""

    __slots__ = ("content", "dtype", "fortran", "shape")

    def __setstate__(self, state: tuple) -> None:
        _, self.shape, self.dtype, self.fortran, self.content = state

    def array(self) -> np.ndarray:
        """Make the array, if the notes agree with each other."""
        numbers = np.frombuffer(self.content, self.dtype.dtype())
        return numbers.reshape(self.shape, order="F" if self.fortran else "C").copy()


class _Dtype:
    """Takes the note of a NumPy dtype: its code and, in the state, the order of its bytes."""

    __slots__ = ("code", "order")

    def __init__(self, code: str):
        self.code = code

    def __setstate__(self, state: tuple) -> None:
        self.order = state[1]

    def dtype(self) -> np.dtype:
        """Make the dtype, if it is one of floating-point numbers."""
        if self.code not in CODES or self.order not in {"<", ">"}:
            raise ValueError(f"numbers of type {self.code!r}; weights are of {', '.join(sorted(CODES))}")
        return np.dtype(self.order + self.code)


class _Unpickler(pickle.Unpickler):
    """Answers the three names of an array with stand-ins, made anew each time so that none can be tampered with."""

    def find_class(self, module: str, name: str) -> Callable | str:
        match module, name:
            case (("numpy.core.multiarray" | "numpy._core.multiarray"), "_reconstruct"):
                return lambda *_: _Array()
            case "numpy", "ndarray":
                return "ndarray"
            case "numpy", "dtype":
                return lambda code, *_: _Dtype(code)
        raise pickle.UnpicklingError(f"{module}.{name} is not admitted")
