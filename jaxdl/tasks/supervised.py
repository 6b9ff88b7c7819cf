"""Classification of single inputs: one label for each example."""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
from flax import linen

from jaxdl import losses, metrics
from jaxdl.metrics import Mean
from jaxdl.tasks.task import (
    Task,
    Variables,
    apply_in_evaluation,
    apply_in_training,
    check_names,
    init_model,
    nats_of,
)
from jaxdl.typing import Array, Batch, Key


def classification(
    model: linen.Module,
    *,
    inputs: str = "image",
    label_smoothing: float = 0.0,
    augment: Callable[[Key, Batch], Batch] | None = None,
) -> Task:
    """Learn ``p(label | x) = softmax(model(x))`` by cross-entropy ``-sum_k y_k ln p_k``.

    Batches have ``inputs`` (``[B, ...]``), ``"label"`` (``[B]`` integers, or ``[B, K]`` probabilities, as mixup and
    cutmix make them) and may have ``"mask"`` (``[B]``): an example whose mask is 0 counts neither in the loss nor in
    the moments of batch norms. Training reports ``accuracy``; evaluation reports ``loss`` (without smoothing) and
    ``accuracy``. The most probable label is the right one.

    A model with auxiliary heads, such as GoogLeNet, has a dict of their weights ``model.auxiliary``; the training loss
    includes the weighted cross-entropy of each.

    Args:
        model: ``model.apply(variables, x, train=...)`` returns logits ``[B, K]``.
        inputs: the name of the model's input in a batch.
        label_smoothing: the share of each label that is spread evenly over all classes.
        augment: ``augment(key, batch)``, applied to every training batch; ``data.augmentation`` makes such functions.

    Raises:
        ValueError: when a function of the task is traced, a batch lacks an array.
    """
    heads: dict[str, float] = getattr(model, "auxiliary", None) or {}
    options = {"return_intermediates": True} if heads else {}

    def init(key: Key, batch: Batch) -> Variables:
        check_names(batch, [inputs])
        return init_model(model, key, batch[inputs])

    def loss(variables: Variables, batch: Batch, key: Key) -> tuple[Array, tuple[Variables, dict[str, Array]]]:
        augment_key, model_key = jax.random.split(key)
        check_names(batch, [inputs, "label"])
        batch = augment(augment_key, batch) if augment else batch
        labels, mask = batch["label"], batch.get("mask")
        output, collections = apply_in_training(model, variables, batch[inputs], model_key, rows=mask, **options)
        logits, intermediates = output if heads else (output, {})
        cross_entropy = partial(losses.cross_entropy, mask=mask, label_smoothing=label_smoothing)
        value = cross_entropy(logits, labels)
        value += sum(weight * cross_entropy(intermediates[name], labels) for name, weight in heads.items())
        return value, (collections, {"accuracy": metrics.mean(_correct(logits, labels), mask).value})

    def measure(variables: Variables, batch: Batch) -> dict[str, Mean]:
        check_names(batch, [inputs, "label"])
        logits = apply_in_evaluation(model, variables, batch[inputs])
        labels, mask = batch["label"], batch.get("mask")
        return {
            "loss": metrics.mean(nats_of(logits, labels, mask), mask),
            "accuracy": metrics.mean(_correct(logits, labels), mask),
        }

    return Task(init, loss, measure)


def _correct(logits: Array, labels: Array) -> Array:
    """Return `metrics.correct` for class indices, or for the most probable classes."""
    return metrics.correct(logits, metrics.predict(labels) if jnp.ndim(labels) == jnp.ndim(logits) else labels)
