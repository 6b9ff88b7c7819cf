"""A cell that looks at a memory before each of its steps: attention inside of the scan over time."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax.numpy as jnp

from jaxdl.nn.attention import attend
from jaxdl.nn.attention_scores import Score
from jaxdl.nn.cells import Cell, Parameters, Projected, Shape
from jaxdl.typing import Array, PyTree


class Attended(NamedTuple):
    """What ``AttentionCell`` says at one time or at all: ``h_t``, the context ``c_t`` and the weights ``a_t``."""

    h: Array
    c: Array
    weights: Array


@dataclass(frozen=True)
class AttentionCell:
    """Any cell that reads, beside its input, a mean of values, for which its last state asks (Bahdanau et al., 2015)::

        a_ts = softmax_s(score(h_(t-1), k_s))      over the keys s that are no padding
        c_t  = sum_s a_ts v_s
        h_t  = cell(h_(t-1), [x_t; c_t])
        y_t  = [h_t; c_t; a_t]                     ``split`` takes it apart

    It fits where a cell does, in ``recurrent.scan``. What it looks at does not change with time, and so it is among the
    parameters, as ``parameters`` puts them together. The last rows of the cell's kernel meet ``c_t``; the others are
    multiplied with ``x_t`` for all times at once, as in every cell.

    >>> import jax
    >>> from jaxdl.nn import cells, recurrent
    >>> from jaxdl.nn.attention_scores import Dot
    >>> cell = AttentionCell(cells.GRU(3), Dot())
    >>> inner = cells.init(jax.random.key(0), cells.GRU(3), in_features=2 + 3)
    >>> memory = jnp.ones((1, 5, 3))
    >>> parameters = cell.parameters(inner, {}, memory, memory, jnp.array([[1, 1, 1, 1, 0]]))
    >>> _, y = recurrent.scan(cell, parameters, jnp.zeros((1, 4, 2)))
    >>> cell.split(y, values=3).weights[0, 0].tolist()
    [0.25, 0.25, 0.25, 0.25, 0.0]
    """

    cell: Cell
    score: Score

    def parameters(
        self, cell: Parameters, score: Parameters, keys: Array, values: Array, keep: Array
    ) -> dict[str, PyTree]:
        """Join the parameters with what is looked at.

        Args:
            cell: of the cell, for inputs as wide as ``[x_t; c_t]``.
            score: of the score.
            keys: what ``score.keys`` returned, ``[B, S, ...]``.
            values: ``[B, S, E]``.
            keep: ``[B, S]``, 0 for padding.
        """
        return {"cell": cell, "score": score, "keys": keys, "values": values, "keep": keep}

    def split(self, y: Array, values: int) -> Attended:
        """Take outputs ``[..., H + E + S]`` apart, for values of the width ``E``."""
        h = self.cell.output_features
        return Attended(y[..., :h], y[..., h : h + values], y[..., h + values :])

    def initial_carry(self, batch_shape: Shape = (), dtype: Any = jnp.float32) -> PyTree:
        """Return the state of zeros."""
        return self.cell.initial_carry(batch_shape, dtype)

    def project(self, parameters: dict[str, PyTree], x: Array) -> Projected:
        """Return what needs ``x`` alone."""
        kernel = parameters["cell"]["kernel"]
        return self.cell.project({**parameters["cell"], "kernel": kernel[: x.shape[-1]]}, x)

    def step(self, parameters: dict[str, PyTree], carry: PyTree, projected: Projected) -> tuple[PyTree, Array]:
        """Return the cell's new state, and ``[h_t; c_t; a_t]``."""
        own, values = parameters["cell"], parameters["values"]
        query = getattr(carry, "h", carry)[..., None, :]
        scores = self.score.scores(parameters["score"], query, parameters["keys"])
        mask = parameters["keep"][..., None, :] != 0
        c, weights = attend(scores, values, mask, return_weights=True)
        c, weights = c[..., 0, :], weights[..., 0, :].astype(values.dtype)
        rows = {"kernel": own["kernel"][-c.shape[-1] :]}
        both = zip(projected, self.cell.project(rows, c), strict=True)
        carry, h = self.cell.step(own, carry, tuple(a + b for a, b in both))
        return carry, jnp.concatenate([h, c, weights], axis=-1)
