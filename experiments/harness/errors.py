"""Mistakes of the user, told in one line and without a traceback."""

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from jaxdl.checks import did_you_mean


class UsageError(Exception):
    """A command, flag or value that cannot be: the command line prints the message and ends with status 2."""


def unknown(kind: str, name: str, known: Iterable[str]) -> UsageError:
    """Say that ``name`` is unknown, with the nearest that is known.

    >>> print(unknown("experiment", "lenet_digit", ["lenet_digits", "dropout"]))
    unknown experiment 'lenet_digit': did you mean 'lenet_digits'?
    """
    return UsageError(f"unknown {kind} {name!r}: {did_you_mean(name, known)}")


@contextlib.contextmanager
def preparing() -> Iterator[None]:
    """Tell what the library refuses while a run is prepared (data, model, loader) as a mistake of the user."""
    try:
        yield
    except (ValueError, TypeError, OSError, ImportError) as error:
        raise UsageError(str(error)) from error


def check_writable(path: str | Path | None) -> None:
    """Refuse a file that could not be written, before anything is computed for it."""
    if path is not None and not Path(path).absolute().parent.is_dir():
        raise UsageError(f"{path} cannot be written: there is no folder {Path(path).absolute().parent}")
