"""The order of the examples of an epoch, a pure function of a seed and the number of the epoch."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any, Generic, TypeVar

import numpy as np

from jaxdl.checks import check_positive_integer

Order = TypeVar("Order")


def permutation(size: int, seed: int, stream: int) -> np.ndarray:
    """Shuffle ``0 .. size - 1``, ``[size]``: the ranks of ``size`` raw numbers of Philox keyed by ``(seed, stream)``.

    Unlike its other methods, the raw numbers of a bit generator never change between versions of NumPy. The generator
    is Philox-4x64 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011).

    >>> permutation(5, seed=0, stream=0).tolist() == permutation(5, seed=0, stream=0).tolist()
    True
    """
    key = np.array([seed, stream], np.uint64)
    return np.argsort(np.random.Philox(key=key).random_raw(size), kind="stable")


class EpochLoader(ABC, Generic[Order]):
    """Base of loaders whose batches are numbered by steps.

    Step ``s`` belongs to epoch ``s // steps_per_epoch``, and the order of an epoch is a pure function of
    ``(seed, epoch)``: a step number is the whole position in the data. A subclass sets ``size`` and
    ``steps_per_epoch`` and defines `batch`, `_make_order` and `_identity`.

    Args:
        batch_size: ``B``, examples in a batch.
        seed: seed of the order.
        shuffle: shuffle the examples anew in every epoch.

    Raises:
        ValueError: the batch size is not positive, or the seed does not fit 64 bits.
    """

    size: int
    steps_per_epoch: int

    def __init__(self, batch_size: int, seed: int, shuffle: bool):
        check_positive_integer("batch_size", batch_size)
        if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or not 0 <= seed < 2**64:
            raise ValueError(f"expected seed to be an integer in 0 .. 2^64 - 1, got {seed!r}")
        self.batch_size = batch_size
        self.seed = seed
        self.shuffle = shuffle
        self.position = 0
        self._latest: tuple[int, Order] | None = None

    def __len__(self) -> int:
        return self.steps_per_epoch

    def __iter__(self) -> Iterator[dict[str, np.ndarray]]:
        """Yield the batches from ``position`` to the end of its epoch; ``position`` advances before each."""
        for step in range(self.position, (self.position // self.steps_per_epoch + 1) * self.steps_per_epoch):
            batch = self.batch(step)
            self.position = step + 1
            yield batch

    @abstractmethod
    def batch(self, step: int) -> dict[str, np.ndarray]:
        """Gather the batch of a step; ``position`` does not change."""

    def order(self, epoch: int) -> Order:
        """Return the order of an epoch's batches; the latest one is cached."""
        if epoch < 0:
            raise ValueError(f"expected epoch >= 0, got {epoch}")
        latest = self._latest  # read once: a thread that prefetches may replace it by another epoch
        if latest is None or latest[0] != epoch:
            latest = self._latest = (epoch, self._make_order(epoch))
        return latest[1]

    @abstractmethod
    def _make_order(self, epoch: int) -> Order: ...

    @abstractmethod
    def _identity(self) -> dict[str, Any]:
        """Return all that the order depends on, as a dict that JSON can write."""

    def state(self) -> dict[str, Any]:
        """Return the position, as ``"step"``, and all that the order depends on, as a dict that JSON can write."""
        return {"step": self.position, **self._identity()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Move to the position of a `state`.

        Raises:
            ValueError: the state belongs to other data, another seed or other batches, or it is incomplete.
        """
        identity = self._identity()
        missing = sorted({"step", *identity} - state.keys())
        if missing:
            present = ", ".join(sorted(state)) or "nothing"
            raise ValueError(f"expected a state with {', '.join(missing)}, got one with {present}")
        differences = [f"{name}={here}, got {state[name]}" for name, here in identity.items() if state[name] != here]
        if differences:
            raise ValueError(f"the state belongs to another loader: expected {'; expected '.join(differences)}")
        step = state["step"]
        if not isinstance(step, int) or step < 0:
            raise ValueError(f"expected the step of a state to be an integer >= 0, got {step!r}")
        self.position = step
