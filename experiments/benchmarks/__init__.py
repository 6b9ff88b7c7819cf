"""Benchmarks: our time against the peers', measured alternately in one process.

A benchmark is a file of this folder with ``cases() -> Iterator[Case]``, and ``titles()``, which names them
without any work.
"""

import importlib
from pathlib import Path
from typing import Any

from rich.table import Table

from experiments.benchmarks.timing import Missing, compare
from experiments.harness import terminal
from experiments.harness.errors import UsageError

COMMON = {"case", "ours", "peer", "ratio", "peer_name", "goal", "verdict", "stable", "ratio_of_shortest"}
"""The fields of every row; a case may add others."""


def names() -> list[str]:
    """Return the names of all benchmarks."""
    others = {"__init__", "adversarial", "gpu", "gpu_peers", "gpu_rows", "peers", "timing"}
    return sorted(path.stem for path in Path(__file__).parent.glob("*.py") if path.stem not in others)


ALLOCATOR = {
    "MALLOC_MMAP_THRESHOLD_": str(2**33),
    "MALLOC_TRIM_THRESHOLD_": str(2**34),
    "MALLOC_TOP_PAD_": str(2**28),
    "MALLOC_ARENA_MAX": "1",
}
"""Makes glibc keep freed memory: on a CPU the page faults of fresh memory would dominate the times."""


def measure(name: str, only: str = "") -> list[dict[str, Any]]:
    """Measure the cases of a benchmark whose names contain ``only``, print the table and return its rows.

    Raises:
        UsageError: no case has it in its name; nothing is measured.
    """
    benchmark = importlib.import_module(f"experiments.benchmarks.{name}")
    titles = list(benchmark.titles())
    if not any(only.lower() in title.lower() for title in titles):
        raise UsageError(f"--only: expected a part of the name of a case of {name}, got {only!r}: {'; '.join(titles)}")
    console = terminal.console()
    table = Table(title=f"{name}: seconds, and ours / peer (below 1 is faster)")
    for column in ("case", "peer", "ours", "theirs", "ratio", "goal", ""):
        table.add_column(column, justify="left" if column in ("case", "peer") else "right")
    rows = []
    for case in benchmark.cases():
        if only.lower() not in case.case.lower():
            continue
        if isinstance(case, Missing):
            console.print(f"{case.case}: skipped, {case.peer} is not installed")
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
