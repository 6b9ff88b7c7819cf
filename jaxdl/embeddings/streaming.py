"""Counting of words and pairs in a corpus that need not fit into memory.

Sentences are read once, one after the other; wrap them for a progress bar, ``rich.progress.track(sentences)``. Counts
of pairs are sparse: what is in memory is a buffer and the distinct pairs; beyond ``max_pairs`` sorted parts go to disk
and are merged at the end.
"""

import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import scipy.sparse

from jaxdl.checks import check_positive_integer
from jaxdl.embeddings.counts import Sentences

BUFFER = 2**20
RANGES = 64
Weights = Callable[[int], float]


def harmonic(distance: int) -> float:
    """Weight a context by ``1 / distance``, as GloVe does."""
    return 1 / distance


def uniform(distance: int) -> float:
    """Weight all contexts of a window by 1."""
    return 1.0


def dynamic(window: int) -> Weights:
    """Weight a context by the probability ``(k + 1 - distance) / k`` that word2vec's random window includes it.

    >>> [dynamic(2)(distance) for distance in (1, 2)]
    [1.0, 0.5]
    """
    return lambda distance: (window + 1 - distance) / window


def stream_cooccurrence(
    sentences: Sentences,
    vocabulary: Mapping[str, int],
    *,
    window: int = 10,
    weights: Weights = harmonic,
    max_pairs: int = 2**24,
    folder: str | Path | None = None,
) -> scipy.sparse.csr_array:
    """Sum the weights of the contexts within ``k`` words of each word in the same sentence, ``[V, V]``, symmetric.

    With `uniform` weights these are the counts of `jaxdl.embeddings.cooccurrence`.

    Args:
        sentences: sequences of words; those outside of the vocabulary keep their position between others.
        vocabulary: ids ``0 .. V - 1``.
        window: ``k``.
        weights: function of the distance, `harmonic`, `uniform` or `dynamic`.
        max_pairs: number of distinct pairs that are held in memory while counting, 16 bytes each.
        folder: where the sorted parts go, which are deleted at the end; by default the system's temporary folder.

    Raises:
        ValueError: ``window`` or ``max_pairs`` is not positive.

    >>> vocabulary = {"time": 0, "flies": 1, "like": 2}
    >>> stream_cooccurrence([["time", "flies", "like"]], vocabulary, window=2).todense().tolist()
    [[0.0, 1.0, 0.5], [1.0, 0.0, 1.0], [0.5, 1.0, 0.0]]
    """
    check_positive_integer("window", window)
    check_positive_integer("max_pairs", max_pairs)
    factors = [weights(distance) for distance in range(1, window + 1)]
    size = len(vocabulary)
    with tempfile.TemporaryDirectory(dir=folder) as parts:
        paths: list[Path] = []
        keys, values = np.empty(0, np.int64), np.empty(0)
        for new_keys, new_values in _buffers(_pairs(sentences, vocabulary, factors), min(BUFFER, max_pairs)):
            keys, values = _reduce(np.concatenate([keys, new_keys]), np.concatenate([values, new_values]))
            if len(keys) > max_pairs:
                paths.append(_spill(Path(parts, str(len(paths))), keys, values))
                keys, values = keys[:0], values[:0]
        if paths:
            keys, values = _merge([*paths, _spill(Path(parts, str(len(paths))), keys, values)], size)
    # Each pair was counted once, as (word, a context before it).
    half = scipy.sparse.csr_array((values, (keys // max(size, 1), keys % max(size, 1))), (size, size))
    return scipy.sparse.csr_array(half + half.T)


def _pairs(sentences: Sentences, vocabulary: Mapping[str, int], factors: list[float]) -> Iterator[tuple]:
    """Yield keys ``w V + c`` and weights of the pairs of each sentence, at most one distance at a time."""
    for sentence in sentences:
        ids = np.array([vocabulary.get(word, -1) for word in sentence], np.int64)
        for distance in range(1, min(len(factors), len(ids) - 1) + 1):
            word, context = ids[distance:], ids[:-distance]
            known = (word >= 0) & (context >= 0)
            keys = word[known] * len(vocabulary) + context[known]
            yield keys, np.full(len(keys), factors[distance - 1])


def _buffers(pairs: Iterator[tuple], size: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Join small arrays of keys and weights to large ones."""
    held: list[tuple] = []
    count = 0
    for part in pairs:
        held.append(part)
        count += len(part[0])
        if count >= size:
            yield tuple(map(np.concatenate, zip(*held, strict=True)))  # type: ignore[misc]
            held, count = [], 0
    if held:
        yield tuple(map(np.concatenate, zip(*held, strict=True)))  # type: ignore[misc]


def _reduce(keys: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sort the keys and add the values of equal ones."""
    if not len(keys):
        return keys, values
    order = np.argsort(keys, kind="stable")
    keys, values = keys[order], values[order]
    first = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]]))
    return keys[first], np.add.reduceat(values, first)


def _spill(path: Path, keys: np.ndarray, values: np.ndarray) -> Path:
    np.save(path.with_suffix(".keys.npy"), keys)
    np.save(path.with_suffix(".values.npy"), values)
    return path


def _merge(paths: list[Path], size: int) -> tuple[np.ndarray, np.ndarray]:
    """Merge sorted parts, one range of keys after the other."""
    keys = [np.load(path.with_suffix(".keys.npy"), mmap_mode="r") for path in paths]
    values = [np.load(path.with_suffix(".values.npy"), mmap_mode="r") for path in paths]
    borders = np.linspace(0, size * size, RANGES + 1).astype(np.int64)
    cuts = [np.searchsorted(part, borders) for part in keys]
    merged = []
    for number in range(RANGES):
        pieces = [slice(cut[number], cut[number + 1]) for cut in cuts]
        merged.append(
            _reduce(
                np.concatenate([part[piece] for part, piece in zip(keys, pieces, strict=True)]),
                np.concatenate([part[piece] for part, piece in zip(values, pieces, strict=True)]),
            )
        )
    return np.concatenate([part[0] for part in merged]), np.concatenate([part[1] for part in merged])
