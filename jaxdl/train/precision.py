"""Mixed precision: models in 16 bits, with parameters, reductions and updates in float32; dynamic scaling of a loss."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen

from jaxdl.arrays import widen
from jaxdl.typing import Array, PyTree

PRECISIONS = {"float32": jnp.float32, "bfloat16": jnp.bfloat16, "float16": jnp.float16}
"""The types in which a step computes, by name."""


class LossScale(NamedTuple):
    """The dynamic scale of a loss in float16, whose gradients would underflow without.

    Attributes:
        scale: the factor of the loss, float32.
        finite_steps: steps without overflow since the last change, int32.
    """

    scale: Array
    finite_steps: Array


def init_loss_scale(shape: tuple[int, ...] = (), initial: float = 2.0**16) -> LossScale:
    """Make the first scale; stacked states have one each.

    >>> init_loss_scale().scale.item()
    65536.0
    """
    return LossScale(jnp.full(shape, initial, jnp.float32), jnp.zeros(shape, jnp.int32))


def adjust_loss_scale(
    state: LossScale, finite: Array, *, growth: float = 2.0, backoff: float = 0.5, interval: int = 2000
) -> LossScale:
    """Halve the scale after an overflow; double it after ``interval`` steps without.

    The rule and its constants are those of ``torch.amp.GradScaler``. A scale that would be infinite stays.

    Source: Micikevicius et al., "Mixed precision training", 2018.

    >>> adjust_loss_scale(init_loss_scale(), jnp.array(False)).scale.item()
    32768.0
    """
    steps = jnp.where(finite, state.finite_steps + 1, 0)
    grows = steps >= interval
    larger = jnp.where(jnp.isfinite(state.scale * growth), state.scale * growth, state.scale)
    scale = jnp.where(finite, jnp.where(grows, larger, state.scale), state.scale * backoff)
    return LossScale(scale, jnp.where(grows, 0, steps))


def in_precision(loss: Callable[..., Any], precision: str) -> Callable[..., Any]:
    """Make a loss that applies its model in ``precision``, a key of `PRECISIONS`.

    ``loss(variables, batch, key)`` gets the parameters in that type, and `modules_in` holds inside. Loss and metrics
    are in float32, and so is the gradient with respect to parameters in float32; the collections keep their types.
    """
    if precision == "float32":
        return loss
    dtype = PRECISIONS[precision]

    def narrowed(variables: Mapping[str, PyTree], batch: Mapping[str, Array], key: Array) -> Any:
        with modules_in(dtype):
            output = loss({**variables, "params": cast_floating(variables["params"], dtype)}, batch, key)
        output = _widened(output)
        if not isinstance(output, tuple) or len(output) != 2:
            return output
        value, (collections, metrics) = output
        return value, (_with_types_of(variables, collections), metrics)

    return narrowed


@contextmanager
def modules_in(dtype: Any) -> Iterator[None]:
    """Cast what enters a linen module to ``dtype``, and what leaves it back to float32, for the outermost module.

    Targets, masks and the loss around the model keep their type. A module computes in the type of its inputs and
    parameters, unless it has a field ``dtype``.

    >>> variables = {"params": {"kernel": jnp.ones((1, 1), jnp.bfloat16)}}
    >>> with modules_in(jnp.bfloat16):
    ...     y = linen.Dense(1, use_bias=False).apply(variables, jnp.array([1.001]))
    >>> y.dtype, y.item()
    (dtype('float32'), 1.0)
    """
    inside = False

    def cast(function: Callable, args: tuple, kwargs: Mapping[str, Any], context: linen.module.InterceptorContext):
        nonlocal inside
        if inside or context.method_name == "setup":
            return function(*args, **kwargs)
        inside = True
        try:
            output = function(*cast_floating(args, dtype), **cast_floating(dict(kwargs), dtype))
        finally:
            inside = False
        return _widened(output)

    with linen.intercept_methods(cast):
        yield


def cast_floating(values: PyTree, dtype: Any) -> PyTree:
    """Cast the floating-point arrays of a tree; everything else stays.

    >>> [leaf.dtype.name for leaf in cast_floating((np.ones(1), np.arange(1)), "float16")]
    ['float16', 'int64']
    """
    return jax.tree.map(lambda leaf: leaf.astype(dtype) if _is_floating(leaf) else leaf, values)


def _with_types_of(variables: Mapping[str, PyTree], collections: Mapping[str, PyTree]) -> dict[str, PyTree]:
    """Cast the collections after a pass to the types that they had before."""
    return {
        name: jax.tree.map(lambda new, old: jnp.asarray(new).astype(old.dtype), collection, variables[name])
        if jax.tree.structure(collection) == jax.tree.structure(variables.get(name))
        else collection
        for name, collection in collections.items()
    }


def _widened(values: PyTree) -> PyTree:
    return jax.tree.map(lambda leaf: widen(leaf) if _is_floating(leaf) else leaf, values)


def _is_floating(leaf: Any) -> bool:
    return isinstance(leaf, jax.Array | np.ndarray) and jnp.issubdtype(leaf.dtype, jnp.floating)
