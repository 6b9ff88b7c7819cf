"""The command of the stress test: its kinds of attacks, how many inputs of each, and the table."""

import argparse
import contextlib
import logging
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from experiments.harness import terminal
from experiments.stress import (
    archives,
    arguments,
    data_files,
    disturbed,
    flags,
    run_folders,
    special_files,
    vector_files,
    weight_files,
)
from experiments.stress.attack import VERDICTS, Tally, Trial, judge
from experiments.stress.disturbed import Amount
from experiments.stress.kills import Laboratory

INPUTS: dict[str, Callable[[Path, np.random.Generator, int], Iterator[Trial]]] = {
    "archives": archives.trials,
    "data files": data_files.trials,
    "weight files": weight_files.trials,
    "word vectors": vector_files.trials,
    "special files": special_files.trials,
    "flags": flags.trials,
    "run folders": run_folders.trials,
    "arguments": arguments.trials,
}
"""Kinds of inputs: ``trials(folder, generator, times)``, with ``times`` for each file or experiment."""
PROCESSES = ("kills", "checkpoints")
"""Kinds of attacks on runs and their checkpoints."""
KINDS = (*INPUTS, *PROCESSES)


@dataclass(frozen=True)
class Plan:
    """The numbers of trials: ``times`` of each kind of input, and those of runs."""

    times: dict[str, int]
    amount: Amount


FULL = Plan(
    {
        "archives": 80,
        "data files": 50,
        "weight files": 80,
        "word vectors": 60,
        "special files": 1,
        "flags": 25,
        "run folders": 240,
        "arguments": 10,
    },
    Amount(
        kills=40,
        kills_during_save=20,
        kills_of_experiments=20,
        terminations=10,
        full_disks=5,
        fallbacks=10,
        flips=1000,
        cuts=100,
    ),
)
SHORT = Plan(
    {**dict.fromkeys(INPUTS, 2), "flags": 1, "arguments": 1, "run folders": 1},
    Amount(
        kills=1,
        kills_during_save=1,
        kills_of_experiments=0,
        terminations=1,
        full_disks=1,
        fallbacks=1,
        flips=30,
        cuts=6,
    ),
)
SHOWN = 20
"""Problems that are listed."""


def main(arguments: list[str]) -> int:
    """Attack the library and the experiments, print a table, and return 1 if anything got through, else 0."""
    parser = argparse.ArgumentParser(prog="python -m experiments stress", description=main.__doc__)
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--short", action="store_true", help="a few trials of each kind, in seconds")
    length.add_argument("--full", action="store_true", help="about 5,000 inputs and 60 kills, in minutes; the default")
    parser.add_argument("--seed", type=int, default=0, help="seed of the chosen moments, files and bits")
    parser.add_argument("--only", choices=KINDS, action="append", help="a kind of attack; may be given several times")
    options = parser.parse_args(arguments)
    console = terminal.console()
    started = time.perf_counter()
    tallies = stress(SHORT if options.short else FULL, options.seed, options.only or KINDS)
    console.print(table(tallies))
    console.print(f"{time.perf_counter() - started:.0f} s")
    problems = [problem for tally in tallies.values() for problem in tally.problems]
    for problem in problems[:SHOWN]:
        console.print(problem, markup=False, highlight=False)
    return 1 if problems else 0


def stress(plan: Plan, seed: int, kinds: Iterable[str]) -> dict[str, Tally]:
    """Make all trials of these kinds and return their verdicts."""
    tallies: dict[str, Tally] = {}
    with tempfile.TemporaryDirectory(prefix="stress") as folder, progress() as bar, quiet():
        task = bar.add_task("", total=None)
        for what, verdict, problem in trials(plan, seed, kinds, Path(folder)):
            tallies.setdefault(what, Tally()).add(verdict, f"{what}: {problem}")
            bar.update(task, advance=1, description=what)
    return tallies


def trials(plan: Plan, seed: int, kinds: Iterable[str], folder: Path) -> Iterator[tuple[str, str, str]]:
    """Yield the kind, the verdict and the description of every trial."""
    for kind in dict.fromkeys(kinds):
        generator = np.random.default_rng([seed, KINDS.index(kind)])
        if kind in INPUTS:
            (folder / kind).mkdir()
            for trial in INPUTS[kind](folder / kind, generator, plan.times[kind]):
                yield kind, *judge(trial)
    if not set(PROCESSES).isdisjoint(kinds):
        laboratory = Laboratory(folder / "runs", seed)
        if "kills" in kinds:
            for what, outcome in disturbed.processes(laboratory, plan.amount):
                yield what, outcome.verdict, outcome.problem
        if "checkpoints" in kinds:
            yield from disturbed.checkpoints(laboratory, plan.amount)


def progress() -> Progress:
    """Make a progress bar with the kind and the number of the trials."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TextColumn("{task.completed:,.0f} trials"))
    return Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True), transient=True)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silence warnings and logs, which damaged inputs cause."""
    before = logging.root.manager.disable
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.disable(logging.CRITICAL)
        try:
            yield
        finally:
            logging.disable(before)


def table(tallies: dict[str, Tally]) -> Table:
    """Make a table of the verdicts; the row of a kind passes if no trial got through."""
    result = Table(title="stress test")
    result.add_column("attack")
    for column in ("tried", *VERDICTS):
        result.add_column(column, justify="right")
    result.add_column("")
    for what, tally in tallies.items():
        verdict = Text("FAIL", "red") if tally.bad else Text("PASS", "green")
        result.add_row(what, f"{tally.tried:,}", *(f"{count:,}" for count in tally.counts.values()), verdict)
    total = [sum(tally.counts[verdict] for tally in tallies.values()) for verdict in VERDICTS]
    result.add_row("total", f"{sum(total):,}", *(f"{count:,}" for count in total), "")
    return result
