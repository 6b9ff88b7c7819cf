"""Distributions of images: autoregressive models, normalizing flows, diffusion, flow matching and score matching."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen

from jaxdl import generative, metrics
from jaxdl.checks import check_in_range
from jaxdl.generative import NOISE, NoiseSchedule, Parametrization
from jaxdl.generative.matching import Field
from jaxdl.metrics import Mean
from jaxdl.tasks.task import Task, Variables, apply_in_evaluation, apply_in_training, check_names, init_model
from jaxdl.typing import Array, ArrayLike, Batch, Key


def autoregressive_pixels(model: linen.Module, *, inputs: str = "image", conditional: bool = False) -> Task:
    """Learn ``p(x) = prod_i p(x_i | x_1 .. x_(i-1))`` by the likelihood, exactly.

    Batches have ``inputs`` (``[B, H, W]``, integers), with classes ``"label"`` (``[B]``), and may have ``"mask"``
    (``[B]``). The loss is in nats per pixel; training and evaluation report ``bits_per_dimension`` too.

    Args:
        model: ``model.apply(variables, x, [labels], train=...)`` returns logits ``[B, H, W, K]``.
        inputs: the name of the images in a batch.
        conditional: learn ``p(x | label)``.
    """
    names = (inputs, "label") if conditional else (inputs,)

    def options(batch: Batch) -> dict[str, Any]:
        check_names(batch, names)
        return {"labels": jnp.asarray(batch["label"])} if conditional else {}

    def init(key: Key, batch: Batch) -> Variables:
        return init_model(model, key, batch[inputs], **options(batch))

    def nats(logits: Array, batch: Batch) -> Array:
        x = jnp.asarray(batch[inputs])
        return -generative.pixel_log_likelihood(logits, x) / math.prod(x.shape[1:])

    def loss(variables: Variables, batch: Batch, key: Key) -> tuple[Array, tuple[Variables, dict[str, Array]]]:
        given = options(batch)
        logits, collections = apply_in_training(model, variables, batch[inputs], key, rows=batch.get("mask"), **given)
        value = metrics.mean(nats(logits, batch), batch.get("mask")).value
        return value, (collections, {"bits_per_dimension": value / math.log(2)})

    def measure(variables: Variables, batch: Batch) -> dict[str, Mean]:
        logits = apply_in_evaluation(model, variables, batch[inputs], rows=batch.get("mask"), **options(batch))
        each = nats(logits, batch)
        return _likelihood(each, batch)

    return Task(init, loss, measure)


def normalizing_flow(
    model: linen.Module, *, levels: int, key: Key, inputs: str = "image", margin: float = 0.05
) -> Task:
    """Learn the density of images whose levels are spread over bins by uniform noise, exactly (Dinh et al., 2017).

    The flow sees the logits of the numbers (`generative.to_logits`). Batches have ``inputs`` (``[B, ..., C]``, integers
    below ``levels``) and may have ``"mask"`` (``[B]``). The loss is in nats per number; training and evaluation report
    ``bits_per_dimension`` of the levels too, an upper bound because of the noise.

    Args:
        model: ``model.apply(variables, x, train=...)`` returns ``z`` and ``ln |det dz / dx|``.
        levels: number of levels.
        key: of the noise in evaluation.
        inputs: the name of the images in a batch.
        margin: of the logits.
    """

    def unbounded(key: Key, batch: Batch) -> tuple[Array, Array]:
        check_names(batch, [inputs])
        return generative.to_logits(generative.dequantize(key, batch[inputs], levels), margin)

    def init(key: Key, batch: Batch) -> Variables:
        """Initialize with the batch, which determines activation norms."""
        return dict(model.init(key, unbounded(key, batch)[0], train=True))

    def nats(output: tuple[Array, Array], log_det: Array) -> Array:
        z = output[0]
        likelihood = generative.flow_log_likelihood(*output) + log_det
        return math.log(levels) - likelihood / math.prod(z.shape[1:])

    def loss(variables: Variables, batch: Batch, key: Key) -> tuple[Array, tuple[Variables, dict[str, Array]]]:
        noise_key, model_key = jax.random.split(key)
        x, log_det = unbounded(noise_key, batch)
        output, collections = apply_in_training(model, variables, x, model_key, rows=batch.get("mask"))
        value = metrics.mean(nats(output, log_det), batch.get("mask")).value
        return value, (collections, {"bits_per_dimension": value / math.log(2)})

    def measure(variables: Variables, batch: Batch) -> dict[str, Mean]:
        x, log_det = unbounded(key, batch)
        return _likelihood(nats(apply_in_evaluation(model, variables, x), log_det), batch)

    return Task(init, loss, measure)


def denoising_diffusion(
    model: linen.Module,
    schedule: NoiseSchedule,
    *,
    key: Key,
    parametrization: Parametrization = NOISE,
    inputs: str = "image",
    no_label: int | None = None,
    drop_rate: float = 0.1,
) -> Task:
    """Learn to predict the noise in images, or what else the parametrization says (Ho et al., 2020).

    Batches have ``inputs`` (``[B, ...]``, from -1 to 1), with classes ``"label"`` (``[B]``), and may have ``"mask"``
    (``[B]``). Steps are drawn uniformly. The loss is `generative.diffusion_loss`; evaluation reports ``loss``, with the
    same noise each time.

    Args:
        model: ``model.apply(variables, x, t, [labels], train=...)`` returns images.
        schedule: the noise.
        key: of the noise in evaluation.
        parametrization: what is predicted.
        inputs: the name of the images in a batch.
        no_label: the label that stands for no class; None for a model without classes.
        drop_rate: share of the labels replaced by it in training, for `generative.guide`.

    Raises:
        ValueError: the share is outside of [0, 1].
    """

    def draw_steps(key: Key, count: int) -> Array:
        return jax.random.randint(key, (count,), 0, schedule.num_steps)

    def objective(predict: Field, x: Array, t: Array, noise: Array) -> Array:
        return generative.diffusion_loss(predict, schedule, x, t, noise, parametrization)

    return _learn_field(model, draw_steps, objective, key, inputs, no_label, drop_rate)


def flow_matching(
    model: linen.Module,
    *,
    key: Key,
    time_scale: float = 1000.0,
    inputs: str = "image",
    no_label: int | None = None,
    drop_rate: float = 0.1,
) -> Task:
    """Learn the velocity from noise to examples on straight lines (Lipman et al., 2023).

    Batches, classes and evaluation are those of `denoising_diffusion`. Times are drawn uniformly. The loss is
    `generative.flow_matching`; `generative.integrate_heun` draws examples with
    ``velocity = lambda x, t: model.apply(variables, x, time_scale * t)``.

    Args:
        model: ``model.apply(variables, x, t, [labels], train=...)`` returns the velocity, of the shape of ``x``.
        key: of the times and the noise in evaluation.
        time_scale: the model gets ``time_scale`` times the time, from 0 to 1, as networks made for the steps of a
            diffusion expect.
        inputs: the name of the examples in a batch.
        no_label: the label that stands for no class; None for a model without classes.
        drop_rate: share of the labels replaced by it in training.

    Raises:
        ValueError: the share is outside of [0, 1], or the scale is not above 0.
    """
    check_in_range("time_scale", time_scale, includes_low=False)

    def objective(predict: Field, x: Array, t: Array, noise: Array) -> Array:
        return generative.flow_matching(lambda x, t: predict(x, time_scale * t), x, t, noise)

    return _learn_field(
        model, lambda key, count: jax.random.uniform(key, (count,)), objective, key, inputs, no_label, drop_rate
    )


def score_matching(
    model: linen.Module,
    stds: ArrayLike,
    *,
    key: Key,
    inputs: str = "image",
    no_label: int | None = None,
    drop_rate: float = 0.1,
) -> Task:
    """Learn the scores of examples with noise of several deviations (Song and Ermon, 2019; 2020).

    Batches, classes and evaluation are those of `denoising_diffusion`. Deviations are drawn uniformly from ``stds``.
    The loss is `generative.denoising_score_matching` of the score ``model(x, i) / stds[i]``, that of
    `generative.make_score`, with which `generative.sample_langevin` draws examples.

    Args:
        model: ``model.apply(variables, x, i, [labels], train=...)``, with the number of the deviation, returns arrays
            of the shape of ``x``.
        stds: deviations ``[L]``, above 0.
        key: of the deviations and the noise in evaluation.
        inputs: the name of the examples in a batch.
        no_label: the label that stands for no class; None for a model without classes.
        drop_rate: share of the labels replaced by it in training.

    Raises:
        ValueError: the share is outside of [0, 1], or the deviations are not above 0.
    """
    stds = jnp.asarray(stds, float)
    check_in_range("stds", stds, includes_low=False)

    def objective(predict: Field, x: Array, t: Array, noise: Array) -> Array:
        return generative.denoising_score_matching(generative.make_score(predict, stds), x, stds[t], noise)

    def draw_levels(key: Key, count: int) -> Array:
        return jax.random.randint(key, (count,), 0, len(stds))

    return _learn_field(model, draw_levels, objective, key, inputs, no_label, drop_rate)


def _learn_field(
    model: linen.Module,
    draw_times: Callable[[Key, int], Array],
    objective: Callable[[Field, Array, Array, Array], Array],
    key: Key,
    inputs: str,
    no_label: int | None,
    drop_rate: float,
) -> Task:
    """Learn a function of examples and times by ``objective(predict, x, t, noise)``, one number for each example."""
    check_in_range("drop_rate", drop_rate, 0.0, 1.0)
    names = (inputs,) if no_label is None else (inputs, "label")

    def options(batch: Batch, key: Key | None = None) -> dict[str, Any]:
        check_names(batch, names)
        if no_label is None:
            return {}
        labels = jnp.asarray(batch["label"])
        if key is None:
            return {"labels": labels}
        return {"labels": jnp.where(jax.random.bernoulli(key, drop_rate, labels.shape), no_label, labels)}

    def noisy(key: Key, x: Array) -> tuple[Array, Array]:
        """Draw the times and the noise."""
        time_key, noise_key = jax.random.split(key)
        return draw_times(time_key, len(x)), jax.random.normal(noise_key, x.shape, x.dtype)

    def init(key: Key, batch: Batch) -> Variables:
        t = jnp.zeros_like(draw_times(key, len(batch[inputs])))
        return init_model(model, key, batch[inputs], t=t, **options(batch))

    def loss(variables: Variables, batch: Batch, key: Key) -> tuple[Array, tuple[Variables, dict[str, Array]]]:
        noise_key, label_key, model_key = jax.random.split(key, 3)
        given, x = options(batch, label_key), jnp.asarray(batch[inputs])
        collections: Variables = {}

        def predict(x: Array, t: Array) -> Array:
            nonlocal collections
            output, collections = apply_in_training(
                model, variables, x, model_key, rows=batch.get("mask"), t=t, **given
            )
            return output

        each = objective(predict, x, *noisy(noise_key, x))
        return metrics.mean(each, batch.get("mask")).value, (collections, {})

    def measure(variables: Variables, batch: Batch) -> dict[str, Mean]:
        given, x = options(batch), jnp.asarray(batch[inputs])

        def predict(x: Array, t: Array) -> Array:
            return apply_in_evaluation(model, variables, x, t=t, **given)

        return {"loss": metrics.mean(objective(predict, x, *noisy(key, x)), batch.get("mask"))}

    return Task(init, loss, measure)


def _likelihood(nats: Array, batch: Batch) -> dict[str, Mean]:
    """Report a negative log-likelihood per dimension in both units."""
    mask = batch.get("mask")
    return {
        "loss": metrics.mean(nats, mask),
        "bits_per_dimension": metrics.mean(nats / math.log(2), mask),
    }
