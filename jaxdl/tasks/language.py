"""Language modeling: predict the next token from all before it."""

import math
from collections.abc import Mapping
from functools import partial

import jax
import jax.numpy as jnp
from flax import linen

from jaxdl import losses, metrics
from jaxdl.arrays import fit_mask
from jaxdl.checks import check_positive_integer
from jaxdl.metrics import Mean
from jaxdl.nn import recurrent
from jaxdl.tasks.task import (
    Task,
    Variables,
    apply_in_evaluation,
    apply_in_training,
    check_names,
    init_model,
    masked_inputs,
    masked_labels,
)
from jaxdl.typing import Array, Batch, Key, PyTree

CARRY, STATES = "carry", "states"


class Perplexity(Mean):
    """The exponential of a running mean loss in nats: the number of equally probable choices of the same loss.

    >>> round(Perplexity(jnp.log(8.0) * 2, jnp.float32(2)).value.item(), 4)
    8.0
    """

    @property
    def value(self) -> Array:
        """The perplexity; nan where nothing was counted."""
        return jnp.exp(super().value)


def language_model(model: linen.Module, *, window: int | None = 256, unit: str = "token") -> Task:
    """Learn ``p(x_(t+1) | x_1 .. x_t) = softmax(model(x_1 .. x_t))`` by cross-entropy, ``-ln p`` in nats.

    Batches have ``"token"`` and ``"target"`` ``[B, T]``, and may have ``"mask"`` ``[B, T]`` or ``[B]``.

    Where they also have ``"start"`` ``[B]``, as ``data.text.windows`` makes them, they are windows of streams: a row
    continues its row of the batch before, with the state after it, unless ``start`` is 1, where it begins from zeros.
    The state is kept in the collection ``"carry"`` of the variables, and so in checkpoints; the gradient ends at the
    window. This is truncated backpropagation through time (Williams and Peng, 1990), and full backpropagation through
    time where one window holds the whole stream. Without ``"start"`` every row begins from zeros.

    Training reports ``bits_per_UNIT``, the loss divided by ``ln 2``, and ``perplexity``, its exponential; over several
    steps, parts or devices that is the exponential of their mean loss. Evaluation
    reports these and ``loss``; it reads every row from zeros to its end, so rows should be whole streams, as
    ``data.text.streams`` makes them.

    Args:
        model: ``model.apply(variables, tokens, carry, train=..., return_intermediates=True)`` returns logits ``[B, T,
            V]`` and intermediates with ``"carry"``; ``model.init_carry((B,))`` returns zeros. It is a
            ``RecurrentLanguageModel``, or without ``"start"`` a ``WaveNet``, a ``GPT`` or a ``Llama``, whose rows are
            at most as long as its context; these are called without carry and intermediates. Where it has a method
            ``token_losses``, as those two, the logits of long rows and large vocabularies are never all in memory.
        window: the number of tokens of a row evaluated at a time, which limits memory and does not change the result;
            None for all, as always for a model whose carry is a cache.
        unit: what a token is, "character" or "word".

    Raises:
        ValueError: window is not positive; when a function of the task is traced, a batch lacks an array, or has other
            rows than the carried state.
    """
    if window is not None:
        check_positive_integer("window", window)
    bits = f"bits_per_{unit}"

    def init_carry(size: int) -> PyTree:
        return model.init_carry((size,))

    def init(key: Key, batch: Batch) -> Variables:
        check_names(batch, ["token"])
        variables = init_model(model, key, batch["token"])
        if "start" in batch:
            variables[CARRY] = {STATES: init_carry(len(batch["token"]))}
        return variables

    def loss(variables: Variables, batch: Batch, key: Key) -> tuple[Array, tuple[Variables, dict[str, Array]]]:
        check_names(batch, ["token", "target"])
        mask = batch.get("mask")
        more = {"carry": _continued_carry(variables, batch), "return_intermediates": True} if "start" in batch else {}
        token = masked_inputs(batch["token"], mask)
        apply = partial(apply_in_training, model, _without_carry(variables), token, key, rows=mask)
        if not more and hasattr(model, "token_losses"):
            nats, collections = apply(targets=masked_labels(batch["target"], mask), method="token_losses")
            value = _mean(nats, mask)
        else:
            output, collections = apply(**more)
            logits, out = output if more else (output, {})
            value = losses.cross_entropy(logits, batch["target"], mask=mask)
        if more:
            collections[CARRY] = {STATES: out["carry"]}
        return value, (collections, {bits: value / math.log(2), "perplexity": jnp.exp(value)})

    def measure(variables: Variables, batch: Batch) -> dict[str, Mean]:
        check_names(batch, ["token", "target"])
        weights = _without_carry(variables)
        size, length = batch["token"].shape
        mask = batch.get("mask", jnp.ones(size))
        mask = jnp.broadcast_to(fit_mask(mask, (size, length)), (size, length))
        rows = {
            "mask": mask,
            "token": masked_inputs(batch["token"], mask),
            "target": masked_labels(batch["target"], mask),
        }

        def nats_of(logits: Array, part: Mapping[str, Array]) -> Mean:
            return metrics.mean(losses.cross_entropy(logits, part["target"], reduction="none"), part["mask"])

        def measure_window(carry: PyTree, part: Mapping[str, Array]) -> tuple[PyTree, Mean]:
            logits, out = apply_in_evaluation(model, weights, part["token"], carry=carry, return_intermediates=True)
            return out["carry"], nats_of(logits, part)

        if hasattr(model, "token_losses"):
            options = {"targets": rows["target"], "method": "token_losses"}
            nats = metrics.mean(apply_in_evaluation(model, weights, rows["token"], **options), mask)
        elif _is_cache(jax.eval_shape(lambda: init_carry(size))):
            nats = nats_of(apply_in_evaluation(model, weights, rows["token"]), rows)
        else:
            windows = recurrent.split_time(rows, min(window or length, length))
            _, parts = jax.lax.scan(measure_window, init_carry(size), windows)
            nats = jax.tree.map(jnp.sum, parts)
        return {"loss": nats, bits: Mean(nats.total / math.log(2), nats.count), "perplexity": Perplexity(*nats)}

    return Task(init, loss, measure)


def _mean(nats: Array, mask: Array | None) -> Array:
    """Return the mean over the tokens whose mask is 1; 0 where there is none."""
    total, count = metrics.mean(nats, mask)
    return total / jnp.where(count == 0, 1, count)


def _without_carry(variables: Variables) -> Variables:
    return {name: tree for name, tree in variables.items() if name != CARRY}


def _continued_carry(variables: Variables, batch: Batch) -> PyTree:
    """Return the state from which the rows of a batch continue, zeros for rows that begin."""
    if CARRY not in variables:
        raise ValueError(
            f'expected variables with the collection {CARRY!r} for a batch with "start", got {sorted(variables)}; '
            "initialize the task with such a batch"
        )
    rows, begins = len(batch["token"]), batch["start"] != 0
    if _is_cache(variables[CARRY][STATES]):
        raise ValueError(
            'expected batches without "start" for a model whose carry is a cache, got one with it; a cache cannot '
            "begin anew in single rows"
        )

    def continued(leaf: Array) -> Array:
        if len(leaf) != rows:
            raise ValueError(
                f"expected {len(leaf)} rows, as in the carried state, got {rows}; give all windows of streams one "
                "batch size, and accumulate no gradients"
            )
        return jnp.where(begins.reshape(-1, *[1] * (leaf.ndim - 1)), jnp.zeros((), leaf.dtype), leaf)

    return jax.tree.map(continued, variables[CARRY][STATES])


def _is_cache(carry: PyTree) -> bool:
    """Distinguish caches, which have a scalar length, from recurrent states, which all have a row for each example."""
    return any(leaf.ndim == 0 for leaf in jax.tree.leaves(carry))
