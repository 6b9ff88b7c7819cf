"""Batches from any iterable: a generator function, a torch or grain data loader, a list of batches."""

from __future__ import annotations  # short signatures in help

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from jaxdl.checks import check_positive_integer
from jaxdl.data.batching import check_integers

Batches = Callable[[], Iterable[Any]] | Iterable[Any]


def from_iterable(
    make_iterator: Batches, *, names: Sequence[str] | None = None, steps_per_epoch: int | None = None
) -> IterableLoader:
    """Make a loader of the batches of an iterable, for ``train.fit``, ``train.make_evaluation`` and ``train.predict``.

    The iterable is read anew for every pass, one batch at a time:

    - a generator function: ``from_iterable(read_files)``, or ``from_iterable(lambda: read_files(seed=1))``;
    - a torch DataLoader or a grain loader: ``from_iterable(torch_loader, names=("image", "label"))``;
    - a list of batches.

    Args:
        make_iterator: a function that returns an iterable of batches, or an iterable that can be read repeatedly. A
            batch is a dict of arrays ``[B, ...]``, of NumPy, JAX or torch, or with ``names`` a tuple of them.
        names: of the arrays of a tuple.
        steps_per_epoch: batches in a pass; by default the length of the iterable if it has one. A stream without is
            trained on with ``fit(..., steps=...)``.

    Raises:
        TypeError: it is neither, or an iterator, which can be read once only.
        ValueError: ``steps_per_epoch`` is below one; when a batch is read, the iterable is empty, or a batch has other
            parts than there are names.

    >>> def read():
    ...     for number in range(3):
    ...         yield {"x": np.full(2, number)}
    >>> loader = from_iterable(read, steps_per_epoch=3)
    >>> [loader.batch(step)["x"].tolist() for step in (0, 1, 3)]
    [[0, 0], [1, 1], [0, 0]]
    """
    if isinstance(make_iterator, Iterator):
        raise TypeError(
            f"expected a function that makes an iterator, or an iterable that can be read repeatedly, got the iterator "
            f"{type(make_iterator).__name__}, which can be read once; pass the function that has made it"
        )
    if not (callable(make_iterator) or isinstance(make_iterator, Iterable) or hasattr(make_iterator, "__getitem__")):
        raise TypeError(f"expected a function that makes an iterator, or an iterable, got {make_iterator!r:.100}")
    if steps_per_epoch is not None:
        check_positive_integer("steps_per_epoch", steps_per_epoch)
    return IterableLoader(make_iterator, names, steps_per_epoch)


class IterableLoader:
    """The loader of `from_iterable`: batches in order, pass after pass.

    ``batch(step)`` reads on to the batch of a step. A later step than the next one skips batches; an earlier one than
    the latest begins again from the first pass. So a resumed run reads and discards what came before, and gets the
    batches of an uninterrupted one if the iterable gives the same batches again.

    Attributes:
        steps_per_epoch: batches in a pass, None if it is not known.
    """

    def __init__(self, make_iterator: Batches, names: Sequence[str] | None, steps_per_epoch: int | None):
        self.make_iterator, self.names = make_iterator, names
        self.steps_per_epoch = steps_per_epoch if steps_per_epoch is not None else _length(make_iterator)
        self.position = 0
        self._iterator: Iterator[Any] | None = None
        self._latest: dict[str, np.ndarray] = {}

    def __iter__(self) -> Iterator[dict[str, np.ndarray]]:
        """Yield the batches of one pass of its own, which does not move the position."""
        for batch in self._pass():
            yield self._named(batch)

    def batch(self, step: int) -> dict[str, np.ndarray]:
        """Return the batch of a step, counted from zero over all passes."""
        if step < self.position - 1:
            self.position, self._iterator = 0, None
        while self.position <= step:
            batch = self._next()
            self.position += 1
            if self.position > step:
                self._latest = self._named(batch)
        return self._latest

    def _pass(self) -> Iterator[Any]:
        return iter(self.make_iterator() if callable(self.make_iterator) else self.make_iterator)

    def _next(self) -> Any:
        """Return the next batch, of the next pass where one has ended."""
        end = object()
        batch = end if self._iterator is None else next(self._iterator, end)
        if batch is end:
            self._iterator = self._pass()
            batch = next(self._iterator, end)
        if batch is end:
            raise ValueError(f"expected an iterable with batches, got {self.make_iterator!r:.100} without any")
        return batch

    def _named(self, batch: Any) -> dict[str, np.ndarray]:
        """Return a batch as a dict of NumPy arrays."""
        if self.names is not None and not isinstance(batch, Mapping):
            if len(batch) != len(self.names):
                raise ValueError(f"expected batches of {len(self.names)} arrays {self.names}, got {len(batch)}")
            batch = dict(zip(self.names, batch, strict=True))
        if not isinstance(batch, Mapping):
            raise TypeError(
                f"expected batches that are dicts of arrays, got a {type(batch).__name__}; give names=('image', "
                "'label') for tuples"
            )
        arrays = {name: np.asarray(array) for name, array in batch.items()}
        check_integers(arrays)
        return arrays


def _length(iterable: Batches) -> int | None:
    """Return the length of an iterable, None if it has none."""
    try:
        return len(iterable) or None  # pyright: ignore[reportArgumentType]
    except TypeError:  # torch and grain have a method that raises it
        return None
