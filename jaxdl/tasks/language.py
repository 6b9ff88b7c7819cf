"""Language modelling: the next token, given all that came before."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn

from jaxdl import losses, metrics
from jaxdl.metrics import Mean
from jaxdl.nn import recurrent
from jaxdl.tasks.task import Task, Variables, apply_in_training, init_model
from jaxdl.typing import Array, Batch, Key, PyTree

CARRY, STATES = "carry", "states"


class Perplexity(NamedTuple):
    """``exp`` of a mean that grows, the mean loss in nats: between how many equal choices the model wavers.

    >>> round(Perplexity(jnp.log(8.0) * 2, jnp.float32(2)).value.item(), 4)
    8.0
    """

    total: Array
    count: Array

    def merge(self, other: "Perplexity") -> "Perplexity":
        """Add what another has seen."""
        return Perplexity(self.total + other.total, self.count + other.count)

    @property
    def value(self) -> Array:
        """The perplexity; nan where nothing was counted."""
        return jnp.exp(self.total / self.count)


def language_model(model: nn.Module, *, window: int | None = 256, unit: str = "token") -> Task:
    """Learn ``p(x_(t+1) | x_1 .. x_t) = softmax(model(x_1 .. x_t))`` by cross-entropy, ``-ln p`` in nats.

    Batches have ``"token"`` and ``"target"`` ``[B, T]``, and may have ``"mask"`` ``[B, T]`` or ``[B]``.

    Where they also have ``"start"`` ``[B]``, as ``data.text.windows`` makes them, they are windows of streams: a row
    goes on where it ended in the batch before, with the state of then, unless ``start`` is 1, which begins anew from
    zeros. The state is kept in the collection ``"carry"`` of the variables, and so in checkpoints; the gradient ends at
    the window. This is truncated backpropagation through time (Williams and Peng, 1990), and backpropagation through
    all time where one window holds the whole stream. Without ``"start"`` every row begins from zeros.

    Training reports ``bits_per_UNIT``, the loss by ``ln 2``, and ``perplexity``, its exponential. Evaluation reports
    these and ``loss``; it reads every row from zeros to its end, so rows should be whole streams, as
    ``data.text.streams`` makes them.

    Args:
        model: ``model.apply(variables, tokens, carry, train=..., return_intermediates=True)`` gives logits ``[B, T,
            V]`` and features with ``"carry"``; ``model.init_carry((B,))`` gives zeros. ``RecurrentLanguageModel`` is
            one. So is ``GPT``, whose rows hold no more than its context, and for which there is no ``"start"``.
        window: tokens of a row that are evaluated at a time, which decides memory, not the result; None for all, as it
            always is for a model whose carry is a cache of what was read.
        unit: what a token is, "character" or "word".

    Raises:
        ValueError: window is not positive; while training, that a batch has other rows than the carried state.
    """
    if window is not None and window < 1:
        raise ValueError(f"window is the number of tokens evaluated at a time and must be at least 1, got {window}")
    bits = f"bits_per_{unit}"

    def init(key: Key, batch: Batch) -> Variables:
        variables = init_model(model, key, batch["token"])
        if "start" in batch:
            variables[CARRY] = {STATES: model.init_carry((len(batch["token"]),))}
        return variables

    def loss(variables: Variables, batch: Batch, key: Key) -> tuple[Array, tuple[Variables, dict[str, Array]]]:
        weights = {name: tree for name, tree in variables.items() if name != CARRY}
        carry = _carried(variables, batch) if "start" in batch else None
        (logits, features), collections = apply_in_training(
            model, weights, batch["token"], key, carry=carry, return_intermediates=True
        )
        value = losses.cross_entropy(logits, batch["target"], mask=batch.get("mask"))
        if "start" in batch:
            collections[CARRY] = {STATES: features["carry"]}
        return value, (collections, {bits: value / math.log(2), "perplexity": jnp.exp(value)})

    def measure(variables: Variables, batch: Batch) -> dict[str, Mean]:
        weights = {name: tree for name, tree in variables.items() if name != CARRY}
        size, length = batch["token"].shape
        mask = batch.get("mask", jnp.ones(size))
        mask = jnp.broadcast_to(mask.reshape(size, -1), (size, length))
        batch = {"mask": mask, "token": batch["token"], "target": batch["target"]}

        def piece(carry, part):
            logits, features = model.apply(weights, part["token"], carry, train=False, return_intermediates=True)
            lost = losses.cross_entropy(logits, part["target"], reduction="none")
            return features.get("carry"), metrics.mean(lost, part["mask"])

        if _is_cache(jax.eval_shape(lambda: model.init_carry((size,)))):
            _, nats = piece(None, batch)
        else:
            pieces = recurrent.split_time(batch, min(window or length, length))
            _, parts = jax.lax.scan(piece, model.init_carry((size,)), pieces)
            nats = jax.tree.map(jnp.sum, parts)
        return {"loss": nats, bits: Mean(nats.total / math.log(2), nats.count), "perplexity": Perplexity(*nats)}

    return Task(init, loss, measure)


def _carried(variables: Variables, batch: Batch):
    """Return the state that the batch goes on from, zeros in rows that begin."""
    if CARRY not in variables:
        raise ValueError('a batch with "start" goes on from the state of the one before it: init the task with one')
    rows, begins = len(batch["token"]), batch["start"] != 0
    if _is_cache(variables[CARRY][STATES]):
        raise ValueError(
            "a cache of keys and values cannot begin anew in single rows, as a recurrent state can: give batches "
            'without "start", whose rows all begin anew'
        )

    def going_on(leaf: Array) -> Array:
        if len(leaf) != rows:
            raise ValueError(
                f"the carried state has {len(leaf)} rows and the batch {rows}: windows of streams go with one batch "
                "size, and are not accumulated in parts"
            )
        return jnp.where(begins.reshape(-1, *[1] * (leaf.ndim - 1)), jnp.zeros((), leaf.dtype), leaf)

    return jax.tree.map(going_on, variables[CARRY][STATES])


def _is_cache(carry: PyTree) -> bool:
    """Tell keys and values, which count how many there are, from the states of recurrent networks, one in every row."""
    return any(leaf.ndim == 0 for leaf in jax.tree.leaves(carry))
