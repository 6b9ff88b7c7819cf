"""The state of a training run: everything that a step reads and updates."""

from __future__ import annotations

from typing import Any, Self

import jax
import jax.numpy as jnp
import optax
from flax import struct

from jaxdl.typing import Array, Key, PyTree


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
    """

    step: Array
    params: PyTree
    collections: dict[str, PyTree]
    opt_state: PyTree
    key: Key

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
