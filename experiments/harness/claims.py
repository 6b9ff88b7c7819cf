"""Claims of the textbook: measured over seeds, with a confidence interval and a verdict."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rich.table import Table
from scipy import stats

from experiments.harness import catalogue, terminal
from experiments.harness.configuration import as_dict
from experiments.harness.errors import UsageError, check_writable
from experiments.harness.run_folder import Run

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Claim:
    """A claim and what was measured of it.

    Attributes:
        claim: the number in the list of claims.
        statement: the claim, or the part of it that was measured.
        measure: the meaning and the unit of ``value``.
        value: the mean over the seeds.
        interval: the 95 % confidence interval of the mean, by Student's t; the exact one of a share.
        seeds: the number of independent runs.
        verdict: "reproduced" or "not reproduced".
    """

    claim: int
    statement: str
    measure: str
    value: float
    interval: tuple[float, float]
    seeds: int
    verdict: str


def judge(
    claim: int,
    statement: str,
    measure: str,
    samples: Any,
    *,
    above: float = 0.0,
    within: tuple[float, float] = (-np.inf, np.inf),
) -> Claim:
    """Judge the claim that a quantity is larger than ``above``, from independent samples of it.

    The claim is reproduced if the whole confidence interval of the mean lies above; it is not if a sample is not
    finite, or if there is only one. Boolean samples give a share, with its exact interval; samples that are shares
    have their values ``within`` 0 and 1.
    """
    samples = np.ravel(samples)
    value, low, high = share(samples) if samples.dtype == bool else interval(samples.astype(np.float64), within)
    verdict = "reproduced" if low > above else "not reproduced"
    return Claim(claim, statement, measure, value, (low, high), samples.size, verdict)


class Statement(NamedTuple):
    """The arguments of `judge`: number of the claim, statement, measure, samples, bound and possible values."""

    claim: int
    statement: str
    measure: str
    samples: Any
    above: float = 0.0
    within: tuple[float, float] = (-np.inf, np.inf)


def judge_all(run: Run, statements: Iterable[Statement]) -> None:
    """Judge several statements and record the verdicts in the run."""
    for *statement, above, within in statements:
        run.claim(judge(*statement, above=above, within=within))


def interval(samples: np.ndarray, within: tuple[float, float] = (-np.inf, np.inf)) -> tuple[float, float, float]:
    """Return the mean of independent samples and its confidence interval, by Student's t, cut at the possible values.

    >>> [round(x, 3) for x in interval(np.array([1.0, 2.0, 3.0]))]
    [2.0, -0.484, 4.484]
    """
    mean = float(np.mean(samples))
    if samples.size < 2:
        return mean, *map(float, within)
    half = stats.t.ppf(0.5 + CONFIDENCE / 2, samples.size - 1) * np.std(samples, ddof=1) / np.sqrt(samples.size)
    low, high = np.clip([mean - half, mean + half], *within)
    return mean, float(low), float(high)


def with_interval(name: str, samples: np.ndarray, within: tuple[float, float] = (-np.inf, np.inf)) -> dict[str, float]:
    """Return the results ``name``, ``name_low`` and ``name_high``: the `interval` of samples.

    >>> with_interval("gain", np.array([0.0, 0.5]), within=(-1, 1))
    {'gain': 0.25, 'gain_low': -1.0, 'gain_high': 1.0}
    """
    return dict(zip((name, f"{name}_low", f"{name}_high"), interval(samples, within), strict=True))


def share(samples: np.ndarray) -> tuple[float, float, float]:
    """Return the share of true samples and its exact confidence interval (Clopper and Pearson, 1934).

    Student's t does not apply: where all are true its interval has no width.

    >>> [round(x, 3) for x in share(np.full(8, True))]
    [1.0, 0.631, 1.0]
    """
    if samples.size < 2:
        return float(np.mean(samples)), 0.0, 1.0
    low, high = stats.binomtest(int(samples.sum()), samples.size).proportion_ci(CONFIDENCE)
    return float(np.mean(samples)), float(low), float(high)


def main(arguments: list[str]) -> int:
    """Run all experiments that test a claim: ``claims [--smoke] [--json FILE] [--out DIR]``."""
    options = _options(arguments)
    tested = {name: catalogue.load(name) for name in catalogue.names() if "CLAIMS" in catalogue.source(name)}
    claims: list[dict[str, Any]] = []
    check_writable(options["json"])
    for name, experiment in tested.items():
        config = experiment.default.smoke() if options["smoke"] else experiment.default
        folder = None if options["out"] is None else Path(options["out"]) / name
        run = Run(name, as_dict(config), folder, smoke=options["smoke"])
        run.begin()
        run.console.print(f"{name}: claims {', '.join(map(str, experiment.claims))}", style="bold")
        try:
            run.write_manifest("finished", experiment.run(config, run))
        finally:
            run.release()
        claims += [{**asdict(claim), "experiment": name, "smoke": run.smoke} for claim in run.claims]
    claims.sort(key=lambda row: row["claim"])
    terminal.console().print(table(claims))
    if options["json"] is not None:
        Path(options["json"]).write_text(json.dumps(claims, indent=2) + "\n")
    return 0


def table(claims: list[dict[str, Any]]) -> Table:
    """Make a table of claims, measures and verdicts."""
    smoke = any(row["smoke"] for row in claims)
    result = Table(title="claims (smoke: tiny runs, verdicts without meaning)" if smoke else "claims")
    for column in ("claim", "statement", "measure", "mean [95 % interval]", "verdict"):
        result.add_column(column)
    for row in claims:
        low, high = row["interval"]
        seen = f"{row['value']:.3g} [{low:.3g}, {high:.3g}] n={row['seeds']}"
        result.add_row(str(row["claim"]), row["statement"], row["measure"], seen, row["verdict"])
    return result


def _options(arguments: list[str]) -> dict[str, Any]:
    options: dict[str, Any] = {"smoke": False, "json": None, "out": None}
    rest = list(arguments)
    while rest:
        flag = rest.pop(0)
        if flag == "--smoke":
            options["smoke"] = True
        elif flag in ("--json", "--out") and rest:
            options[flag[2:]] = rest.pop(0)
        else:
            raise UsageError(f"expected --smoke, --json FILE and --out DIR, got {flag!r}")
    return options
