"""Segmentation of images with several right answers."""

from typing import Any

import jax
import jax.numpy as jnp

from jaxdl import losses
from jaxdl.models.dense.probabilistic_unet import ProbabilisticUNet
from jaxdl.tasks.dense import fit_labels, measure_pixels
from jaxdl.tasks.task import (
    CountedLoss,
    Task,
    Variables,
    apply_in_evaluation,
    apply_in_training,
    check_names,
    init_model,
)
from jaxdl.typing import Array, Batch, Key


def probabilistic_segmentation(model: ProbabilisticUNet, *, inputs: str = "image", beta: float = 1.0) -> Task:
    """Learn the distribution of the labels of an image by the evidence lower bound (Kohl et al., 2018)::

        L = -sum_pixels ln p(y | x, z) + beta KL(q(z | x, y) || p(z | x))            z ~ q(z | x, y)

    averaged over the images. Batches are those of `segmentation`: each has one of the labels of an image, drawn among
    all. Ignored pixels, whose mask is 0, are hidden from the posterior too. Training reports ``cross_entropy``, the
    first term, and ``kl``; evaluation reports the metrics of `segmentation` for the mean of the prior.

    Args:
        model: the network.
        inputs: the name of the model's input in a batch.
        beta: weight of the divergence.
    """

    def init(key: Key, batch: Batch) -> Variables:
        check_names(batch, [inputs, "label"])
        noise = jnp.zeros((len(batch["label"]), model.latent_size))
        labels = jnp.zeros((*batch["label"].shape, model.num_classes))
        return init_model(model, key, batch[inputs], noise=noise, labels=labels)

    def loss(variables: Variables, batch: Batch, key: Key) -> tuple[Array, tuple[Variables, dict[str, Array]]]:
        check_names(batch, [inputs, "label"])
        labels, mask = fit_labels(batch, batch["label"].shape[1:])
        noise_key, model_key = jax.random.split(key)
        options = {
            "noise": jax.random.normal(noise_key, (len(labels), model.latent_size)),
            "labels": _show(labels, mask, model.num_classes),
        }
        rows = batch.get("mask")
        output, collections = apply_in_training(model, variables, batch[inputs], model_key, rows=rows, **options)
        logits, posterior, prior = output
        images = jnp.any(mask != 0, axis=(1, 2))
        count = jnp.maximum(jnp.sum(images), 1)
        cross_entropy = losses.cross_entropy(logits, labels, mask=mask, reduction="sum") / count
        kl = losses.gaussian_kl(*posterior, *prior, mask=images)
        return cross_entropy + beta * kl, (collections, {"cross_entropy": cross_entropy, "kl": kl})

    def measure(variables: Variables, batch: Batch) -> dict[str, Any]:
        check_names(batch, [inputs, "label"])
        noise = jnp.zeros((1, len(batch["label"]), model.latent_size))
        options = {"noise": noise, "method": "sample_segmentations"}
        return measure_pixels(apply_in_evaluation(model, variables, batch[inputs], **options)[0], batch)

    def count(batch: Batch) -> Array:
        _, mask = fit_labels(batch, batch["label"].shape[1:])
        return jnp.sum(jnp.any(mask != 0, axis=(1, 2)))

    return Task(init, CountedLoss(loss, count), measure)


def _show(labels: Array, mask: Array, num_classes: int) -> Array:
    """Return what the posterior sees of the labels: one-hot vectors, or zeros where they are ignored."""
    return jax.nn.one_hot(labels, num_classes) * (mask != 0)[..., None]
