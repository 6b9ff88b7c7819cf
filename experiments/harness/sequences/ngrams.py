"""The bits per token of a text without a network: n-grams and compression."""

import gzip
import lzma

import numpy as np


def kneser_ney(train: np.ndarray, test: np.ndarray, order: int, vocab_size: int) -> np.ndarray:
    """Compute interpolated Kneser-Ney probabilities of all tokens of ``test`` but the first, ``[N - 1]``.

    Estimated on ``train`` (Kneser and Ney, 1995; Chen and Goodman, 1999)::

        p_k(w | c) = max(n_k(c w) - d_k, 0) / n_k(c .) + d_k N(c) / n_k(c .) p_(k-1)(w | c')

    ``c'`` is the context ``c`` without its first token, ``N(c)`` the number of different tokens after it. ``n_k``
    counts occurrences at the highest order, different preceding tokens below it. ``p_0 = 1 / V``. The discount
    of an order is ``d = n1 / (n1 + 2 n2)``, within [0.1, 0.9], with the numbers of counts that are 1 and 2.
    Contexts of the first tokens of ``test`` extend into the end of ``train``. Only n-grams that occur are numbered, so
    that neither the vocabulary nor the order is limited.

    Raises:
        ValueError: ``train`` is shorter than ``order``, or ``test`` than two tokens.
    """
    if len(train) < order or len(test) < 2:
        raise ValueError(
            f"expected at least {order} tokens of training and 2 of testing, got {len(train)} and {len(test)}; give "
            "more text"
        )
    tokens, tested = np.concatenate([train, test]).astype(np.int64), len(test) - 1
    keys = [_grams(tokens, k, vocab_size) for k in range(1, order + 1)]
    probability = np.full(tested, 1 / vocab_size)
    for k in range(1, order + 1):
        known = keys[k - 1][: len(train) - k + 1]
        if k < order:  # one occurrence of each longer n-gram stands for a different preceding token
            first = np.unique(keys[k][: len(train) - k], return_index=True)[1]
            known = known[first + 1]
        types, counts = np.unique(known, return_counts=True)
        probability = _interpolate(types, counts, keys[k - 1][-tested:], vocab_size, probability)
    return probability


def _grams(tokens: np.ndarray, k: int, vocab_size: int) -> np.ndarray:
    """Number all sequences of ``k`` tokens, ``[N - k + 1]``, as ``V`` times the rank of the context plus the token."""
    rank = np.zeros(len(tokens), np.int64)
    for i in range(1, k):
        rank = np.unique(rank[: len(tokens) - i + 1] * vocab_size + tokens[i - 1 :], return_inverse=True)[1]
    return rank[: len(tokens) - k + 1] * vocab_size + tokens[k - 1 :]


def _interpolate(
    types: np.ndarray, counts: np.ndarray, query: np.ndarray, vocab_size: int, lower: np.ndarray
) -> np.ndarray:
    ones, twos = (int(np.sum(counts == n)) for n in (1, 2))
    discount = min(max(ones / max(ones + 2 * twos, 1), 0.1), 0.9)
    contexts, first = np.unique(types // vocab_size, return_index=True)
    totals, followers = np.add.reduceat(counts, first), np.diff([*first, len(types)])
    seen = np.maximum(_look_up(types, counts, query) - discount, 0)
    total = _look_up(contexts, totals, query // vocab_size)
    left = discount * _look_up(contexts, followers, query // vocab_size)
    return np.where(total > 0, (seen + left * lower) / np.maximum(total, 1), lower)


def _look_up(keys: np.ndarray, values: np.ndarray, query: np.ndarray) -> np.ndarray:
    """Return the value of each key of a sorted table, 0 for one that it does not hold."""
    places = np.minimum(np.searchsorted(keys, query), len(keys) - 1)
    return np.where(keys[places] == query, values[places], 0)


def bits(probability: np.ndarray) -> float:
    """Return the mean number of bits by which tokens of these probabilities are written."""
    return float(-np.mean(np.log2(probability)))


def bits_by_order(train: np.ndarray, test: np.ndarray, orders: dict[str, int], vocab_size: int) -> dict[str, float]:
    """Return the bits per token of ``test`` by n-grams of ``train``, for the orders by name."""
    return {name: bits(kneser_ney(train, test, order, vocab_size)) for name, order in orders.items()}


def compressed_bits(train: str, test: str) -> dict[str, float]:
    """Return the bits per character of ``test`` by two programs, and by one that has seen ``train`` before.

    The last is the size that ``test`` adds to the compressed ``train``.
    """
    before, after = train.encode(), (train + test).encode()
    alone = test.encode()
    sizes = {
        "gzip": len(gzip.compress(alone, 9)),
        "lzma": len(lzma.compress(alone, preset=9)),
        "lzma_after_training": len(lzma.compress(after, preset=9)) - len(lzma.compress(before, preset=9)),
    }
    return {name: 8 * size / len(test) for name, size in sizes.items()}
