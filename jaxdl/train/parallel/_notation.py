"""The notation of XLA for operations and arrays."""

import math
import re
from collections.abc import Iterator


def find_collectives(text: str) -> Iterator[tuple[str, int]]:
    """Find the collectives in a program or a line of one: the kind of each and the bytes of its result.

    >>> list(find_collectives("%a = f32[8]{0} all-reduce(%b)"))
    [('all-reduce', 32)]
    """
    for result, kind, started in _COLLECTIVE.findall(text):
        yield kind, result_bytes(result, has_operands=bool(started) and kind != "all-reduce")


def result_bytes(result: str, *, has_operands: bool = False) -> int:
    """Return the size of a result, an array or a tuple.

    The start of an asynchronous operation holds operands, results and sometimes two counters.

    >>> result_bytes("f32[8,16]{1,0}"), result_bytes("(f32[2], f32[16], u32[], u32[])", has_operands=True)
    (512, 64)
    """
    shapes = _SHAPE.findall(result)
    if has_operands:
        shapes = [shape for shape in shapes if shape != ("u32", "")]
        shapes = shapes[len(shapes) // 2 :]
    return sum(_bytes(dtype, dims) for dtype, dims in shapes)


def _bytes(dtype: str, dims: str) -> int:
    """Return the size of an array: ``f32[8,16]`` has 512 bytes."""
    digits = re.search(r"\d+", dtype)
    bits = 8 if digits is None else int(digits[0])  # "pred", a Boolean, has no number
    return math.prod(int(size) for size in dims.split(",") if size) * bits // 8


_COLLECTIVE = re.compile(
    r" = (\(.*?\)|\S+) "
    r"(all-reduce|all-gather|reduce-scatter|all-to-all|collective-permute|collective-broadcast)(-start)?\("
)
_SHAPE = re.compile(r"\b([a-z]\w*)\[([\d,]*)\]")
