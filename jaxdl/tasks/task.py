"""What a task tells the training engine."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.extend.core import ClosedJaxpr, jaxpr_as_fun
from jax.interpreters import partial_eval

from jaxdl.metrics import Mean
from jaxdl.typing import Array, Batch, Key, PyTree

Variables = dict[str, PyTree]


class Task(NamedTuple):
    """A model, a loss and metrics, as three pure functions.

    Attributes:
        init: ``init(key, batch) -> variables``, the model's variables for batches of this shape.
        loss: ``loss(variables, batch, key) -> (loss, (collections, metrics))`` in training mode, the loss a mean over
            the examples whose mask is one, ``collections`` the model's other variables after the pass.
        measure: ``measure(variables, batch) -> {name: Mean}`` in evaluation mode.
    """

    init: Callable[[Key, Batch], Variables]
    loss: Callable[[Variables, Batch, Key], tuple[Array, tuple[Variables, dict[str, Array]]]]
    measure: Callable[[Variables, Batch], dict[str, Mean]]


def apply_in_training(
    model: nn.Module, variables: Variables, x: Array, key: Key, **options: Any
) -> tuple[Any, Variables]:
    """Apply a model with ``train=True``: return its output and its collections (batch statistics) after the pass.

    ``key`` feeds every random layer, dropout for instance; ``options`` go to the model.
    """
    collections = [name for name in variables if name != "params"]
    rngs = {"dropout": key}
    output, updated = model.apply(variables, x, train=True, mutable=collections, rngs=rngs, **options)
    return output, dict(updated)


def init_model(model: nn.Module, key: Key, x: Array, **options: Any) -> Variables:
    """Make a model's variables in training mode, so that everything that training needs exists.

    The shape of ``x`` is all that is looked at: what the initial values do not depend on, which is nearly all of the
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
