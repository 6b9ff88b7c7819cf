"""Claims of the lecture notes: measured over seeds, with an interval and a verdict."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from scipy import stats

from experiments.harness import catalogue
from experiments.harness.configuration import as_dict
from experiments.harness.errors import UsageError, check_writable
from experiments.harness.run_folder import Run

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Claim:
    """What was claimed, and what was seen.

    Attributes:
        claim: its number in the list of claims.
        statement: the claim, or the part of it that was measured.
        measure: what ``value`` is, in words and units.
        value: mean over the seeds.
        interval: the 95 % confidence interval of the mean, by Student's t; of a share exactly.
        seeds: how many independent runs.
        verdict: "reproduced" or "not reproduced".
    """

    claim: int
    statement: str
    measure: str
    value: float
    interval: tuple[float, float]
    seeds: int
    verdict: str


def judge(claim: int, statement: str, measure: str, samples: Any, *, above: float = 0.0) -> Claim:
    """Judge a claim by independent samples of a quantity that it says is larger than ``above``.

    It is reproduced where the whole confidence interval of the mean lies above; samples that are not finite, and
    a single sample, reproduce nothing. Boolean samples are a share, whose interval is exact.
    """
    samples = np.ravel(samples)
    value, low, high = share(samples) if samples.dtype == bool else interval(samples.astype(np.float64))
    verdict = "reproduced" if low > above else "not reproduced"
    return Claim(claim, statement, measure, value, (low, high), samples.size, verdict)


def interval(samples: np.ndarray) -> tuple[float, float, float]:
    """Return the mean of independent samples and the confidence interval of it, by Student's t.

    >>> [round(x, 3) for x in interval(np.array([1.0, 2.0, 3.0]))]
    [2.0, -0.484, 4.484]
    """
    mean = float(np.mean(samples))
    if samples.size < 2:
        return mean, float("-inf"), float("inf")
    half = stats.t.ppf(0.5 + CONFIDENCE / 2, samples.size - 1) * np.std(samples, ddof=1) / np.sqrt(samples.size)
    return mean, float(mean - half), float(mean + half)


def share(samples: np.ndarray) -> tuple[float, float, float]:
    """Return the share of independent samples that are true and its exact confidence interval (Clopper, Pearson, 1934).

    Student's t is not for them: where all are true its interval has no width.

    >>> [round(x, 3) for x in share(np.full(8, True))]
    [1.0, 0.631, 1.0]
    """
    if samples.size < 2:
        return float(np.mean(samples)), float("-inf"), float("inf")
    low, high = stats.binomtest(int(samples.sum()), samples.size).proportion_ci(CONFIDENCE)
    return float(np.mean(samples)), float(low), float(high)


def main(arguments: list[str]) -> int:
    """Run every experiment that tests a claim: ``claims [--smoke] [--json FILE] [--out DIR]``."""
    options = _options(arguments)
    tested = {name: catalogue.load(name) for name in catalogue.names() if "CLAIMS" in catalogue.source(name)}
    claims: list[dict[str, Any]] = []
    check_writable(options["json"])
    for name, experiment in tested.items():
        config = experiment.Config()
        folder = None if options["out"] is None else Path(options["out"]) / name
        run = Run(name, as_dict(config), folder, smoke=options["smoke"])
        run.begin()
        run.console.print(f"[bold]{name}[/bold]: claims {', '.join(map(str, experiment.CLAIMS))}")
        run.write_manifest("finished", experiment.run(config, run))
        claims += [{**asdict(claim), "experiment": name, "smoke": run.smoke} for claim in run.claims]
    claims.sort(key=lambda row: row["claim"])
    Console().print(table(claims))
    if options["json"] is not None:
        Path(options["json"]).write_text(json.dumps(claims, indent=2) + "\n")
    return 0


def table(claims: list[dict[str, Any]]) -> Table:
    """Set claims, measures and verdicts side by side."""
    smoke = any(row["smoke"] for row in claims)
    result = Table(title="claims (smoke: tiny runs, the verdicts mean nothing)" if smoke else "claims")
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
            raise UsageError(f"claims takes --smoke, --json FILE and --out DIR, got {flag!r}")
    return options
