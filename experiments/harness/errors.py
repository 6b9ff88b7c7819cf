"""Errors of usage: one line on the terminal, without a traceback."""

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from jaxdl.checks import did_you_mean, shorten


class UsageError(Exception):
    """An invalid command, flag or value: the command line prints the message and exits with status 2."""


def unknown(kind: str, name: str, known: Iterable[str]) -> UsageError:
    """Make the error for an unknown name, which suggests the nearest known one.

    >>> print(unknown("experiment", "lenet_digit", ["lenet_digits", "xor"]))
    unknown experiment 'lenet_digit': did you mean 'lenet_digits'?
    """
    return UsageError(f"unknown {kind} {shorten(repr(name))}: {did_you_mean(name, known)}")


@contextlib.contextmanager
def preparing() -> Iterator[None]:
    """Convert the library's errors while a run is prepared (data, model, loader) to errors of usage."""
    try:
        yield
    except OSError as error:
        own = error.strerror is not None and error.filename is None  # a message of the library, with a number
        raise UsageError(error.strerror if own else str(error)) from error
    except (ValueError, TypeError, ImportError) as error:
        raise UsageError(str(error)) from error


def check_writable(path: str | Path | None) -> None:
    """Check that the folder of an output file exists, before anything is computed for it.

    Raises:
        UsageError: it does not.
    """
    if path is not None and not Path(path).absolute().parent.is_dir():
        raise UsageError(f"cannot write {path}: there is no folder {Path(path).absolute().parent}")
