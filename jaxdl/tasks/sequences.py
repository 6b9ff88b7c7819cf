"""Labels of sequences: one for each sequence, or one for each of its times.

Batches have ``inputs``, tokens ``[B, T]`` or vectors ``[B, T, D]``, and where sequences differ in length ``"length"``
``[B]``: what comes after is padding, whose labels do not count, whatever they are.
"""

from collections.abc import Callable, Sequence

import jax.numpy as jnp
from flax import linen as nn

from jaxdl import losses, metrics
from jaxdl.arrays import fit_mask
from jaxdl.metrics import Mean
from jaxdl.nn.recurrent.inputs import valid_steps
from jaxdl.tasks.task import Task, Variables, apply_in_training, init_model
from jaxdl.typing import Array, Batch, Key

MaskOf = Callable[[Batch], Array | None]


def sequence_classification(model: nn.Module, *, inputs: str = "token", label_smoothing: float = 0.0) -> Task:
    """Learn the label of a sequence, ``p(label | x) = softmax(model(x, lengths))``, by cross-entropy.

    Batches have ``"label"`` ``[B]`` and may have ``"mask"`` ``[B]``, beside what all sequences have. Training reports
    ``accuracy``, evaluation ``loss`` (without smoothing) and ``accuracy``.

    Args:
        model: a module with ``model.apply(variables, x, lengths=..., train=...)`` that gives logits ``[B, K]``.
        inputs: name of the sequences in a batch.
        label_smoothing: the share of each label that is spread evenly over all classes.
    """
    return _labelling(model, inputs, label_smoothing, lambda batch: batch.get("mask"), ())


def tagging(
    model: nn.Module, *, inputs: str = "token", label_smoothing: float = 0.0, tags: Sequence[str | None] = ()
) -> Task:
    """Learn a label for each time of a sequence, ``p(label_t | x)``, by the mean cross-entropy of the true times.

    Batches have ``"label"`` ``[B, T]`` and may have ``"mask"``, ``[B]`` or ``[B, T]``, beside what all sequences have.
    A mask ``[B, T]`` that is 0 in the padding also tells what cuts a batch into parts (accumulation, several devices)
    how many times each of them has.

    Training reports ``accuracy``, evaluation ``loss`` and ``accuracy``, all over the times that count. For each of the
    named ``tags`` evaluation also reports ``precision_TAG``, ``recall_TAG`` and ``f1_TAG``, exact over all batches;
    they are nan where there is nothing to count.

    Args:
        model: a module with ``model.apply(variables, x, lengths=..., train=...)`` that gives logits ``[B, T, K]``.
        inputs: name of the sequences in a batch.
        label_smoothing: the share of each label that is spread evenly over all tags.
        tags: the names of the labels ``0, 1, ...``, None for one that is not reported.
    """
    return _labelling(model, inputs, label_smoothing, _true_times, tags)


def _true_times(batch: Batch) -> Array | None:
    """Return the weights ``[B, T]`` of the times, from the lengths and the mask that a batch has."""
    shape = batch["label"].shape
    mask = fit_mask(batch["mask"], shape) if "mask" in batch else None
    if "length" not in batch:
        return mask
    keep = valid_steps(batch["length"], shape[1])
    return keep.astype(jnp.float32) if mask is None else jnp.where(keep, mask, 0)


def _labelling(
    model: nn.Module, inputs: str, label_smoothing: float, mask_of: MaskOf, tags: Sequence[str | None]
) -> Task:
    """Make the task of labels ``[...]`` and logits ``[..., K]``, of which ``mask_of`` says what counts."""

    def init(key: Key, batch: Batch) -> Variables:
        return init_model(model, key, batch[inputs])

    def loss(variables: Variables, batch: Batch, key: Key) -> tuple[Array, tuple[Variables, dict[str, Array]]]:
        lengths, labels, mask = batch.get("length"), batch["label"], mask_of(batch)
        logits, collections = apply_in_training(model, variables, batch[inputs], key, lengths=lengths)
        value = losses.cross_entropy(logits, labels, mask=mask, label_smoothing=label_smoothing)
        return value, (collections, {"accuracy": metrics.mean(metrics.correct(logits, labels), mask).value})

    def measure(variables: Variables, batch: Batch) -> dict[str, Mean]:
        logits = model.apply(variables, batch[inputs], lengths=batch.get("length"), train=False)
        labels, mask = batch["label"], mask_of(batch)
        return {
            "loss": metrics.mean(losses.cross_entropy(logits, labels, reduction="none"), mask),
            "accuracy": metrics.mean(metrics.correct(logits, labels), mask),
            **_by_tag(jnp.argmax(logits, axis=-1), labels, mask, tags),
        }

    return Task(init, loss, measure)


def _by_tag(predicted: Array, labels: Array, mask: Array | None, tags: Sequence[str | None]) -> dict[str, Mean]:
    """Measure each tag by ratios of sums, ``TP / (TP + FP)``, ``TP / (TP + FN)`` and ``2 TP / (2 TP + FP + FN)``."""
    found = {}
    for number, tag in enumerate(tags):
        if tag is not None:
            said, true = (metrics.mean(x == number, mask).total for x in (predicted, labels))
            both = metrics.mean((predicted == number) & (labels == number), mask).total
            found |= {f"precision_{tag}": Mean(both, said), f"recall_{tag}": Mean(both, true)}
            found[f"f1_{tag}"] = Mean(2 * both, said + true)
    return found
