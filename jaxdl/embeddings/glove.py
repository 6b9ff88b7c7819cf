"""GloVe: word vectors whose products are the logarithms of co-occurrence counts.

``L = sum_ij f(X_ij) (w_i . c_j + b_i + b'_j - ln X_ij)^2 / 2`` over the pairs with ``X_ij > 0``, by AdaGrad. The vector
of a word is ``w + c``. Source: Pennington, Socher and Manning, "GloVe: global vectors for word representation" (2014).

A state and `make_glove_step` train with `jaxdl.train.fit` over a loader of the pairs. A step touches the rows of its
pairs only: gradients are added to the tables in place, and those of repeated words are summed.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.sparse
from flax import struct

from jaxdl.checks import check_in_range, check_positive_integer
from jaxdl.typing import Array, ArrayLike, Batch, Key

X_MAX = 100.0
ALPHA = 0.75


class GloveTables(NamedTuple):
    """The parameters, or their sums of squared gradients.

    Attributes:
        words: ``w``, ``[V, D]``.
        contexts: ``c``, ``[V, D]``.
        word_bias: ``b``, ``[V]``.
        context_bias: ``b'``, ``[V]``.
    """

    words: Array
    contexts: Array
    word_bias: Array
    context_bias: Array


@struct.dataclass
class GloveState:
    """The state of training.

    Attributes:
        step: number of updates made so far, ``int32 []``.
        params: the parameters.
        squares: AdaGrad's sums of squared gradients, which begin at 1 as in the authors' program.
    """

    step: Array
    params: GloveTables
    squares: GloveTables

    @property
    def vectors(self) -> Array:
        """The vectors of the words, ``w + c``, ``[V, D]``."""
        return self.params.words + self.params.contexts


def init_glove(key: Key, vocab_size: int, size: int) -> GloveState:
    """Initialize vectors and biases uniform in ``(-1/2, 1/2) / D``.

    >>> init_glove(jax.random.key(0), vocab_size=5, size=3).vectors.shape
    (5, 3)
    """
    check_positive_integer("vocab_size", vocab_size)
    check_positive_integer("size", size)
    drawn = jax.random.uniform(key, (2, vocab_size, size + 1), minval=-0.5, maxval=0.5) / size
    params = GloveTables(drawn[0, :, :-1], drawn[1, :, :-1], drawn[0, :, -1], drawn[1, :, -1])
    return GloveState(jnp.zeros((), jnp.int32), params, jax.tree.map(jnp.ones_like, params))


def glove_weight(counts: ArrayLike, x_max: float = X_MAX, alpha: float = ALPHA) -> Array:
    """Compute ``f(x) = min(1, (x / x_max)^alpha)``: rare pairs count less, frequent ones not more than once.

    >>> glove_weight(jnp.array([0.0, 100.0, 1000.0])).tolist()
    [0.0, 1.0, 1.0]
    """
    return jnp.minimum((jnp.asarray(counts) / x_max) ** alpha, 1)


def glove_loss(params: GloveTables, rows: Array, columns: Array, counts: Array, *, x_max: float = X_MAX) -> Array:
    """Compute ``f(X_ij) (w_i . c_j + b_i + b'_j - ln X_ij)^2 / 2`` of pairs, ``[...]``; 0 where ``X_ij`` is 0.

    Args:
        params: the parameters.
        rows: ``i``, ids ``[...]``.
        columns: ``j``, ids ``[...]``.
        counts: ``X_ij``, ``[...]``.
        x_max: count from which the weight is 1.
    """
    return glove_weight(counts, x_max) * _error(params, rows, columns, counts) ** 2 / 2


def pair_arrays(counts: scipy.sparse.sparray) -> dict[str, np.ndarray]:
    """List the pairs with positive counts as the arrays of a loader: ``"row"``, ``"column"`` and ``"count"``.

    >>> {name: array.tolist() for name, array in pair_arrays(scipy.sparse.csr_array([[0, 2], [1, 0]])).items()}
    {'row': [0, 1], 'column': [1, 0], 'count': [2.0, 1.0]}
    """
    pairs = scipy.sparse.coo_array(counts)
    kept = pairs.data > 0
    row, column = (coordinate[kept].astype(np.int32) for coordinate in pairs.coords)
    return {"row": row, "column": column, "count": pairs.data[kept].astype(np.float32)}


def make_glove_step(
    learning_rate: float = 0.05, *, x_max: float = X_MAX
) -> Callable[[GloveState, Batch], tuple[GloveState, dict[str, Array]]]:
    """Make the step of AdaGrad on a batch of pairs: ``W -= eta g / sqrt(G)``, then ``G += g^2``.

    ``G`` is the sum before the batch, so that a batch of one pair is the authors' update.

    Args:
        learning_rate: ``eta``.
        x_max: count from which the weight is 1.

    Returns:
        ``step(state, batch)`` for batches as in `pair_arrays`; ``"mask"`` may mark padding. Its metric is the mean
        ``"loss"`` of the batch before the update.

    Raises:
        ValueError: the learning rate or ``x_max`` is not positive.
    """
    check_in_range("learning_rate", learning_rate, includes_low=False)
    check_in_range("x_max", x_max, includes_low=False)

    def step(state: GloveState, batch: Batch) -> tuple[GloveState, dict[str, Array]]:
        rows, columns, counts = batch["row"], batch["column"], batch["count"]
        params, mask = state.params, batch.get("mask", jnp.ones(len(rows)))
        weight = jnp.where(mask > 0, glove_weight(counts, x_max), 0)
        error = _error(params, rows, columns, counts)
        slope = weight * error
        gradients = GloveTables(
            slope[:, None] * params.contexts[columns], slope[:, None] * params.words[rows], slope, slope
        )
        places = GloveTables(rows, columns, rows, columns)
        moved = jax.tree.map(
            lambda table, sums, g, at: table.at[at].add(-learning_rate * g / jnp.sqrt(sums[at])),
            params,
            state.squares,
            gradients,
            places,
        )
        squares = jax.tree.map(lambda sums, g, at: sums.at[at].add(g**2), state.squares, gradients, places)
        loss = jnp.sum(weight * error**2 / 2) / jnp.maximum(jnp.sum(mask > 0), 1)
        return GloveState(state.step + 1, moved, squares), {"loss": loss}

    return step


def _error(params: GloveTables, rows: Array, columns: Array, counts: Array) -> Array:
    products = jnp.sum(params.words[rows] * params.contexts[columns], axis=-1)
    log_counts = jnp.log(jnp.where(counts > 0, counts, 1))
    return products + params.word_bias[rows] + params.context_bias[columns] - log_counts
