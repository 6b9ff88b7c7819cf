"""Word vectors from a matrix of counts by truncated singular value decomposition, dense or sparse.

With ``M = U Sigma Z^T``, the ``D`` largest singular values give words ``U Sigma^p`` and contexts ``Z Sigma^(1-p)``. The
products of their rows approximate ``M`` best in squared error, whatever ``p`` is. ``p = 1`` keeps the geometry of the
rows of ``M``; 1/2 and 0, which weight the directions more evenly, are often better (Levy and Goldberg, 2014).
"""

from typing import Any

import numpy as np
import scipy.sparse
import scipy.sparse.linalg

from jaxdl.checks import check_in_range, check_positive_integer

Matrix = Any
"""An array, or one of `scipy.sparse`."""


def truncated_svd(matrix: Matrix, size: int, *, power: float = 0.5) -> tuple[np.ndarray, np.ndarray]:
    """Factorize a matrix ``[V, C]`` into words ``U Sigma^p`` ``[V, D]`` and contexts ``Z Sigma^(1-p)`` ``[C, D]``.

    Columns are sorted by singular value, the largest first, and signed so that the largest element of each column of
    ``U`` is positive. The decomposition is in float64.

    Args:
        matrix: an array, or a sparse one of SciPy, which stays sparse.
        size: ``D``.
        power: ``p``.

    Raises:
        ValueError: the matrix is not one, or has fewer than ``D`` rows or columns (a sparse one, ``D + 1``), or ``p``
            is not in [0, 1], or a number is not finite, as in `pmi`.

    >>> words, contexts = truncated_svd(np.array([[2.0, 0.0], [0.0, 1.0]]), 1, power=1.0)
    >>> words.tolist(), contexts.tolist()
    ([[2.0], [0.0]], [[1.0], [0.0]])
    """
    check_positive_integer("size", size)
    check_in_range("power", power, 0.0, 1.0)
    sparse = scipy.sparse.issparse(matrix)
    matrix = matrix.astype(np.float64) if sparse else np.asarray(matrix, np.float64)
    if matrix.ndim != 2 or size > min(matrix.shape) - sparse:
        raise ValueError(
            f"expected a matrix [V, C] with more than {size - 1 + sparse} rows and columns, got shape {matrix.shape}"
        )
    if not np.isfinite(matrix.data if sparse else matrix).all():
        raise ValueError("expected finite numbers, got NaN or infinite ones; see pmi0 and ppmi")
    if sparse:
        start = np.random.default_rng(0).standard_normal(min(matrix.shape))
        factors: Any = scipy.sparse.linalg.svds(matrix, size, v0=start)
        u, sigma, z = factors
        u, sigma, z = u[:, ::-1], sigma[::-1], z[::-1]
    else:
        u, sigma, z = np.linalg.svd(matrix, full_matrices=False)
        u, sigma, z = u[:, :size], sigma[:size], z[:size]
    largest = u[np.argmax(np.abs(u), axis=0), np.arange(size)]
    sign = np.where(largest < 0, -1.0, 1.0)
    return u * (sign * sigma**power)[None, :], z.T * (sign * sigma ** (1 - power))[None, :]


def sparse_shifted_ppmi(
    counts: scipy.sparse.sparray, *, smoothing: float = 0.75, negatives: float = 1.0
) -> scipy.sparse.csr_array:
    """Compute ``max(0, pmi - ln k)`` of sparse counts ``[V, C]``, sparse.

    Equal to `jaxdl.embeddings.shifted_ppmi` of the dense counts: what is not counted has no positive information.

    Args:
        counts: ``count(w, c)``.
        smoothing: ``a`` in ``p(c) = count(c)^a / sum count^a``.
        negatives: ``k``, at least 1.

    Raises:
        ValueError: ``k`` is below 1.

    >>> sparse_shifted_ppmi(scipy.sparse.csr_array([[2.0, 0.0], [1.0, 1.0]]), smoothing=1.0).todense().tolist()
    [[0.287..., 0.0], [0.0, 0.693...]]
    """
    check_in_range("negatives", negatives, 1.0)
    pairs: Any = scipy.sparse.coo_array(counts, dtype=np.float64)
    pairs.sum_duplicates()
    pairs.eliminate_zeros()
    words, contexts = pairs.sum(axis=1), pairs.sum(axis=0) ** smoothing
    share = contexts / contexts.sum()
    row, column = pairs.coords
    information = np.log(pairs.data) - np.log(words[row]) - np.log(share[column]) - np.log(negatives)
    result = scipy.sparse.csr_array((np.maximum(information, 0), (row, column)), pairs.shape)
    result.eliminate_zeros()
    return result
