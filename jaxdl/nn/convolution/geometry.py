"""The arithmetic of windows that move over an input: sizes of outputs, padding, receptive fields."""

from collections.abc import Sequence
from numbers import Integral
from typing import Literal, NamedTuple

Pair = tuple[int, int]
Padding = Literal["valid", "same", "full"] | int | Sequence[int | Pair]

SPATIAL = {1: "W", 2: "HW", 3: "DHW"}


class Window(NamedTuple):
    """How a kernel moves: one number, or one pair, for every spatial dimension."""

    size: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[Pair, ...]
    dilation: tuple[int, ...]
    output: tuple[int, ...]


def output_size(
    size: int,
    kernel_size: int,
    stride: int = 1,
    padding: Padding = 0,
    dilation: int = 1,
    *,
    exact: bool = True,
) -> int:
    """Return ``W2 = (W1 - F + P) / S + 1``, how many places a kernel has.

    ``W1`` is the size, ``F = dilation (kernel_size - 1) + 1``, ``S`` the stride, ``P`` the padding of both sides.

    Args:
        size: length of the input, in numbers.
        kernel_size: length of the kernel, in numbers.
        stride: how far the kernel moves.
        padding: ``"valid"``, ``"same"``, ``"full"``, a number for each side, or a pair of numbers.
        dilation: distance between neighbouring numbers of the kernel.
        exact: refuse a size that the stride does not divide; otherwise the rest at the end is not looked at.

    Raises:
        ValueError: the kernel does not fit, or ``exact`` and the stride does not divide ``W1 - F + P``.

    >>> output_size(227, 11, stride=4)
    55
    >>> output_size(224, 11, stride=4, padding=2, exact=False)
    55
    >>> output_size(224, 11, stride=4, padding=2)
    Traceback (most recent call last):
    ...
    ValueError: stride 4 does not divide 224 - 11 + 4 = 217: change the size or the padding, or take exact=False ...
    """
    pair = padding if isinstance(padding, str | Integral) else [tuple(padding)]
    window = make_window((size,), (kernel_size,), stride, pair, dilation)
    extent, total = dilation * (kernel_size - 1) + 1, sum(window.padding[0])
    if exact and (size - extent + total) % stride:
        raise ValueError(
            f"stride {stride} does not divide {size} - {extent} + {total} = {size - extent + total}: "
            "change the size or the padding, or take exact=False for the floor"
        )
    return window.output[0]


def receptive_field(layers: Sequence[Sequence[int]]) -> int:
    """Return ``r = 1 + sum_l d_l (F_l - 1) prod_(i < l) S_i``: how many inputs one output of the last layer sees.

    Args:
        layers: ``(F,)``, ``(F, S)`` or ``(F, S, d)`` for each layer: kernel size, stride (1), dilation (1).

    Raises:
        ValueError: a layer has no numbers or more than three, or one that is not positive.

    >>> receptive_field([(3,), (3,)]), receptive_field([(2, 1, 2**i) for i in range(10)])
    (5, 1024)
    """
    field, jump = 1, 1
    for layer in layers:
        if not 1 <= len(layer) <= 3 or min(layer) < 1:
            raise ValueError(f"a layer is (kernel size, stride, dilation), all positive; came {tuple(layer)}")
        kernel_size, stride, dilation = (*layer, 1, 1)[:3]
        field += dilation * (kernel_size - 1) * jump
        jump *= stride
    return field


def make_window(
    sizes: Sequence[int],
    kernel_size: Sequence[int],
    stride: int | Sequence[int],
    padding: Padding,
    dilation: int | Sequence[int],
) -> Window:
    """Write stride, padding and dilation out for every dimension, and count the outputs.

    Raises:
        ValueError: a number is missing, not positive, or no window fits.

    >>> make_window((28, 28), (5, 5), 1, "same", 1).padding
    ((2, 2), (2, 2))
    """
    rank = len(kernel_size)
    stride, dilation = _each(stride, rank, "stride"), _each(dilation, rank, "dilation")
    extents = [d * (f - 1) + 1 for d, f in zip(dilation, kernel_size, strict=True)]
    padding = _pairs(sizes, extents, stride, padding)
    output = []
    for axis, (size, extent, s, (low, high)) in enumerate(zip(sizes, extents, stride, padding, strict=True)):
        if extent > size + low + high:
            raise ValueError(
                f"the window covers {extent} numbers of dimension {SPATIAL[rank][axis]}, which has {size} and "
                f"{low} + {high} of padding: give larger inputs, more padding or a smaller window"
            )
        output.append((size + low + high - extent) // s + 1)
    return Window(tuple(kernel_size), stride, padding, dilation, tuple(output))


def _pairs(sizes: Sequence[int], extents: Sequence[int], stride: Sequence[int], padding: Padding) -> tuple[Pair, ...]:
    """Write the padding as a pair for every dimension."""
    if padding == "valid":
        return tuple((0, 0) for _ in sizes)
    if padding == "full":
        return tuple((extent - 1, extent - 1) for extent in extents)
    if padding == "same":
        total = [max((-(-n // s) - 1) * s + f - n, 0) for n, s, f in zip(sizes, stride, extents, strict=True)]
        return tuple((t // 2, t - t // 2) for t in total)
    if isinstance(padding, str):
        raise ValueError(f"padding is 'valid', 'same', 'full', a number or a pair a dimension; came {padding!r}")
    each = (padding,) * len(sizes) if isinstance(padding, Integral) else tuple(padding)
    pairs = tuple((p, p) if isinstance(p, Integral) else tuple(p) for p in each)
    if len(pairs) != len(sizes) or any(len(pair) != 2 or min(pair) < 0 for pair in pairs):
        raise ValueError(
            f"padding needs a number or a pair (before, after), none negative, for each of {len(sizes)} dimensions; "
            f"came {padding}"
        )
    return pairs


def _each(number: int | Sequence[int], rank: int, name: str) -> tuple[int, ...]:
    numbers = (number,) * rank if isinstance(number, Integral) else tuple(number)
    if len(numbers) != rank or min(numbers) < 1:
        raise ValueError(f"{name} needs one positive number, or one for each of {rank} dimensions; came {number}")
    return numbers
