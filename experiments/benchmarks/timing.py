"""Comparison of the times of two implementations on a machine whose speed drifts."""

import random
import statistics
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import psutil

ROUNDS = 7
BLOCK_SECONDS = 0.1
OTHERS_SHARE = 0.12
RETRIES = 2


class Case(NamedTuple):
    """Work to be timed: ``ours()`` and ``theirs()`` do it once each and return when it is done.

    Both are to be shown equal in their results before they are timed. ``details(row)`` may say more of a measured row.
    """

    case: str
    peer: str
    ours: Callable[[], object]
    theirs: Callable[[], object]
    goal: float | None = None
    rounds: int = ROUNDS
    details: Callable[[dict[str, Any]], dict[str, Any]] = lambda row: {}


class Missing(NamedTuple):
    """A case whose peer is not installed."""

    case: str
    peer: str


def compare(case: Case) -> dict[str, Any]:
    """Time both sides alternately, in random order, and return ``case, ours, peer, ratio`` and what judges them.

    A block repeats the work until it takes a tenth of a second. A round in which other processes had more than an
    eighth of the processors is measured again, twice at most. The ratio is the median over the rounds of ours / peer;
    it is called stable where the ratio of the two shortest times differs from it by less than a tenth.
    """
    repeats = [_repeats(case.ours), _repeats(case.theirs)]
    order = random.Random(0)
    rounds = []
    for _ in range(case.rounds):
        for _ in range(1 + RETRIES):
            busy_before, times = _cpu_times(), [0.0, 0.0]
            for side in order.sample([0, 1], 2):
                times[side] = _time((case.ours, case.theirs)[side], repeats[side])
            if _others_share(busy_before, _cpu_times()) <= OTHERS_SHARE:
                break
        rounds.append(times)
    ours, theirs = zip(*rounds, strict=True)
    ratio = statistics.median(a / b for a, b in rounds)
    shortest = min(ours) / min(theirs)
    row = {
        "case": case.case,
        "ours": statistics.median(ours),
        "peer": statistics.median(theirs),
        "ratio": ratio,
        "peer_name": case.peer,
        "goal": case.goal,
        "verdict": "" if case.goal is None else "PASS" if ratio <= case.goal else "MISS",
        "stable": abs(shortest / ratio - 1) < 0.1,
        "ratio_of_shortest": shortest,
    }
    return {**row, **case.details(row)}


def _time(work: Callable[[], object], repeats: int) -> float:
    started = time.perf_counter()
    for _ in range(repeats):
        work()
    return (time.perf_counter() - started) / repeats


def _repeats(work: Callable[[], object]) -> int:
    """Warm up, and return the number of repetitions per block."""
    work()
    return max(1, round(BLOCK_SECONDS / _time(work, 1)))


def _cpu_times() -> tuple[float, float, float]:
    """Return wall time, processor time of all processes, and that of this one."""
    everyone = psutil.cpu_times()
    mine = psutil.Process().cpu_times()
    return (
        time.perf_counter(),
        sum(everyone) - everyone.idle - getattr(everyone, "iowait", 0.0),
        mine.user + mine.system,
    )


def _others_share(before: tuple[float, float, float], after: tuple[float, float, float]) -> float:
    """Return the share of all processors that other processes had between two readings."""
    wall, everyone, mine = (b - a for a, b in zip(before, after, strict=True))
    return max(0.0, everyone - mine) / (wall * (psutil.cpu_count() or 1))
