"""Worked examples and their verdicts: PASS, CORRECTED or FAIL."""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

import numpy as np

Verdict = str
"""PASS: the printed values are correct. CORRECTED: the computed values are the known correct ones. FAIL: neither."""


@dataclass(frozen=True)
class Item:
    """The values of a worked example.

    Attributes:
        name: the name of the quantity.
        printed: the values as printed, separated by spaces.
        right: the correct values, to as many digits as are known.
        compute: computes them with the library's functions.
        reason: why the printed values are wrong; empty if they are correct.
        file: the file of the notes.
        phrase: the words or the formula in it, as printed.
    """

    name: str
    printed: str
    right: str
    compute: Callable[[], Any]
    reason: str = ""
    file: str = ""
    phrase: str = ""


@dataclass(frozen=True)
class Row:
    """A line of the report; ``computed`` holds the computed values as text."""

    name: str
    printed: str
    computed: str
    verdict: Verdict
    reason: str
    file: str = ""
    phrase: str = ""


def examine(item: Item) -> Row:
    """Compute an item and compare it with the correct and the printed values."""
    values = np.asarray(item.compute(), np.float64).ravel()
    verdict = "PASS" if agree(item.printed, values) else "CORRECTED"
    reason = item.reason
    if not agree(item.right, values):
        verdict, reason = "FAIL", f"expected {item.right}"
    elif (verdict == "CORRECTED") != bool(item.reason):
        verdict, reason = "FAIL", f"expected the printed values to be {'wrong' if item.reason else 'correct'}"
    computed = " ".join(f"{value:.0f}" if value.is_integer() else f"{value:.5g}" for value in values)
    return Row(item.name, item.printed, computed, verdict, reason, item.file, item.phrase)


def agree(text: str, values: np.ndarray) -> bool:
    """Return whether all values round to the written numbers, to within half a unit of the last digit.

    What is written may also be no number: it agrees with nothing.

    >>> agree("0.51 20", np.array([0.5108, 20.4])), agree("0.51 20", np.array([0.5108, 20.6]))
    (True, False)
    """
    try:
        numbers = [Decimal(word) for word in text.split()]
    except InvalidOperation:
        return False
    if len(numbers) != len(values):
        return False
    written = np.array([float(number) for number in numbers])
    half = np.array([0.5 * 10.0 ** int(number.as_tuple().exponent) for number in numbers])
    return bool(np.all(np.abs(values - written) <= half))
