"""Pickles of arrays, numbers, strings, lists and dictionaries, which are not trusted: read without obeying them."""

import io
import math
import pickle
import pickletools
from collections.abc import Callable, Collection
from typing import Any

import numpy as np

VALUES = "NONE NEWTRUE NEWFALSE INT LONG LONG1 BININT BININT1 BININT2"
STRINGS = "STRING BINSTRING SHORT_BINSTRING UNICODE BINUNICODE SHORT_BINUNICODE"
BYTES = "BINBYTES SHORT_BINBYTES BINBYTES8 BYTEARRAY8"
CONTAINERS = "EMPTY_LIST LIST APPEND APPENDS EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3 EMPTY_DICT DICT SETITEM SETITEMS"
MEMO = "POP PUT BINPUT LONG_BINPUT GET BINGET LONG_BINGET MEMOIZE"
MACHINERY = "PROTO FRAME STOP MARK GLOBAL STACK_GLOBAL REDUCE BUILD"
INSTRUCTIONS = frozenset(f"{VALUES} {STRINGS} {BYTES} {CONTAINERS} {MEMO} {MACHINERY}".split())


def loads(content: bytes, *, encoding: str = "ASCII") -> Any:
    """Return what a pickle holds, with `Notes` in place of every array.

    A pickle is a program. This one may build lists, dicts, tuples, strings and numbers, and name the parts of which
    NumPy's arrays are put together, for which it is given stand-ins that only take notes. No code of NumPy or of anyone
    else runs at the pickle's command. Every protocol is read, 0 to 5, except for empty bytes in 0 to 2.

    Args:
        content: the file's bytes.
        encoding: of the strings that Python 2 wrote; ``"bytes"`` leaves them as they are.

    Raises:
        UnpicklingError: any other instruction or name.
        Exception: damage can surface as any exception that an instruction of pickle knows.

    >>> loads(pickle.dumps({"a": [np.float32([1, 2])]}))["a"][0].array({"f4"})
    array([1., 2.], dtype=float32)
    """
    for opcode, argument, position in pickletools.genops(content):
        if opcode.name not in INSTRUCTIONS:
            raise pickle.UnpicklingError(f"instruction {opcode.name} at byte {position} is not admitted")
        if opcode.name.endswith("PUT") and (argument or 0) > len(content):  # the memo would grow to that length
            raise pickle.UnpicklingError(f"memo {argument} at byte {position} of {len(content)}")
    return _Unpickler(io.BytesIO(content), encoding=encoding).load()


class Notes:
    """What a pickle says of a NumPy array: its shape, its type, whether it is in Fortran's order, and its bytes."""

    __slots__ = ("content", "dtype", "fortran", "shape")

    def __init__(self, shape: tuple, dtype: Any, fortran: bool, content: bytes):
        self.shape, self.dtype, self.fortran, self.content = shape, dtype, fortran, content

    def __setstate__(self, state: tuple) -> None:
        _, self.shape, self.dtype, self.fortran, self.content = state

    def array(self, codes: Collection[str]) -> np.ndarray:
        """Make the array, if the notes agree with each other and its type is one of ``codes``, such as ``{"f4"}``.

        Raises:
            ValueError: the type is another, the bytes are not as many as the shape asks for, or there are no notes.
        """
        whole = isinstance(self.shape, tuple) and all(isinstance(size, int) for size in self.shape)
        if not (whole and isinstance(self.dtype, _Dtype) and isinstance(self.content, bytes | bytearray)):
            raise ValueError("an array without its shape, its type or its bytes")
        dtype = self.dtype.make(codes)
        if len(self.content) != math.prod(self.shape) * dtype.itemsize:
            raise ValueError(f"numbers of type {dtype} and shape {list(self.shape)} are not {len(self.content)} bytes")
        return np.frombuffer(self.content, dtype).reshape(self.shape, order="F" if self.fortran else "C").copy()


class _Dtype:
    """Takes the note of a NumPy dtype: its code and, in the state, the order of its bytes."""

    __slots__ = ("code", "order")

    def __init__(self, code: bytes | str):
        self.code, self.order = _text(code), ""

    def __setstate__(self, state: tuple) -> None:
        self.order = _text(state[1])

    def make(self, codes: Collection[str]) -> np.dtype:
        if self.code not in codes or self.order not in set("<>|"):
            raise ValueError(f"expected numbers of type {' or '.join(sorted(codes))}, got {self.code!r}")
        return np.dtype(self.order + self.code)


class _Unpickler(pickle.Unpickler):
    """Answers the names of an array's parts with stand-ins, made anew each time so that none can be tampered with."""

    def find_class(self, module: str, name: str) -> Callable | str:
        match module.replace("numpy._core", "numpy.core"), name:
            case "numpy.core.multiarray", "_reconstruct":
                return lambda *_: Notes((), None, False, b"")
            case "numpy.core.numeric", "_frombuffer":
                return lambda content, dtype, shape, order: Notes(shape, dtype, order == "F", content)
            case "_codecs", "encode":  # so Python 3 writes bytes in the protocols of Python 2
                return lambda text, _: text.encode("latin-1")
            case "numpy", "ndarray":
                return "ndarray"
            case "numpy", "dtype":
                return lambda code, *_: _Dtype(code)
        raise pickle.UnpicklingError(f"{module}.{name} is not admitted")


def _text(code: bytes | str) -> str:
    return code.decode("ascii") if isinstance(code, bytes) else str(code)
