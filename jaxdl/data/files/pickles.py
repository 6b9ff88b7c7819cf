"""Untrusted pickles of arrays, numbers, strings, lists and dictionaries, read without executing them."""

import io
import math
import pickle
import pickletools
from collections.abc import Callable, Collection
from typing import Any

import numpy as np

from jaxdl.data.files.pickle_bounds import check_bounds

VALUES = "NONE NEWTRUE NEWFALSE INT LONG LONG1 BININT BININT1 BININT2"
STRINGS = "STRING BINSTRING SHORT_BINSTRING UNICODE BINUNICODE SHORT_BINUNICODE"
BYTES = "BINBYTES SHORT_BINBYTES BINBYTES8 BYTEARRAY8"
CONTAINERS = "EMPTY_LIST LIST APPEND APPENDS EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3 EMPTY_DICT DICT SETITEM SETITEMS"
MEMO = "POP PUT BINPUT LONG_BINPUT GET BINGET LONG_BINGET MEMOIZE"
MACHINERY = "PROTO FRAME STOP MARK GLOBAL STACK_GLOBAL REDUCE BUILD"
INSTRUCTIONS = frozenset(f"{VALUES} {STRINGS} {BYTES} {CONTAINERS} {MEMO} {MACHINERY}".split())


def loads(content: bytes, *, encoding: str = "ASCII") -> Any:
    """Load a pickle, with an `ArraySpec` in place of every array.

    A pickle is a program. Only instructions that build lists, dicts, tuples, strings and numbers are allowed, and the
    names from which NumPy's arrays are constructed; these are replaced by stand-ins that record their arguments. The
    pickle cannot call any code of NumPy or of another module. Keys of dictionaries are texts, and `pickle_bounds` keeps
    small files from describing endless objects. Protocols 0 to 5 are supported, except for empty bytes in 0 to 2.

    Args:
        content: bytes of the file.
        encoding: encoding of the strings of Python 2; ``"bytes"`` returns them as bytes.

    Raises:
        UnpicklingError: another instruction or name occurs, or a bound is exceeded.
        Exception: a damaged pickle can raise anything.

    >>> loads(pickle.dumps({"a": [np.float32([1, 2])]}))["a"][0].array({"f4"})
    array([1., 2.], dtype=float32)
    """
    for opcode, _, position in pickletools.genops(content):
        if opcode.name not in INSTRUCTIONS:
            raise pickle.UnpicklingError(f"instruction {opcode.name} at byte {position} is not allowed")
    check_bounds(content)
    return _Unpickler(io.BytesIO(content), encoding=encoding).load()


class ArraySpec:
    """A NumPy array as described by a pickle: shape, type, whether it is in Fortran order, and bytes."""

    __slots__ = ("content", "dtype", "fortran", "shape")

    def __init__(self, shape: tuple, dtype: Any, fortran: bool, content: bytes):
        self.shape, self.dtype, self.fortran, self.content = shape, dtype, fortran, content

    def __setstate__(self, state: tuple) -> None:
        _, self.shape, self.dtype, self.fortran, self.content = state

    def array(self, codes: Collection[str]) -> np.ndarray:
        """Make the array, of one of the types ``codes``, such as ``{"f4"}``.

        Raises:
            ValueError: the type is another, the shape does not fit the number of bytes, or the description is
                incomplete.
        """
        has_shape = isinstance(self.shape, tuple) and all(isinstance(size, int) for size in self.shape)
        if not (has_shape and isinstance(self.dtype, _Dtype) and isinstance(self.content, bytes | bytearray)):
            raise ValueError("expected an array with its shape, type and bytes, got an incomplete one")
        dtype = self.dtype.make(codes)
        if len(self.content) != math.prod(self.shape) * dtype.itemsize:
            raise ValueError(
                f"expected the bytes of {dtype} of shape {list(self.shape)}, got {len(self.content)} bytes"
            )
        return np.frombuffer(self.content, dtype).reshape(self.shape, order="F" if self.fortran else "C").copy()


class _Dtype:
    """A NumPy dtype as described by a pickle: its code and, in the state, its byte order."""

    __slots__ = ("code", "order")

    def __init__(self, code: object):
        self.code, self.order = _text(code), ""

    def __setstate__(self, state: tuple) -> None:
        self.order = _text(state[1])

    def make(self, codes: Collection[str]) -> np.dtype:
        if self.code not in codes or self.order not in set("<>|"):
            raise ValueError(f"expected an array of type {' or '.join(sorted(codes))}, got {self.code!r}")
        return np.dtype(self.order + self.code)


class _Unpickler(pickle.Unpickler):
    """Resolves the names of an array's parts to stand-ins, created anew each time so that none can be modified."""

    def find_class(self, module: str, name: str) -> Callable | str:
        match module.replace("numpy._core", "numpy.core"), name:
            case "numpy.core.multiarray", "_reconstruct":
                return lambda *_: ArraySpec((), None, False, b"")
            case "numpy.core.numeric", "_frombuffer":
                return lambda content, dtype, shape, order: ArraySpec(shape, dtype, order == "F", content)
            case "_codecs", "encode":  # Python 3 writes bytes this way in protocols 0 to 2
                return lambda text, _: text.encode("latin-1")
            case "numpy", "ndarray":
                return "ndarray"
            case "numpy", "dtype":
                return lambda code, *_: _Dtype(code)
        raise pickle.UnpicklingError(f"{module}.{name} is not allowed")


def _text(code: object) -> str:
    """Return the code of a type or a byte order as text; that of another object is its type's name."""
    if isinstance(code, bytes):
        return code[:9].decode("ascii", "replace")
    return code[:9] if isinstance(code, str) else type(code).__name__
