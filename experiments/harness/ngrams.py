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
    Contexts of the first tokens of ``test`` extend into the end of ``train``.
    """
    if vocab_size**order >= 2**62:
        raise ValueError(f"expected vocab_size ** order < 2 ** 62, got {vocab_size} ** {order}; lower the order")
    history = np.concatenate([train[len(train) - order :], test]).astype(np.int64)
    probability = np.full(len(test) - 1, 1 / vocab_size)
    for k in range(1, order + 1):
        types, counts = np.unique(_grams(train, k, vocab_size), return_counts=True)
        if k < order:
            longer = np.unique(_grams(train, k + 1, vocab_size))
            types, counts = np.unique(longer % vocab_size**k, return_counts=True)
        query = _grams(history, k, vocab_size)[-(len(test) - 1) :]
        probability = _interpolate(types, counts, query, vocab_size, probability)
    return probability


def _grams(tokens: np.ndarray, k: int, vocab_size: int) -> np.ndarray:
    """Number all sequences of ``k`` tokens, ``[N - k + 1]``."""
    tokens, size = np.asarray(tokens, np.int64), len(tokens) - k + 1
    return np.sum([tokens[i : i + size] * vocab_size ** (k - 1 - i) for i in range(k)], axis=0)


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
