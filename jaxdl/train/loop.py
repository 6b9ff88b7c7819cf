"""The training loop: run any ``step(state, batch) -> (state, metrics)`` over a loader's batches."""

from __future__ import annotations  # short signatures in help

import math
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, TypeGuard

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxdl.checks import check_in_range, check_one_of, check_positive_integer
from jaxdl.train import parallel
from jaxdl.train.leaves import check_alive, is_key
from jaxdl.train.parallel.consistency import check_same_leaves
from jaxdl.train.report import Hook, InMemoryLoader, Loader, Report, call_finish, call_hook, summarise
from jaxdl.train.step import Step, prepare
from jaxdl.typing import Array, Batch, PyTree

DEVICE_SHARE = 0.25
"""The largest share of a device's memory for a data set; a larger one is streamed."""


def fit(
    step: Step,
    state: PyTree,
    loader: Loader,
    *,
    epochs: float | None = None,
    steps: int | None = None,
    evaluate: Callable[[PyTree], dict[str, Any]] | None = None,
    evaluate_every: int | None = None,
    hooks: Sequence[Hook] = (),
    report_every: int = 50,
    scan: bool | Literal["auto"] = "auto",
    mesh: Mesh | None = None,
) -> tuple[PyTree, list[dict[str, Any]]]:
    """Train: ``state, metrics = step(state, batch)`` for every batch of every epoch, from ``state.step`` on.

    If the examples fit on the device, a chunk of steps is one compiled ``lax.scan`` and each batch is gathered on the
    device; else each step is one call, and its batch is sent ahead. Both give the same numbers. The state's buffers are
    donated: do not use the given state afterwards.

    Args:
        step: a pure function; the ``jax.vmap`` of one trains many states together, on the same batches.
        state: any pytree with an attribute ``step``. A restored state continues at its step: the batches depend on the
            number of the step only. What the step keeps in it besides is added, see `prepare`.
        loader: a ``Loader``, such as ``data.Loader``, or ``data.from_iterable`` of any iterable of batches.
        epochs: total number of passes over the data, counted from step zero. A fraction ends inside an epoch.
        steps: total number of steps, counted from step zero, instead of ``epochs``.
        evaluate: a function of the state, called at the end of every epoch and of the run, such as the result of
            ``make_evaluation``.
        evaluate_every: steps between evaluations, instead of those of an epoch.
        hooks: called in order with a ``Report`` after every chunk; all are called even if one ends the run, which it
            does by returning ``train.STOP``.
        report_every: the largest number of steps in a chunk. Chunks end with an epoch.
        scan: whether a chunk is one compiled call; ``"auto"`` decides by the size of the data.
        mesh: the devices, from ``parallel.make_mesh``. The rows of every batch are sharded over its axis ``"data"``;
            the state keeps the layout of ``parallel.place``, and leaves that are not on the mesh are replicated.

    Returns:
        The last state, and a row for every report: ``step``, ``epoch``, the mean of each metric over the chunk as
        ``train/NAME``, and the evaluation as ``evaluation/NAME``.

    Raises:
        ValueError: neither or both of epochs and steps are given, or one is not positive, the state has made all these
            steps already or was donated to another call, ``scan=True`` without arrays in memory, early stopping without
            ``evaluate``, or the devices do not divide a batch; and, in every process, if the processes differ in state,
            arrays or steps.
        TypeError: the loader or an argument is of another type, or a hook returns something else than None or
            ``train.STOP``.
    """
    check_positive_integer("report_every", report_every)
    check_one_of("scan", scan, (True, False, "auto"))
    _check_loader(loader)
    total, per_epoch = _length(loader, epochs, steps)
    if evaluate_every is not None:
        check_positive_integer("evaluate_every", evaluate_every)
    _check_functions(step, evaluate, hooks)
    check_alive(state)
    mesh = parallel.automatic(mesh)
    start = int(np.ravel(state.step)[0])
    if start >= total:
        given = f"steps={steps}" if epochs is None else f"epochs={epochs:g}"
        raise ValueError(
            f"expected a state before step {total}, the end of {given}, got one after step {start}; it counts from "
            "step zero: increase it to train on"
        )
    if mesh is not None:
        check_same_leaves({"first step": start, "last step": total, "report_every": report_every}, mesh)
    state = _unshared(parallel.on_mesh(jax.tree.map(jnp.asarray, prepare(step, state)), mesh))
    runner = Scanned(step, loader, mesh) if _is_scanned(loader, scan, mesh) else Single(step, loader, mesh)
    history = []
    between = evaluate_every or per_epoch
    for first, count in chunks(start, total, per_epoch, report_every, evaluate_every):
        started, compiled = time.perf_counter(), runner.programs.seconds
        state, metrics = runner(state, first, count)
        metrics = jax.device_get(metrics)
        jax.block_until_ready(state)  # device_get has not waited if there are no metrics
        seconds = time.perf_counter() - started - (runner.programs.seconds - compiled)
        done = first + count
        at_end = done % between == 0 or done == total
        evaluation = evaluate(state) if evaluate is not None and at_end else None
        compile_seconds = runner.programs.seconds
        report = Report(done, done / per_epoch, state, metrics, evaluation, seconds, compile_seconds, total, count)
        history.append(summarise(report))
        if any([call_hook(hook, report) for hook in hooks]) or done == total:
            for hook in hooks:
                call_finish(hook, report)
            break
    return state, history


def count_steps(epochs: float, per_epoch: int) -> int:
    """Return the number of steps in a number of epochs, rounded up: at least one for a positive number.

    >>> count_steps(29 / 7, 7), count_steps(1.5, 5)
    (29, 8)
    """
    return max(int(epochs > 0), math.ceil(epochs * per_epoch - 1e-9 * per_epoch))


def chunks(
    first: int, total: int, per_epoch: int, at_most: int, evaluate_every: int | None = None
) -> Iterator[tuple[int, int]]:
    """Cut the steps ``first .. total - 1`` into chunks ``(first, count)`` that end with an epoch or an evaluation.

    A length that divides both is preferred, down to half of ``at_most``: then all chunks have one length and share one
    compiled program.

    >>> list(chunks(0, 12, per_epoch=6, at_most=4))
    [(0, 3), (3, 3), (6, 3), (9, 3)]
    >>> list(chunks(5, 14, per_epoch=7, at_most=4))
    [(5, 2), (7, 4), (11, 3)]
    """
    every = evaluate_every or per_epoch
    common = math.gcd(per_epoch, every)
    lengths = range(min(at_most, common), max(1, at_most // 2) - 1, -1)
    length = next((n for n in lengths if common % n == 0), min(at_most, per_epoch, every))
    while first < total:
        count = min(length, per_epoch - first % per_epoch, every - first % every, total - first)
        yield first, count
        first += count


class Scanned:
    """Run ``n`` steps as one compiled scan, the batches gathered on the device."""

    def __init__(self, step: Step, loader: InMemoryLoader, mesh: Mesh | None = None):
        def run(state: PyTree, arrays: Batch, indices: Array) -> tuple[PyTree, dict[str, Array]]:
            def one(state: PyTree, index: Array) -> tuple[PyTree, dict[str, Array]]:
                return step(state, parallel.shard_batch(parallel.gather_batch(arrays, index, padded=padded), mesh))

            return jax.lax.scan(one, state, indices)

        padded = not getattr(loader, "drop_remainder", True)
        self.loader, self.mesh = loader, mesh
        # Arrays too large for one device are sharded over all of them, and each batch is gathered from the shards.
        self.arrays = parallel.place_arrays(loader.arrays, mesh, shard=_bytes(loader) > _device_bytes())
        self.programs = Programs(run, mesh)

    def __call__(self, state: PyTree, first: int, count: int) -> tuple[PyTree, dict[str, Array]]:
        """Make ``count`` updates, the first of them number ``first``; the metrics are ``[count, ...]``."""
        indices = parallel.place_batch({"index": self.loader.indices(first, count)}, self.mesh, axis=1)["index"]
        return self.programs(count, state, self.arrays, indices)


class Single:
    """Run ``n`` steps as ``n`` calls of one compiled step; each batch is sent while the step before it runs."""

    def __init__(self, step: Step, loader: Loader, mesh: Mesh | None = None):
        self.loader, self.mesh = loader, mesh
        self.programs = Programs(step, mesh)

    def __call__(self, state: PyTree, first: int, count: int) -> tuple[PyTree, dict[str, Array]]:
        """Make ``count`` updates, the first of them number ``first``; the metrics are ``[count, ...]``."""
        rows = []
        for number in range(first, first + count):
            state, metrics = self.programs(1, state, parallel.place_batch(self.loader.batch(number), self.mesh))
            rows.append(metrics)
        return state, jax.tree.map(lambda *values: np.stack(values), *jax.device_get(rows))


class Programs:
    """A function compiled ahead of the call, so that compilation and execution are timed separately.

    It is compiled once for each number of steps and each shape of the inputs, such as the lengths of buckets.
    """

    def __init__(self, function: Callable[..., tuple[PyTree, dict[str, Array]]], mesh: Mesh | None = None):
        self.function = function
        self.metrics_sharding = None if mesh is None else NamedSharding(mesh, PartitionSpec())
        self.compiled: dict[tuple, Callable] = {}
        self.seconds = 0.0

    def __call__(self, steps: int, state: PyTree, *inputs: PyTree) -> tuple[PyTree, dict[str, Array]]:
        """Call the program for ``steps`` steps."""
        if jax.config.jax_disable_jit:  # pyright: ignore[reportAttributeAccessIssue]  # attributes made at run time
            return self.function(state, *inputs)
        form = (steps, *(leaf.shape for leaf in jax.tree.leaves(inputs)))
        if form not in self.compiled:
            started = time.perf_counter()
            # The state keeps its shardings, so that the next call fits the program.
            shardings = jax.tree.map(lambda leaf: leaf.sharding, state)
            jitted = jax.jit(self.function, donate_argnums=0, out_shardings=(shardings, self.metrics_sharding))
            self.compiled[form] = jitted.lower(state, *inputs).compile()
            self.seconds += time.perf_counter() - started
        return self.compiled[form](state, *inputs)


def _is_scanned(loader: Loader, scan: bool | Literal["auto"], mesh: Mesh | None) -> TypeGuard[InMemoryLoader]:
    """Decide whether a chunk of steps becomes one scan: if the arrays are in memory and small for the devices."""
    in_memory = _is_in_memory(loader)
    if scan is True and not in_memory:
        raise ValueError(
            f"expected a loader with arrays in memory for scan=True, got {type(loader).__name__}; use data.Loader"
        )
    if scan != "auto":
        return bool(scan)
    return in_memory and _bytes(loader) <= _device_bytes() * parallel.data_devices(mesh)


def _length(loader: Loader, epochs: float | None, steps: int | None) -> tuple[int, int]:
    """Return the number of steps in a run and in an epoch; a loader without a length has one epoch, the run."""
    if steps is not None and epochs is None:
        check_positive_integer("steps", steps)
        return steps, loader.steps_per_epoch or steps
    if epochs is None or steps is not None:
        raise ValueError(f"expected either epochs or steps, got epochs={epochs} and steps={steps}; give one of them")
    check_in_range("epochs", epochs, 0, math.inf, includes_low=False, includes_high=False)
    if loader.steps_per_epoch is None:
        raise ValueError(f"expected steps=... for a loader without a length, got epochs={epochs:g}; give steps instead")
    return count_steps(epochs, loader.steps_per_epoch), loader.steps_per_epoch


def _check_loader(loader: Any) -> None:
    """Check that a loader gives batches by number."""
    if callable(getattr(loader, "batch", None)) and hasattr(loader, "steps_per_epoch"):
        if loader.steps_per_epoch is not None:
            check_positive_integer("loader.steps_per_epoch", loader.steps_per_epoch)
        return
    raise TypeError(
        f"expected a loader with steps_per_epoch and batch(step), got {type(loader).__name__}; use "
        "data.Loader(arrays, batch_size), data.from_iterable(iterable) for any iterable of batches, or a class with "
        "these two that returns the same batch for the same step"
    )


def _check_functions(step: Any, evaluate: Any, hooks: Any) -> None:
    """Check that step, evaluation and hooks can be called, and that hooks that need an evaluation have one."""
    if isinstance(hooks, Callable) or not isinstance(hooks, Sequence):
        raise TypeError(f"expected a list of hooks, got {type(hooks).__name__}; put it into brackets")
    named = {"step": step, **({} if evaluate is None else {"evaluate": evaluate})}
    for name, function in {**named, **{f"hooks[{i}]": hook for i, hook in enumerate(hooks)}}.items():
        if not callable(function):
            raise TypeError(f"expected {name} to be a function, got {type(function).__name__}")
        if isinstance(function, type):
            raise TypeError(f"expected {name} to be a function, got the class {function.__name__}; call it")
    needing = [type(hook).__name__ for hook in hooks if getattr(hook, "needs_evaluation", False)]
    if needing and evaluate is None:
        raise ValueError(f"expected evaluate=... for the hook {needing[0]}, got None; it decides by evaluations")


def _unshared(state: PyTree) -> PyTree:
    """Copy every leaf that shares its buffer with an earlier one: a buffer can be donated only once."""
    seen: set[Any] = set()

    def own(leaf: Array) -> Array:
        data = jax.random.key_data(leaf) if is_key(leaf) else leaf
        buffers = {shard.data.unsafe_buffer_pointer() for shard in data.addressable_shards if shard.data.size}
        shared = id(leaf) in seen or bool(buffers & seen)
        seen.update(buffers, {id(leaf)})
        return jnp.copy(leaf) if shared else leaf

    return jax.tree.map(own, state)


def _is_in_memory(loader: Loader) -> TypeGuard[InMemoryLoader]:
    return hasattr(loader, "arrays") and hasattr(loader, "indices")


def _bytes(loader: InMemoryLoader) -> int:
    return sum(np.asarray(array).nbytes for array in loader.arrays.values())


def _device_bytes() -> float:
    """Return the largest size in bytes of a data set on one device."""
    return DEVICE_SHARE * (jax.local_devices()[0].memory_stats() or {}).get("bytes_limit", 8 * 2**30)
