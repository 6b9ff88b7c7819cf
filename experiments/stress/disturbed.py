"""Trials of processes and of checkpoints, counted as the other attacks."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from experiments.stress import damage
from experiments.stress.kills import Laboratory, Outcome


class Amount(NamedTuple):
    """The number of trials of each kind."""

    kills: int
    kills_during_save: int
    kills_of_experiments: int
    terminations: int
    full_disks: int
    fallbacks: int
    flips: int
    cuts: int


def processes(laboratory: Laboratory, amount: Amount) -> Iterator[tuple[str, Outcome]]:
    """Kill, terminate and starve runs, and damage their newest checkpoints; each is then resumed."""
    during = 0
    for number in range(3 * amount.kills):
        if number >= amount.kills and during >= amount.kills_during_save:
            break
        outcome = laboratory.kill(during_save=during < amount.kills_during_save)
        during += outcome.during_save
        yield "killed while saving" if outcome.during_save else "killed at any moment", outcome
    for number in range(amount.kills_of_experiments):
        yield "experiments killed", laboratory.kill_early(number)
    others: dict[str, tuple[int, Callable[[], Outcome]]] = {
        "terminated": (amount.terminations, laboratory.terminate),
        "disk full while saving": (amount.full_disks, laboratory.fill),
        "newest checkpoint damaged": (
            amount.fallbacks,
            lambda: laboratory.damage_newest(damage.damage_one_file),
        ),
    }
    for what, (times, attempt) in others.items():
        for _ in range(times):
            yield what, attempt()


def checkpoints(laboratory: Laboratory, amount: Amount) -> Iterator[tuple[str, str, str]]:
    """Flip bits and cut ends in checkpoints and weights; each must be refused with the names of file and leaf."""
    for what, harm, times in (
        ("bits flipped", damage.flip, amount.flips),
        ("files cut short", damage.cut, amount.cuts),
    ):
        for verdict, problem in damage.verdicts(laboratory.reference, harm, times, laboratory.generator):
            yield f"checkpoints, {what}", verdict, problem
