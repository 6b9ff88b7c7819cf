"""Labels of sequences: one for each sequence, or one for each step.

Batches have ``inputs``, tokens ``[B, T]`` or vectors ``[B, T, D]``, and where sequences differ in length ``"length"``
``[B]``. Steps from there on are padding, whose labels do not count, whatever their values. A batch without one of the
arrays is a ValueError.
"""

from collections.abc import Callable, Sequence

import jax.numpy as jnp
from flax import linen

from jaxdl import losses, metrics
from jaxdl.arrays import fit_mask
from jaxdl.metrics import Mean
from jaxdl.nn.crf import Chain, crf_log_likelihood, viterbi
from jaxdl.nn.recurrent.inputs import valid_steps
from jaxdl.tasks.task import (
    CountedLoss,
    Task,
    Variables,
    apply_in_evaluation,
    apply_in_training,
    check_names,
    init_model,
    masked_inputs,
    masked_labels,
)
from jaxdl.typing import Array, Batch, Key

MaskOf = Callable[[Batch], Array | None]


def sequence_classification(model: linen.Module, *, inputs: str = "token", label_smoothing: float = 0.0) -> Task:
    """Learn the label of a sequence, ``p(label | x) = softmax(model(x, lengths))``, by cross-entropy.

    Batches also have ``"label"`` ``[B]`` and may have ``"mask"`` ``[B]``. Training reports ``accuracy``, evaluation
    ``loss`` (without smoothing) and ``accuracy``. Where batches have ``"segment"`` ``[B, T]``, the model reads it too:
    ``BERT("classification")`` of pairs of texts.

    Args:
        model: ``model.apply(variables, x, lengths=..., train=...)`` returns logits ``[B, K]``.
        inputs: the name of the sequences in a batch.
        label_smoothing: the share of each label that is spread evenly over all classes.
    """
    return _labeling(model, inputs, label_smoothing, lambda batch: batch.get("mask"), _count_rows, ())


def tagging(
    model: linen.Module, *, inputs: str = "token", label_smoothing: float = 0.0, tags: Sequence[str | None] = ()
) -> Task:
    """Learn a label for each step of a sequence, ``p(label_t | x)``, by the mean cross-entropy over valid steps.

    Batches also have ``"label"`` ``[B, T]`` and may have ``"mask"``, ``[B]`` or ``[B, T]``. Where a batch is processed
    in parts (gradient accumulation, several devices), each part is weighted by its number of valid steps.

    Training reports ``accuracy``, evaluation ``loss`` and ``accuracy``, all over valid steps. For each of the named
    ``tags`` evaluation also reports ``precision_TAG``, ``recall_TAG`` and ``f1_TAG``, exact over all batches; they are
    nan where there is nothing to count.

    Args:
        model: ``model.apply(variables, x, lengths=..., train=...)`` returns logits ``[B, T, K]``.
        inputs: the name of the sequences in a batch.
        label_smoothing: the share of each label that is spread evenly over all tags.
        tags: the names of the labels ``0, 1, ...``; None for a label that is not reported.
    """
    return _labeling(model, inputs, label_smoothing, _step_weights, _count_steps, tags)


def crf_tagging(model: linen.Module, *, inputs: str = "token", tags: Sequence[str | None] = ()) -> Task:
    """Learn the labels of all steps together, ``p(label_1 .. label_T | x)``, by a conditional random field.

    The loss is the negative log-likelihood of the labels (`jaxdl.nn.crf_log_likelihood`) in nats a valid step, and
    evaluation predicts the most probable labels of the whole sequence (`jaxdl.nn.viterbi`). Batches and metrics are
    those of `tagging`; the steps of a sequence are those of its ``"length"``, and a ``"mask"`` decides on whole
    sequences, which count where it is not 0 everywhere.

    Args:
        model: ``model.apply(variables, x, lengths=..., train=...)`` returns a `jaxdl.nn.Chain`, as
            `jaxdl.models.LinearChainCRF` does.
        inputs: the name of the sequences in a batch.
        tags: see `tagging`.
    """

    def rows_of(batch: Batch) -> Array:
        mask = batch.get("mask", jnp.ones(len(batch["label"])))
        return jnp.any(jnp.reshape(mask, (len(mask), -1)) != 0, axis=1)

    def steps_of(batch: Batch) -> Array:
        shape = batch["label"].shape
        valid = valid_steps(batch["length"], shape[1]) if "length" in batch else jnp.ones(shape, bool)
        return (valid & rows_of(batch)[:, None]).astype(jnp.float32)

    def nats(chain: Chain, batch: Batch) -> Mean:
        labels = masked_labels(batch["label"], steps_of(batch))
        nats = -crf_log_likelihood(chain, labels, batch.get("length"))
        return Mean(jnp.sum(jnp.where(rows_of(batch), nats, 0)), jnp.sum(steps_of(batch)))

    def init(key: Key, batch: Batch) -> Variables:
        check_names(batch, [inputs])
        return init_model(model, key, batch[inputs])

    def loss(variables: Variables, batch: Batch, key: Key) -> tuple[Array, tuple[Variables, dict[str, Array]]]:
        check_names(batch, [inputs, "label"])
        options = {"rows": batch.get("mask"), "lengths": batch.get("length")}
        x = masked_inputs(batch[inputs], batch.get("mask"))
        chain, collections = apply_in_training(model, variables, x, key, **options)
        return nats(chain, batch).value, (collections, {})

    def measure(variables: Variables, batch: Batch) -> dict[str, Mean]:
        check_names(batch, [inputs, "label"])
        x = masked_inputs(batch[inputs], batch.get("mask"))
        chain = apply_in_evaluation(model, variables, x, lengths=batch.get("length"))
        predicted, _ = viterbi(chain, batch.get("length"))
        mask = steps_of(batch)
        labels = masked_labels(batch["label"], mask)
        return {
            "loss": nats(chain, batch),
            "accuracy": metrics.mean(predicted == labels, mask),
            **_tag_metrics(predicted, labels, mask, tags),
        }

    return Task(init, CountedLoss(loss, lambda batch: jnp.sum(steps_of(batch))), measure)


def _count_rows(batch: Batch) -> Array:
    """Return the number of sequences in a batch, those with mask 1."""
    return jnp.sum(batch.get("mask", jnp.ones(batch["label"].shape)), dtype=jnp.float32)


def _count_steps(batch: Batch) -> Array:
    """Return the number of valid steps in a batch."""
    weights, shape = _step_weights(batch), batch["label"].shape
    return jnp.sum(jnp.ones(shape) if weights is None else jnp.broadcast_to(weights, shape), dtype=jnp.float32)


def _step_weights(batch: Batch) -> Array | None:
    """Return the weights ``[B, T]`` of the steps, from the lengths and the mask of a batch; None for equal weights."""
    shape = batch["label"].shape
    mask = fit_mask(batch["mask"], shape) if "mask" in batch else None
    if "length" not in batch:
        return mask
    valid = valid_steps(batch["length"], shape[1])
    return valid.astype(jnp.float32) if mask is None else jnp.where(valid, mask, 0)


def _options(batch: Batch) -> dict[str, Array | None]:
    """Return what a model reads beside the sequences."""
    options = {"lengths": batch.get("length")}
    if "segment" in batch:
        options["segment"] = masked_inputs(batch["segment"], batch.get("mask"))
    return options


def _labeling(
    model: linen.Module,
    inputs: str,
    label_smoothing: float,
    mask_of: MaskOf,
    count: Callable[[Batch], Array],
    tags: Sequence[str | None],
) -> Task:
    """Make the task of labels ``[...]`` and logits ``[..., K]`` with the weights ``mask_of(batch)`` and their sum."""

    def init(key: Key, batch: Batch) -> Variables:
        check_names(batch, [inputs])
        return init_model(model, key, batch[inputs])

    def loss(variables: Variables, batch: Batch, key: Key) -> tuple[Array, tuple[Variables, dict[str, Array]]]:
        check_names(batch, [inputs, "label"])
        mask = mask_of(batch)
        labels = masked_labels(batch["label"], mask)
        x, rows = masked_inputs(batch[inputs], batch.get("mask")), batch.get("mask")
        logits, collections = apply_in_training(model, variables, x, key, rows=rows, **_options(batch))
        value = losses.cross_entropy(logits, labels, mask=mask, label_smoothing=label_smoothing)
        return value, (collections, {"accuracy": metrics.mean(metrics.correct(logits, labels), mask).value})

    def measure(variables: Variables, batch: Batch) -> dict[str, Mean]:
        check_names(batch, [inputs, "label"])
        x = masked_inputs(batch[inputs], batch.get("mask"))
        logits = apply_in_evaluation(model, variables, x, rows=batch.get("mask"), **_options(batch))
        mask = mask_of(batch)
        labels = masked_labels(batch["label"], mask)
        return {
            "loss": metrics.mean(losses.cross_entropy(logits, labels, reduction="none"), mask),
            "accuracy": metrics.mean(metrics.correct(logits, labels), mask),
            **_tag_metrics(metrics.predict(logits), labels, mask, tags),
        }

    return Task(init, CountedLoss(loss, count), measure)


def _tag_metrics(predicted: Array, labels: Array, mask: Array | None, tags: Sequence[str | None]) -> dict[str, Mean]:
    """Compute each tag's ``TP / (TP + FP)``, ``TP / (TP + FN)`` and ``2 TP / (2 TP + FP + FN)`` as ratios of sums."""
    out = {}
    for number, tag in enumerate(tags):
        if tag is not None:
            positive, relevant = (metrics.mean(x == number, mask).total for x in (predicted, labels))
            correct = metrics.mean((predicted == number) & (labels == number), mask).total
            out[f"precision_{tag}"] = Mean(correct, positive)
            out[f"recall_{tag}"] = Mean(correct, relevant)
            out[f"f1_{tag}"] = Mean(2 * correct, positive + relevant)
    return out
