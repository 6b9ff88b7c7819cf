"""A cell with attention over a memory in each of its steps, for use in the scan over time."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax.numpy as jnp

from jaxdl.nn.attention.dot_product import attend
from jaxdl.nn.attention.masking import padding_mask
from jaxdl.nn.attention.scores import Score
from jaxdl.nn.recurrent.cells.base import Cell, Parameters, Projected, Shape, Shapes
from jaxdl.typing import Array, PyTree


class Attended(NamedTuple):
    """The output of `AttentionCell`, split: ``h_t``, the context vector ``c_t`` and the attention weights ``a_t``."""

    h: Array
    c: Array
    weights: Array


@dataclass(frozen=True, eq=False)
class AttentionCell:
    """A cell whose input is concatenated with a context vector, attended to by its last state (Bahdanau et al., 2015)::

        a_ts = softmax_s(score(h_(t-1), k_s))      over the keys s in the mask
        c_t  = sum_s a_ts v_s
        h_t  = cell(h_(t-1), [x_t; c_t])
        y_t  = [h_t; c_t; a_t]                     split by ``split``

    It takes the place of a cell in ``scan``, with the parameters of the inner cell for inputs ``[x_t; c_t]``. Keys and
    values are the same at all times, and are therefore fields. The last rows of the kernel multiply ``c_t``; the others
    multiply ``x_t``, for all times at once, as in every cell.

    Attributes:
        cell: the inner cell.
        score: the score of a key for a query.
        score_parameters: of the score.
        keys: the result of ``score.keys``, ``[B, S, ...]``.
        values: ``[B, S, E]``.
        mask: ``[B, S]``, 0 for padding.

    >>> import jax
    >>> from jaxdl.nn import GRU, DotScore, init_cell, scan
    >>> memory = jnp.ones((1, 5, 3))
    >>> cell = AttentionCell(GRU(3), DotScore(), {}, memory, memory, jnp.array([[1, 1, 1, 1, 0]]))
    >>> parameters = init_cell(jax.random.key(0), cell, input_size=2)
    >>> _, y = scan(cell, parameters, jnp.zeros((1, 4, 2)))
    >>> cell.split(y).weights[0, 0].tolist()
    [0.25, 0.25, 0.25, 0.25, 0.0]
    """

    cell: Cell
    score: Score
    score_parameters: Parameters
    keys: Array
    values: Array
    mask: Array

    def split(self, y: Array) -> Attended:
        """Split outputs ``[..., H + E + S]``."""
        cuts = (self.cell.output_size, self.cell.output_size + self.values.shape[-1])
        return Attended(*jnp.split(y, cuts, axis=-1))

    def shapes(self, input_size: int) -> Shapes:
        """Return the initializer and the shape of every parameter, for inputs ``x`` ``[..., input_size]``."""
        return self.cell.shapes(input_size + self.values.shape[-1])

    def init_carry(self, batch_shape: Shape = (), dtype: Any = jnp.float32) -> PyTree:
        """Return the initial state, zeros."""
        return self.cell.init_carry(batch_shape, dtype)

    def project(self, parameters: Parameters, x: Array) -> Projected:
        """Compute the part of a step that needs ``x`` alone."""
        return self.cell.project({**parameters, "kernel": parameters["kernel"][: x.shape[-1]]}, x)

    def step(self, parameters: Parameters, carry: PyTree, projected: Projected) -> tuple[PyTree, Array]:
        """Compute the new state of the inner cell, and ``[h_t; c_t; a_t]``."""
        query = getattr(carry, "h", carry)[..., None, :]
        scores = self.score.scores(self.score_parameters, query, self.keys)
        c, weights = attend(scores, self.values, padding_mask(self.mask), return_weights=True)
        c, weights = c[..., 0, :], weights[..., 0, :].astype(c.dtype)
        projected_c = self.cell.project({"kernel": parameters["kernel"][-c.shape[-1] :]}, c)
        carry, h = self.cell.step(parameters, carry, tuple(map(jnp.add, projected, projected_c)))
        return carry, jnp.concatenate([h, c, weights], axis=-1)
