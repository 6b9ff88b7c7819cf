"""Batches of arrays in memory, whose order is a pure function of a seed and a step number."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor

import jax
import numpy as np

from jaxdl.typing import PyTree

PADDING = -1  # the index that fills the last batch; as an index it names the last example, so a gather stays in range


def permutation(size: int, seed: int, stream: int) -> np.ndarray:
    """Shuffle ``0 .. size - 1``, ``[size]``: the ranks of ``size`` raw numbers of Philox keyed by ``(seed, stream)``.

    The raw numbers of a bit generator never change between versions of NumPy, as those of its other methods may.
    The generator is Philox-4x64 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011).

    >>> permutation(5, seed=0, stream=0).tolist() == permutation(5, seed=0, stream=0).tolist()
    True
    """
    key = np.array([seed, stream], np.uint64)
    return np.argsort(np.random.Philox(key=key).random_raw(size), kind="stable")


class Loader:
    """Batches of a dict of arrays, shuffled anew in every epoch.

    Step ``s`` belongs to epoch ``s // steps_per_epoch``; the order of an epoch is a pure function of
    ``(seed, epoch)``, so a step number is the whole position in the data.

    With ``process_count`` processes, ``batch_size`` counts the examples of all of them: each process is given its
    contiguous slice, ``local_batch_size = batch_size / process_count``, of every batch. Side by side, the slices are
    the batches of a single process.

    Without ``drop_remainder`` the last batch of an epoch is padded to the full shape: its missing indices are -1,
    and every batch carries ``"mask"`` ``[B]``, 1 where an example counts and 0 where it is padding.

    Raises ValueError for empty data, unequal leading dimensions, fewer examples than a batch (with
    ``drop_remainder``), and a batch size that the processes cannot share.

    >>> loader = Loader({"x": np.arange(7)}, batch_size=3, shuffle=False)
    >>> [batch["x"].tolist() for batch in loader]
    [[0, 1, 2], [3, 4, 5]]
    >>> loader.indices(first_step=1, count=2).tolist()
    [[3, 4, 5], [0, 1, 2]]
    """

    def __init__(
        self,
        arrays: Mapping[str, np.ndarray],
        batch_size: int,
        *,
        seed: int = 0,
        shuffle: bool = True,
        drop_remainder: bool = True,
        process_index: int = 0,
        process_count: int = 1,
    ):
        self.arrays = {name: np.asarray(array) for name, array in arrays.items()}
        self.size = count_examples(self.arrays)
        self.batch_size = batch_size
        self.seed = seed
        self.shuffle = shuffle
        self.drop_remainder = drop_remainder
        self.process_index = process_index
        self.process_count = process_count
        self._check()
        self.local_batch_size = batch_size // process_count
        self.steps_per_epoch = self.size // batch_size if drop_remainder else -(-self.size // batch_size)
        self.position = 0
        self._latest: tuple[int, np.ndarray] | None = None

    def _check(self) -> None:
        if self.batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {self.batch_size}")
        if not 0 <= self.seed < 2**64:
            raise ValueError(f"seed must lie in 0 .. 2^64 - 1, got {self.seed}")
        if self.size >= 2**31:
            raise ValueError(f"indices are int32: at most {2**31 - 1} examples, got {self.size}")
        if self.drop_remainder and self.size < self.batch_size:
            raise ValueError(
                f"{self.size} examples do not fill one batch of {self.batch_size}: "
                "give a smaller batch_size, or drop_remainder=False to pad"
            )
        if not 0 <= self.process_index < self.process_count:
            raise ValueError(f"process_index must lie in 0 .. {self.process_count - 1}, got {self.process_index}")
        if self.batch_size % self.process_count:
            raise ValueError(
                f"batch_size {self.batch_size} is not divisible by process_count {self.process_count}: "
                f"{self.batch_size % self.process_count} examples would be left over"
            )

    def __len__(self) -> int:
        return self.steps_per_epoch

    def __iter__(self) -> Iterator[dict[str, np.ndarray]]:
        """Yield the batches from ``position`` to the end of its epoch, moving ``position`` on before each."""
        for step in range(self.position, (self.position // self.steps_per_epoch + 1) * self.steps_per_epoch):
            batch = self.batch(step)
            self.position = step + 1
            yield batch

    def order(self, epoch: int) -> np.ndarray:
        """Return the indices of every batch of an epoch, int32 ``[steps_per_epoch, local_batch_size]``."""
        if epoch < 0:
            raise ValueError(f"epoch must be at least 0, got {epoch}")
        latest = self._latest  # read once: a thread that reads ahead may put another epoch here
        if latest is None or latest[0] != epoch:
            latest = self._latest = (epoch, self._make_order(epoch))
        return latest[1]

    def _make_order(self, epoch: int) -> np.ndarray:
        everyone = permutation(self.size, self.seed, epoch) if self.shuffle else np.arange(self.size)
        padded = np.full(self.steps_per_epoch * self.batch_size, PADDING, np.int32)
        padded[: self.size] = everyone[: padded.size]
        shards = padded.reshape(self.steps_per_epoch, self.process_count, self.local_batch_size)
        order = np.ascontiguousarray(shards[:, self.process_index])
        order.setflags(write=False)
        return order

    def indices(self, first_step: int, count: int) -> np.ndarray:
        """Return the indices of ``count`` steps from ``first_step`` on, int32 ``[count, local_batch_size]``.

        They run across the ends of epochs. Where ``drop_remainder`` is off, -1 marks padding.
        """
        if first_step < 0 or count < 0:
            raise ValueError(f"first_step and count must be at least 0, got {first_step} and {count}")
        parts = [np.empty((0, self.local_batch_size), np.int32)]
        step, end = first_step, first_step + count
        while step < end:
            epoch, row = divmod(step, self.steps_per_epoch)
            parts.append(self.order(epoch)[row : row + end - step])
            step += len(parts[-1])
        return np.concatenate(parts)

    def batch(self, step: int) -> dict[str, np.ndarray]:
        """Gather the batch of a step, ``{name: [local_batch_size, ...]}``; ``position`` stays where it is."""
        (indices,) = self.indices(step, 1)
        batch = {name: array[indices] for name, array in self.arrays.items()}
        if not self.drop_remainder:
            counts = (indices != PADDING).astype(np.float32)
            mask = np.asarray(batch.get("mask", counts))
            batch["mask"] = mask * counts.reshape(-1, *[1] * (mask.ndim - 1))
        return batch

    def state(self) -> dict[str, int]:
        """Return the position and what it depends on, as a dict that JSON can write.

        The number of processes is no part of it: training may go on with another.
        """
        return {"step": self.position, **self._identity()}

    def restore(self, state: Mapping[str, int]) -> None:
        """Go to the position of a ``state()``.

        Raises ValueError if the state is of other data, another seed or another batch size.
        """
        identity = self._identity()
        missing = sorted({"step", *identity} - state.keys())
        if missing:
            raise ValueError(f"the state has no {', '.join(missing)}; it has {', '.join(sorted(state)) or 'nothing'}")
        other = [f"{name} {state[name]}, here {here}" for name, here in identity.items() if state[name] != here]
        if other:
            raise ValueError("the state belongs to another loader: " + "; ".join(other))
        if not isinstance(state["step"], int) or state["step"] < 0:
            raise ValueError(f"the step of a state must be an integer of at least 0, got {state['step']!r}")
        self.position = state["step"]

    def _identity(self) -> dict[str, int]:
        return {
            "seed": self.seed,
            "size": self.size,
            "batch_size": self.batch_size,
            "shuffle": int(self.shuffle),
            "drop_remainder": int(self.drop_remainder),
        }


def count_examples(arrays: Mapping[str, np.ndarray]) -> int:
    """Return the common leading dimension of the arrays.

    Raises ValueError if there is none: no arrays, a scalar, unequal or zero lengths.

    >>> count_examples({"image": np.zeros((5, 8, 8, 1)), "label": np.zeros(5)})
    5
    """
    if not arrays:
        raise ValueError("expected a dict of arrays with examples, got an empty dict")
    scalars = [name for name, array in arrays.items() if np.ndim(array) == 0]
    if scalars:
        raise ValueError(f"arrays need a leading dimension of examples, but these are scalars: {', '.join(scalars)}")
    sizes = {name: len(array) for name, array in arrays.items()}
    if len(set(sizes.values())) > 1:
        raise ValueError(f"the arrays have unequal leading dimensions: {sizes}")
    size = next(iter(sizes.values()))
    if size == 0:
        raise ValueError(f"the arrays hold no examples: shapes { ({n: np.shape(a) for n, a in arrays.items()}) }")
    return size


def padded_batches(arrays: Mapping[str, np.ndarray], batch_size: int) -> Iterator[dict[str, np.ndarray]]:
    """Yield every example once, in order, in batches of one shape, each with a float32 ``"mask"`` ``[B]``.

    The last batch is filled up with examples whose mask is 0, so an evaluation compiles once and, weighted by the
    mask, has no bias.

    >>> [(batch["x"].tolist(), batch["mask"].tolist()) for batch in padded_batches({"x": np.arange(3)}, 2)]
    [([0, 1], [1.0, 1.0]), ([2, 2], [1.0, 0.0])]
    """
    return iter(Loader(arrays, batch_size, shuffle=False, drop_remainder=False))


def split(
    arrays: Mapping[str, np.ndarray], held_out: float | int, *, seed: int = 0, stratify: str | None = "label"
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Split the examples in two, ``(rest, held_out)``, each in its original order.

    ``held_out`` is a count (int) or a fraction in (0, 1). The examples held out are drawn at random; with ``stratify``
    each class of that array gives its share, ``n_k held_out / n``, rounded by largest remainder.

    >>> rest, test = split({"label": np.array([0, 0, 0, 0, 1, 1])}, 3)
    >>> rest["label"].tolist(), test["label"].tolist()
    ([0, 0, 1], [0, 0, 1])
    """
    size = count_examples(arrays)
    count = held_out if isinstance(held_out, int | np.integer) else round(held_out * size)
    if not 0 < count < size:
        raise ValueError(
            f"held_out must leave examples on both sides: a count in 1 .. {size - 1} or a fraction between 0 and 1, "
            f"got {held_out}, which is {count} of {size}"
        )
    strata = np.zeros(size, int) if stratify is None else _strata(arrays, stratify)
    members = np.bincount(strata)
    quota, remainder = np.divmod(members * count, size)
    quota[np.argsort(-remainder, kind="stable")[: count - quota.sum()]] += 1
    chosen = np.zeros(size, bool)
    shuffled = permutation(size, seed, 0)
    for stratum, drawn in enumerate(quota):
        chosen[shuffled[strata[shuffled] == stratum][:drawn]] = True
    rest = {name: np.asarray(array)[~chosen] for name, array in arrays.items()}
    return rest, {name: np.asarray(array)[chosen] for name, array in arrays.items()}


def _strata(arrays: Mapping[str, np.ndarray], stratify: str) -> np.ndarray:
    if stratify not in arrays:
        raise ValueError(f"no array {stratify!r} to stratify by among {sorted(arrays)}; stratify=None draws freely")
    labels = np.asarray(arrays[stratify])
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(f"stratify needs integer labels [N], got {stratify!r} of {labels.dtype} {list(labels.shape)}")
    return np.unique(labels, return_inverse=True)[1]


def prefetch(
    iterable: Iterable[PyTree], size: int = 2, *, put: Callable[[PyTree], PyTree] = jax.device_put
) -> Iterator[PyTree]:
    """Yield the items of ``iterable`` after ``put``, at most ``size`` of them made ahead by a background thread.

    For data that does not fit the device: the copy of the next batch hides behind the step of this one. An exception
    of the iterable is raised here, at its place in the order. Leaving the loop and dropping the iterator (or its
    ``close()``) ends the thread. A Loader read this way is ``size`` steps ahead of what was yielded, so its position
    is to be taken from the number of the training step.

    >>> [int(x) for x in prefetch(range(3))]
    [0, 1, 2]
    """
    if size < 1:
        raise ValueError(f"prefetch needs a size of at least 1, got {size}")
    return _prefetch(iter(iterable), size, put)


def _prefetch(source: Iterator[PyTree], size: int, put: Callable[[PyTree], PyTree]) -> Iterator[PyTree]:
    end = object()

    def fetch() -> PyTree:
        item = next(source, end)
        return item if item is end else put(item)

    pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="prefetch")
    try:
        ahead = deque(pool.submit(fetch) for _ in range(size))
        while (item := ahead.popleft().result()) is not end:
            ahead.append(pool.submit(fetch))
            yield item
    finally:
        pool.shutdown(cancel_futures=True)
