"""Mistakes of the user, told in one line and without a traceback."""

import difflib
from collections.abc import Iterable


class UsageError(Exception):
    """A command, flag or value that cannot be: the command line prints the message and ends with status 2."""


def unknown(kind: str, name: str, known: Iterable[str]) -> UsageError:
    """Say that ``name`` is unknown, with the nearest that is known.

    >>> print(unknown("experiment", "lenet_digit", ["lenet_digits", "mlp_digits"]))
    unknown experiment 'lenet_digit': did you mean 'lenet_digits'?
    """
    known = sorted(known)
    nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"did you mean {nearest[0]!r}?" if nearest else f"there are {', '.join(known)}"
    return UsageError(f"unknown {kind} {name!r}: {hint}")
