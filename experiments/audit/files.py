"""The files of the notes, and worked examples with the file and the phrase that they cite."""

from collections.abc import Callable
from typing import Any

from experiments.audit.item import Item

VISION = "000_532d416821c43be0.txt"
COURSE = "001_a9d98d6c02747fb4.txt"
RECURRENT = "002_cf9b4fa75e525be8.txt"
NEURONS = "003_54ce5d4ae4822e6a.txt"


def cite(
    name: str,
    printed: str,
    right: str,
    compute: Callable[[], Any],
    phrase: str,
    *,
    file: str = NEURONS,
    reason: str = "",
) -> Item:
    """Make a worked example with the phrase that prints it in a file of the notes."""
    return Item(name, printed, right, compute, reason, file, phrase)
