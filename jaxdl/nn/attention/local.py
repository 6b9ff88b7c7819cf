"""Local attention (Luong et al., 2015): every query attends to the keys near a position of its own.

The position is that of the query (monotonic), or predicted from it; see `jaxdl.models.sequence.luong`.
"""

import jax
import jax.numpy as jnp

from jaxdl.checks import check_positive_integer
from jaxdl.nn.attention.scores import tanh_scores
from jaxdl.nn.dense import linear
from jaxdl.typing import Array, ArrayLike


def local_mask(centers: ArrayLike, keys: int, half_width: int) -> Array:
    """Return the mask of the keys ``s`` in ``p_t - D .. p_t + D``.

    Args:
        centers: ``p_t``, ``[..., T]``, counted from 0.
        keys: ``S``.
        half_width: ``D``.

    Returns:
        Booleans ``[..., T, S]``.

    Raises:
        ValueError: ``half_width`` is not positive.

    >>> local_mask(jnp.array([0.0, 2.5]), 5, 1).astype(int).tolist()
    [[1, 1, 0, 0, 0], [0, 0, 1, 1, 0]]
    """
    check_positive_integer("half_width", half_width)
    return jnp.abs(_distances(centers, keys)) <= half_width


def gaussian_window(centers: ArrayLike, keys: int, half_width: int) -> Array:
    """Compute the factors ``exp(-(s - p_t)^2 / (2 (D / 2)^2))`` that favour keys near the center.

    Args:
        centers: ``p_t``, ``[..., T]``, counted from 0; the gradient flows to them.
        keys: ``S``.
        half_width: ``D``, two standard deviations.

    Returns:
        ``[..., T, S]``.

    Raises:
        ValueError: ``half_width`` is not positive.

    >>> gaussian_window(jnp.array([1.0]), 3, 2).tolist()
    [[0.606..., 1.0, 0.606...]]
    """
    check_positive_integer("half_width", half_width)
    return jnp.exp(-2 * (_distances(centers, keys) / half_width) ** 2)


def predict_centers(h: ArrayLike, lengths: ArrayLike, kernel: ArrayLike, vector: ArrayLike) -> Array:
    """Compute the centers ``p_t = S sigmoid(tanh(h_t W) v)`` of predictive local attention.

    Args:
        h: ``[..., T, H]``.
        lengths: the lengths of the sources, ``S``, ``[...]``.
        kernel: ``W``, ``[H, A]``.
        vector: ``v``, ``[A]``.

    Returns:
        ``[..., T]``.

    >>> predict_centers(jnp.ones((1, 2)), jnp.array(8), jnp.zeros((2, 3)), jnp.ones(3)).tolist()
    [4.0]
    """
    hidden = linear(h, kernel)
    scores = tanh_scores(hidden, jnp.zeros_like(hidden[..., :1, :]), vector)[..., 0]
    return jnp.asarray(lengths)[..., None] * jax.nn.sigmoid(scores)


def _distances(centers: ArrayLike, keys: int) -> Array:
    """Compute ``s - p_t``, ``[..., T, S]``."""
    centers = jnp.asarray(centers)[..., None]
    return jax.lax.broadcasted_iota(centers.dtype, (*centers.shape[:-1], keys), centers.ndim - 1) - centers
