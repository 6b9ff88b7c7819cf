"""Layouts of the arrays of a peer's layers: invertible transpositions between theirs and ours.

A peer here is channels first: a dense kernel is ``[O, I]``, a convolution ``[O, I, H, W]``; ours are ``[I, O]`` and
``[H, W, I, O]``. `plain` does this for every rank, of grouped, depthwise and transposed convolutions too (whose kernel
is ``[I, O, H, W]`` there and ``[H, W, O, I]`` here), and copies vectors; the other layouts are for special
cases.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np


class Change(NamedTuple):
    """Two functions of an array, inverse to each other."""

    to_ours: Callable[[np.ndarray], np.ndarray]
    to_theirs: Callable[[np.ndarray], np.ndarray]


def _kernel_to_ours(theirs: np.ndarray) -> np.ndarray:
    """Turn ``[O, I, *S]`` to ``[*S, I, O]``."""
    return theirs.transpose(*range(2, theirs.ndim), 1, 0)


def _kernel_to_theirs(ours: np.ndarray) -> np.ndarray:
    """Turn ``[*S, I, O]`` to ``[O, I, *S]``."""
    return ours.transpose(ours.ndim - 1, ours.ndim - 2, *range(ours.ndim - 2))


def _same(array: np.ndarray) -> np.ndarray:
    return array


SAME = Change(_same, _same)
KERNEL = Change(_kernel_to_ours, _kernel_to_theirs)


@dataclass(frozen=True)
class Layout:
    """The layout of the arrays of a module.

    Attributes:
        changes: by the name of our leaf (``"kernel"``, ``"bias"``) its change; leaves without one are copied.
        part: ``(i, n)``: ours is the i-th of n equal parts of theirs, which are stacked along its first dimension.
        names: theirs are several modules, each ``{}`` in the rule's ``theirs`` standing for these names; ours are they
            together, stacked along their first dimension.
        whole: the rule names a single parameter on both sides, not modules; its change is under ``""``.
        ignored: the rule's ``theirs`` is a regular expression of entries to ignore.
        remedy: advice in the error for an entry of another shape.
        same_as: the rule's ``theirs`` is an entry that the peer shares with this one, and ours has once.
        exported: such an entry is written, too.
        renamed: entries that fullmatch ``theirs`` are read under this name, with references to its groups.
    """

    changes: Mapping[str, Change] = field(default_factory=lambda: {"kernel": KERNEL})
    part: tuple[int, int] = (0, 1)
    names: tuple[str, ...] = ()
    whole: bool = False
    ignored: bool = False
    remedy: str = ""
    same_as: str = ""
    exported: bool = True
    renamed: str = ""

    def change(self, leaf: str) -> Change:
        """Return the change of a leaf."""
        return self.changes.get("" if self.whole else leaf, SAME)


plain = Layout()
"""Transpose kernels of any rank, copy the rest."""

ignored = Layout(ignored=True)
"""The peer's entries that fullmatch ``theirs`` are ignored: ``Rule("", r".*relative_position_index", ignored)``."""


def tied(entry: str, *, exported: bool = True) -> Layout:
    """Lay out an entry that must equal another, in which it is read where that is missing.

    ``Rule("", "lm_head.weight", tied("transformer.wte.weight"))``
    """
    return Layout(ignored=True, same_as=entry, exported=exported)


def renamed(name: str) -> Layout:
    r"""Read entries under another name, which the other rules have: those of another version of the peer.

    ``Rule("", r"layers\.(\d+)\.(.*)", renamed(r"encoder.layer.\1.\2"))``
    """
    return Layout(ignored=True, renamed=name)


def flattened(height: int, width: int) -> Layout:
    """Lay out a dense kernel that follows a flattening: theirs ran over ``[C, H, W]``, ours over ``[H, W, C]``.

    >>> theirs = np.arange(8.0).reshape(1, 8)  # two channels of 2 x 2
    >>> flattened(2, 2).change("kernel").to_ours(theirs).ravel().tolist()
    [0.0, 4.0, 1.0, 5.0, 2.0, 6.0, 3.0, 7.0]
    """

    def to_ours(theirs: np.ndarray) -> np.ndarray:
        return theirs.reshape(theirs.shape[0], -1, height, width).transpose(2, 3, 1, 0).reshape(-1, theirs.shape[0])

    def to_theirs(ours: np.ndarray) -> np.ndarray:
        return ours.reshape(height, width, -1, ours.shape[1]).transpose(3, 2, 0, 1).reshape(ours.shape[1], -1)

    return Layout({"kernel": Change(to_ours, to_theirs)})


def part(index: int, of: int, layout: Layout = plain) -> Layout:
    """Take one of several parts: ``part(0, 3)`` is the query in a peer's fused query, key and value.

    Raises:
        ValueError: there is no such part.
    """
    if not 0 <= index < of:
        raise ValueError(f"expected an index from 0 to {of - 1}, got {index}")
    return Layout(layout.changes, (index, of), layout.names, layout.whole)


def merged(*names: str, layout: Layout = plain) -> Layout:
    """Join several modules of the peer in one of ours.

    ``Rule("attention/qkv", "attention.{}", merged("query", "key", "value"))``
    """
    return Layout(layout.changes, layout.part, names, layout.whole)


def parameter(
    to_ours: Callable[[np.ndarray], np.ndarray] = _same,
    to_theirs: Callable[[np.ndarray], np.ndarray] = _same,
    remedy: str = "",
) -> Layout:
    """Lay out one parameter that both sides name in full, as it is or changed by two functions.

    ``Rule("class_token", "cls_token", parameter(lambda a: a[0, 0], lambda a: a[None, None]))``
    """
    return Layout({"": Change(to_ours, to_theirs)}, whole=True, remedy=remedy)
