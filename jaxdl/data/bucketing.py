"""Sequences of unequal length in batches of few shapes."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

import numpy as np

from jaxdl.data.batching import permutation

LENGTH = "length"
MASK = "mask"

Ragged = Sequence[np.ndarray]


def pad(sequences: Ragged, length: int | None = None, *, value: float = 0) -> tuple[np.ndarray, np.ndarray]:
    """Stack sequences ``[T_n, ...]`` to ``[N, T, ...]``, filled up at the end, and return their lengths ``[N]`` too.

    Args:
        sequences: equal in all but their length.
        length: ``T``; None for that of the longest.
        value: what stands in the padding.

    Raises:
        ValueError: there is no sequence, or one is longer than ``length``.

    >>> array, lengths = pad([np.array([1, 2]), np.array([3])], 3)
    >>> array.tolist(), lengths.tolist()
    ([[1, 2, 0], [3, 0, 0]], [2, 1])
    """
    sequences = [np.asarray(sequence) for sequence in sequences]
    if not sequences:
        raise ValueError("expected at least one sequence to pad, got none")
    lengths = _lengths(sequences)
    longest = int(lengths.max())
    length = longest if length is None else length
    if longest > length:
        raise ValueError(f"a sequence of {longest} does not fit into {length}: cut it first, or give a larger length")
    sequences = _of_one_type(sequences)
    padded = np.full((len(sequences), length, *sequences[0].shape[1:]), value, sequences[0].dtype)
    for row, sequence in zip(padded, sequences, strict=True):
        row[: len(sequence)] = sequence
    return padded, lengths


def boundaries(lengths: Sequence[int], count: int) -> tuple[int, ...]:
    """Choose at most ``count`` bucket lengths so that the least padding is needed, the longest sequence being the last.

    With ``n(l)`` sequences of length ``l``, the cost of a bucket ``(a, b]`` is ``sum_(a < l <= b) n(l) (b - l)``;
    dynamic programming finds the least sum. Lengths beyond 512 different ones are rounded up to a grid first.

    Raises:
        ValueError: there are no lengths, or ``count`` is not positive.

    >>> boundaries([2, 3, 3, 9, 10, 30], 3)
    (3, 10, 30)
    """
    lengths = np.maximum(np.asarray(lengths), 1)
    if lengths.size == 0 or count < 1:
        raise ValueError(f"expected at least one length and count >= 1, got {lengths.size} lengths and count {count}")
    grid = -(-int(lengths.max()) // 512)
    ends, counts = np.unique(np.minimum(-(-lengths // grid) * grid, lengths.max()), return_counts=True)
    number = np.concatenate([[0], np.cumsum(counts)])
    total = np.concatenate([[0], np.cumsum(counts * ends)])
    size = len(ends)
    # cost[i, j]: the padding where one bucket ends at ends[j] and takes in ends[i .. j].
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


class BucketLoader:
    """Batches of sequences of about one length each, padded to one of few shapes, shuffled anew in every epoch.

    An example goes to the first of the buckets that holds it. A batch is of one bucket, so there are as many shapes
    as buckets, and a program is compiled for each. What is in a batch, and the order of the batches of an epoch, are a
    pure function of ``(seed, epoch)``: a step number is the whole position, as in ``batching.Loader``.

    Batches are dicts of arrays: sequences ``[B, L, ...]``, padded by zeros to the ``L`` of their bucket, other arrays
    ``[B, ...]``, ``"length"`` ``[B]`` int32, and ``"mask"`` ``[B]`` float32, 0 in the rows that fill up the last batch
    of a bucket. Every example is in one batch of an epoch.

    Args:
        arrays: named examples: a list (or tuple) of arrays ``[T_n, ...]`` for sequences, all of the same ``T_n``, an
            array ``[N, ...]`` for what needs no padding.
        batch_size: ``B``.
        boundaries: the lengths ``L`` of the buckets, rising; or how many buckets there are to be, chosen by
            ``boundaries``.
        truncate: cut what is longer than the last bucket; otherwise it is an error.
        seed: of the order.
        shuffle: mix the examples within their bucket, and the batches of all buckets.

    Raises:
        ValueError: no examples, unequal numbers or lengths, a sequence that is too long, boundaries that do not rise.

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
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        if not 0 <= seed < 2**64:
            raise ValueError(f"seed must lie in 0 .. 2^64 - 1, got {seed}")
        self.examples = {name: _examples(name, each) for name, each in arrays.items()}
        self.ragged = [name for name, each in self.examples.items() if isinstance(each, list)]
        self.batch_size, self.seed, self.shuffle, self.truncate = batch_size, seed, shuffle, truncate
        self.lengths = self._common_lengths()
        self.size = len(self.lengths)
        self.boundaries = self._check_boundaries(boundaries)
        if truncate:
            self.lengths = np.minimum(self.lengths, self.boundaries[-1])
        places = np.searchsorted(self.boundaries, self.lengths)
        self.members = [np.flatnonzero(places == bucket).astype(np.int32) for bucket in range(len(self.boundaries))]
        counts = [-(-len(members) // batch_size) for members in self.members]
        self._bucket_of_batch = np.repeat(np.arange(len(counts)), counts)
        self.steps_per_epoch = sum(counts)
        self.position = 0
        self._latest: tuple[int, tuple[np.ndarray, np.ndarray]] | None = None

    def _common_lengths(self) -> np.ndarray:
        if not self.ragged:
            raise ValueError("expected sequences, a list of arrays, among the arrays; for others take batching.Loader")
        sizes = {name: len(each) for name, each in self.examples.items()}
        if len(set(sizes.values())) > 1 or 0 in sizes.values():
            raise ValueError(f"expected one number of examples, above zero, for every name; got {sizes}")
        lengths = {name: _lengths(self.examples[name]) for name in self.ragged}
        first = lengths[self.ragged[0]]
        for name, other in lengths.items():
            if (other != first).any():
                n = int(np.argmax(other != first))
                raise ValueError(f"example {n} has {first[n]} steps of {self.ragged[0]!r}, but {other[n]} of {name!r}")
        taken = {LENGTH, MASK} & self.examples.keys()
        if taken:
            raise ValueError(f"the loader itself makes {', '.join(sorted(taken))}: give these arrays other names")
        return first

    def _check_boundaries(self, given: Sequence[int] | int) -> tuple[int, ...]:
        ends = boundaries(self.lengths, given) if isinstance(given, int | np.integer) else tuple(given)
        if not ends or ends[0] < 1 or any(b <= a for a, b in pairwise(ends)):
            raise ValueError(f"boundaries are the lengths of the buckets, at least 1 and rising; got {ends}")
        longest = int(self.lengths.max())
        if longest > ends[-1] and not self.truncate:
            raise ValueError(
                f"a sequence of {longest} does not fit into the last bucket of {ends[-1]}: raise the last boundary, or "
                "give truncate=True"
            )
        return ends

    def __len__(self) -> int:
        return self.steps_per_epoch

    def __iter__(self) -> Iterator[dict[str, np.ndarray]]:
        """Yield the batches from ``position`` to the end of its epoch, moving ``position`` on before each."""
        for step in range(self.position, (self.position // self.steps_per_epoch + 1) * self.steps_per_epoch):
            batch = self.batch(step)
            self.position = step + 1
            yield batch

    def order(self, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the bucket ``[steps_per_epoch]`` and the indices ``[steps_per_epoch, B]`` of an epoch's batches.

        An index -1 marks padding.
        """
        latest = self._latest  # read once: a thread that reads ahead may put another epoch here
        if latest is None or latest[0] != epoch:
            latest = self._latest = (epoch, self._make_order(epoch))
        return latest[1]

    def _make_order(self, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        rank = permutation(self.size, self.seed, 2 * epoch) if self.shuffle else np.arange(self.size)
        rows = []
        for members in self.members:
            mixed = members[np.argsort(rank[members], kind="stable")]
            filled = np.full(-(-len(members) // self.batch_size) * self.batch_size, -1, np.int32)
            filled[: len(mixed)] = mixed
            rows.append(filled.reshape(-1, self.batch_size))
        batches = np.arange(self.steps_per_epoch)
        if self.shuffle:
            batches = permutation(self.steps_per_epoch, self.seed, 2 * epoch + 1)
        return self._bucket_of_batch[batches], np.concatenate(rows)[batches]

    def batch(self, step: int) -> dict[str, np.ndarray]:
        """Gather the batch of a step; ``position`` stays where it is."""
        if step < 0:
            raise ValueError(f"step must be at least 0, got {step}")
        epoch, row = divmod(step, self.steps_per_epoch)
        buckets, indices = self.order(epoch)
        indices, length = indices[row], self.boundaries[buckets[row]]
        counts = (indices >= 0).astype(np.float32)
        indices = np.where(indices >= 0, indices, indices[0])
        batch = {}
        for name, each in self.examples.items():
            if isinstance(each, list):
                batch[name] = pad([each[index][:length] for index in indices], length)[0]
            else:
                batch[name] = each[indices]
        return {**batch, LENGTH: self.lengths[indices], MASK: counts}

    def state(self) -> dict[str, object]:
        """Return the position and what it depends on, as a dict that JSON can write."""
        return {"step": self.position, **self._identity()}

    def restore(self, state: Mapping[str, object]) -> None:
        """Go to the position of a ``state()``.

        Raises:
            ValueError: the state is of other data, other buckets, another seed or another batch size.
        """
        identity = self._identity()
        other = [f"{name} {state.get(name)}, here {here}" for name, here in identity.items() if state.get(name) != here]
        if other:
            raise ValueError("the state belongs to another loader: " + "; ".join(other))
        step = state.get("step")
        if not isinstance(step, int) or step < 0:
            raise ValueError(f"the step of a state must be an integer of at least 0, got {step!r}")
        self.position = step

    def _identity(self) -> dict[str, object]:
        return {
            "seed": self.seed,
            "size": self.size,
            "steps": int(self.lengths.sum()),
            "batch_size": self.batch_size,
            "boundaries": list(self.boundaries),
            "shuffle": int(self.shuffle),
        }


def _lengths(sequences: Ragged) -> np.ndarray:
    return np.asarray([len(sequence) for sequence in sequences], np.int32)


def _examples(name: str, each: Ragged | np.ndarray) -> list[np.ndarray] | np.ndarray:
    """Return sequences as a list of arrays, other examples as one array."""
    if isinstance(each, np.ndarray):
        return each
    sequences = [np.asarray(sequence) for sequence in each]
    scalars = [n for n, sequence in enumerate(sequences) if sequence.ndim == 0]
    if scalars:
        raise ValueError(f"{name!r} is a list whose example {scalars[0]} is a scalar: give labels [N] as an array")
    return _of_one_type(sequences)


def _of_one_type(sequences: list[np.ndarray]) -> list[np.ndarray]:
    """Give sequences the type of all that are not empty: an empty list says nothing of what it would hold."""
    filled = [sequence for sequence in sequences if len(sequence)]
    if not filled:
        return sequences
    dtype, empty = np.result_type(*filled), (0, *filled[0].shape[1:])
    return [
        sequence.astype(dtype, copy=False).reshape(sequence.shape if len(sequence) else empty) for sequence in sequences
    ]
