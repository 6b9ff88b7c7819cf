"""The command of the stress test: numbers of trials and the report."""

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rich.table import Table
from rich.text import Text

from experiments.harness import terminal
from experiments.stress import damage, victim
from experiments.stress.kills import Laboratory, Outcome


@dataclass(frozen=True)
class Amount:
    """The number of trials of each kind."""

    kills: int
    kills_during_save: int
    terminations: int
    full_disks: int
    fallbacks: int
    flips: int
    cuts: int


FULL = Amount(50, 20, 10, 5, 10, 1000, 100)
SHORT = Amount(1, 1, 1, 1, 1, 30, 6)


@dataclass(frozen=True)
class Row:
    """A line of the report: the numbers of trials and of successes."""

    what: str
    tried: int
    good: int
    seconds: float
    problems: list[str]


def main(arguments: list[str]) -> int:
    """Kill runs and damage files, print a table and return 0 if nothing was lost, else 1."""
    parser = argparse.ArgumentParser(prog="python -m experiments stress", description=main.__doc__)
    parser.add_argument("--short", action="store_true", help="a few trials of each kind, in seconds")
    parser.add_argument("--seed", type=int, default=0, help="seed of the chosen moments, files and bits")
    options = parser.parse_args(arguments)
    console = terminal.console()
    with tempfile.TemporaryDirectory(prefix="stress") as folder:
        laboratory = Laboratory(Path(folder), options.seed)
        compared = ", ".join(f"{part} {n}" for part, n in victim.parts_compared(laboratory.reference).items())
        console.print(f"an undisturbed run: {laboratory.seconds:.1f} s; leaves and positions compared: {compared}")
        rows = stress(laboratory, SHORT if options.short else FULL)
    console.print(table(rows))
    for problem in [problem for row in rows for problem in row.problems][:10]:
        console.print(problem)
    return 0 if all(row.good == row.tried for row in rows) else 1


def stress(laboratory: Laboratory, amount: Amount) -> list[Row]:
    """Run all trials and return the rows of the report."""
    rows = _kills(laboratory, amount)
    rows.append(_repeated("SIGTERM: saved, status 0, resumed", amount.terminations, laboratory.terminate))
    rows.append(_repeated("disk full while saving: reported, resumed", amount.full_disks, laboratory.fill))
    rows.append(
        _repeated(
            "newest damaged: previous one resumed",
            amount.fallbacks,
            lambda: laboratory.damage_newest(damage.damage_one_file),
        )
    )
    kinds = {"bits flipped": (damage.flip, amount.flips), "files cut short": (damage.cut, amount.cuts)}
    for what, (harm, times) in kinds.items():
        started = time.perf_counter()
        count = damage.count_rejected(laboratory.reference, harm, times, laboratory.generator)
        seconds = time.perf_counter() - started
        rows.append(Row(f"{what}: file, leaf named", count.tried, count.rejected, seconds, count.problems))
    return rows


def table(rows: list[Row]) -> Table:
    """Make a table of the trials."""
    result = Table(title="stress test: a resumed run must end bit-identical to an undisturbed one")
    for column in ("trial", "count", "passed", "", "seconds"):
        result.add_column(column, justify="left" if column in ("trial", "") else "right")
    for row in rows:
        verdict = Text("PASS", "green") if row.good == row.tried else Text("FAIL", "red")
        result.add_row(
            row.what, f"{row.tried:,}", f"{row.good:,}", verdict, f"{row.seconds:.0f}" if row.seconds else ""
        )
    return result


def _kills(laboratory: Laboratory, amount: Amount) -> list[Row]:
    """Kill runs, first while they save, until there are enough of both kinds."""
    started, outcomes = time.perf_counter(), []
    while len(outcomes) < amount.kills or sum(outcome.during_save for outcome in outcomes) < amount.kills_during_save:
        few = sum(outcome.during_save for outcome in outcomes) < amount.kills_during_save
        outcomes.append(laboratory.kill(during_save=few))
        if len(outcomes) > 3 * amount.kills:
            break
    during = [outcome for outcome in outcomes if outcome.during_save]
    seconds = time.perf_counter() - started
    rows = [_row("killed with -9, resumed", outcomes, seconds)]
    return [*rows, _row("  of these, while saving", during, 0.0)]


def _repeated(what: str, times: int, attempt: Callable[[], Outcome]) -> Row:
    started = time.perf_counter()
    outcomes = [attempt() for _ in range(times)]
    return _row(what, outcomes, time.perf_counter() - started)


def _row(what: str, outcomes: list[Outcome], seconds: float) -> Row:
    good = sum(outcome.identical for outcome in outcomes)
    return Row(what, len(outcomes), good, seconds, [outcome.problem for outcome in outcomes if outcome.problem])
