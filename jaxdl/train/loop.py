"""The one training loop: it runs any ``step(state, batch) -> (state, metrics)`` over a loader's batches."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxdl import tree
from jaxdl.train import parallel
from jaxdl.train.parallel.consistency import check_same_leaves
from jaxdl.train.report import Hook, Loader, Report, summarise
from jaxdl.train.step import Step
from jaxdl.typing import Array, Batch, PyTree

DEVICE_SHARE = 0.25
"""The share of a device's memory that a data set may take before it is streamed instead."""


def fit(
    step: Step,
    state: PyTree,
    loader: Loader,
    *,
    epochs: float,
    evaluate: Callable[[PyTree], dict[str, Any]] | None = None,
    hooks: Sequence[Hook] = (),
    report_every: int = 50,
    scan: bool | Literal["auto"] = "auto",
    mesh: Mesh | None = None,
) -> tuple[PyTree, list[dict[str, Any]]]:
    """Train: ``state, metrics = step(state, batch)`` for every batch of every epoch, from ``state.step`` on.

    Where the examples fit on the device, a stretch of steps is one compiled ``lax.scan`` and each batch is gathered on
    the device; else each step is one call, with its batch sent ahead. Both give the same numbers. The state's buffers
    are donated: the state that is passed in must not be used afterwards.

    Args:
        step: a pure function; ``jax.vmap`` of one trains many states at once, on the same batches.
        state: any pytree with an attribute ``step``. A restored state goes on where it stopped: the batches depend on
            the step's number alone.
        loader: see ``Loader``.
        epochs: passes over the data in all, counted from step zero. A fraction ends inside an epoch.
        evaluate: called with the state at the end of every epoch and of the run.
        hooks: called in order with a ``Report`` after every stretch; all are called even when one asks to stop.
        report_every: most steps in a stretch. Stretches end with an epoch.
        scan: many steps in one compiled call, ``True`` or ``False``; ``"auto"`` decides by the size of the data.
        mesh: devices to train on together, from ``parallel.mesh``. The rows of every batch are spread over its axis
            ``"data"``; the state lies as ``parallel.place`` has put it, and what does not lie on the mesh is
            replicated.

    Returns:
        The last state, and a row for every report: ``step``, ``epoch``, the mean of each metric over the stretch as
        ``train/NAME``, and the evaluation as ``evaluation/NAME``.

    Raises:
        ValueError: for a number of epochs or steps that is not positive, ``scan=True`` without arrays in memory, or
            a batch that the devices do not divide; and in every process where one of several would train another
            state, on other arrays in memory or for other steps.
    """
    if not 0 < epochs < math.inf or report_every < 1:
        raise ValueError(f"expected epochs > 0, finite, and report_every >= 1, got {epochs} and {report_every}")
    per_epoch = loader.steps_per_epoch
    total = count_steps(epochs, per_epoch)
    start = int(np.ravel(state.step)[0])
    if mesh is not None:
        check_same_leaves({"first step": start, "last step": total, "steps of a report": report_every}, mesh)
    state = parallel.on_mesh(jax.tree.map(jnp.asarray, state), mesh)
    runner = (Scanned if _scans(loader, scan, mesh) else Single)(step, loader, mesh)
    history = []
    for first, count in chunks(start, total, per_epoch, report_every):
        started, compiled = time.perf_counter(), runner.programs.seconds
        state, metrics = runner(state, first, count)
        metrics = jax.device_get(metrics)
        jax.block_until_ready(state)  # where there are no metrics, nothing else has waited for the steps
        seconds = time.perf_counter() - started - (runner.programs.seconds - compiled)
        done = first + count
        at_end = done % per_epoch == 0 or done == total
        evaluation = evaluate(state) if evaluate is not None and at_end else None
        compile_seconds = runner.programs.seconds
        report = Report(done, done / per_epoch, state, metrics, evaluation, seconds, compile_seconds, total, count)
        history.append(summarise(report))
        if any([hook(report) for hook in hooks]) or done == total:
            for hook in hooks:
                if hasattr(hook, "finish"):
                    hook.finish(report)
            break
    return state, history


def count_steps(epochs: float, per_epoch: int) -> int:
    """Return the number of steps in so many epochs, a step that is begun counted whole.

    >>> count_steps(29 / 7, 7), count_steps(1.5, 5)
    (29, 8)
    """
    return math.ceil(epochs * per_epoch - 1e-9 * per_epoch)


def chunks(first: int, total: int, per_epoch: int, at_most: int) -> Iterator[tuple[int, int]]:
    """Cut the steps ``first .. total - 1`` into chunks ``(first, count)`` that end with an epoch.

    A length that divides the epoch is preferred, down to half of ``at_most``: then every stretch of the run is equally
    long and there is one program to compile.

    >>> list(chunks(0, 12, per_epoch=6, at_most=4))
    [(0, 3), (3, 3), (6, 3), (9, 3)]
    >>> list(chunks(5, 14, per_epoch=7, at_most=4))
    [(5, 2), (7, 4), (11, 3)]
    """
    lengths = range(min(at_most, per_epoch), max(1, at_most // 2) - 1, -1)
    length = next((n for n in lengths if per_epoch % n == 0), min(at_most, per_epoch))
    while first < total:
        epoch_end = (first // per_epoch + 1) * per_epoch
        count = min(length, epoch_end - first, total - first)
        yield first, count
        first += count


class Scanned:
    """Run ``n`` steps as one compiled scan, the batches gathered on the device."""

    def __init__(self, step: Step, loader: Loader, mesh: Mesh | None = None):
        def run(state: PyTree, arrays: Batch, indices: Array) -> tuple[PyTree, dict[str, Array]]:
            def one(state: PyTree, index: Array) -> tuple[PyTree, dict[str, Array]]:
                return step(state, parallel.spread(gather(arrays, index, padded=padded), mesh))

            return jax.lax.scan(one, state, indices)

        padded = not getattr(loader, "drop_remainder", True)
        self.loader, self.mesh = loader, mesh
        # What does not fit a device whole is cut over all of them, and each batch is put together from its parts.
        self.arrays = parallel.place_arrays(loader.arrays, mesh, cut=_bytes(loader) > _room())
        self.programs = Programs(run, mesh)

    def __call__(self, state: PyTree, first: int, count: int) -> tuple[PyTree, dict[str, Array]]:
        """Make ``count`` updates from ``first`` on; the metrics are ``[count, ...]``."""
        indices = parallel.place_batch({"index": self.loader.indices(first, count)}, self.mesh, axis=1)["index"]
        return self.programs(count, state, self.arrays, indices)


class Single:
    """Run ``n`` steps as ``n`` calls of one compiled step, each batch sent to the device while the last is computed."""

    def __init__(self, step: Step, loader: Loader, mesh: Mesh | None = None):
        self.loader, self.mesh = loader, mesh
        self.programs = Programs(step, mesh)

    def __call__(self, state: PyTree, first: int, count: int) -> tuple[PyTree, dict[str, Array]]:
        """Make ``count`` updates from ``first`` on; the metrics are ``[count, ...]``."""
        rows = []
        for number in range(first, first + count):
            state, metrics = self.programs(1, state, parallel.place_batch(self.loader.batch(number), self.mesh))
            rows.append(metrics)
        return state, jax.tree.map(lambda *values: np.stack(values), *jax.device_get(rows))


class Programs:
    """A function compiled ahead of the call, so that compiling is timed apart from running.

    It is compiled once for each number of steps, and for each form of the inputs: sequences come in buckets of lengths.
    """

    def __init__(self, function: Callable[..., tuple[PyTree, dict[str, Array]]], mesh: Mesh | None = None):
        self.function = function
        self.metrics_lie = None if mesh is None else NamedSharding(mesh, PartitionSpec())
        self.compiled: dict[tuple, Callable] = {}
        self.seconds = 0.0

    def __call__(self, steps: int, state: PyTree, *inputs: PyTree) -> tuple[PyTree, dict[str, Array]]:
        """Call the program for this number of steps."""
        form = (steps, *(leaf.shape for leaf in jax.tree.leaves(inputs)))
        if form not in self.compiled:
            started = time.perf_counter()
            # The state comes out placed as it goes in, also on several devices: the next call must fit the program.
            placement = jax.tree.map(lambda leaf: leaf.sharding, state)
            jitted = jax.jit(self.function, donate_argnums=0, out_shardings=(placement, self.metrics_lie))
            self.compiled[form] = jitted.lower(state, *inputs).compile()
            self.seconds += time.perf_counter() - started
        return self.compiled[form](state, *inputs)


def gather(arrays: Batch, index: Array, *, padded: bool) -> Batch:
    """Take the rows ``index`` of every array; where they may be padding, which -1 marks, add the mask that says so."""
    batch = dict(tree.take(arrays, index))
    if padded:
        counts = (index >= 0).astype(jnp.float32)
        mask = batch.get("mask", counts)
        batch["mask"] = mask * counts.reshape(-1, *[1] * (mask.ndim - 1))
    return batch


def _scans(loader: Loader, scan: bool | Literal["auto"], mesh: Mesh | None) -> bool:
    """Decide whether many steps become one compiled scan: where the arrays are in memory and small for the devices."""
    in_memory = hasattr(loader, "arrays") and hasattr(loader, "indices")
    if scan is True and not in_memory:
        raise ValueError("scan=True needs a loader with arrays and indices in memory, as jaxdl.data.Loader has")
    if scan != "auto":
        return bool(scan)
    return in_memory and _bytes(loader) <= _room() * parallel.data_devices(mesh)


def _bytes(loader: Loader) -> int:
    return sum(np.asarray(array).nbytes for array in loader.arrays.values())


def _room() -> float:
    """Say how many bytes of data a device may hold."""
    return DEVICE_SHARE * (jax.local_devices()[0].memory_stats() or {}).get("bytes_limit", 8 * 2**30)
