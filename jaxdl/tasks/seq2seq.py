"""Sequence to sequence: say a target, token by token, given a source."""

import jax.numpy as jnp
from flax import linen as nn

from jaxdl import losses, metrics
from jaxdl.arrays import fit_mask
from jaxdl.metrics import Mean
from jaxdl.nn.recurrent.inputs import valid_steps
from jaxdl.tasks.language import Perplexity
from jaxdl.tasks.task import Task, Variables, apply_in_training, init_model
from jaxdl.typing import Array, ArrayLike, Batch, Key


def translation(model: nn.Module, *, begin: int, label_smoothing: float = 0.0) -> Task:
    """Learn ``p(y_t | y_1 .. y_(t-1), source) = softmax(model(source, y_0 .. y_(T-1)))`` by cross-entropy, in nats.

    Batches have ``"source"``, tokens ``[B, S]`` or vectors ``[B, S, D]``, and ``"target"`` ``[B, T]``, which ends with
    a sign of its own where a target is to end by itself. Where sequences differ in length they have
    ``"source_length"`` and ``"target_length"`` ``[B]``: what comes after is padding, and does not count, whatever it
    is. They may have ``"mask"``, ``[B]`` or ``[B, T]``; one ``[B, T]`` that is 0 in the padding also tells what cuts a
    batch into parts (accumulation, several devices) how many tokens each of them has. The model reads the true target
    (teacher forcing), one place behind, after the token ``begin``.

    Training reports ``accuracy``, over the true times of the targets; evaluation ``loss`` (without smoothing),
    ``accuracy``, ``perplexity`` and ``exact_match``, the share of targets of which every token is the most probable
    one. Those are what ``decode.greedy`` says word for word: it reads what it said, and that is the truth for as long
    as it is right.

    Args:
        model: ``model.apply(variables, source, target_in=..., source_lengths=..., train=...)`` gives logits
            ``[B, T, V]`` of what follows each token of ``target_in``, as ``EncoderDecoder`` and ``Transformer`` do.
        begin: the token that stands for the place before the target, often that of ``data.vocabulary.BOS``.
        label_smoothing: the share of each target that is spread evenly over all tokens.
    """

    def init(key: Key, batch: Batch) -> Variables:
        return init_model(model, key, batch["source"], **_read(batch, begin))

    def loss(variables: Variables, batch: Batch, key: Key) -> tuple[Array, tuple[Variables, dict[str, Array]]]:
        logits, collections = apply_in_training(model, variables, batch["source"], key, **_read(batch, begin))
        target, mask = batch["target"], target_mask(batch)
        value = losses.cross_entropy(logits, target, mask=mask, label_smoothing=label_smoothing)
        return value, (collections, {"accuracy": metrics.mean(metrics.correct(logits, target), mask).value})

    def measure(variables: Variables, batch: Batch) -> dict[str, Mean]:
        logits = model.apply(variables, batch["source"], train=False, **_read(batch, begin))
        target, mask = batch["target"], target_mask(batch)
        right = metrics.correct(logits, target)
        nats = metrics.mean(losses.cross_entropy(logits, target, reduction="none"), mask)
        return {
            "loss": nats,
            "accuracy": metrics.mean(right, mask),
            "perplexity": Perplexity(*nats),
            "exact_match": metrics.mean(jnp.all((right != 0) | (mask == 0), axis=-1), jnp.max(mask, axis=-1)),
        }

    return Task(init, loss, measure)


def shift(target: ArrayLike, begin: int) -> Array:
    """Return what a decoder reads while it is taught: ``begin``, and the target without its last token.

    >>> shift(jnp.array([[5, 6, 3]]), begin=2).tolist()
    [[2, 5, 6]]
    """
    return jnp.roll(jnp.asarray(target), 1, axis=-1).at[..., 0].set(begin)


def target_mask(batch: Batch) -> Array:
    """Return the weights ``[B, T]`` of the tokens of the targets, from the lengths and the mask that a batch has."""
    shape = batch["target"].shape
    mask = jnp.broadcast_to(fit_mask(batch.get("mask", jnp.ones(shape)), shape), shape)
    return jnp.where(valid_steps(batch["target_length"], shape[1]), mask, 0) if "target_length" in batch else mask


def _read(batch: Batch, begin: int) -> dict[str, Array | None]:
    """Return what the model reads beside the source."""
    return {"target_in": shift(batch["target"], begin), "source_lengths": batch.get("source_length")}
