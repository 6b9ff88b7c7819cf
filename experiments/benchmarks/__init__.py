"""Benchmarks: our time against the peers', measured alternately in one process.

A benchmark is a file of this folder with ``cases() -> Iterator[Case]``.
"""

import importlib
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from experiments.benchmarks.timing import Missing, compare

COMMON = {"case", "ours", "peer", "ratio", "peer_name", "goal", "verdict", "stable", "ratio_of_shortest"}
"""What every row has; a case may say more."""


def names() -> list[str]:
    """Name every benchmark."""
    return sorted(path.stem for path in Path(__file__).parent.glob("*.py") if path.stem not in {"__init__", "timing"})


def measure(name: str) -> list[dict[str, Any]]:
    """Measure every case of a benchmark, print the table and return its rows."""
    console = Console()
    table = Table(title=f"{name}: seconds, and ours / peer (below 1 is faster)")
    for column in ("case", "peer", "ours", "theirs", "ratio", "goal", ""):
        table.add_column(column, justify="left" if column in ("case", "peer") else "right")
    rows = []
    for case in importlib.import_module(f"experiments.benchmarks.{name}").cases():
        if isinstance(case, Missing):
            console.print(f"{case.case}: left out, {case.peer} is not installed")
            continue
        row = compare(case)
        rows.append(row)
        console.print(f"{row['case']}: {row['ratio']:.2f} of {row['peer_name']}")
        for detail in sorted(row.keys() - COMMON):
            console.print(f"  {detail.replace('_', ' ')}: {row[detail]}")
        goal = "" if row["goal"] is None else f"<= {row['goal']:g}"
        verdict = " ".join(filter(None, (row["verdict"], "" if row["stable"] else "unstable")))
        times = (f"{row['ours']:.4f}", f"{row['peer']:.4f}", f"{row['ratio']:.2f}")
        table.add_row(row["case"], row["peer_name"], *times, goal, verdict)
    console.print(table)
    return rows
