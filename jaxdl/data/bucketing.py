"""Sequences of different lengths in batches of few shapes."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from jaxdl.data.batching import PADDING_INDEX, check_integers
from jaxdl.data.epochs import EpochLoader, permutation

LENGTH = "length"
MASK = "mask"

Ragged = Sequence[np.ndarray]


def pad(sequences: Ragged, length: int | None = None, *, value: float = 0) -> tuple[np.ndarray, np.ndarray]:
    """Stack sequences ``[T_n, ...]`` into ``[N, T, ...]``, padded at the end; return the lengths ``[N]`` too.

    Args:
        sequences: sequences that differ in their length alone.
        length: ``T``; None for that of the longest sequence.
        value: value of the padding.

    Raises:
        ValueError: there is no sequence, or one is longer than ``length``.

    >>> array, lengths = pad([np.array([1, 2]), np.array([3])], 3)
    >>> array.tolist(), lengths.tolist()
    ([[1, 2, 0], [3, 0, 0]], [2, 1])
    """
    sequences = [np.asarray(sequence) for sequence in sequences]
    if not sequences:
        raise ValueError("expected at least one sequence, got none")
    lengths = _lengths(sequences)
    longest = int(lengths.max())
    length = longest if length is None else length
    if longest > length:
        raise ValueError(f"expected sequences of at most {length} steps, got {longest}; cut them, or raise length")
    sequences = _with_common_dtype(sequences)
    padded = np.full((len(sequences), length, *sequences[0].shape[1:]), value, sequences[0].dtype)
    for row, sequence in zip(padded, sequences, strict=True):
        row[: len(sequence)] = sequence
    return padded, lengths


def choose_boundaries(lengths: Sequence[int] | np.ndarray, count: int) -> tuple[int, ...]:
    """Choose at most ``count`` bucket lengths, the last one the longest sequence, that minimize the padding.

    With ``n(l)`` sequences of length ``l``, the cost of a bucket ``(a, b]`` is ``sum_(a < l <= b) n(l) (b - l)``;
    dynamic programming minimizes the sum. More than 512 distinct lengths are first rounded up to a grid.

    Raises:
        ValueError: there are no lengths, or ``count`` is not positive.

    >>> choose_boundaries([2, 3, 3, 9, 10, 30], 3)
    (3, 10, 30)
    """
    lengths = np.maximum(np.asarray(lengths), 1)
    if lengths.size == 0 or count < 1:
        raise ValueError(f"expected at least one length and count >= 1, got {lengths.size} lengths and count {count}")
    longest = int(lengths.max())
    grid = -(-longest // 512)
    ends, counts = np.unique(np.minimum(-(-lengths // grid) * grid, longest), return_counts=True)
    number = np.concatenate([[0], np.cumsum(counts)])
    total = np.concatenate([[0], np.cumsum(counts * ends)])
    size = len(ends)
    # cost[i, j]: padding of a bucket that ends at ends[j] and holds the lengths ends[i .. j].
    cost = ends[None, :] * (number[None, 1:] - number[:size, None]) - (total[None, 1:] - total[:size, None])
    cost = np.where(np.arange(size)[:, None] <= np.arange(size)[None, :], cost, np.inf)
    least, choices = cost[0], []
    for _ in range(min(count, size) - 1):
        candidates = np.concatenate([[0.0], least[:-1]])[:, None] + cost
        choices.append(np.argmin(candidates, axis=0))
        least = candidates.min(axis=0)
    chosen, last = [], size - 1
    for choice in [*reversed(choices), None]:
        chosen.append(int(ends[last]))
        last = -1 if choice is None else int(choice[last]) - 1
        if last < 0:
            break
    return tuple(reversed(chosen))


class BucketLoader(EpochLoader[tuple[np.ndarray, np.ndarray]]):
    """Batches of sequences of similar length, padded to one of a few shapes and shuffled anew in every epoch.

    An example belongs to the first bucket that is long enough. A batch is drawn from one bucket, so there are as many
    shapes, and compiled programs, as buckets. Every example is in one batch of an epoch, and a step number is the whole
    position in the data, as in `Loader`.

    Batches are dicts of arrays: sequences ``[B, L, ...]``, padded with zeros to the ``L`` of their bucket, other arrays
    ``[B, ...]``, ``"length"`` ``[B]`` int32, and ``"mask"`` ``[B]`` float32, 0 for the rows that fill the last batch of
    a bucket.

    Args:
        arrays: named examples: a list or tuple of arrays ``[T_n, ...]`` for sequences, all with the same ``T_n``; an
            array ``[N, ...]`` for the rest.
        batch_size: ``B``.
        boundaries: the lengths ``L`` of the buckets, increasing; or their number, chosen by `choose_boundaries`.
        truncate: cut sequences longer than the last bucket; otherwise they are an error.
        seed: seed of the order.
        shuffle: shuffle the examples within their bucket, and the batches of all buckets.

    Raises:
        ValueError: there are no examples, their numbers or lengths differ, a sequence is too long, or the boundaries
            do not increase.

    >>> loader = BucketLoader({"token": [np.array([1]), np.array([2, 2, 2]), np.array([3])]}, 2, boundaries=(1, 4),
    ...                       shuffle=False)
    >>> [(batch["token"].tolist(), batch["mask"].tolist()) for batch in loader]
    [([[1], [3]], [1.0, 1.0]), ([[2, 2, 2, 0], [2, 2, 2, 0]], [1.0, 0.0])]
    """

    def __init__(
        self,
        arrays: Mapping[str, Ragged | np.ndarray],
        batch_size: int,
        *,
        boundaries: Sequence[int] | int = 4,
        truncate: bool = False,
        seed: int = 0,
        shuffle: bool = True,
    ):
        super().__init__(batch_size, seed, shuffle)
        self.examples = {name: _as_examples(name, each) for name, each in arrays.items()}
        self.truncate = truncate
        self.lengths = self._common_lengths()
        self.size = len(self.lengths)
        self.boundaries = self._check_boundaries(boundaries)
        if truncate:
            self.lengths = np.minimum(self.lengths, self.boundaries[-1])
        buckets = np.searchsorted(self.boundaries, self.lengths)
        self.members = [np.flatnonzero(buckets == bucket).astype(np.int32) for bucket in range(len(self.boundaries))]
        batch_counts = [-(-len(members) // batch_size) for members in self.members]
        self._bucket_of_batch = np.repeat(np.arange(len(batch_counts)), batch_counts)
        self.steps_per_epoch = sum(batch_counts)

    def _common_lengths(self) -> np.ndarray:
        lengths = {name: _lengths(each) for name, each in self.examples.items() if isinstance(each, list)}
        if not lengths:
            raise ValueError(
                f"expected at least one list of sequences, got {sorted(self.examples)}; use batching.Loader for arrays"
            )
        sizes = {name: len(each) for name, each in self.examples.items()}
        if len(set(sizes.values())) > 1 or 0 in sizes.values():
            raise ValueError(f"expected the same number of examples, at least 1, for every name, got {sizes}")
        first_name, first = next(iter(lengths.items()))
        for name, other in lengths.items():
            if (other != first).any():
                n = int(np.argmax(other != first))
                raise ValueError(
                    f"expected sequences of equal lengths, got {first[n]} steps of {first_name!r} and {other[n]} of "
                    f"{name!r} in example {n}"
                )
        reserved = {LENGTH, MASK} & self.examples.keys()
        if reserved:
            raise ValueError(
                f"expected names other than {LENGTH!r} and {MASK!r}, which the loader adds, got {sorted(reserved)}"
            )
        return first

    def _check_boundaries(self, given: Sequence[int] | int) -> tuple[int, ...]:
        ends = choose_boundaries(self.lengths, int(given)) if isinstance(given, int | np.integer) else tuple(given)
        if not ends or ends[0] < 1 or any(b <= a for a, b in pairwise(ends)):
            raise ValueError(f"expected boundaries to be increasing lengths >= 1, got {ends}")
        longest = int(self.lengths.max())
        if longest > ends[-1] and not self.truncate:
            raise ValueError(
                f"expected sequences of at most {ends[-1]} steps, the last boundary, got {longest}; raise the last "
                "boundary, or give truncate=True"
            )
        return ends

    def order(self, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the bucket ``[steps_per_epoch]`` and the indices ``[steps_per_epoch, B]`` of an epoch's batches.

        The index -1 marks padding.
        """
        return super().order(epoch)

    def _make_order(self, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        return _order_of_buckets(self, self.members, self._bucket_of_batch, epoch)

    def batch(self, step: int) -> dict[str, np.ndarray]:
        """Gather the batch of a step; ``position`` does not change."""
        if step < 0:
            raise ValueError(f"expected step >= 0, got {step}")
        epoch, row = divmod(step, self.steps_per_epoch)
        buckets, rows = self.order(epoch)
        indices, length = rows[row], self.boundaries[buckets[row]]
        valid = indices != PADDING_INDEX
        indices = np.where(valid, indices, indices[0])
        batch = {}
        for name, each in self.examples.items():
            if isinstance(each, list):
                batch[name] = pad([each[index][:length] for index in indices], length)[0]
            else:
                batch[name] = each[indices]
        return {**batch, LENGTH: self.lengths[indices], MASK: valid.astype(np.float32)}

    def _identity(self) -> dict[str, Any]:
        return {
            "seed": self.seed,
            "size": self.size,
            "steps": int(self.lengths.sum()),
            "batch_size": self.batch_size,
            "boundaries": list(self.boundaries),
            "shuffle": int(self.shuffle),
        }


class ParallelLoader(EpochLoader[tuple[np.ndarray, np.ndarray]]):
    """Batches of pairs of sequences, sources and targets, padded to one of a few pairs of lengths.

    Source and target may differ in length. With boundaries ``S_1 .. S_n`` of the sources and ``T_1 .. T_n`` of the
    targets, a pair belongs to the first bucket ``i`` with room for both. Else it is a `BucketLoader`. Batches are those
    of ``tasks.translation``: ``"source"`` ``[B, S_i, ...]``, ``"target"`` ``[B, T_i, ...]``, ``"source_length"``,
    ``"target_length"`` ``[B]``, and ``"mask"`` ``[B]``, 0 for the rows that fill the last batch of a bucket.

    Args:
        source: the sources, arrays ``[S_n, ...]``.
        target: the targets, arrays ``[T_n, ...]``.
        batch_size: ``B``.
        boundaries: pairs ``(S_i, T_i)``, both increasing; or their number, chosen by `choose_boundaries`.
        seed: seed of the order.
        shuffle: shuffle the pairs within their bucket, and the batches of all buckets.

    Raises:
        ValueError: there is no pair, a source without a target, a sequence that is too long, or the boundaries do not
            increase.

    >>> loader = ParallelLoader([np.array([1]), np.array([2, 2])], [np.array([3, 3, 3]), np.array([4])], 1,
    ...                         boundaries=((1, 3), (2, 3)), shuffle=False)
    >>> [(batch["source"].tolist(), batch["target"].tolist()) for batch in loader]
    [([[1]], [[3, 3, 3]]), ([[2, 2]], [[4, 0, 0]])]
    """

    def __init__(
        self,
        source: Ragged,
        target: Ragged,
        batch_size: int,
        *,
        boundaries: Sequence[tuple[int, int]] | int = 4,
        seed: int = 0,
        shuffle: bool = True,
    ):
        super().__init__(batch_size, seed, shuffle)
        if len(source) != len(target) or not len(source):
            raise ValueError(
                f"expected a target for every source, at least one, got {len(source)} sources and {len(target)} targets"
            )
        self.examples = [_as_sequences("source", source), _as_sequences("target", target)]
        self.lengths = np.stack([_lengths(each) for each in self.examples], axis=1)  # [N, 2]
        self.size = len(self.lengths)
        self.boundaries = _pair_boundaries(self.lengths, boundaries)
        ends = np.asarray(self.boundaries)  # [n, 2]
        buckets = np.max([np.searchsorted(ends[:, side], self.lengths[:, side]) for side in (0, 1)], axis=0)
        self.members = [np.flatnonzero(buckets == bucket).astype(np.int32) for bucket in range(len(ends))]
        counts = [-(-len(members) // batch_size) for members in self.members]
        self._bucket_of_batch = np.repeat(np.arange(len(counts)), counts)
        self.steps_per_epoch = sum(counts)

    def _make_order(self, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        return _order_of_buckets(self, self.members, self._bucket_of_batch, epoch)

    def batch(self, step: int) -> dict[str, np.ndarray]:
        """Gather the batch of a step; ``position`` does not change."""
        if step < 0:
            raise ValueError(f"expected step >= 0, got {step}")
        epoch, row = divmod(step, self.steps_per_epoch)
        buckets, rows = self.order(epoch)
        valid = rows[row] != PADDING_INDEX
        indices = np.where(valid, rows[row], rows[row][0])
        batch = {MASK: valid.astype(np.float32)}
        for side, name in enumerate(("source", "target")):
            chosen = [self.examples[side][index] for index in indices]
            batch[name], batch[f"{name}_{LENGTH}"] = pad(chosen, self.boundaries[buckets[row]][side])
        return batch

    def _identity(self) -> dict[str, Any]:
        return {
            "seed": self.seed,
            "size": self.size,
            "steps": self.lengths.sum(axis=0).tolist(),
            "batch_size": self.batch_size,
            "boundaries": [list(pair) for pair in self.boundaries],
            "shuffle": int(self.shuffle),
        }


def _order_of_buckets(
    loader: EpochLoader[Any], members: Sequence[np.ndarray], bucket_of_batch: np.ndarray, epoch: int
) -> tuple[np.ndarray, np.ndarray]:
    """Shuffle the members of every bucket, and the batches of all; return the buckets and the rows of the batches."""
    rank = permutation(loader.size, loader.seed, 2 * epoch) if loader.shuffle else np.arange(loader.size)
    rows = []
    for own in members:
        shuffled = own[np.argsort(rank[own], kind="stable")]
        padded = np.full(-(-len(own) // loader.batch_size) * loader.batch_size, PADDING_INDEX, np.int32)
        padded[: len(shuffled)] = shuffled
        rows.append(padded.reshape(-1, loader.batch_size))
    batches = np.arange(loader.steps_per_epoch)
    if loader.shuffle:
        batches = permutation(loader.steps_per_epoch, loader.seed, 2 * epoch + 1)
    return bucket_of_batch[batches], np.concatenate(rows)[batches]


def _pair_boundaries(lengths: np.ndarray, given: Sequence[tuple[int, int]] | int) -> tuple[tuple[int, int], ...]:
    """Return the boundaries of source and target, checked against the lengths ``[N, 2]``."""
    if isinstance(given, int | np.integer):
        sources, targets = (choose_boundaries(lengths[:, side], int(given)) for side in (0, 1))
        count = max(len(sources), len(targets))
        # A side with fewer lengths repeats its last one: no bucket of the other side is lost.
        ends = [(sources[min(i, len(sources) - 1)], targets[min(i, len(targets) - 1)]) for i in range(count)]
    else:
        ends = [(int(source), int(target)) for source, target in given]
    increases = all(b[0] >= a[0] and b[1] >= a[1] and a != b for a, b in pairwise(ends))
    if not ends or min(ends[0]) < 1 or not increases:
        raise ValueError(f"expected boundaries to be increasing pairs of lengths >= 1, got {ends}")
    longest = tuple(int(length) for length in lengths.max(axis=0))
    if longest[0] > ends[-1][0] or longest[1] > ends[-1][1]:
        raise ValueError(f"expected sequences of at most {ends[-1]} steps, the last boundaries, got {longest}")
    return tuple(ends)


def _as_sequences(name: str, each: Ragged) -> list[np.ndarray]:
    """Return sequences as a list of arrays."""
    sequences = _as_examples(name, [np.asarray(sequence) for sequence in each])
    return list(sequences)


def _lengths(sequences: Ragged) -> np.ndarray:
    return np.asarray([len(sequence) for sequence in sequences], np.int32)


def _as_examples(name: str, each: Ragged | np.ndarray) -> list[np.ndarray] | np.ndarray:
    """Return sequences as a list of arrays, other examples as one array."""
    if isinstance(each, np.ndarray):
        check_integers({name: each})
        return each
    sequences = [np.asarray(sequence) for sequence in each]
    scalars = [n for n, sequence in enumerate(sequences) if sequence.ndim == 0]
    if scalars:
        raise ValueError(
            f"expected {name!r} to be a list of sequences, got a scalar in example {scalars[0]}; give an array"
        )
    for sequence in sequences:
        check_integers({name: sequence})
    return _with_common_dtype(sequences)


def _with_common_dtype(sequences: list[np.ndarray]) -> list[np.ndarray]:
    """Cast sequences to the common type of those that are not empty: an empty list has no type of its own."""
    nonempty = [sequence for sequence in sequences if len(sequence)]
    if not nonempty:
        return sequences
    dtype, empty = np.result_type(*nonempty), (0, *nonempty[0].shape[1:])
    return [
        sequence.astype(dtype, copy=False).reshape(sequence.shape if len(sequence) else empty) for sequence in sequences
    ]
