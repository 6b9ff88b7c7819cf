"""Trees of any form as arrays, level by level, so that all nodes of a level can be computed at once."""

import reprlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from jaxdl.typing import ArrayLike

Tree = int | tuple
"""A leaf is its token; any other node is ``(token, child, child, ...)``."""


class Trees(NamedTuple):
    """A batch of trees. A node's level is its height: leaves have 0, and a node one more than its highest child.

    Attributes:
        token: ``[L, W]``, the tokens of the nodes of each level, 0 where there is none.
        children: ``[L, W, C]``, the places of a node's children, in their order and then ``L W`` for none. The place of
            the node ``w`` of the level ``l`` is ``l W + w``.
        root: ``[B]``, the places of the roots.
    """

    token: ArrayLike
    children: ArrayLike
    root: ArrayLike


def by_level(trees: Sequence[Tree], shape: tuple[int, int, int] | None = None) -> Trees:
    """Sort the nodes of a batch of trees by their level.

    Args:
        trees: nested tuples.
        shape: ``(L, W, C)`` to which the arrays are filled up, so that batches have one shape; None for what is needed.

    Raises:
        ValueError: there is no tree, a node is neither a token nor a tuple that begins with one, a token is negative,
            or the trees do not fit into the shape.

    >>> batch = by_level([(7, 1, (8, 2, 3)), 4])
    >>> batch.token.tolist()
    [[1, 2, 3, 4], [8, 0, 0, 0], [7, 0, 0, 0]]
    >>> batch.children[:, 0].tolist(), batch.root.tolist()
    ([[12, 12], [1, 2], [0, 4]], [8, 3])
    """
    if not trees:
        raise ValueError("expected at least one tree, got none")
    levels: list[list[tuple[int, list[tuple[int, int]]]]] = []

    def place(tree: Tree) -> tuple[int, int]:
        """Enter every node after its children, and return the root's level and its number there."""
        waiting: list[tuple[int, int]] = []  # the places of nodes whose parents are not entered yet
        stack = [(_checked(tree), False)]
        while stack:
            node, children_entered = stack.pop()
            if not children_entered:
                stack += [(node, True), *((_checked(child), False) for child in node[:0:-1])]
                continue
            first = len(waiting) - len(node) + 1
            children = waiting[first:]
            del waiting[first:]
            level = 1 + max((level for level, _ in children), default=-1)
            levels.extend([] for _ in range(level + 1 - len(levels)))
            levels[level].append((int(node[0]), children))
            waiting.append((level, len(levels[level]) - 1))
        return waiting[0]

    roots = [place(tree) for tree in trees]
    needed = len(levels), max(map(len, levels)), max(len(below) for level in levels for _, below in level)
    needed = (*needed[:2], max(1, needed[2]))
    L, W, C = needed if shape is None else shape
    if any(have < need for have, need in zip((L, W, C), needed, strict=True)):
        raise ValueError(f"these trees need {needed} levels, nodes of a level and children; the shape is {shape}")
    token, children = np.zeros((L, W), np.int32), np.full((L, W, C), L * W, np.int32)
    for i, level in enumerate(levels):
        for n, (name, below) in enumerate(level):
            token[i, n] = name
            children[i, n, : len(below)] = [other * W + number for other, number in below]
    return Trees(token, children, np.array([level * W + number for level, number in roots], np.int32))


def _checked(tree: Tree) -> tuple:
    """Return a node as a tuple, also where it is a leaf."""
    node = tree if isinstance(tree, tuple) else (tree,)
    if not node or not isinstance(node[0], int | np.integer) or node[0] < 0:
        raise ValueError(
            "a tree is a token, an integer from 0, or a tuple (token, child, child, ...); got " + reprlib.repr(tree)
        )
    return node
