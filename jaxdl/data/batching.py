"""Batches of arrays in memory, whose order is a pure function of a seed and a step number."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor

import einops
import jax
import numpy as np

from jaxdl.checks import check_in_range, check_positive_integer, is_integer, shorten
from jaxdl.data.epochs import EpochLoader, permutation
from jaxdl.typing import PyTree

PADDING_INDEX = -1  # fills the last batch; as an index it means the last example, so that a gather stays in range


class Loader(EpochLoader[np.ndarray]):
    """Batches of a dict of arrays, shuffled anew in every epoch; a step number is the whole position in the data.

    With ``process_count`` processes, ``batch_size`` counts the examples of all of them. Each process gets a contiguous
    slice of ``local_batch_size = batch_size / process_count`` examples of every batch; concatenated, the slices are the
    batches of a single process.

    Without ``drop_remainder`` the last batch of an epoch is padded to the full shape: its missing indices are -1,
    and every batch has a ``"mask"`` ``[B]``, 1 for examples and 0 for padding.

    Args:
        arrays: named arrays ``[N, ...]``.
        batch_size: ``B``, examples in a batch of all processes.
        seed: seed of the order.
        shuffle: shuffle the examples anew in every epoch.
        drop_remainder: leave out the examples that do not fill a batch, instead of padding.
        process_index: index of this process.
        process_count: number of processes.

    Raises:
        ValueError: there are no examples, the leading dimensions differ, there are fewer examples than a batch (with
            ``drop_remainder``), or the batch size is not divisible by the number of processes; or the arrays are
            `text.windows`, which have one batch size and one order.

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
        super().__init__(batch_size, seed, shuffle)
        self.arrays = {name: np.asarray(array) for name, array in arrays.items()}
        self.size = count_examples(self.arrays)
        self.drop_remainder = drop_remainder
        self.process_index = process_index
        self.process_count = process_count
        self._check()
        check_integers(self.arrays)
        _check_windows(self.arrays, batch_size, shuffle)
        self.local_batch_size = batch_size // process_count
        self.steps_per_epoch = self.size // batch_size if drop_remainder else -(-self.size // batch_size)

    def _check(self) -> None:
        if self.size >= 2**31:
            raise ValueError(f"expected at most {2**31 - 1} examples, since indices are int32, got {self.size}")
        if self.drop_remainder and self.size < self.batch_size:
            raise ValueError(
                f"expected at least one batch of {self.batch_size} examples, got {self.size}; "
                "give a smaller batch_size, or drop_remainder=False to pad"
            )
        if not 0 <= self.process_index < self.process_count:
            raise ValueError(f"expected process_index in 0 .. {self.process_count - 1}, got {self.process_index}")
        if self.batch_size % self.process_count:
            raise ValueError(
                f"expected batch_size divisible by process_count {self.process_count}, got {self.batch_size}"
            )

    def order(self, epoch: int) -> np.ndarray:
        """Return the indices of every batch of an epoch, int32 ``[steps_per_epoch, local_batch_size]``."""
        return super().order(epoch)

    def _make_order(self, epoch: int) -> np.ndarray:
        indices = permutation(self.size, self.seed, epoch) if self.shuffle else np.arange(self.size)
        padded = np.full(self.steps_per_epoch * self.batch_size, PADDING_INDEX, np.int32)
        padded[: self.size] = indices[: padded.size]
        shards = einops.rearrange(
            padded, "(step process row) -> process step row", process=self.process_count, row=self.local_batch_size
        )
        order = np.ascontiguousarray(shards[self.process_index])
        order.setflags(write=False)
        return order

    def indices(self, first_step: int, count: int) -> np.ndarray:
        """Return the indices of ``count`` steps from ``first_step`` on, int32 ``[count, local_batch_size]``.

        The steps may span several epochs. Without ``drop_remainder``, -1 marks padding.
        """
        if first_step < 0 or count < 0:
            raise ValueError(f"expected first_step and count >= 0, got {first_step} and {count}")
        parts = [np.empty((0, self.local_batch_size), np.int32)]
        step, stop = first_step, first_step + count
        while step < stop:
            epoch, row = divmod(step, self.steps_per_epoch)
            parts.append(self.order(epoch)[row : row + stop - step])
            step += len(parts[-1])
        return np.concatenate(parts)

    def batch(self, step: int) -> dict[str, np.ndarray]:
        """Gather the batch of a step, ``{name: [local_batch_size, ...]}``; ``position`` does not change."""
        (indices,) = self.indices(step, 1)
        batch = {name: array[indices] for name, array in self.arrays.items()}
        if not self.drop_remainder:
            valid = (indices != PADDING_INDEX).astype(np.float32)
            mask = np.asarray(batch.get("mask", valid))
            batch["mask"] = mask * valid.reshape(-1, *[1] * (mask.ndim - 1))
        return batch

    def _identity(self) -> dict[str, int]:
        # Without the number of processes: training may continue with another.
        return {
            "seed": self.seed,
            "size": self.size,
            "batch_size": self.batch_size,
            "shuffle": int(self.shuffle),
            "drop_remainder": int(self.drop_remainder),
        }


def check_integers(arrays: Mapping[str, np.ndarray]) -> None:
    """Check that JAX, which has integers of 32 bits unless told otherwise, would not change integers silently.

    Raises:
        ValueError: an integer does not fit.

    >>> check_integers({"label": np.array([2**32])})
    Traceback (most recent call last):
    ValueError: expected integers of 32 bits in 'label', got 4294967296; set jax_enable_x64, or give smaller ones
    """
    for name, array in arrays.items():
        kept = array.dtype not in (np.int64, np.uint64) or jax.dtypes.canonicalize_dtype(array.dtype) == array.dtype
        if kept or array.size == 0:
            continue
        unsigned = array.dtype == np.uint64
        low, high = (0, 2**32 - 1) if unsigned else (-(2**31), 2**31 - 1)
        least, largest = int(array.min()), int(array.max())
        if least < low or largest > high:
            raise ValueError(
                f"expected integers of 32 bits in {name!r}, got {largest if largest > high else least}; "
                "set jax_enable_x64, or give smaller ones"
            )


def _check_windows(arrays: Mapping[str, np.ndarray], batch_size: int, shuffle: bool) -> None:
    """Check that windows of a text which continue each other, as `text.windows` makes them, do so in these batches."""
    token, target, start = (arrays.get(name, np.empty(0)) for name in ("token", "target", "start"))
    if start.ndim != 1 or token.ndim != 2 or token.shape != target.shape or token.shape[1] == 0:
        return
    (continued,) = np.nonzero(start == 0)
    before = continued - batch_size
    if len(continued) and (shuffle or before[0] < 0 or (target[before, -1] != token[continued, 0]).any()):
        raise ValueError(
            f"expected windows of a text, whose rows continue each other, in their batch size and order, got "
            f"batch_size={batch_size} and shuffle={shuffle}; give the batch_size of text.windows and shuffle=False"
        )


def count_examples(arrays: Mapping[str, np.ndarray]) -> int:
    """Return the common leading dimension of the arrays.

    Raises:
        ValueError: there are no arrays, or they are scalars, empty or of different lengths.

    >>> count_examples({"image": np.zeros((5, 8, 8, 1)), "label": np.zeros(5)})
    5
    """
    if not arrays:
        raise ValueError("expected a dict of arrays with examples, got an empty dict")
    scalars = [name for name, array in arrays.items() if np.ndim(array) == 0]
    if scalars:
        raise ValueError(f"expected arrays with a leading dimension of examples, got scalars: {', '.join(scalars)}")
    sizes = {name: len(array) for name, array in arrays.items()}
    if len(set(sizes.values())) > 1:
        raise ValueError(f"expected arrays with equal leading dimensions, got {sizes}")
    size = next(iter(sizes.values()))
    if size == 0:
        raise ValueError(f"expected at least one example, got shapes { ({n: np.shape(a) for n, a in arrays.items()}) }")
    return size


def padded_batches(arrays: Mapping[str, np.ndarray], batch_size: int) -> Iterator[dict[str, np.ndarray]]:
    """Yield every example once, in order, in batches of one shape, each with a float32 ``"mask"`` ``[B]``.

    The last batch is padded with examples whose mask is 0: an evaluation compiles once and, weighted by the mask, is
    unbiased.

    >>> [(batch["x"].tolist(), batch["mask"].tolist()) for batch in padded_batches({"x": np.arange(3)}, 2)]
    [([0, 1], [1.0, 1.0]), ([2, 2], [1.0, 0.0])]
    """
    return iter(Loader(arrays, batch_size, shuffle=False, drop_remainder=False))


def split(
    arrays: Mapping[str, np.ndarray], held_out: float | int, *, seed: int = 0, stratify: str | None = "label"
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Split the examples in two, ``(rest, held_out)``, each in its original order.

    The examples held out are drawn at random. With ``stratify`` each class contributes in proportion,
    ``n_k held_out / n``, rounded by the largest remainder. Every class keeps an example in ``rest``, unless more
    examples are held out than that allows: a class of a single example is never held out otherwise.

    Args:
        arrays: named arrays ``[N, ...]``.
        held_out: a count (int) or a fraction in (0, 1).
        seed: seed of the draw.
        stratify: name of the array of integer labels ``[N]``; None to draw from all examples alike.

    Raises:
        ValueError: one side would be empty, or there are no integer labels of that name.

    >>> rest, test = split({"label": np.array([0, 0, 0, 0, 1, 1])}, 3)
    >>> rest["label"].tolist(), test["label"].tolist()
    ([0, 0, 1], [0, 0, 1])
    """
    size = count_examples(arrays)
    if not is_integer(held_out):
        check_in_range("held_out", held_out, includes_high=False)
    count = int(held_out if is_integer(held_out) else round(held_out * size))
    if not 0 < count < size:
        raise ValueError(
            f"expected held_out to be a count in 1 .. {size - 1} or a fraction that leaves examples on both sides, "
            f"got {held_out}, which is {count} of {size}"
        )
    strata = np.zeros(size, int) if stratify is None else _strata(arrays, stratify)
    quota = _quota(np.bincount(strata), count)
    chosen = np.zeros(size, bool)
    shuffled = permutation(size, seed, 0)
    for stratum, drawn in enumerate(quota):
        chosen[shuffled[strata[shuffled] == stratum][:drawn]] = True
    rest = {name: np.asarray(array)[~chosen] for name, array in arrays.items()}
    return rest, {name: np.asarray(array)[chosen] for name, array in arrays.items()}


def _quota(members: np.ndarray, count: int) -> np.ndarray:
    """Return how many of the members of each stratum are among the ``count`` that are held out."""
    quota, remainder = np.divmod(members * count, members.sum())
    order, most = np.argsort(-remainder, kind="stable"), members - 1
    while missing := count - quota.sum():
        able = order[quota[order] < most[order]]
        quota[able[:missing]] += 1
        most = most if len(able) else members
    return quota


def _strata(arrays: Mapping[str, np.ndarray], stratify: str) -> np.ndarray:
    if stratify not in arrays:
        raise ValueError(
            f"expected stratify to be one of {sorted(arrays)}, got {shorten(repr(stratify))}; "
            "give stratify=None to draw from all examples alike"
        )
    labels = np.asarray(arrays[stratify])
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(f"expected integer labels [N], got {stratify!r} of {labels.dtype} {list(labels.shape)}")
    return np.unique(labels, return_inverse=True)[1]


def prefetch(
    iterable: Iterable[PyTree], size: int = 2, *, put: Callable[[PyTree], PyTree] = jax.device_put
) -> Iterator[PyTree]:
    """Yield ``put(item)`` for the items of an iterable, up to ``size`` of them prepared by a background thread.

    For data that do not fit on the device: the next batch is copied during the step on the current one. An exception
    of the iterable is raised here, at its place in the order. Closing or dropping the iterator ends the thread. The
    position of a `Loader` read this way is up to ``size`` steps ahead: take it from the number of the training step.

    >>> [int(x) for x in prefetch(range(3))]
    [0, 1, 2]
    """
    check_positive_integer("size", size)
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
