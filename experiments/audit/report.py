"""The command of the audit."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import jax
from rich.table import Table
from rich.text import Text

from experiments.audit import neurons, vision, words
from experiments.audit.item import Item, Row, examine
from experiments.harness import terminal
from experiments.harness.errors import UsageError, check_writable

ITEMS = [*neurons.ITEMS, *vision.ITEMS, *words.ITEMS]
COLOURS = {"PASS": "green", "CORRECTED": "yellow", "FAIL": "red"}


def main(arguments: list[str], items: Sequence[Item] = ITEMS) -> int:
    """Compute every item, print the table, and return 0 if all are as expected, else 1."""
    if arguments and (len(arguments) != 2 or arguments[0] != "--json"):
        raise UsageError(f"expected --json FILE, got {' '.join(arguments)!r}")
    check_writable(arguments[1] if arguments else None)
    with jax.enable_x64(True):
        rows = [examine(item) for item in items]
    console = terminal.console()
    console.print(table(rows))
    counts = {verdict: sum(row.verdict == verdict for row in rows) for verdict in COLOURS}
    console.print(", ".join(f"{count} {verdict}" for verdict, count in counts.items()))
    if arguments:
        Path(arguments[1]).write_text(json.dumps([asdict(row) for row in rows], indent=2) + "\n")
    return 1 if counts["FAIL"] else 0


def table(rows: Sequence[Row]) -> Table:
    """Make a table of the printed and the computed values."""
    result = Table(title="the textbook's worked examples")
    for column in ("item", "printed", "computed", "", "reason", "phrase"):
        result.add_column(column)
    for row in rows:
        colour = COLOURS[row.verdict]
        phrase = f"{row.file}: {row.phrase}"
        result.add_row(row.name, row.printed, row.computed, Text(row.verdict, colour), row.reason, phrase)
    return result
