"""Recursive networks: compute the state of every node of a tree from the states of its children.

One scan over the levels computes all nodes of a level at once, for a batch of trees of any form. Its number of steps is
the number of levels of the highest tree. ``data.trees.by_level`` makes the arrays.

Dimensions: ``L`` levels, ``W`` nodes a level, ``C`` children a node, ``D`` input size, ``H`` hidden size.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
from flax import linen

from jaxdl.checks import renamed_fields
from jaxdl.data.trees import Trees
from jaxdl.models.layers import Embed, collect, output_layer
from jaxdl.nn import initializers
from jaxdl.nn.activations import sigmoid
from jaxdl.nn.dense import linear
from jaxdl.typing import Array, PyTree

Parameters = dict[str, Array]
Shapes = dict[str, tuple[initializers.Initializer, tuple[int, ...]]]
Output = Array | tuple[Array, dict[str, Any]]


@renamed_fields(features="hidden_size", children="max_children")
@dataclass(frozen=True)
class Recursive:
    """The plain recursive cell (Goller and Kuechler, 1996; Socher et al., 2011)::

        h = tanh(x W + sum_j h_j U_j + b)       over its children j = 1, 2, ..

    with separate matrices ``U_j`` for the first child, the second, and so on up to ``max_children``.
    """

    hidden_size: int
    max_children: int = 2

    def shapes(self, input_size: int) -> Shapes:
        """Return the initializer and the shape of every parameter, by name."""
        size = self.hidden_size
        return {
            "kernel": (initializers.lecun_normal(), (input_size, size)),
            "recursive_kernel": (initializers.lecun_normal(), (self.max_children, size, size)),
            "bias": (initializers.zeros, (size,)),
        }

    def init_state(self, batch_shape: Sequence[int] = (), dtype: Any = jnp.float32) -> Array:
        """Make the states ``[..., H]`` of absent children: zeros."""
        return jnp.zeros((*batch_shape, self.hidden_size), dtype)

    def __call__(self, parameters: Parameters, x: Array, below: Array) -> Array:
        """Compute the states ``[W, H]`` of nodes with inputs ``[W, D]`` and children's states ``[W, C, H]``."""
        U = parameters["recursive_kernel"]
        if below.shape[1] > len(U):
            raise ValueError(
                f"expected nodes of at most {len(U)} children, got {below.shape[1]}; increase max_children of the cell"
            )
        from_children = jnp.einsum("wch,chk->wk", below, U[: below.shape[1]])
        return jnp.tanh(linear(x, parameters["kernel"], parameters["bias"]) + from_children)


class TreeState(NamedTuple):
    """The states of nodes: the memory ``c`` and the output ``h``, both ``[..., H]``."""

    c: Array
    h: Array


@renamed_fields(features="hidden_size")
@dataclass(frozen=True)
class TreeLSTM:
    """The child-sum tree-LSTM, with a separate forget gate for each child (Tai et al., 2015)::

        h~  = sum_j h_j                             over any number of children, in any order
        i = s(x W_i + h~ U_i + b_i)     o = s(x W_o + h~ U_o + b_o)     g = tanh(x W_g + h~ U_g + b_g)
        f_j = s(x W_f + h_j U_f + b_f)
        c   = i * g + sum_j f_j * c_j
        h   = o * tanh(c)

    The gates are concatenated in the order ``i, o, g, f``.
    """

    hidden_size: int

    def shapes(self, input_size: int) -> Shapes:
        """Return the initializer and the shape of every parameter, by name."""
        size = self.hidden_size
        return {
            "kernel": (initializers.lecun_normal(), (input_size, 4 * size)),
            "recursive_kernel": (initializers.lecun_normal(), (size, 4 * size)),
            "bias": (initializers.zeros, (4 * size,)),
        }

    def init_state(self, batch_shape: Sequence[int] = (), dtype: Any = jnp.float32) -> TreeState:
        """Make the states of absent children: zeros, which add nothing to a sum."""
        zeros = jnp.zeros((*batch_shape, self.hidden_size), dtype)
        return TreeState(zeros, zeros)

    def __call__(self, parameters: Parameters, x: Array, below: TreeState) -> TreeState:
        """Compute the states of nodes with inputs ``[W, D]`` and children's states ``[W, C, H]``."""
        cut, U = 3 * self.hidden_size, parameters["recursive_kernel"]
        a = linear(x, parameters["kernel"], parameters["bias"])
        i, o, g = jnp.split(a[:, :cut] + jnp.sum(below.h, axis=1) @ U[:, :cut], 3, axis=-1)
        f = sigmoid(a[:, None, cut:] + below.h @ U[:, cut:])
        c = sigmoid(i) * jnp.tanh(g) + jnp.sum(f * below.c, axis=1)
        return TreeState(c, sigmoid(o) * jnp.tanh(c))


def recur(cell: Recursive | TreeLSTM, parameters: Parameters, x: Array, children: Array) -> PyTree:
    """Compute the states of all nodes, ``[L W, H]``, level by level.

    Args:
        cell: the function of every node.
        parameters: of the cell.
        x: the inputs of the nodes, ``[L, W, D]``.
        children: the indices of their children, ``[L, W, C]``, as ``data.trees.by_level`` numbers them.
    """
    chex.assert_rank([x, children], 3)
    levels, width = x.shape[:2]
    parameters = jax.tree.map(lambda leaf: jnp.asarray(leaf, x.dtype), parameters)

    def compute_level(states: PyTree, inputs: tuple[Array, Array, Array]) -> tuple[PyTree, None]:
        level, x, children = inputs
        below = jax.tree.map(lambda leaf: leaf[children], states)  # [W, C, H]
        new = cell(parameters, x, below)  # [W, H]
        write = jax.lax.dynamic_update_slice_in_dim
        return jax.tree.map(lambda leaf, rows: write(leaf, rows, level * width, axis=0), states, new), None

    # The last row stays 0: it is the absent child.
    states = cell.init_state((levels * width + 1,), x.dtype)
    states, _ = jax.lax.scan(compute_level, states, (jnp.arange(levels), x, children))
    return jax.tree.map(lambda leaf: leaf[:-1], states)


@renamed_fields(vocabulary="vocab_size", embedding="embedding_dim")
class RecursiveNetwork(linen.Module):
    """A tree classifier on the state of the root, computed in ``dtype``.

    Intermediates are ``embedding`` and the ``states`` of all nodes.

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

    @linen.compact
    def __call__(self, trees: Trees, train: bool = False, return_intermediates: bool = False) -> Output:
        """Compute the logits ``[B, num_classes]``.

        Raises:
            ValueError: a node has more than ``max_children`` children.
        """
        del train  # nothing is random
        out: dict[str, Any] = {}
        embedding = Embed(self.vocab_size, self.embedding_dim, self.dtype, name="embedding")
        x = collect(out, "embedding", embedding(jnp.asarray(trees.token)))
        shapes = self.cell.shapes(self.embedding_dim)
        parameters = {name: self.param(name, draw, shape) for name, (draw, shape) in shapes.items()}
        states = recur(self.cell, parameters, x, jnp.asarray(trees.children))
        roots = getattr(states, "h", states)[jnp.asarray(trees.root)]
        logits = output_layer(roots, self.num_classes, dtype=self.dtype)
        return (logits, out | {"states": states}) if return_intermediates else logits
