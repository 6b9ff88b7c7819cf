"""What a text costs in bits without a network: counts of short sequences, and programs that compress."""

import gzip
import lzma

import numpy as np


def kneser_ney(train: np.ndarray, test: np.ndarray, order: int, vocabulary: int) -> np.ndarray:
    """Return the probability of each token of ``test`` but the first, given the ``order - 1`` before it, ``[N - 1]``.

    Counted on ``train`` by interpolated Kneser-Ney (Kneser and Ney, 1995; Chen and Goodman, 1999)::

        p_k(w | c) = max(n_k(c w) - d_k, 0) / n_k(c .) + d_k N(c) / n_k(c .) p_(k-1)(w | c')

    ``c'`` is the context ``c`` without its first token, ``N(c)`` how many different tokens were seen after it. ``n_k``
    counts at the highest order how often, below it after how many different tokens something was seen. ``p_0 = 1 / V``.
    The discount is ``d = n1 / (n1 + 2 n2)`` of that order, within [0.1, 0.9], from how many counts are 1 and 2.
    Contexts of the first tokens of ``test`` reach into the end of ``train``.
    """
    if vocabulary**order >= 2**62:
        raise ValueError(f"{order}-grams of {vocabulary} tokens have no room in 64 bits")
    history = np.concatenate([train[len(train) - order :], test]).astype(np.int64)
    probability = np.full(len(test) - 1, 1 / vocabulary)
    for k in range(1, order + 1):
        types, counts = np.unique(_grams(train, k, vocabulary), return_counts=True)
        if k < order:
            longer = np.unique(_grams(train, k + 1, vocabulary))
            types, counts = np.unique(longer % vocabulary**k, return_counts=True)
        query = _grams(history, k, vocabulary)[-(len(test) - 1) :]
        probability = _interpolate(types, counts, query, vocabulary, probability)
    return probability


def _grams(tokens: np.ndarray, k: int, vocabulary: int) -> np.ndarray:
    """Number all sequences of ``k`` tokens, ``[N - k + 1]``."""
    tokens, size = np.asarray(tokens, np.int64), len(tokens) - k + 1
    return sum(tokens[i : i + size] * vocabulary ** (k - 1 - i) for i in range(k))


def _interpolate(
    types: np.ndarray, counts: np.ndarray, query: np.ndarray, vocabulary: int, lower: np.ndarray
) -> np.ndarray:
    ones, twos = (int(np.sum(counts == n)) for n in (1, 2))
    discount = min(max(ones / max(ones + 2 * twos, 1), 0.1), 0.9)
    contexts, first = np.unique(types // vocabulary, return_index=True)
    totals, followers = np.add.reduceat(counts, first), np.diff([*first, len(types)])
    seen = np.maximum(_look_up(types, counts, query) - discount, 0)
    total = _look_up(contexts, totals, query // vocabulary)
    left = discount * _look_up(contexts, followers, query // vocabulary)
    return np.where(total > 0, (seen + left * lower) / np.maximum(total, 1), lower)


def _look_up(keys: np.ndarray, values: np.ndarray, query: np.ndarray) -> np.ndarray:
    """Return the value of each key of a sorted table, 0 for one that it does not hold."""
    places = np.minimum(np.searchsorted(keys, query), len(keys) - 1)
    return np.where(keys[places] == query, values[places], 0)


def bits(probability: np.ndarray) -> float:
    """Return the mean number of bits by which tokens of these probabilities are written."""
    return float(-np.mean(np.log2(probability)))


def bits_by_order(train: np.ndarray, test: np.ndarray, orders: dict[str, int], vocabulary: int) -> dict[str, float]:
    """Return the bits per token of ``test`` by counts of so many tokens of ``train``, by name."""
    return {name: bits(kneser_ney(train, test, order, vocabulary)) for name, order in orders.items()}


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
