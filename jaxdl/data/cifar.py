"""The two formats of CIFAR-10, neither of which is trusted: Python pickles and fixed-length binary records.

Source: Krizhevsky, "Learning multiple layers of features from tiny images" (2009).
"""

import io
import pickle
import pickletools
from collections.abc import Callable
from pathlib import Path

import numpy as np

from jaxdl.data.idx import check_labels

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
PIXELS = 3 * 32 * 32
RECORD = 1 + PIXELS
LARGEST_FILE = 1 << 28  # an official batch has 31 MB
VALUES = "NONE NEWTRUE NEWFALSE INT LONG LONG1 BININT BININT1 BININT2"
STRINGS = "STRING BINSTRING SHORT_BINSTRING UNICODE BINUNICODE BINBYTES SHORT_BINBYTES"
CONTAINERS = "EMPTY_LIST LIST APPEND APPENDS EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3 EMPTY_DICT DICT SETITEM SETITEMS"
MACHINERY = "PROTO STOP MARK POP PUT BINPUT LONG_BINPUT GET BINGET LONG_BINGET GLOBAL REDUCE BUILD"
INSTRUCTIONS = frozenset(f"{VALUES} {STRINGS} {CONTAINERS} {MACHINERY}".split())


def read_pickle(path: str | Path) -> tuple[np.ndarray, np.ndarray]:
    """Read a batch of the Python format: images uint8 ``[N, 32, 32, 3]``, labels uint8 ``[N]``.

    A pickle is a program. This one may build lists, dicts, tuples, strings and numbers, and name three things, for
    which it is given stand-ins that only take notes: the parts of which NumPy's arrays are put together. No code of
    NumPy or of anyone else runs at the pickle's command.

    Raises ValueError for any other instruction or name, and for what does not make a batch.
    """
    path = Path(path)
    content = _bounded(path)
    try:
        _check_instructions(content)
        batch = _Unpickler(io.BytesIO(content), encoding="bytes").load()
        image, label = batch[b"data"].image(), np.asarray(batch[b"labels"], np.int64)
    except Exception as error:  # damage can surface as any exception that an instruction of pickle knows
        raise ValueError(f"{path}: not a batch of CIFAR-10: {error or type(error).__name__}") from error
    if label.shape != (len(image),):
        raise ValueError(f"{path}: {len(image)} images, but labels of shape {list(label.shape)}")
    return _checked(path, image, label)


def read_binary(path: str | Path) -> tuple[np.ndarray, np.ndarray]:
    """Read a batch of the binary format, records of one byte of label and 3,072 of pixels.

    Returns images uint8 ``[N, 32, 32, 3]`` and labels uint8 ``[N]``. Raises ValueError if the file is no whole number
    of records or a label is above 9.
    """
    path = Path(path)
    content = _bounded(path)
    if len(content) % RECORD:
        raise ValueError(
            f"{path}: {len(content)} bytes are no whole number of records of {RECORD}: "
            f"{len(content) % RECORD} are left over"
        )
    records = np.frombuffer(content, np.uint8).reshape(-1, RECORD)
    return _checked(path, records[:, 1:], records[:, 0])


def _bounded(path: Path) -> bytes:
    if path.stat().st_size > LARGEST_FILE:
        raise ValueError(f"{path}: {path.stat().st_size} bytes are no batch of CIFAR-10 (at most {LARGEST_FILE})")
    return path.read_bytes()


def _checked(path: Path, image: np.ndarray, label: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if len(image) == 0:
        raise ValueError(f"{path} holds no images")
    check_labels(path, label, len(CLASSES))
    return image.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1), label.astype(np.uint8)


def _check_instructions(content: bytes) -> None:
    """Refuse, before any of it runs, what a batch of arrays does not need."""
    for opcode, argument, position in pickletools.genops(content):
        if opcode.name not in INSTRUCTIONS:
            raise pickle.UnpicklingError(f"instruction {opcode.name} at byte {position} is not admitted")
        if opcode.name.endswith("PUT") and (argument or 0) > len(content):  # the memo would grow to that length
            raise pickle.UnpicklingError(f"memo {argument} at byte {position} of {len(content)}")


class _Array:
    """Takes the notes of a NumPy array: state is (version, shape, dtype, is it in Fortran's order, bytes)."""

    __slots__ = ("content", "dtype", "shape")

    def __setstate__(self, state: tuple) -> None:
        _, self.shape, self.dtype, fortran, self.content = state
        if fortran is not False:
            raise ValueError("the array must be in C order")

    def image(self) -> np.ndarray:
        """Make the array ``[N, 3072]``, if the notes agree with each other."""
        if self.dtype.code not in {b"u1", "u1"}:
            raise ValueError(f"data must be of type u1, got {self.dtype.code!r}")
        if len(self.shape) != 2 or self.shape[1] != PIXELS:
            raise ValueError(f"data must have shape [N, {PIXELS}], got {list(self.shape)}")
        if len(self.content) != self.shape[0] * PIXELS:
            raise ValueError(f"data of shape {list(self.shape)} cannot have {len(self.content)} bytes")
        return np.frombuffer(self.content, np.uint8).reshape(self.shape)


class _Dtype:
    """Takes the note of a NumPy dtype: its code; the state says the byte order, which single bytes do not have."""

    __slots__ = ("code",)

    def __init__(self, code: bytes | str):
        self.code = code

    def __setstate__(self, state: tuple) -> None:
        pass


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
