"""Bounds of the time and memory that a pickle takes, found by running its instructions on sizes instead of values.

A pickle of a kilobyte can describe more objects than a machine can hold: references share parts of it, and hashing a
key, comparing or copying visits each part as often as it is referred to. Here every value is a count of the objects
and bytes that a visit would meet.
"""

import io
import pickle
import pickletools
from collections.abc import Collection
from typing import Any

MAX_DEPTH = 64
MAX_OBJECTS = 100_000
"""Objects that a pickle may describe beyond four for each of its bytes."""
MAX_BYTES = 1 << 24
"""Bytes that a pickle may describe beyond eight for each of its own."""

TEXTS = frozenset(["STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE"])
BYTES = frozenset(["BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"])
NUMBERS = frozenset(
    ["NONE", "NEWTRUE", "NEWFALSE", "INT", "LONG", "LONG1", "BININT", "BININT1", "BININT2", "FLOAT", "BINFLOAT"]
)
EMPTY = frozenset(["EMPTY_LIST", "EMPTY_TUPLE", "EMPTY_DICT", "EMPTY_SET"])
TO_MARK = frozenset(["TUPLE", "LIST", "DICT", "APPENDS", "SETITEMS", "ADDITEMS", "POP_MARK"])
TAKES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3, "APPEND": 1, "SETITEM": 2, "BUILD": 1, "BINPERSID": 1}
TAKES |= {"REDUCE": 2, "NEWOBJ": 2, "STACK_GLOBAL": 2, "POP": 1}
CHANGES = frozenset(["APPEND", "APPENDS", "SETITEM", "SETITEMS", "ADDITEMS", "BUILD"])
PAIRS = frozenset(["DICT", "SETITEM", "SETITEMS"])
WITHOUT_EFFECT = frozenset(["PROTO", "FRAME"])
ENCODE = "_codecs encode"


class _Value:
    """The size of a value: objects, bytes and depth; ``is_inside`` when another refers to it."""

    __slots__ = ("count", "depth", "is_inside", "kind", "length", "name")

    def __init__(self, kind: str, length: int = 0, name: str = ""):
        self.kind, self.length, self.name = kind, length, name
        self.count, self.depth, self.is_inside = 1, 1, False

    def add(self, parts: Collection["_Value"]) -> None:
        """Count the parts; they may not change from now on, or the count would be wrong."""
        for part in parts:
            part.is_inside = True
            self.count += part.count
            self.length += part.length
            self.depth = max(self.depth, part.depth + 1)


def check_bounds(content: bytes, start: int = 0, *, keys: Collection[str] = ("text", "bytes")) -> int:
    """Check that a pickle is cheap to load, to visit and to copy; return the position after it.

    Args:
        content: bytes of the file.
        start: position of the pickle.
        keys: kinds of values that may be keys of dictionaries: "text", "bytes", "number".

    Raises:
        UnpicklingError: it has an unknown instruction, a key of another kind, too many or too deeply nested objects, or
            an object within itself.
        Exception: a damaged pickle can raise anything.

    >>> check_bounds(pickle.dumps({"a": [1, 2]}))
    30
    """
    file = io.BytesIO(content)
    file.seek(start)
    machine = _Machine(len(content), keys)
    for opcode, argument, position in pickletools.genops(file):
        if opcode.name == "STOP":
            break
        try:
            machine.run(opcode.name, argument)
        except pickle.UnpicklingError as error:
            raise pickle.UnpicklingError(f"{error}, at byte {position}") from None
        except (LookupError, AttributeError):
            raise pickle.UnpicklingError(f"damaged: {opcode.name} at byte {position} has no operand") from None
    return file.tell()


class _Machine:
    """The stack and the memo of a pickle, with sizes."""

    def __init__(self, length: int, keys: Collection[str]):
        self.keys = keys
        self.length = length
        self.stack: list[_Value | None] = []  # None is a mark
        self.memo: dict[int, Any] = {}
        self.encoded = 0

    def run(self, name: str, argument: Any) -> None:
        if name in TEXTS or name in BYTES:
            self.stack.append(_Value("text" if name in TEXTS else "bytes", len(argument)))
        elif name in NUMBERS:
            self.stack.append(_Value("number"))
        elif name in EMPTY:
            self.stack.append(_Value("container"))
        elif name == "GLOBAL":
            self.stack.append(_Value("name", len(argument), argument[:100]))
        elif name == "MARK":
            self.stack.append(None)
        elif name == "MEMOIZE" or name.endswith("PUT"):
            index = len(self.memo) if name == "MEMOIZE" else argument
            if index > self.length:  # the memo would grow to that length
                raise pickle.UnpicklingError(f"memo index {index} exceeds {self.length} bytes")
            self.memo[index] = self._top()
        elif name.endswith("GET"):
            self.stack.append(self.memo[argument])
        elif name in TO_MARK or name in TAKES:
            self._combine(name, self._take(name))
        elif name not in WITHOUT_EFFECT:
            raise pickle.UnpicklingError(f"instruction {name} is not allowed")

    def _take(self, name: str) -> list[_Value]:
        """Remove the operands of an instruction from the stack."""
        if name in TO_MARK:
            first = len(self.stack) - 1
            while self.stack[first] is not None:
                first -= 1
                if first < 0:
                    raise pickle.UnpicklingError(f"{name} without a mark")
            operands = self.stack[first + 1 :]
            del self.stack[first:]
        else:
            operands = self.stack[-TAKES[name] :]
            del self.stack[-TAKES[name] :]
        if None in operands or len(operands) < TAKES.get(name, 0):
            raise pickle.UnpicklingError(f"{name} without its operands")
        return [operand for operand in operands if operand is not None]

    def _combine(self, name: str, parts: list[_Value]) -> None:
        """Add the operands to a container, or make a new value of them."""
        if name in ("POP", "POP_MARK"):
            return
        if name in PAIRS:
            for key in parts[::2]:
                if key.kind not in self.keys:
                    raise pickle.UnpicklingError(f"a key that is no text but a {key.kind}")
        if name in CHANGES:
            whole = self._top()
            if whole.is_inside or any(part is whole for part in parts):
                raise pickle.UnpicklingError("an object within itself, or changed after another refers to it")
        else:
            whole = _Value("container")
            self.stack.append(whole)
            if name == "STACK_GLOBAL":
                whole.kind = "name"
            if name == "REDUCE" and parts[0].name == ENCODE:
                self._count_encoded(whole, parts[1])
        whole.add(parts)
        objects, size = 4 * self.length + MAX_OBJECTS, 8 * self.length + MAX_BYTES
        if whole.depth > MAX_DEPTH or whole.count > objects or whole.length > size:
            raise pickle.UnpicklingError(
                f"expected at most {objects} objects of {size} bytes, {MAX_DEPTH} deep, got {whole.count} of "
                f"{whole.length}, {whole.depth} deep"
            )

    def _count_encoded(self, whole: _Value, arguments: _Value) -> None:
        """Count the bytes into which texts are encoded, each time anew."""
        whole.kind = "bytes"
        self.encoded += arguments.length
        if self.encoded > 8 * self.length + MAX_BYTES:
            raise pickle.UnpicklingError(f"expected at most {8 * self.length + MAX_BYTES} bytes of texts, got more")

    def _top(self) -> _Value:
        value = self.stack[-1]
        if value is None:
            raise pickle.UnpicklingError("a mark in place of a value")
        return value
