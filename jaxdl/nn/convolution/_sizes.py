"""Numbers for each spatial dimension: strides, kernel sizes, padding."""

from collections.abc import Sequence
from typing import Literal

from jaxdl.checks import is_integer
from jaxdl.typing import Array

Pair = tuple[int, int]
Padding = Literal["valid", "same", "full"] | int | Sequence[int | Pair]

SPATIAL = {1: "W", 2: "HW", 3: "DHW"}


def to_tuple(value: int | Sequence[int], rank: int) -> tuple[int, ...]:
    """Repeat one number for every dimension; a sequence becomes a tuple.

    >>> to_tuple(2, 3), to_tuple([4, 5], 3)
    ((2, 2, 2), (4, 5))
    """
    return (int(value),) * rank if is_integer(value) else tuple(value)


def spatial_tuple(x: Array, value: int | Sequence[int], name: str) -> tuple[int, ...]:
    """Return one number per spatial dimension of ``x``, of which a single number stands for two.

    Raises:
        ValueError: there are not one to three positive numbers, or ``x`` has too few dimensions.
    """
    numbers = to_tuple(value, 2)
    if len(numbers) not in SPATIAL or min(numbers) < 1:
        raise ValueError(f"expected {name} of one to three positive numbers, got {value}")
    if x.ndim < len(numbers) + 1:
        raise ValueError(f"expected x {spatial_form(len(numbers))} for {name} {numbers}, got {x.shape}")
    return numbers


def spatial_form(rank: int) -> str:
    """Write the shape of an input with ``rank`` spatial dimensions.

    >>> spatial_form(2)
    '[..., H, W, C]'
    """
    return f"[..., {', '.join(SPATIAL[rank])}, C]"


def one_pair(padding: Padding) -> Padding:
    """Return the padding of a single dimension as that of a sequence of one."""
    if isinstance(padding, str) or is_integer(padding):
        return padding
    before, after = padding
    return [(int(before), int(after))]  # pyright: ignore[reportArgumentType]  numbers, by the contract of output_size
