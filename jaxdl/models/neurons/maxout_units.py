"""Two maxout units approximate any continuous function: the difference of two convex piecewise linear functions."""

from collections.abc import Callable

import jax.numpy as jnp

from jaxdl.arrays import to_floating
from jaxdl.checks import check_in_range, check_positive_integer
from jaxdl.nn.activations import maxout
from jaxdl.nn.dense import linear
from jaxdl.typing import Array, ArrayLike, PyTree


def maxout_pair(function: Callable[[Array], Array], low: float, high: float, pieces: int) -> PyTree:
    """Construct two maxout units whose difference interpolates a function at ``pieces + 1`` points.

    The interpolation has the slopes ``m_j``. With the changes ``d_j = m_j - m_(j-1)``, the first unit has those above 0
    and the second the others, ``p_j = m_0 + sum_(i<=j) max(d_i, 0)`` and ``q_j = sum_(i<=j) max(-d_i, 0)``. Slopes that
    never fall belong to a convex function, which is the maximum of its own lines::

        f(x) = max_j (p_j x + b_j) - max_j (q_j x + c_j)

    (Goodfellow et al., 2013; for any number of inputs by Wang, 2004, here for one.)

    Args:
        function: maps ``x [M]`` to ``[M]``.
        low: the least ``x``.
        high: the largest ``x``.
        pieces: linear pieces of each unit.

    Returns:
        ``{"kernel": [1, 2 pieces], "bias": [2 pieces]}``: those of the first unit, then those of the second.

    Raises:
        ValueError: not ``low < high``, or there is no piece.

    >>> params = maxout_pair(lambda x: x - 2 * abs(x), -1.0, 1.0, pieces=2)
    >>> params["kernel"].tolist()
    [[3.0, 3.0, 0.0, 4.0]]
    """
    check_in_range("high", high, low, includes_low=False)
    check_positive_integer("pieces", pieces)
    x = jnp.linspace(low, high, pieces + 1)
    y = to_floating(function(x))
    slopes = jnp.diff(y) / jnp.diff(x)
    changes = jnp.diff(slopes, prepend=slopes[:1])
    first = slopes[0] + jnp.cumsum(jnp.maximum(changes, 0))
    second = jnp.cumsum(jnp.maximum(-changes, 0))
    return {
        "kernel": jnp.concatenate([first, second])[None],
        "bias": jnp.concatenate([_intercepts(x, first, y[0]), _intercepts(x, second, 0.0)]),
    }


def apply_maxout_pair(params: PyTree, x: ArrayLike) -> Array:
    """Compute the first maxout unit minus the second.

    Args:
        params: from `maxout_pair`, or learned; with ``kernel [N, 2 pieces]`` for ``N`` inputs.
        x: ``[..., N]``.

    Returns:
        ``[...]``.

    >>> params = maxout_pair(lambda x: x - 2 * abs(x), -1.0, 1.0, pieces=2)
    >>> apply_maxout_pair(params, jnp.array([[-1.0], [0.5], [1.0]])).tolist()
    [-3.0, -0.5, -1.0]
    """
    lines = linear(x, params["kernel"], params["bias"])
    units = maxout(lines, lines.shape[-1] // 2)
    return units[..., 0] - units[..., 1]


def _intercepts(x: Array, slopes: Array, first: ArrayLike) -> Array:
    """Return the intercepts of connected lines over the intervals of ``x``, the first of which starts at ``first``."""
    starts = first + jnp.concatenate([jnp.zeros(1), jnp.cumsum(slopes * jnp.diff(x))[:-1]])
    return jnp.asarray(starts - slopes * x[:-1])
