"""Hierarchical softmax: the probability of a word as a product of decisions on the way from the root of a binary tree.

A tree of ``V`` words has ``V - 1`` inner nodes, each with a vector; the last node is the root. Word ``w`` lies behind
the nodes ``n_1 .. n_L``, where the code ``d_1 .. d_L`` turns left (0) or right (1)::

    p(w | h) = prod_l sigmoid((1 - 2 d_l) v_(n_l) . h)

The probabilities of all words sum to 1, and one of them costs ``O(log V)``. Source: Morin and Bengio (2005), with
Huffman's tree as in Mikolov et al. (2013).
"""

import heapq
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxdl.typing import Array, ArrayLike


class CodeTree(NamedTuple):
    """The ways from the root to all words, padded to the longest.

    Attributes:
        nodes: inner nodes ``0 .. V - 2``, ``[V, L]``, 0 in the padding.
        codes: turns, ``[V, L]``, 0 in the padding.
        mask: 1 for the nodes of a way and 0 for padding, ``[V, L]``.
    """

    nodes: np.ndarray
    codes: np.ndarray
    mask: np.ndarray


class _Node(NamedTuple):
    """A node, compared by its count alone, as in word2vec: ties are decided by the order of the heap."""

    count: float
    index: int

    def __lt__(self, other: tuple) -> bool:
        return self.count < other[0]


def huffman_tree(counts: ArrayLike) -> CodeTree:
    """Build Huffman's tree, in which frequent words are near the root.

    Nodes and codes are those of gensim for words in the same order.

    Args:
        counts: occurrences of each word, ``[V]``.

    Raises:
        ValueError: there is no word, or a count is negative or not finite.

    >>> huffman_tree([4, 2, 1]).codes.tolist()
    [[1, 0], [0, 1], [0, 0]]
    """
    counts = np.asarray(counts)
    if counts.ndim != 1 or not counts.size or not np.isfinite(counts).all() or (counts < 0).any():
        raise ValueError(f"expected counts [V] >= 0 of at least one word, got {counts!r:.80}")
    heap = [_Node(count, index) for index, count in enumerate(counts.tolist())]
    heapq.heapify(heap)
    children = []
    for index in range(len(counts), 2 * len(counts) - 1):
        left, right = heapq.heappop(heap), heapq.heappop(heap)
        children.append((left.index, right.index))
        heapq.heappush(heap, _Node(left.count + right.count, index))
    return _follow(children)


def random_tree(vocab_size: int, seed: int = 0) -> CodeTree:
    """Build a balanced tree with the words in random order on its leaves; ways differ by at most one node.

    Raises:
        ValueError: there is no word.

    >>> random_tree(4).mask.tolist()
    [[1.0, 1.0], [1.0, 1.0], [1.0, 1.0], [1.0, 1.0]]
    """
    if vocab_size < 1:
        raise ValueError(f"expected vocab_size >= 1, got {vocab_size}")
    row, children = np.random.default_rng(seed).permutation(vocab_size).tolist(), []
    while len(row) > 1:
        # Pairs of neighbours become nodes; before that, enough of them that a power of two is left.
        pairs = len(row) - 2 ** (len(row).bit_length() - 1) or len(row) // 2
        first = vocab_size + len(children)
        children += [(row[2 * i], row[2 * i + 1]) for i in range(pairs)]
        row = [*range(first, first + pairs), *row[2 * pairs :]]
    return _follow(children)


def huffman_codes(counts: ArrayLike) -> list[list[int]]:
    """List the code of each word in Huffman's tree, 0 for left and 1 for right from the root; see `huffman_tree`.

    >>> huffman_codes([4, 2, 1])
    [[1], [0, 1], [0, 0]]
    """
    tree = huffman_tree(counts)
    return [code[:length].tolist() for code, length in zip(tree.codes, tree.mask.sum(axis=1).astype(int), strict=True)]


def hierarchical_log_probability(h: Array, node_vectors: Array, codes: Array, mask: Array) -> Array:
    """Compute ``ln p(w | h) = sum_l ln sigmoid((1 - 2 d_l) v_(n_l) . h)``.

    Args:
        h: hidden vectors, ``[..., D]``.
        node_vectors: ``v_(n_l)`` on the way to the word, ``[..., L, D]``.
        codes: ``d_l``, ``[..., L]``.
        mask: 1 for nodes and 0 for padding, ``[..., L]``.

    Returns:
        ``[...]``.

    >>> round(float(hierarchical_log_probability(jnp.ones(1), jnp.zeros((2, 1)), jnp.zeros(2), jnp.ones(2))), 4)
    -1.3863
    """
    scores = jnp.einsum("...ld,...d->...l", node_vectors, h) * (1 - 2 * codes)
    return jnp.sum(jnp.where(mask > 0, jax.nn.log_sigmoid(scores), 0), axis=-1)


def _follow(children: list[tuple[int, int]]) -> CodeTree:
    """Walk from the root, the last node, to the words; nodes are numbered behind the words."""
    vocab_size = len(children) + 1
    nodes: list[list[int]] = [[] for _ in range(2 * vocab_size - 1)]
    codes: list[list[int]] = [[] for _ in range(2 * vocab_size - 1)]
    for node in reversed(range(len(children))):
        for turn, child in enumerate(children[node]):
            nodes[child] = [*nodes[vocab_size + node], node]
            codes[child] = [*codes[vocab_size + node], turn]
        nodes[vocab_size + node] = codes[vocab_size + node] = []
    longest = max(map(len, nodes[:vocab_size]))
    tree = CodeTree(*(np.zeros((vocab_size, longest), kind) for kind in (np.int32, np.int32, np.float32)))
    for word in range(vocab_size):
        length = len(nodes[word])
        tree.nodes[word, :length], tree.codes[word, :length], tree.mask[word, :length] = nodes[word], codes[word], 1
    return tree
