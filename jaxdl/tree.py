"""Arithmetic on pytrees, and selection of their leaves by path.

Paths have slashes, ``"conv1/kernel"``; patterns are regular expressions, searched in the paths.
"""

import re
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from jaxdl.arrays import square_root, widen
from jaxdl.typing import Array, ArrayLike, PyTree


def path_name(path: tuple) -> str:
    """Format the path of a leaf with slashes.

    >>> jax.tree_util.tree_map_with_path(lambda path, leaf: path_name(path), {"conv1": {"kernel": 0}})
    {'conv1': {'kernel': 'conv1/kernel'}}
    """
    return jax.tree_util.keystr(path, simple=True, separator="/")


def flatten(tree: PyTree) -> dict[str, Array]:
    """Map the path of every leaf to the leaf.

    >>> flatten({"a": {"b": 1, "c": 2}})
    {'a/b': 1, 'a/c': 2}
    """
    return {path_name(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}


def map_with_path(function: Callable[..., object], tree: PyTree, *rest: PyTree) -> PyTree:
    """Apply ``function(path, leaf, *leaves)`` to every leaf.

    >>> map_with_path(lambda path, leaf: f"{path}={leaf}", {"a": 1})
    {'a': 'a=1'}
    """
    return jax.tree_util.tree_map_with_path(lambda path, *leaves: function(path_name(path), *leaves), tree, *rest)


def select(tree: PyTree, pattern: str) -> PyTree:
    """Return a tree of Booleans, a mask for optax: is ``pattern`` found in the leaf's path?

    >>> select({"conv": {"kernel": 1, "bias": 2}}, "kernel$")
    {'conv': {'bias': False, 'kernel': True}}
    """
    search = re.compile(pattern).search
    return map_with_path(lambda path, _: search(path) is not None, tree)


def add(a: PyTree, b: PyTree) -> PyTree:
    """Return ``a + b``, leaf by leaf."""
    return jax.tree.map(jnp.add, a, b)


def subtract(a: PyTree, b: PyTree) -> PyTree:
    """Return ``a - b``, leaf by leaf."""
    return jax.tree.map(jnp.subtract, a, b)


def scale(factor: ArrayLike, tree: PyTree) -> PyTree:
    """Return ``factor * tree``, leaf by leaf, each leaf in its own dtype; integers times a fraction become floating.

    >>> scale(0.5, [jnp.array(3), jnp.ones((), jnp.bfloat16)])
    [Array(1.5, dtype=float32...), Array(0.5, dtype=bfloat16)]
    """

    def scaled(leaf):
        leaf = jnp.asarray(leaf)
        product = factor * leaf
        return product.astype(leaf.dtype) if jnp.issubdtype(leaf.dtype, jnp.inexact) else product

    return jax.tree.map(scaled, tree)


def dot(a: PyTree, b: PyTree) -> Array:
    """Return the inner product ``sum_i a_i b_i`` over all leaves, accumulated in at least float32.

    Of complex leaves it is the real part of ``sum_i conj(a_i) b_i``, the product of their real and imaginary parts.

    >>> float(dot(jnp.array([3.0 + 4.0j]), jnp.array([1.0j])))
    4.0
    """
    return jax.tree.reduce(jnp.add, jax.tree.map(_dot, a, b), jnp.zeros(()))


@jax.jit  # traced once for all leaves of a shape
def _dot(x: Array, y: Array) -> Array:
    return jnp.sum(jnp.real(jnp.conj(widen(x)) * widen(y)))


def norm(tree: PyTree) -> Array:
    """Return the Euclidean norm over all leaves, ``sqrt(sum_i |x_i|^2)``, a real number, with the gradient 0 at 0.

    >>> float(norm({"a": jnp.array([3.0]), "b": jnp.array(4.0)}))
    5.0
    """
    return square_root(dot(tree, tree))


def size(tree: PyTree) -> int:
    """Return the number of elements in all leaves.

    >>> size({"kernel": jnp.zeros((5, 5, 1, 6)), "bias": jnp.zeros(6)})
    156
    """
    return sum(np.size(leaf) for leaf in jax.tree.leaves(tree))


def take(tree: PyTree, index: ArrayLike) -> PyTree:
    """Index every leaf along its first dimension: ``take(arrays, [2, 0])`` is a batch of two examples."""
    return jax.tree.map(lambda leaf: leaf[index], tree)


def stack(trees: list[PyTree]) -> PyTree:
    """Stack trees of one structure along a new first dimension, the inverse of ``[take(tree, i) for i in ...]``."""
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)
