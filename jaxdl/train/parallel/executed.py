"""The communication of one call of a compiled program, with the loops in it multiplied out.

The text of a program is a list of computations. A *frame* is its entry or the body of a loop, with all computations
that it calls. TPUs split a collective into several computations of a frame, which overlap with others and share its
channel; and they have a reduce-scatter as a computation that sums all and keeps a part.
"""

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import jax

from jaxdl.train.parallel._notation import find_collectives, result_bytes
from jaxdl.train.parallel.communication import Collective, add_up


class _Computation(NamedTuple):
    result: str
    lines: list[str]


def executed_collectives(compiled: jax.stages.Compiled) -> list[Collective]:
    """List the collectives in one call of a compiled program by kind, those in loops as often as the loops run.

    A loop without a constant number of steps counts once.

    >>> import jax.numpy as jnp
    >>> executed_collectives(jax.jit(jnp.sin).lower(1.0).compile())
    []
    """
    return parse_executed_collectives(compiled.as_text() or "")


def parse_executed_collectives(program: str) -> list[Collective]:
    """List the collectives of a program from its text; see `executed_collectives`.

    >>> parse_executed_collectives('''
    ... %body (p: f32[8]) -> f32[8] {
    ...   %sum = f32[8]{0} all-reduce(%p), channel_id=1
    ... }
    ... ENTRY %main (p: f32[8]) -> f32[8] {
    ...   %loop = f32[8]{0} while(%p), condition=%c, body=%body, backend_config={"known_trip_count":{"n":"12"}}
    ... }''')
    [Collective(kind='all-reduce', count=12, bytes=384)]
    """
    computations = {
        found["name"]: _Computation(found["result"], found["lines"].splitlines())
        for found in _COMPUTATION.finditer(program)
    }
    entry = re.search(r"^ENTRY %?([\w.\-]+)", program, re.MULTILINE)
    return [] if entry is None else add_up(_frame(entry[1], 1, computations))


def _frame(root: str, times: int, computations: Mapping[str, _Computation]) -> Iterator[Collective]:
    """Yield the collectives of a frame, and of the loops within."""
    channels, waiting, seen = set(), [root], {root}
    while waiting:
        name = waiting.pop()
        result, lines = computations[name]
        for line in lines:
            found, channel = next(find_collectives(line), None), re.search(r"channel_id=(\d+)", line)
            if found is not None and (channel is None or channel[1] not in channels):
                channels |= {channel[1]} if channel else set()
                kind, size = found
                if kind == "all-reduce" and name.startswith("all-reduce-scatter"):
                    kind, size = "reduce-scatter", result_bytes(result)
                yield Collective(kind, times, times * size)
            if loop := re.search(r"condition=%?([\w.\-]+), body=%?([\w.\-]+)", line):
                if loop[2] in computations:
                    yield from _frame(loop[2], times * _steps(line, loop[1], computations), computations)
                continue
            called = re.findall(r"(?:calls|branch_computations)=\{?%?([^,}]+(?:, ?%[^,}]+)*)", line)
            called += re.findall(r"\bcall\(.*to_apply=%?([\w.\-]+)", line)
            names = {part.strip(" %") for group in called for part in group.split(",")}
            waiting += sorted((names & computations.keys()) - seen)
            seen |= names


def _steps(line: str, condition: str, computations: Mapping[str, _Computation]) -> int:
    """Return the number of steps of a loop: as noted, or the constant that its condition compares the counter with."""
    if noted := re.search(r'"known_trip_count":\{"n":"(\d+)"', line):
        return int(noted[1])
    text = "\n".join(computations[condition].lines) if condition in computations else ""
    constants = re.findall(r"s32\[\]\S* constant\((\d+)\)", text)
    return int(constants[0]) if len(constants) == 1 and "direction=LT" in text else 1


_COMPUTATION = re.compile(
    r"^(?:ENTRY )?%?(?P<name>[\w.\-]+) \([^\n]*\) -> (?P<result>[^\n]*) \{\n(?P<lines>.*?)^\}",
    re.MULTILINE | re.DOTALL,
)
