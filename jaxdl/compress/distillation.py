"""Distillation: a small network learns from the outputs of a large one."""

import jax
import jax.numpy as jnp

from jaxdl import losses
from jaxdl.arrays import to_floating, widen_floating
from jaxdl.checks import check_in_range
from jaxdl.typing import Array, ArrayLike


def soft_target_loss(
    logits: ArrayLike,
    teacher_logits: ArrayLike,
    *,
    temperature: ArrayLike = 1.0,
    mask: ArrayLike | None = None,
    reduction: str = "mean",
) -> Array:
    """Compute ``T^2 KL(softmax(v / T) || softmax(z / T))``, for logits ``z`` of a student and ``v`` of a teacher.

    The factor ``T^2`` keeps the gradient of one size for all temperatures: for large ``T`` it is ``(z - v) / K`` of
    centred logits.

    Args:
        logits: ``z``, ``[..., K]``.
        teacher_logits: ``v``, of the same shape.
        temperature: ``T``; higher ones count the small probabilities of the teacher more.
        mask: weights ``[...]``.
        reduction: as of all losses, see `jaxdl.losses`.

    Raises:
        ValueError: the shapes differ, or the temperature is not positive.

    Source: Hinton, Vinyals and Dean, "Distilling the knowledge in a neural network" (2015).

    >>> soft_target_loss(jnp.array([1.0, 0.0]), jnp.array([3.0, 2.0]), temperature=2.0).item()
    0.0
    """
    check_in_range("temperature", temperature, includes_low=False)
    z, v, temperature = widen_floating(logits), widen_floating(teacher_logits), to_floating(temperature)
    if z.shape != v.shape:
        raise ValueError(f"expected logits and teacher_logits of one shape, got {z.shape} and {v.shape}")
    targets = jax.nn.softmax(v / temperature)
    cross_entropy = losses.cross_entropy(z / temperature, targets, mask=mask, reduction=reduction)
    entropy = losses.cross_entropy(v / temperature, targets, mask=mask, reduction=reduction)
    return jnp.square(temperature) * (cross_entropy - entropy)


def distillation_loss(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    teacher_logits: ArrayLike,
    temperature: ArrayLike = 4.0,
    soft_weight: ArrayLike = 0.9,
    mask: ArrayLike | None = None,
    reduction: str = "mean",
) -> Array:
    """Compute ``a T^2 KL(softmax(v / T) || softmax(z / T)) + (1 - a) H(y, softmax(z))``.

    The teacher is a further input of the loss: give its variables as ``extra`` to `jaxdl.tasks.supervised`, or its
    logits as an array of every batch.

    Args:
        logits: ``z`` of the student, ``[..., K]``.
        labels: ``y``, classes ``[...]`` or probabilities ``[..., K]``.
        teacher_logits: ``v``, of the shape of ``logits``.
        temperature: ``T``.
        soft_weight: ``a``, from 0 to 1.
        mask: weights ``[...]``.
        reduction: as of all losses, see `jaxdl.losses`.

    Raises:
        ValueError: as `soft_target_loss` and `jaxdl.losses.cross_entropy`, or the weight is not from 0 to 1.

    >>> z, v = jnp.array([[2.0, 0.0]]), jnp.array([[1.0, 0.0]])
    >>> round(distillation_loss(z, jnp.array([0]), teacher_logits=v, soft_weight=0.0).item(), 4)
    0.1269
    """
    check_in_range("soft_weight", soft_weight, 0.0, 1.0)
    soft = soft_target_loss(logits, teacher_logits, temperature=temperature, mask=mask, reduction=reduction)
    hard = losses.cross_entropy(logits, labels, mask=mask, reduction=reduction)
    return jnp.asarray(soft_weight * soft + (1 - soft_weight) * hard)
