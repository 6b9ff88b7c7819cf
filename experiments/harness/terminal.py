"""The terminal: text is printed as it is, without markup in brackets and emoji codes."""

from typing import Any

from rich.console import Console


def console(**options: Any) -> Console:
    """Make a console that prints names, paths and numbers from data unchanged; styles are given apart from the text.

    >>> console(width=40).print("extra [parity] :smile:")
    extra [parity] :smile:
    """
    return Console(markup=False, emoji=False, **options)
