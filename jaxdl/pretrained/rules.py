"""Rules for the names of a peer's weights: a one-to-one table, applied in both directions."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxdl.pretrained import layouts
from jaxdl.pretrained.layouts import Layout

LEAVES = {"kernel": "weight", "embedding": "weight", "scale": "weight", "mean": "running_mean", "var": "running_var"}
"""Names of leaves that differ: ours, and theirs."""

COUNTER = "num_batches_tracked"
"""A peer's counter of training steps in each batch norm; ignored when read, 0 when written."""


class Rule(NamedTuple):
    r"""One line of the table: our modules, the same modules of the peer, and the layout of their arrays.

    Attributes:
        ours: a regular expression that fullmatches the path of a module, ``r"stage(\d)_block(\d)/conv"``, or of a
            parameter if the layout says so.
        theirs: the path of the peer's, with references to the groups: ``r"layer\1.\2.conv"``.
        layout: of the arrays.
    """

    ours: str
    theirs: str
    layout: Layout = layouts.plain


class Place(NamedTuple):
    """The entries of the peer for one leaf of ours."""

    entries: tuple[str, ...]
    layout: Layout
    leaf: str


def places(paths: Iterable[str], rules: Sequence[Rule]) -> dict[str, Place]:
    r"""Map the path of every leaf, collection included, to its place, by the first rule that matches.

    Raises:
        ValueError: no rule matches a leaf, or two leaves claim one entry; the error lists them all.

    >>> places(["params/conv1/kernel"], [Rule("conv(.)", r"features.\1")])["params/conv1/kernel"].entries
    ('features.1.weight',)
    """
    found: dict[str, Place] = {}
    for path in paths:
        *module, leaf = path.split("/")[1:]
        for rule in rules:
            layout = rule.layout
            name = "/".join([*module, leaf] if layout.whole else module)
            match = None if layout.ignored else re.fullmatch(rule.ours, name)
            if match:
                theirs = match.expand(rule.theirs)
                entries = [theirs.replace("{}", each) for each in layout.names] if layout.names else [theirs]
                if not layout.whole:
                    entries = [".".join(filter(None, (entry, LEAVES.get(leaf, leaf)))) for entry in entries]
                found[path] = Place(tuple(entries), layout, leaf)
                break
    problems = [f"no rule names {path}" for path in paths if path not in found]
    claims: dict[tuple[str, tuple[int, int]], str] = {}
    for path, place in found.items():
        for entry in place.entries:
            other = claims.setdefault((entry, place.layout.part), path)
            if other != path:
                problems.append(f"{other} and {path} both claim {entry}")
    if problems:
        raise ValueError("the table of names is not one to one:\n  " + "\n  ".join(problems))
    return found


def to_ours(place: Place, entries: Mapping[str, np.ndarray]) -> np.ndarray:
    """Convert the peer's entries to a leaf of ours."""
    theirs = [entries[name] for name in place.entries]
    array = theirs[0] if len(theirs) == 1 else np.concatenate(theirs)
    index, count = place.layout.part
    if count > 1:
        array = np.split(array, count)[index]
    return place.layout.change(place.leaf).to_ours(array)


def to_theirs(leaves: Mapping[str, Any], rules: Sequence[Rule]) -> dict[str, np.ndarray]:
    """Convert all our leaves, named by their paths, to the peer's entries.

    Raises:
        ValueError: as `places`, or a part of a fused entry is missing.
    """
    made: dict[str, dict[int, np.ndarray]] = {}
    counts: dict[str, int] = {}
    for path, place in places(leaves, rules).items():
        array = place.layout.change(place.leaf).to_theirs(np.asarray(leaves[path]))
        index, count = place.layout.part
        for name, piece in zip(place.entries, np.split(array, len(place.entries)), strict=True):
            made.setdefault(name, {})[index] = piece
            counts[name] = count
    lacking = [
        f"{name} has {len(made[name])} of {count} parts" for name, count in counts.items() if len(made[name]) != count
    ]
    if lacking:
        raise ValueError("parts are not there: " + ", ".join(lacking))
    entries = {
        name: np.ascontiguousarray(np.concatenate([parts[i] for i in sorted(parts)]) if len(parts) > 1 else parts[0])
        for name, parts in made.items()
    }
    norms = [name.removesuffix("running_var") for name in entries if name.endswith("running_var")]
    return entries | {f"{norm}{COUNTER}": np.zeros((), np.int64) for norm in norms}
