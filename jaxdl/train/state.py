"""The state of a training run: everything that a step reads and updates."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, Self

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import struct

from jaxdl import tree
from jaxdl.checks import is_integer
from jaxdl.typing import Array, Batch, Key, PyTree


@struct.dataclass
class TrainState:
    """The state that a step maps to its successor, ``step(state, batch) -> (state, metrics)``.

    Attributes:
        step: number of updates made so far, ``int32 []``.
        params: the parameters, updated by the optimizer.
        collections: every other variable collection of the model by name, ``batch_stats`` for instance.
        opt_state: the optimizer's state.
        key: the run's random key. It never changes: a step uses ``fold_in(key, step)``, so that a resumed run has the
            random numbers of an uninterrupted one.
        average: the average of the parameters that ``make_step(average=...)`` keeps, in at least float32, or None.
        loss_scale: that of ``make_step(precision="float16")``, a `LossScale`, or None.
    """

    step: Array
    params: PyTree
    collections: dict[str, PyTree]
    opt_state: PyTree
    key: Key
    average: PyTree = struct.field(default=None, kw_only=True)
    loss_scale: PyTree = struct.field(default=None, kw_only=True)

    @classmethod
    def create(
        cls, variables: dict[str, PyTree], optimizer: optax.GradientTransformation, key: Key, **fields: Any
    ) -> Self:
        """Make the initial state from a model's variables, as ``model.init`` returns them.

        Args:
            variables: collections by name, one of them ``params``.
            optimizer: makes the optimizer's state.
            key: the random key of the run.
            **fields: those that a subclass adds.

        Raises:
            ValueError: the variables have no collection ``params``.
            TypeError: the optimizer is none.

        >>> state = TrainState.create({"params": {"w": jnp.zeros(3)}}, optax.sgd(0.1), jax.random.key(0))
        >>> int(state.step)
        0
        """
        if "params" not in variables:
            raise ValueError(
                f"expected variables with a collection 'params', got {sorted(variables)}; pass the result of model.init"
            )
        check_optimizer(optimizer)
        collections = {name: collection for name, collection in variables.items() if name != "params"}
        params = variables["params"]
        state = cls(jnp.zeros((), jnp.int32), params, collections, optimizer.init(params), key, **fields)
        return jax.tree.map(_copy, state)

    @property
    def variables(self) -> dict[str, PyTree]:
        """The variables for ``model.apply``."""
        return {"params": self.params, **self.collections}

    @property
    def averaged(self) -> dict[str, PyTree]:
        """The variables with the average of the parameters in their place.

        Raises:
            ValueError: the state has no average.
        """
        if self.average is None:
            raise ValueError("expected a state with an average, got None; train with make_step(..., average=0.999)")
        return {"params": self.average, **self.collections}

    def __repr__(self) -> str:
        parts = {name: getattr(self, name) for name in ("params", "collections", "opt_state", "average")}
        sizes = [f"{name}={_describe(part)}" for name, part in parts.items() if jax.tree.leaves(part)]
        scale = [] if self.loss_scale is None else [f"loss_scale={self.loss_scale.scale}"]
        return f"{type(self).__name__}({', '.join([f'step={self.step}', *sizes, *scale])})"


class TaskLike(Protocol):
    """What `start` reads of a task."""

    @property
    def init(self) -> Callable[[Key, Batch], dict[str, PyTree]]:
        """``init(key, batch) -> variables``."""
        ...


class LoaderLike(Protocol):
    """What `start` reads of a loader."""

    def batch(self, step: int) -> Batch:
        """Return the batch of a step."""
        ...


def start(task: TaskLike, optimizer: optax.GradientTransformation, loader: LoaderLike, seed: int = 0) -> TrainState:
    """Make the initial state of a run: initialize the model of a task, the optimizer and the random key.

    The keys of the initialization and of the run are the two of ``jax.random.split(jax.random.key(seed))``. Only the
    shapes of the loader's first batch matter. All of it is one compiled program.

    Args:
        task: has ``init(key, batch) -> variables``; one of ``jaxdl.tasks``, for instance.
        optimizer: one of ``jaxdl.optim`` or any optax transformation.
        loader: has ``batch(step)``, as ``data.Loader`` and ``data.from_iterable`` do.
        seed: seed of the run.

    Raises:
        TypeError: the optimizer is none, the loader has no batches by number, a batch has texts, or the seed is no
            integer.
        ValueError: ``task.init`` returns no parameters.

    >>> import numpy as np
    >>> from jaxdl import data, models, tasks
    >>> task = tasks.classification(models.create("mlp"))
    >>> loader = data.Loader({"image": np.zeros((4, 8, 8, 1), np.float32)}, batch_size=2)
    >>> start(task, optax.sgd(0.1), loader)
    TrainState(step=0, params=8,970 numbers in 6 arrays)
    """
    check_optimizer(optimizer)
    if not is_integer(seed):
        raise TypeError(f"expected an integer seed, got {seed!r}")
    if not callable(getattr(loader, "batch", None)):
        raise TypeError(
            f"expected a loader with batch(step), got {type(loader).__name__}; use data.Loader(arrays, batch_size), or "
            "data.from_iterable for an iterable of batches"
        )

    batch = dict(loader.batch(0))
    hosted = {name: leaf for name, leaf in tree.flatten(batch).items() if not isinstance(leaf, jax.Array)}
    texts = [name for name, leaf in hosted.items() if np.asarray(leaf).dtype.kind in "OSUT"]
    if texts:
        raise TypeError(f"expected arrays of numbers, got texts or objects in {', '.join(texts)}; leave them out")

    @jax.jit
    def create(key: Key, batch: Batch) -> TrainState:
        init_key, run_key = jax.random.split(key)
        return TrainState.create(task.init(init_key, batch), optimizer, run_key)

    return create(jax.random.key(seed), batch)


def check_optimizer(optimizer: object) -> None:
    """Check that an optimizer has its two functions, ``init`` and ``update``.

    Raises:
        TypeError: it lacks one, as a function that makes optimizers does.

    >>> check_optimizer(optax.sgd)
    Traceback (most recent call last):
    TypeError: expected an optimizer with init and update, got the function sgd; call it, sgd(learning_rate)
    """
    if callable(getattr(optimizer, "init", None)) and callable(getattr(optimizer, "update", None)):
        return
    name = getattr(optimizer, "__name__", None)
    found = f"the function {name}; call it, {name}(learning_rate)" if callable(optimizer) and name else repr(optimizer)
    raise TypeError(f"expected an optimizer with init and update, got {found}")


def _copy(leaf: Array) -> Array:
    """Copy a leaf with a strong dtype: a donated buffer must not be shared, and the carry of a scan not be weak."""
    return jnp.array(leaf, dtype=leaf.dtype) if isinstance(leaf, jax.Array) else jnp.asarray(leaf)


def _describe(part: PyTree) -> str:
    """Describe a tree by its size: numbers and arrays."""
    leaves = jax.tree.leaves(part)
    return f"{sum(leaf.size for leaf in leaves):,} numbers in {len(leaves)} arrays"
