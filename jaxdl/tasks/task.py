"""The interface between a task and training."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen
from jax.extend.core import ClosedJaxpr, jaxpr_as_fun
from jax.interpreters import partial_eval

from jaxdl.arrays import fit_mask
from jaxdl.checks import did_you_mean
from jaxdl.metrics import Mean
from jaxdl.nn.normalization import row_mask
from jaxdl.typing import Array, ArrayLike, Batch, Key, PyTree

Variables = dict[str, PyTree]


class Task(NamedTuple):
    """A model, a loss and metrics, as three pure functions.

    Attributes:
        init: ``init(key, batch) -> variables``, the model's variables for batches of this shape.
        loss: ``loss(variables, batch, key) -> (loss, (collections, metrics))`` in training mode: the mean loss over the
            examples whose mask is 1, and the model's variables other than ``"params"`` after the pass.
        measure: ``measure(variables, batch) -> {name: Mean}`` in evaluation mode.
    """

    init: Callable[[Key, Batch], Variables]
    loss: Callable[[Variables, Batch, Key], tuple[Array, tuple[Variables, dict[str, Array]]]]
    measure: Callable[[Variables, Batch], dict[str, Mean]]


@dataclass(frozen=True)
class CountedLoss:
    """A loss that is a mean over something else than the rows of a batch, with the denominator of this mean.

    Where a batch is processed in parts, on several devices or one after the other, ``train.make_step`` weights them by
    ``count``.

    Attributes:
        function: the loss, as in `Task`.
        count: ``count(batch)``, the denominator.
    """

    function: Callable[[Variables, Batch, Key], tuple[Array, tuple[Variables, dict[str, Array]]]]
    count: Callable[[Batch], Array]

    def __call__(
        self, variables: Variables, batch: Batch, key: Key
    ) -> tuple[Array, tuple[Variables, dict[str, Array]]]:
        """Compute the loss."""
        return self.function(variables, batch, key)


def check_names(batch: Batch, names: Iterable[str]) -> None:
    """Check that a batch has the arrays that a task reads.

    Raises:
        ValueError: one is missing.
        TypeError: the batch has no names.

    >>> check_names({"images": 0, "label": 0}, ("image", "label"))
    Traceback (most recent call last):
    ValueError: expected batches with 'image', got 'images', 'label'; did you mean 'images'?
    """
    if not isinstance(batch, Mapping):
        raise TypeError(f"expected a batch of named arrays, got a {type(batch).__name__}; make it a dict")
    for name in names:
        if name not in batch:
            found = ", ".join(map(repr, sorted(batch))) or "nothing"
            raise ValueError(f"expected batches with {name!r}, got {found}; {did_you_mean(name, batch)}")


def masked_labels(labels: ArrayLike, mask: ArrayLike | None) -> Array:
    """Replace the labels whose mask is 0, which may be anything, by class 0.

    >>> masked_labels(jnp.array([[2, -1], [1, 9]]), jnp.array([[1, 0], [1, 0]])).tolist()
    [[2, 0], [1, 0]]
    """
    labels = jnp.asarray(labels)
    return labels if mask is None else jnp.where(fit_mask(mask, labels.shape) != 0, labels, 0)


def masked_inputs(x: ArrayLike, mask: ArrayLike | None) -> Array:
    """Replace negative integers, NaN and infinity by 0 where the mask is 0; all other numbers stay.

    These would be no tokens, or make the gradient nan, although what they lead to does not count.

    >>> masked_inputs(jnp.array([[2, -1], [-100, 1]]), jnp.array([[1, 0], [0, 1]])).tolist()
    [[2, 0], [0, 1]]
    """
    x = jnp.asarray(x)
    if mask is None:
        return x
    if jnp.issubdtype(x.dtype, jnp.inexact):
        valid = jnp.isfinite(x)
    elif jnp.issubdtype(x.dtype, jnp.signedinteger):
        valid = x >= 0
    else:
        return x
    return jnp.where(valid | (fit_mask(mask, x.shape) != 0), x, 0)


def apply_in_training(
    model: linen.Module, variables: Variables, x: Array, key: Key, *, rows: Array | None = None, **options: Any
) -> tuple[Any, Variables]:
    """Apply a model with ``train=True``; return its output and its collections (batch statistics) after the pass.

    Rows that fill up a batch are copies of examples: with the mask of a batch as ``rows`` they do not count in the
    moments of any batch norm, so that these are those of the batch without them, and may hold anything.

    Args:
        model: a module.
        variables: of the model.
        x: its input.
        key: for random layers, dropout for instance.
        rows: the mask of the batch, ``[B, ...]``; a row whose mask is 0 everywhere does not count, see `nn.row_mask`.
        **options: for the model.
    """
    collections = [name for name in variables if name != "params"]
    rngs = {"dropout": key}
    if rows is not None:
        rows = _any_step(rows)
        x, options = _clear_rows((x, options), rows)
    with row_mask(rows):
        output, updated = model.apply(variables, x, train=True, mutable=collections, rngs=rngs, **options)
    return output, dict(updated)


def _any_step(mask: Array) -> Array:
    """Return which rows of a mask ``[B, ...]`` count in any step."""
    return jnp.any(jnp.asarray(mask) != 0, axis=tuple(range(1, jnp.ndim(mask))))


def _clear_rows(inputs: PyTree, rows: Array) -> PyTree:
    """Replace tokens, NaN and infinity by 0 in the rows whose mask is 0, of all arrays of as many rows."""

    def clear(leaf: Any) -> Any:
        if not isinstance(leaf, jax.Array | np.ndarray) or leaf.shape[:1] != rows.shape:
            return leaf
        if leaf.ndim > 1 and jnp.issubdtype(leaf.dtype, jnp.integer):  # no lengths
            return jnp.where(fit_mask(rows, leaf.shape) != 0, leaf, 0)
        return masked_inputs(leaf, rows)

    return jax.tree.map(clear, inputs)


def apply_in_evaluation(
    model: linen.Module, variables: Variables, x: Array, *, rows: Array | None = None, **options: Any
) -> Any:
    """Apply a model with ``train=False``; return its output. Rows whose mask ``rows`` is 0 may hold anything."""
    if rows is not None:
        x, options = _clear_rows((x, options), _any_step(rows))
    return model.apply(variables, x, train=False, **options)


def init_model(model: linen.Module, key: Key, x: Array, **options: Any) -> Variables:
    """Initialize a model's variables in training mode, including all that training needs.

    Only the shape of ``x`` matters. The computation that the initial values do not depend on, nearly all of the
    network, is neither compiled nor run.
    """
    params_key, dropout_key = jax.random.split(key)
    rngs = {"params": params_key, "dropout": dropout_key}
    init = partial(model.init, train=True, **options)
    x = jax.eval_shape(jnp.asarray, x)
    closed, form = jax.make_jaxpr(init, return_shape=True)(rngs, x)
    needed, _ = partial_eval.dce_jaxpr(closed.jaxpr, [True] * len(closed.out_avals), instantiate=True)
    values = jaxpr_as_fun(ClosedJaxpr(needed, closed.consts))(*jax.tree.leaves(rngs), jnp.zeros(x.shape, x.dtype))
    return dict(jax.tree.unflatten(jax.tree.structure(form), values))
