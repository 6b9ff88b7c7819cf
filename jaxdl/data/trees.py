"""Trees of any shape as arrays, level by level, so that all nodes of a level can be computed at once."""

import reprlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from jaxdl.typing import Array

Tree = int | tuple
"""A leaf is its token; any other node is ``(token, child, child, ...)``."""

Place = tuple[int, int]
"""The level of a node and its index there."""


class Trees(NamedTuple):
    """A batch of trees. The level of a node is its height: 0 for a leaf, else one more than that of its highest child.

    Attributes:
        token: ``[L, W]``, tokens of the nodes of each level, 0 for padding.
        children: ``[L, W, C]``, flat indices of the children of each node, padded with ``L W``. The flat index of node
            ``w`` of level ``l`` is ``l W + w``.
        root: ``[B]``, flat indices of the roots.
    """

    token: Array | np.ndarray
    children: Array | np.ndarray
    root: Array | np.ndarray


class _Node(NamedTuple):
    token: int
    children: list[Place]


def by_level(trees: Sequence[Tree], shape: tuple[int, int, int] | None = None) -> Trees:
    """Arrange the nodes of a batch of trees by level.

    Args:
        trees: nested tuples.
        shape: ``(L, W, C)`` to which the arrays are padded, for batches of one shape; None for the smallest shape.

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
    levels: list[list[_Node]] = []
    roots = [_insert(tree, levels) for tree in trees]
    num_children = max(1, *(len(node.children) for level in levels for node in level))
    required = len(levels), max(map(len, levels)), num_children
    L, W, C = required if shape is None else shape
    if any(given < least for given, least in zip((L, W, C), required, strict=True)):
        raise ValueError(f"expected a shape (levels, nodes of a level, children) of at least {required}, got {shape}")
    token, children = np.zeros((L, W), np.int32), np.full((L, W, C), L * W, np.int32)
    for height, level in enumerate(levels):
        for index, node in enumerate(level):
            token[height, index] = node.token
            children[height, index, : len(node.children)] = [height * W + index for height, index in node.children]
    return Trees(token, children, np.array([height * W + index for height, index in roots], np.int32))


def _insert(tree: Tree, levels: list[list[_Node]]) -> Place:
    """Append every node of a tree to its level, children before parents; return the place of the root."""
    finished: list[Place] = []  # nodes whose parents are not inserted yet
    stack = [(_as_tuple(tree), False)]
    while stack:
        node, children_inserted = stack.pop()
        if not children_inserted:
            stack += [(node, True), *((_as_tuple(child), False) for child in node[:0:-1])]
            continue
        first = len(finished) - len(node) + 1
        children = finished[first:]
        del finished[first:]
        height = 1 + max((height for height, _ in children), default=-1)
        levels.extend([] for _ in range(height + 1 - len(levels)))
        levels[height].append(_Node(int(node[0]), children))
        finished.append((height, len(levels[height]) - 1))
    return finished[0]


def _as_tuple(tree: Tree) -> tuple:
    """Return a node, or a leaf, as a tuple."""
    node = tree if isinstance(tree, tuple) else (tree,)
    if not node or not isinstance(node[0], int | np.integer) or not 0 <= node[0] < 2**31:
        raise ValueError(
            "expected a tree: a token in 0 .. 2^31 - 1, or a tuple (token, child, child, ...), got "
            f"{reprlib.repr(tree)}"
        )
    return node
