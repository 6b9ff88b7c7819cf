"""A worked number, and what is said of it: PASS, CORRECTED or FAIL."""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np

Verdict = str
"""PASS: what is printed is right. CORRECTED: it is not, and what is right came out. FAIL: something else came out."""


@dataclass(frozen=True)
class Item:
    """Numbers of a worked example.

    Attributes:
        name: what is computed.
        printed: the numbers as they are printed, separated by blanks.
        right: the numbers that must come out, to as many digits as are known.
        compute: computes them with the library's functions.
        reason: why what is printed is not right; nothing where it is.
    """

    name: str
    printed: str
    right: str
    compute: Callable[[], Any]
    reason: str = ""


@dataclass(frozen=True)
class Row:
    """What became of an item: ``computed`` are the numbers that came out, as text."""

    name: str
    printed: str
    computed: str
    verdict: Verdict
    reason: str


def examine(item: Item) -> Row:
    """Compute an item and compare: with what must come out, and with what is printed."""
    values = np.asarray(item.compute(), np.float64).ravel()
    verdict = "PASS" if agree(item.printed, values) else "CORRECTED"
    reason = item.reason
    if not agree(item.right, values):
        verdict, reason = "FAIL", f"expected {item.right}"
    elif (verdict == "CORRECTED") != bool(item.reason):
        verdict, reason = "FAIL", f"what is printed was expected to be {'wrong' if item.reason else 'right'}"
    computed = " ".join(f"{value:.0f}" if value.is_integer() else f"{value:.5g}" for value in values)
    return Row(item.name, item.printed, computed, verdict, reason)


def agree(text: str, values: np.ndarray) -> bool:
    """Say whether each value rounds to the number that is written: it lies within half a unit of the last digit.

    >>> agree("0.51 20", np.array([0.5108, 20.4])), agree("0.51 20", np.array([0.5108, 20.6]))
    (True, False)
    """
    numbers = [Decimal(word) for word in text.split()]
    if len(numbers) != len(values):
        return False
    written = np.array([float(number) for number in numbers])
    half = np.array([0.5 * 10.0 ** int(number.as_tuple().exponent) for number in numbers])
    return bool(np.all(np.abs(values - written) <= half))
