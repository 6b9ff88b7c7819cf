"""The training step of every registered model, by shapes alone: nothing is allocated and nothing runs."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import linen

from experiments.harness.errors import UsageError
from jaxdl import generative, models, optim, tasks, train
from jaxdl.typing import PyTree

BOXES, LEVELS = 8, 256
GAMES = {
    "dcgan": (tasks.gan, 1, (64, 64, 3)),
    "pix2pix": (tasks.pix2pix, 2, None),
    "cyclegan": (tasks.cycle_gan, 2, None),
}
"""By the first part of the names of two models: their game, the sets of images in a batch, and the shape of one."""


class Workload(NamedTuple):
    """A training step and the shapes of its arguments.

    Attributes:
        step: ``step(state, batch) -> (state, metrics)``.
        state: a `train.TrainState` of ``jax.ShapeDtypeStruct``.
        batch: arrays of this form by name.
    """

    step: train.Step
    state: train.TrainState
    batch: dict[str, jax.ShapeDtypeStruct]


def workload(
    name: str,
    batch_size: int,
    *,
    length: int | None = None,
    precision: str = "float32",
    axis_name: str | None = None,
    optimizer: optax.GradientTransformation | None = None,
    wrap: Callable[[Any], Any] | None = None,
    **changes: Any,
) -> Workload:
    """Make the training step of a registered model.

    Args:
        name: of the model; a generator or a discriminator is trained together with the other.
        batch_size: rows of a batch.
        length: tokens of a row; None for the registered number.
        precision: of the computation.
        axis_name: of ``train.make_step``, for the explicit forms of parallelism.
        optimizer: of each player; None for AdamW for tokens, Adam for games and momentum for all others.
        wrap: makes another loss of that of the task, such as `parallel.gather_by_block`.
        changes: fields of the model.

    Raises:
        UsageError: the model has no such field, or it takes no tokens, so no length.
    """
    try:
        shape, dtype = models.input_shape(name), models.input_dtype(name)
        model = models.create(name, **changes)
    except ValueError as error:
        raise UsageError(str(error)) from error
    tokens = dtype == "int32" and len(shape) == 1
    if length is not None and not tokens:
        raise UsageError(f"--length: expected a model of tokens, got {name!r}, whose inputs are {shape}; leave it out")
    shape = shape if length is None else (length,)
    family = name.partition("_")[0]
    if family in GAMES:
        game, batch = _game(name, model, batch_size)
        optimizers = dict.fromkeys(game.losses, optimizer or optim.adam(2e-4))
        step = train.make_alternating_step(game.losses, optimizers)
        return Workload(step, _state(game.init, train.combine_optimizers(optimizers), batch), batch)
    optimizer = optimizer or (optim.adamw(1e-4) if tokens else optim.momentum(0.1, 0.9))
    task, batch = _task(model, jax.ShapeDtypeStruct((batch_size, *shape), jnp.dtype(dtype)))
    options = {} if precision == "float32" else {"precision": precision}
    loss = task.loss if wrap is None else wrap(task.loss)
    step = train.make_step(loss, optimizer, axis_name=axis_name, **options)
    return Workload(step, _state(task.init, optimizer, batch), batch)


def _task(model: linen.Module, x: jax.ShapeDtypeStruct) -> tuple[tasks.Task, dict[str, jax.ShapeDtypeStruct]]:
    """Choose the task of a model, and the shapes of a batch around its input."""
    rows = x.shape[0]
    label = jax.ShapeDtypeStruct((rows,), jnp.int32)
    match model:
        case models.FCOS():
            boxes = jax.ShapeDtypeStruct((rows, BOXES, 4), jnp.float32)
            labels = jax.ShapeDtypeStruct((rows, BOXES), jnp.int32)
            return tasks.detection(model), {"image": x, "boxes": boxes, "label": labels}
        case models.FCN() | models.DeepLabV3() | models.UNet():
            return tasks.segmentation(model), {"image": x, "label": jax.ShapeDtypeStruct(x.shape[:3], jnp.int32)}
        case models.DiffusionUNet() | models.PixelCNN() | models.RealNVP() | models.VAE():
            return _generation(model), {"image": x.update(dtype=jnp.int32) if isinstance(model, models.RealNVP) else x}
    if x.dtype == jnp.int32:
        return _language(model), {"token": x, "target": x}
    return tasks.classification(model), {"image": x, "label": label}


def _generation(model: linen.Module) -> tasks.Task:
    key = jax.random.key(0)
    match model:
        case models.DiffusionUNet():
            return tasks.denoising_diffusion(model, generative.linear_schedule(1000), key=key)
        case models.RealNVP():
            return tasks.normalizing_flow(model, levels=LEVELS, key=key)
        case models.VAE():
            return tasks.variational_autoencoding(model, key)
    return tasks.autoregressive_pixels(model)


def _language(model: linen.Module) -> tasks.Task:
    if isinstance(model, models.BERT):
        size = model.vocab_size
        masked = model.clone(head="masked_language_model")
        return tasks.masked_language_model(masked, mask_id=size - 1, vocab_size=size, evaluation_key=jax.random.key(0))
    return tasks.language_model(model)


def _game(name: str, model: linen.Module, rows: int) -> tuple[tasks.Game, dict[str, jax.ShapeDtypeStruct]]:
    """Let a generator and a discriminator play, one of which is given."""
    family, _, role = name.partition("_")
    other = {"generator": "discriminator", "discriminator": "generator"}[role]
    make, sets, shape = GAMES[family]
    shape = shape or models.input_shape(f"{family}_generator")
    image = jax.ShapeDtypeStruct((rows, *shape), jnp.float32)
    game = make(**{role: model, other: models.create(f"{family}_{other}")})
    return game, {"image": image} if sets == 1 else {"a": image, "b": image}


def _state(
    init: Callable[..., Any], optimizer: optax.GradientTransformation, batch: dict[str, jax.ShapeDtypeStruct]
) -> train.TrainState:
    def create(key: jax.Array, batch: PyTree) -> train.TrainState:
        return train.TrainState.create(init(key, batch), optimizer, key)

    return jax.eval_shape(create, jax.eval_shape(lambda: jax.random.key(0)), batch)
