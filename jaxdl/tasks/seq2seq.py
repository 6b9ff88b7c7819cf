"""Sequence to sequence: generate a target, token by token, given a source."""

from typing import Any

import jax.numpy as jnp
from flax import linen

from jaxdl import losses, metrics
from jaxdl.arrays import fit_mask
from jaxdl.metrics import Mean
from jaxdl.nn.attention.coverage import attention_penalty, coverage_loss
from jaxdl.nn.recurrent.inputs import valid_steps
from jaxdl.tasks.language import Perplexity
from jaxdl.tasks.task import (
    CountedLoss,
    Task,
    Variables,
    apply_in_evaluation,
    apply_in_training,
    check_names,
    init_model,
    masked_labels,
)
from jaxdl.typing import Array, ArrayLike, Batch, Key


def translation(
    model: linen.Module,
    *,
    bos_id: int,
    label_smoothing: float = 0.0,
    attention_weight: float = 0.0,
    coverage_weight: float = 0.0,
) -> Task:
    """Learn ``p(y_t | y_1 .. y_(t-1), source) = softmax(model(source, y_0 .. y_(T-1)))`` by cross-entropy, in nats.

    Batches have ``"source"``, tokens ``[B, S]`` or vectors ``[B, S, D]``, and ``"target"`` ``[B, T]``, with an end
    token where generation is to end by itself. Where sequences differ in length they have ``"source_length"`` and
    ``"target_length"`` ``[B]``; steps from there on are padding and do not count, whatever their values. They may have
    ``"mask"``, ``[B]`` or ``[B, T]``. Where a batch is processed in parts (gradient accumulation, several devices),
    each part is weighted by its number of valid tokens. The model reads the true target (teacher forcing), shifted
    right, after the token ``bos_id``.

    Training reports ``accuracy``, over the valid steps of the targets; evaluation ``loss`` (without smoothing),
    ``accuracy``, ``perplexity`` and ``exact_match``, the share of targets whose every token is the most probable one.
    These are the targets that ``decode.greedy`` reproduces: as long as its tokens are right, it reads the true target.

    Args:
        model: ``model.apply(variables, source, target_in=..., source_lengths=..., train=...)`` returns logits
            ``[B, T, V]`` of the token after each of ``target_in``, as ``EncoderDecoder`` and ``Transformer`` do.
        bos_id: the token before the target.
        label_smoothing: the share of each target that is spread evenly over all tokens.
        attention_weight: of the sum of `jaxdl.nn.attention_penalty`, divided by the number of valid tokens as the
            cross-entropy is, for a model with ``"attention"`` ``[B, T, S]`` among its intermediates.
        coverage_weight: of the sum of `jaxdl.nn.coverage_loss` over the batch, divided likewise, for such a model.

    Raises:
        ValueError: when a function of the task is traced, a batch lacks an array.
    """

    def options(batch: Batch) -> dict[str, Any]:
        check_names(batch, ["source", "target"])
        target_in = shift_right(batch["target"], bos_id)
        padding = (target_mask(batch) == 0) & (target_in < 0)  # of -1 or -100: the model reads tokens
        if "target_length" in batch:
            padding |= ~valid_steps(batch["target_length"], target_in.shape[1])
        target_in = jnp.where(padding, bos_id, target_in)
        return {"target_in": target_in, "source_lengths": batch.get("source_length")}

    def init(key: Key, batch: Batch) -> Variables:
        rest = options(batch)
        return init_model(model, key, batch["source"], **rest)

    def loss(variables: Variables, batch: Batch, key: Key) -> tuple[Array, tuple[Variables, dict[str, Array]]]:
        rows, rest = batch.get("mask"), options(batch)
        attends = bool(attention_weight or coverage_weight)
        rest |= {"return_intermediates": True} if attends else {}
        output, collections = apply_in_training(model, variables, batch["source"], key, rows=rows, **rest)
        logits, out = output if attends else (output, {})
        mask = target_mask(batch)
        target = masked_labels(batch["target"], mask)
        value = losses.cross_entropy(logits, target, mask=mask, label_smoothing=label_smoothing)
        if attention_weight:
            penalties = attention_penalty(out["attention"], mask) * jnp.max(mask, axis=-1)
            value += attention_weight * jnp.sum(penalties) / jnp.sum(mask)
        if coverage_weight:
            value += coverage_weight * jnp.sum(coverage_loss(out["attention"], mask)) / jnp.sum(mask)
        return value, (collections, {"accuracy": metrics.mean(metrics.correct(logits, target), mask).value})

    def measure(variables: Variables, batch: Batch) -> dict[str, Mean]:
        rest = options(batch)
        logits = apply_in_evaluation(model, variables, batch["source"], rows=batch.get("mask"), **rest)
        mask = target_mask(batch)
        target = masked_labels(batch["target"], mask)
        right = metrics.correct(logits, target)
        nats = metrics.mean(losses.cross_entropy(logits, target, reduction="none"), mask)
        return {
            "loss": nats,
            "accuracy": metrics.mean(right, mask),
            "perplexity": Perplexity(*nats),
            "exact_match": metrics.mean(jnp.all((right != 0) | (mask == 0), axis=-1), jnp.max(mask, axis=-1)),
        }

    return Task(init, CountedLoss(loss, lambda batch: jnp.sum(target_mask(batch))), measure)


def shift_right(target: ArrayLike, bos_id: int) -> Array:
    """Make the input of a decoder in training: ``bos_id``, and the target without its last token.

    >>> shift_right(jnp.array([[5, 6, 3]]), bos_id=2).tolist()
    [[2, 5, 6]]
    """
    return jnp.roll(jnp.asarray(target), 1, axis=-1).at[..., 0].set(bos_id)


def target_mask(batch: Batch) -> Array:
    """Return the weights ``[B, T]`` of the tokens of the targets, from the lengths and the mask of a batch."""
    shape = batch["target"].shape
    mask = jnp.broadcast_to(fit_mask(batch.get("mask", jnp.ones(shape)), shape), shape)
    return jnp.where(valid_steps(batch["target_length"], shape[1]), mask, 0) if "target_length" in batch else mask
