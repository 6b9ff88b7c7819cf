"""Learning from examples with targets: classification, and any other loss."""

from __future__ import annotations  # short signatures in help

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen

from jaxdl import losses, metrics
from jaxdl.metrics import Mean
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
from jaxdl.typing import Array, Batch, Key, PyTree

Prepare = Callable[[Batch], Batch]
EXTRA = "extra"
"""The collection of the arguments of a loss besides output and target."""


def classification(
    model: linen.Module,
    *,
    inputs: str = "image",
    label_smoothing: float = 0.0,
    augment: Callable[[Key, Batch], Batch] | None = None,
    prepare: Prepare | None = None,
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
        prepare: ``prepare(batch)``, applied to every batch in training, before augmentation, and in evaluation: bytes
            to numbers, for instance, or `data.standardize`.

    Raises:
        ValueError: when a function of the task is traced, a batch lacks an array.
    """
    prepare = prepare or _as_it_is
    heads: dict[str, float] = getattr(model, "auxiliary", None) or {}
    options = {"return_intermediates": True} if heads else {}

    def init(key: Key, batch: Batch) -> Variables:
        check_names(batch, [inputs])
        return init_model(model, key, jax.eval_shape(prepare, dict(batch))[inputs])

    def loss(variables: Variables, batch: Batch, key: Key) -> tuple[Array, tuple[Variables, dict[str, Array]]]:
        augment_key, model_key = jax.random.split(key)
        check_names(batch, [inputs, "label"])
        batch = prepare(batch)
        batch = augment(augment_key, batch) if augment else batch
        mask = batch.get("mask")
        labels = masked_labels(batch["label"], mask)
        output, collections = apply_in_training(model, variables, batch[inputs], model_key, rows=mask, **options)
        logits, intermediates = output if heads else (output, {})
        cross_entropy = partial(losses.cross_entropy, mask=mask, label_smoothing=label_smoothing)
        value = cross_entropy(logits, labels)
        value += sum(weight * cross_entropy(intermediates[name], labels) for name, weight in heads.items())
        return value, (collections, {"accuracy": metrics.mean(_correct(logits, labels), mask).value})

    def measure(variables: Variables, batch: Batch) -> dict[str, Mean]:
        check_names(batch, [inputs, "label"])
        batch = prepare(batch)
        logits = apply_in_evaluation(model, variables, batch[inputs], rows=batch.get("mask"))
        mask = batch.get("mask")
        labels = masked_labels(batch["label"], mask)
        return {
            "loss": metrics.mean(losses.cross_entropy(logits, labels, reduction="none"), mask),
            "accuracy": metrics.mean(_correct(logits, labels), mask),
        }

    return Task(init, loss, measure)


def supervised(
    model: linen.Module,
    loss: Callable[..., Any],
    metrics: Mapping[str, Callable[..., Any]] | None = None,
    *,
    inputs: str = "image",
    target: str | None = "label",
    arguments: Mapping[str, str] | None = None,
    extra: Mapping[str, PyTree] | None = None,
    augment: Callable[[Key, Batch], Batch] | None = None,
    prepare: Prepare | None = None,
) -> Task:
    """Learn ``min loss(model(x), y)``: regression, multiple labels, distillation, and all that is no classification.

    Loss and metrics are functions ``f(output, target, mask=mask)``, as all of `jaxdl.losses` are. They return the mean
    over the rows whose mask is 1; a loss may return ``(mean, {name: number})``, and a metric also what accumulates over
    batches, a `metrics.Mean` or a `metrics.Confusion`, which only evaluation reports. Training reports the others and
    evaluation all of them, and ``loss``.

    Args:
        model: ``model.apply(variables, x, train=...)`` returns the output, of any form.
        loss: see above.
        metrics: functions by name.
        inputs: the name of the model's input in a batch.
        target: the name of the target; None for the whole batch in its place.
        arguments: further inputs of the model, ``{"lengths": "length"}``: its keywords, and their names in a batch.
        extra: further arguments of the loss by name, such as ``{"teacher": variables, "temperature": 2.0}``. They are
            the collection ``"extra"`` of the variables: no constants of the compiled step, and kept in checkpoints;
            ``state.replace(collections=...)`` changes them.
        augment: ``augment(key, batch)``, applied to every training batch.
        prepare: ``prepare(batch)``, applied to every batch before that, and in evaluation.

    Raises:
        ValueError: when a function of the task is traced, a batch lacks an array.
        TypeError: then, the loss returns something else than a number.

    >>> from jaxdl import losses, models
    >>> task = supervised(models.create("mlp", num_classes=1), losses.mean_squared_error, inputs="x", target="y")
    >>> batch = {"x": jnp.ones((2, 3)), "y": jnp.zeros((2, 1))}
    >>> sorted(task.measure(task.init(jax.random.key(0), batch), batch))
    ['loss']
    """
    prepare, keywords, functions = prepare or _as_it_is, dict(arguments or {}), dict(metrics or {})
    names = [inputs, *([] if target is None else [target]), *keywords.values()]

    def options(batch: Batch) -> dict[str, Any]:
        return {keyword: batch[name] for keyword, name in keywords.items()}

    def init(key: Key, batch: Batch) -> Variables:
        check_names(batch, [inputs, *keywords.values()])
        batch = prepare(batch)
        variables = init_model(model, key, batch[inputs], **options(batch))
        return variables | ({EXTRA: jax.tree.map(jnp.asarray, dict(extra))} if extra else {})

    def compare(function: Callable[..., Any], output: Any, batch: Batch, **more: PyTree) -> Any:
        return function(output, batch if target is None else batch[target], mask=batch.get("mask"), **more)

    def loss_of(variables: Variables, batch: Batch, key: Key) -> tuple[Array, tuple[Variables, dict[str, Array]]]:
        check_names(batch, names)
        augment_key, model_key = jax.random.split(key)
        batch = prepare(batch)
        batch = augment(augment_key, batch) if augment else batch
        own, given = _without_extra(variables)
        output, collections = apply_in_training(
            model, own, batch[inputs], model_key, rows=batch.get("mask"), **options(batch)
        )
        value, values = _loss_and_metrics(compare(loss, output, batch, **given))
        found = {name: compare(function, output, batch) for name, function in functions.items()}
        values |= {name: metric for name, metric in found.items() if not hasattr(metric, "merge")}
        return value, (collections | ({EXTRA: given} if given else {}), values)

    def measure(variables: Variables, batch: Batch) -> dict[str, Mean]:
        check_names(batch, names)
        batch = prepare(batch)
        own, given = _without_extra(variables)
        output = apply_in_evaluation(model, own, batch[inputs], rows=batch.get("mask"), **options(batch))
        value, values = _loss_and_metrics(compare(loss, output, batch, **given))
        found = {name: compare(function, output, batch) for name, function in functions.items()}
        count = _count_rows(batch, inputs)
        return {
            name: metric if hasattr(metric, "merge") else Mean(jnp.where(count > 0, metric * count, 0), count)
            for name, metric in {"loss": value, **values, **found}.items()
        }

    return Task(init, CountedLoss(loss_of, partial(_count_rows, inputs=inputs)), measure)


def _as_it_is(batch: Batch) -> Batch:
    return batch


def _without_extra(variables: Variables) -> tuple[Variables, dict[str, PyTree]]:
    """Separate the arguments of the loss from the variables of the model."""
    return {name: tree for name, tree in variables.items() if name != EXTRA}, variables.get(EXTRA, {})


def _loss_and_metrics(output: Any) -> tuple[Array, dict[str, Array]]:
    """Return the loss, a number, and the metrics beside it."""
    value: Any
    values: Any
    value, values = output if isinstance(output, tuple) and len(output) == 2 else (output, {})
    if jnp.shape(value) or not isinstance(values, Mapping):
        raise TypeError(
            f"expected the loss to return a number, or a number and a dict, got shape {jnp.shape(value)} and a "
            f"{type(values).__name__}; return the mean over the rows in the mask"
        )
    return jnp.asarray(value), dict(values)


def _count_rows(batch: Batch, inputs: str) -> Array:
    """Return the number of examples whose mask is 1; a mask of steps or pixels counts those."""
    if "mask" in batch:
        return jnp.sum(batch["mask"], dtype=jnp.float32)
    return jnp.asarray(len(batch[inputs]), jnp.float32)


def _correct(logits: Array, labels: Array) -> Array:
    """Return `metrics.correct` for class indices, or for the most probable classes."""
    return metrics.correct(logits, metrics.predict(labels) if jnp.ndim(labels) == jnp.ndim(logits) else labels)
