"""Arithmetic of sliding windows: output sizes, padding, receptive fields."""

from collections.abc import Sequence
from typing import NamedTuple

from jaxdl.checks import is_integer
from jaxdl.nn.convolution._sizes import SPATIAL, Padding, Pair, one_pair, to_tuple


class Window(NamedTuple):
    """A sliding window: one number, or one pair, for every spatial dimension."""

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
    """Compute the output size ``W2 = (W1 - F + P) / S + 1``.

    ``W1`` is the size, ``F = dilation (kernel_size - 1) + 1``, ``S`` the stride, ``P`` the padding of both sides.

    Args:
        size: length of the input.
        kernel_size: length of the kernel.
        stride: step of the kernel.
        padding: ``"valid"``, ``"same"``, ``"full"``, a number for each side, or a pair.
        dilation: distance between neighbouring elements of the kernel.
        exact: raise where the stride does not divide; otherwise the remainder at the end is ignored.

    Raises:
        ValueError: the kernel does not fit, or ``exact`` and the stride does not divide ``W1 - F + P``.

    >>> output_size(227, 11, stride=4)
    55
    >>> output_size(224, 11, stride=4, padding=2, exact=False)
    55
    >>> output_size(224, 11, stride=4, padding=2)
    Traceback (most recent call last):
    ...
    ValueError: expected a stride that divides 224 - 11 + 4 = 217, got 4; change the size or the padding, or pass ...
    """
    window = make_window((size,), (kernel_size,), stride, one_pair(padding), dilation)
    extent, total = dilation * (kernel_size - 1) + 1, sum(window.padding[0])
    if exact and (size - extent + total) % stride:
        raise ValueError(
            f"expected a stride that divides {size} - {extent} + {total} = {size - extent + total}, got {stride}; "
            "change the size or the padding, or pass exact=False for the floor"
        )
    return window.output[0]


def receptive_field(layers: Sequence[Sequence[int]]) -> int:
    """Compute ``r = 1 + sum_l d_l (F_l - 1) prod_(i < l) S_i``, the number of inputs that one output depends on.

    Args:
        layers: ``(F,)``, ``(F, S)`` or ``(F, S, d)`` for each layer: kernel size, stride (1), dilation (1).

    Raises:
        ValueError: a layer has not one to three numbers, or one that is not positive.

    >>> receptive_field([(3,), (3,)]), receptive_field([(2, 1, 2**i) for i in range(10)])
    (5, 1024)
    """
    field, jump = 1, 1
    for layer in layers:
        if not 1 <= len(layer) <= 3 or min(layer) < 1:
            raise ValueError(f"expected layers (kernel size, stride, dilation), all positive, got {tuple(layer)}")
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
    """Return stride, padding and dilation of every dimension, and the output sizes.

    Raises:
        ValueError: a number is missing or not positive, or the window is larger than the padded input.

    >>> make_window((28, 28), (5, 5), 1, "same", 1).padding
    ((2, 2), (2, 2))
    """
    rank = len(kernel_size)
    stride, dilation = _check_each(stride, rank, "stride"), _check_each(dilation, rank, "dilation")
    extents = [d * (f - 1) + 1 for d, f in zip(dilation, kernel_size, strict=True)]
    pairs = _to_pairs(sizes, extents, stride, padding)
    output = []
    for axis, (size, extent, s, (low, high)) in enumerate(zip(sizes, extents, stride, pairs, strict=True)):
        if extent > size + low + high:
            raise ValueError(
                f"expected at least {extent} elements of dimension {SPATIAL[rank][axis]}, the extent of the window, "
                f"got {size} + {low} + {high} of padding; use larger inputs, more padding or a smaller window"
            )
        output.append((size + low + high - extent) // s + 1)
    return Window(tuple(kernel_size), stride, pairs, dilation, tuple(output))


def _to_pairs(
    sizes: Sequence[int], extents: Sequence[int], stride: Sequence[int], padding: Padding
) -> tuple[Pair, ...]:
    """Return the padding as a pair for every dimension."""
    if padding == "valid":
        return tuple((0, 0) for _ in sizes)
    if padding == "full":
        return tuple((extent - 1, extent - 1) for extent in extents)
    if padding == "same":
        total = [max((-(-n // s) - 1) * s + f - n, 0) for n, s, f in zip(sizes, stride, extents, strict=True)]
        return tuple((t // 2, t - t // 2) for t in total)
    if isinstance(padding, str):
        raise ValueError(
            f"expected padding 'valid', 'same', 'full', or a number or a pair per dimension, got {padding!r}"
        )
    each = (int(padding),) * len(sizes) if is_integer(padding) else tuple(padding)
    pairs = [(int(p), int(p)) if is_integer(p) else tuple(p) for p in each]
    if len(pairs) != len(sizes) or any(len(pair) != 2 or min(pair) < 0 for pair in pairs):
        raise ValueError(
            f"expected padding with a number >= 0, or a pair (before, after), for each of {len(sizes)} dimensions, "
            f"got {padding}"
        )
    return tuple((before, after) for before, after in pairs)


def _check_each(value: int | Sequence[int], rank: int, name: str) -> tuple[int, ...]:
    numbers = to_tuple(value, rank)
    if len(numbers) != rank or min(numbers) < 1:
        raise ValueError(f"expected {name} of one positive number, or one for each of {rank} dimensions, got {value}")
    return numbers
