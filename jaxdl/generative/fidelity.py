"""Distances of generated from real examples in a space of features, those of any network that was trained to classify.

The features are an argument: numbers in the space of one network cannot be compared with those of another, so not with
published ones, which are in that of Inception v3.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxdl.arrays import widen_floating
from jaxdl.checks import is_integer
from jaxdl.typing import Array, ArrayLike


def frechet_distance(real: ArrayLike, generated: ArrayLike) -> Array:
    """Compute the squared Fréchet distance of the Gaussians with the moments of two sets (Heusel et al., 2017)::

        |m_r - m_g|^2 + tr(S_r + S_g - 2 (S_r^(1/2) S_g S_r^(1/2))^(1/2))

    Args:
        real: features ``[N, D]``.
        generated: features ``[M, D]``.

    Raises:
        ValueError: the features are not ``[N, D]`` and ``[M, D]``, or there are less than two of a set.

    >>> x = jnp.array([[0.0], [2.0]])
    >>> round(frechet_distance(x, 2 * x + 1).item(), 4)         # means 1 and 3, deviations sqrt(2) and sqrt(8)
    6.0
    """
    real, generated = _check(real, generated, 2)
    means = [jnp.mean(x, axis=0) for x in (real, generated)]
    roots = [_root(x - mean[None]) for x, mean in zip((real, generated), means, strict=True)]
    # Singular values of R_r R_g^T are the roots of the eigenvalues of S_r S_g, without the square of rounding errors.
    cross = jnp.sum(jnp.linalg.svd(roots[0] @ roots[1].T, compute_uv=False))
    variances = sum(jnp.sum(jnp.square(root)) for root in roots)
    return jnp.sum(jnp.square(means[0] - means[1])) + variances - 2 * cross


class PrecisionRecall(NamedTuple):
    """Shares of generated examples like real ones, ``precision``, and of real ones like generated ones, ``recall``."""

    precision: Array
    recall: Array


def precision_recall(real: ArrayLike, generated: ArrayLike, k: int = 3) -> PrecisionRecall:
    """Compute the share of each set that lies on the manifold of the other (Kynkäänniemi et al., 2019).

    The manifold of a set is the union of balls around its points, each as large as the distance to the ``k``-th nearest
    other point of the set.

    Args:
        real: features ``[N, D]``.
        generated: features ``[M, D]``.
        k: number of the neighbour.

    Raises:
        ValueError: the features are not ``[N, D]`` and ``[M, D]``, or a set has not more than ``k`` points.

    >>> x = jnp.arange(4.0)[:, None]
    >>> [share.item() for share in precision_recall(x, x[:2] + 10, k=1)]
    [0.0, 0.0]
    """
    if not is_integer(k) or k < 1:
        raise ValueError(f"expected k to be an integer >= 1, got {k}")
    real, generated = _check(real, generated, k + 1)
    between = _distances(real, generated)
    radii = [jnp.sort(_distances(x, x), axis=1)[:, k] for x in (real, generated)]
    inside_real = jnp.any(between <= radii[0][:, None], axis=0)
    inside_generated = jnp.any(between <= radii[1][None], axis=1)
    return PrecisionRecall(jnp.mean(inside_real), jnp.mean(inside_generated))


def _check(real: ArrayLike, generated: ArrayLike, least: int) -> tuple[Array, Array]:
    real, generated = widen_floating(real), widen_floating(generated)
    shapes = real.shape, generated.shape
    if any(len(shape) != 2 or shape[0] < least for shape in shapes) or shapes[0][1] != shapes[1][1]:
        raise ValueError(
            f"expected features [N, D] and [M, D] of at least {least} examples, got {shapes[0]}, {shapes[1]}"
        )
    return real, generated


def _root(centred: Array) -> Array:
    """Compute a matrix ``R`` with ``R^T R`` the unbiased covariance ``[D, D]`` of centred ``[N, D]``."""
    return jnp.linalg.qr(centred, mode="r") / jnp.sqrt(jnp.asarray(len(centred) - 1, centred.dtype))


def _distances(a: Array, b: Array) -> Array:
    """Compute the distances ``[N, M]`` row by row, exactly 0 of equal points."""
    return jax.lax.map(lambda row: jnp.sqrt(jnp.sum(jnp.square(row[None] - b), axis=1)), a)
