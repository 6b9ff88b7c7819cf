"""Low-rank factorization of the kernel of a dense layer: two layers with fewer parameters in place of one."""

from typing import NamedTuple

import jax.numpy as jnp

from jaxdl.arrays import widen_floating
from jaxdl.checks import check_positive_integer
from jaxdl.typing import Array, ArrayLike


class LowRankKernel(NamedTuple):
    """Factors of a kernel: ``x A B`` in place of ``x W``.

    Attributes:
        first: ``A``, ``[N, R]``.
        second: ``B``, ``[R, M]``.
        discarded: the other singular values of ``W``, the largest first; ``|W - A B|_F`` is the norm of them, and
            ``|W - A B|_2`` the first.
    """

    first: Array
    second: Array
    discarded: Array


def factorize_kernel(kernel: ArrayLike, rank: int) -> LowRankKernel:
    """Approximate a kernel ``[N, M]`` by the product of two, of least error among all of a rank (Eckart, Young, 1936).

    With ``W = U S V^T`` the factors are ``U S^(1/2)`` and ``S^(1/2) V^T`` of the ``R`` largest singular values: their
    scales are equal. They have ``R (N + M)`` parameters instead of ``N M``.

    Args:
        kernel: ``W``, ``[N, M]``.
        rank: ``R``.

    Raises:
        ValueError: the kernel is no matrix, or the rank exceeds its smaller side.

    >>> found = factorize_kernel(jnp.diag(jnp.array([4.0, 9.0, 1.0])), 2)
    >>> (found.first @ found.second).round(3).tolist(), found.discarded.tolist()
    ([[4.0, 0.0, 0.0], [0.0, 9.0, 0.0], [0.0, 0.0, 0.0]], [1.0])
    """
    check_positive_integer("rank", rank)
    w = widen_floating(kernel)
    if w.ndim != 2 or rank > min(w.shape):
        raise ValueError(f"expected a kernel [N, M] with sides of at least the rank {rank}, got {w.shape}")
    u, sigma, v = jnp.linalg.svd(w, full_matrices=False)
    root = jnp.sqrt(sigma[:rank])
    return LowRankKernel(u[:, :rank] * root[None], root[:, None] * v[:rank], sigma[rank:])


def smallest_rank(kernel: ArrayLike, error: float) -> int:
    """Return the smallest rank with a relative error ``|W - A B|_F / |W|_F`` of at most ``error``, at least 1.

    >>> smallest_rank(jnp.diag(jnp.array([4.0, 3.0, 0.0])), 0.6)
    1
    """
    squares = jnp.square(jnp.linalg.svd(widen_floating(kernel), compute_uv=False))
    left = jnp.cumsum(squares[::-1])[::-1] / jnp.sum(squares)  # share of the squares from each value on
    return max(1, int(jnp.sum(left > error**2)))
