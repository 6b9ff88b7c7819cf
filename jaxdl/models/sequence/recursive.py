"""Recursive networks: the state of a node is made of those of its children, along trees of any form.

A batch of trees is computed level by level, all nodes of a level at once, in one scan over the levels: as many steps as
the highest tree has levels, however many nodes there are. ``data.trees.by_level`` makes the arrays.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxdl.data.trees import Trees
from jaxdl.nn import initializers
from jaxdl.nn.activations import sigmoid
from jaxdl.nn.dense import linear
from jaxdl.typing import Array, PyTree

Parameters = dict[str, Array]
Shapes = dict[str, tuple[initializers.Initializer, tuple[int, ...]]]
Output = Array | tuple[Array, dict[str, Any]]


@dataclass(frozen=True)
class Recursive:
    """A node's state from its own input and its children's states (Goller and Kuechler, 1996; Socher et al., 2011)::

        h = tanh(x W + sum_j h_j U_j + b)       over its children j = 1, 2, ..

    with a matrix of its own for the first child, the second, and so on up to ``children``.
    """

    hidden_size: int
    children: int = 2

    def shapes(self, input_size: int) -> Shapes:
        """Name every parameter, with what draws it and its shape."""
        size = self.hidden_size
        return {
            "kernel": (initializers.lecun_normal(), (input_size, size)),
            "recursive_kernel": (initializers.lecun_normal(), (self.children, size, size)),
            "bias": (initializers.zeros, (size,)),
        }

    def initial(self, count: int, dtype: Any = jnp.float32) -> Array:
        """Return the states ``[count, H]`` of children that are not there: zeros."""
        return jnp.zeros((count, self.hidden_size), dtype)

    def __call__(self, parameters: Parameters, x: Array, below: Array) -> Array:
        """Return the states ``[W, H]`` of nodes with inputs ``[W, D]`` and children ``[W, C, H]``."""
        U = parameters["recursive_kernel"]
        if below.shape[1] > len(U):
            raise ValueError(f"these trees have up to {below.shape[1]} children; the cell has matrices for {len(U)}")
        from_children = jnp.einsum("wch,chk->wk", below, U[: below.shape[1]])
        return jnp.tanh(linear(x, parameters["kernel"], parameters["bias"]) + from_children)


class TreeState(NamedTuple):
    """The memory ``c`` and the output ``h`` of nodes, both ``[..., H]``."""

    c: Array
    h: Array


@dataclass(frozen=True)
class TreeLSTM:
    """The LSTM whose memory is the sum of its children's, each with a forget gate of its own (Tai et al., 2015)::

        h~  = sum_j h_j                             over any number of children, in any order
        i = s(x W_i + h~ U_i + b_i)     o = s(x W_o + h~ U_o + b_o)     g = tanh(x W_g + h~ U_g + b_g)
        f_j = s(x W_f + h_j U_f + b_f)
        c   = i * g + sum_j f_j * c_j
        h   = o * tanh(c)

    The gates lie side by side in the order ``i, o, g, f``.
    """

    hidden_size: int

    def shapes(self, input_size: int) -> Shapes:
        """Name every parameter, with what draws it and its shape."""
        size = self.hidden_size
        return {
            "kernel": (initializers.lecun_normal(), (input_size, 4 * size)),
            "recursive_kernel": (initializers.lecun_normal(), (size, 4 * size)),
            "bias": (initializers.zeros, (4 * size,)),
        }

    def initial(self, count: int, dtype: Any = jnp.float32) -> TreeState:
        """Return the states of children that are not there: zeros, which add nothing to a sum."""
        return TreeState(*(jnp.zeros((count, self.hidden_size), dtype) for _ in range(2)))

    def __call__(self, parameters: Parameters, x: Array, below: TreeState) -> TreeState:
        """Return the states of nodes with inputs ``[W, D]`` and children ``[W, C, H]``."""
        cut, U = 3 * self.hidden_size, parameters["recursive_kernel"]
        a = linear(x, parameters["kernel"], parameters["bias"])
        i, o, g = jnp.split(a[:, :cut] + jnp.sum(below.h, axis=1) @ U[:, :cut], 3, axis=-1)
        f = sigmoid(a[:, None, cut:] + below.h @ U[:, cut:])
        c = sigmoid(i) * jnp.tanh(g) + jnp.sum(f * below.c, axis=1)
        return TreeState(c, sigmoid(o) * jnp.tanh(c))


def recur(cell: Recursive | TreeLSTM, parameters: Parameters, x: Array, children: Array) -> PyTree:
    """Return the states of all nodes, ``[L W, H]``, by their places.

    Args:
        cell: what is done at each node.
        parameters: of the cell.
        x: the inputs of the nodes, ``[L, W, D]``.
        children: the places of their children, ``[L, W, C]``, as ``data.trees.by_level`` says.
    """
    levels, width = x.shape[:2]
    parameters = jax.tree.map(lambda leaf: jnp.asarray(leaf, x.dtype), parameters)

    def level(states: PyTree, inputs: tuple[Array, Array, Array]) -> tuple[PyTree, None]:
        number, x, children = inputs
        new = cell(parameters, x, jax.tree.map(lambda leaf: leaf[children], states))
        put = jax.lax.dynamic_update_slice_in_dim
        return jax.tree.map(lambda leaf, rows: put(leaf, rows, number * width, axis=0), states, new), None

    # The last row stays 0: it is the child that is not there.
    states = cell.initial(levels * width + 1, x.dtype)
    states, _ = jax.lax.scan(level, states, (jnp.arange(levels), x, jnp.asarray(children)))
    return jax.tree.map(lambda leaf: leaf[:-1], states)


class RecursiveNetwork(nn.Module):
    """A class for every tree, from the state of its root, computed in ``dtype``.

    Features are ``embedding`` and the ``states`` of all nodes.

    >>> from jaxdl.data.trees import by_level
    >>> model = RecursiveNetwork(vocab_size=9, embedding_dim=4, cell=TreeLSTM(5))
    >>> trees = by_level([(7, 1, (8, 2, 3)), 4])
    >>> jax.eval_shape(model.init_with_output, jax.random.key(0), trees)[0].shape
    (2, 2)
    """

    vocab_size: int
    num_classes: int = 2
    embedding_dim: int = 64
    cell: Recursive | TreeLSTM = TreeLSTM(64)
    dtype: Any = None

    @nn.compact
    def __call__(self, trees: Trees, train: bool = False, return_intermediates: bool = False) -> Output:
        """Return the logits ``[B, num_classes]``.

        Raises:
            ValueError: a node has more children than the cell has matrices.
        """
        del train  # nothing is random
        x = nn.Embed(self.vocab_size, self.embedding_dim, self.dtype, name="embedding")(jnp.asarray(trees.token))
        shapes = self.cell.shapes(self.embedding_dim)
        parameters = {name: self.param(name, draw, shape) for name, (draw, shape) in shapes.items()}
        states = recur(self.cell, parameters, x, trees.children)
        roots = getattr(states, "h", states)[jnp.asarray(trees.root)]
        logits = nn.Dense(self.num_classes, dtype=self.dtype, name="output")(roots)
        return (logits, {"embedding": x, "states": states}) if return_intermediates else logits
