"""A cell that looks at a memory before each of its steps: attention inside of the scan over time."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax.numpy as jnp

from jaxdl.nn.attention.dot_product import attend, padding_mask
from jaxdl.nn.attention.scores import Score
from jaxdl.nn.recurrent.cells import Cell, Parameters, Projected, Shape, Shapes
from jaxdl.typing import Array, PyTree


class Attended(NamedTuple):
    """What ``AttentionCell`` says at one time or at all: ``h_t``, the context ``c_t`` and the weights ``a_t``."""

    h: Array
    c: Array
    weights: Array


@dataclass(frozen=True, eq=False)
class AttentionCell:
    """Any cell that reads, beside its input, a mean of values, for which its last state asks (Bahdanau et al., 2015)::

        a_ts = softmax_s(score(h_(t-1), k_s))      over the keys s that are no padding
        c_t  = sum_s a_ts v_s
        h_t  = cell(h_(t-1), [x_t; c_t])
        y_t  = [h_t; c_t; a_t]                     ``split`` takes it apart

    It stands where a cell does, in ``recurrent.scan``, with the parameters of the cell for inputs as wide as
    ``[x_t; c_t]``. What it looks at is the same at all times, and so it is made with it. The last rows of the cell's
    kernel meet ``c_t``; the others are multiplied with ``x_t`` for all times at once, as in every cell.

    Attributes:
        cell: what is done at each time.
        score: how well a key answers.
        score_parameters: of the score.
        keys: what ``score.keys`` made of the keys, ``[B, S, ...]``.
        values: ``[B, S, E]``.
        keep: ``[B, S]``, 0 for padding.

    >>> import jax
    >>> from jaxdl.nn import cells, recurrent
    >>> from jaxdl.nn.attention.scores import Dot
    >>> memory = jnp.ones((1, 5, 3))
    >>> cell = AttentionCell(cells.GRU(3), Dot(), {}, memory, memory, jnp.array([[1, 1, 1, 1, 0]]))
    >>> parameters = cells.init(jax.random.key(0), cell, in_features=2)
    >>> _, y = recurrent.scan(cell, parameters, jnp.zeros((1, 4, 2)))
    >>> cell.split(y).weights[0, 0].tolist()
    [0.25, 0.25, 0.25, 0.25, 0.0]
    """

    cell: Cell
    score: Score
    score_parameters: Parameters
    keys: Array
    values: Array
    keep: Array

    def split(self, y: Array) -> Attended:
        """Take outputs ``[..., H + E + S]`` apart."""
        h = self.cell.output_size
        values = h + self.values.shape[-1]
        return Attended(y[..., :h], y[..., h:values], y[..., values:])

    def shapes(self, in_features: int) -> Shapes:
        """Name every parameter of the cell for inputs ``x`` of ``in_features``."""
        return self.cell.shapes(in_features + self.values.shape[-1])

    def init_carry(self, batch_shape: Shape = (), dtype: Any = jnp.float32) -> PyTree:
        """Return the state of zeros."""
        return self.cell.init_carry(batch_shape, dtype)

    def project(self, parameters: Parameters, x: Array) -> Projected:
        """Return what needs ``x`` alone."""
        return self.cell.project({**parameters, "kernel": parameters["kernel"][: x.shape[-1]]}, x)

    def step(self, parameters: Parameters, carry: PyTree, projected: Projected) -> tuple[PyTree, Array]:
        """Return the cell's new state, and ``[h_t; c_t; a_t]``."""
        query = getattr(carry, "h", carry)[..., None, :]
        scores = self.score.scores(self.score_parameters, query, self.keys)
        c, weights = attend(scores, self.values, padding_mask(self.keep), return_weights=True)
        c, weights = c[..., 0, :], weights[..., 0, :].astype(c.dtype)
        from_context = self.cell.project({"kernel": parameters["kernel"][-c.shape[-1] :]}, c)
        carry, h = self.cell.step(parameters, carry, tuple(map(jnp.add, projected, from_context)))
        return carry, jnp.concatenate([h, c, weights], axis=-1)
