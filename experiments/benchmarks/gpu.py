"""What matters on one GPU, in order of importance, within a few minutes: ``python -m experiments bench gpu``.

Every row runs in a process of its own, so that none can take another with it, and prints its cases as it goes. ``ours``
and ``theirs`` are seconds, of torch where nothing else is said; the same work on both sides, in turns.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from rich.table import Table

from experiments.harness import terminal
from experiments.harness.errors import UsageError, check_writable

PEAK, BANDWIDTH = 790e12, 4.3e12
"""Of one H200: operations a second in bfloat16, and bytes a second copied, both measured."""

ROWS = {
    "correctness": ("correct", 100),
    "recurrent": ("recurrent", 90),
    "gpt2": ("gpt2", 130),
    "resnet50": ("resnet50", 130),
    "attention": ("attention", 60),
    "adam": ("adam", 50),
    "decode": ("decode", 70),
    "seeds": ("seeds", 60),
    "epochs": ("epochs", 80),
}
"""By name the function of `experiments.benchmarks.gpu_rows`, and its limit in seconds."""

VARIABLES = {"XLA_PYTHON_CLIENT_PREALLOCATE": "false", "TF_CPP_MIN_LOG_LEVEL": "2", "HF_HUB_OFFLINE": "1"}
"""Torch and JAX share the memory of the card."""


def main(arguments: list[str]) -> int:
    """Run the rows until the minutes are over; return 0 if none failed."""
    flags = _parse(arguments)
    check_writable(flags.json)
    console = terminal.console()
    name = card()
    if name is None and not flags.smoke:
        raise UsageError("no GPU: nvidia-smi lists none; --smoke runs every row at a tiny size on the CPU")
    console.print(f"card: {name or 'no GPU, tiny sizes on the CPU'}")
    ends, found = time.monotonic() + 60 * flags.minutes, []
    for row in [row for row in ROWS if not flags.only or row in flags.only.split(",")]:
        left = ends - time.monotonic()
        lines = run_row(row, left, smoke=flags.smoke) if left > 5 else [{"row": row, "error": "no time left"}]
        for line in lines:
            found.append({"card": name, **line})
            console.print(_show(found[-1]), highlight=False)
            if flags.json:
                with open(flags.json, "a") as file:
                    file.write(json.dumps(found[-1]) + "\n")
    console.print(table_of(found))
    return int(any("error" in line for line in found))


def run_row(row: str, left: float, *, smoke: bool) -> Iterator[dict[str, Any]]:
    """Run a row in its own process; yield its cases, and an error where it ends with one."""
    command = [sys.executable, "-m", "experiments.benchmarks.gpu_rows", ROWS[row][0], *["--smoke"] * smoke]
    variables = {**os.environ, **VARIABLES, **({"JAX_PLATFORMS": "cpu"} if smoke else {})}
    started, limit = time.monotonic(), min(left, ROWS[row][1])
    with subprocess.Popen(command, env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        try:
            output, errors = child.communicate(timeout=limit)
            status = "" if child.returncode == 0 else f"status {child.returncode}: {_last(errors)}"
        except subprocess.TimeoutExpired:
            child.kill()
            output, errors = child.communicate()
            status = f"ended after {limit:.0f} s"
    for line in output.splitlines():
        if line.startswith("{"):
            yield {"row": row, **json.loads(line)}
    if status:
        yield {"row": row, "error": status}
    yield {"row": row, "case": "whole row", "seconds": round(time.monotonic() - started, 1)}


def card() -> str | None:
    """Return the name of the first GPU, without a start of JAX; None if there is none."""
    try:
        query = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
        lines = subprocess.run(query, capture_output=True, text=True, check=True, timeout=20).stdout.splitlines()
    except (OSError, subprocess.SubprocessError):
        return None
    return lines[0] if lines else None


def table_of(found: list[dict[str, Any]]) -> Table:
    """Make the table of all cases, misses included."""
    table = Table(title="bench gpu: ours against torch (ratio of times; below 1 is faster)")
    for column in ("row", "case", "ours", "theirs", "ratio", "reached", "goal", ""):
        table.add_column(column, justify="left" if column in ("row", "case") else "right")
    for line in found:
        if "error" in line:
            table.add_row(line["row"], line["error"], "", "", "", "", "", "ERROR")
        elif "ours" in line:
            times = (f"{line['ours']:.5f}", _number(line.get("theirs")), _number(line.get("ratio")))
            goal = "" if line.get("goal") is None else str(line["goal"])
            reached = "" if "reached" not in line else f"{line['reached']:.4g} {line['unit']}"
            table.add_row(line["row"], line["case"], *times, reached, goal, line.get("verdict", ""))
        elif "verdict" in line:
            table.add_row(line["row"], line["case"], "", "", "", f"{line['reached']:.2g}", "", line["verdict"])
    return table


def timed(works: list[Callable[[], object]], seconds: float = 1.0) -> list[float]:
    """Time works that block until they are done, in turns, for about ``seconds`` each; return the medians."""
    times: list[list[float]] = [[] for _ in works]
    for work in works:  # compilation, and the first call after it
        work()
        work()
    for _ in range(50):
        for own, work in zip(times, works, strict=True):
            if sum(own) < seconds or len(own) < 3:
                started = time.perf_counter()
                work()
                own.append(time.perf_counter() - started)
    return [sorted(own)[len(own) // 2] for own in times]


def _show(line: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in line.items() if name != "card")


def _last(errors: str) -> str:
    lines = [line for line in errors.splitlines() if line.strip()]
    return lines[-1][:300] if lines else "no message"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m experiments bench gpu", description=__doc__)
    parser.add_argument("--minutes", type=float, default=8, help="after which no row begins; the last is cut")
    parser.add_argument("--only", metavar="ROW,ROW", help=f"of {', '.join(ROWS)}")
    parser.add_argument("--json", metavar="FILE", help="append each case to FILE, one line")
    parser.add_argument("--smoke", action="store_true", help="every row at a tiny size, on the CPU if there is no GPU")
    flags = parser.parse_args(arguments)
    unknown = set((flags.only or "").split(",")) - {*ROWS, ""}
    if unknown:
        raise UsageError(f"--only: expected rows of {', '.join(ROWS)}, got {', '.join(sorted(unknown))}")
    return flags
