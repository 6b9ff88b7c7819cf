"""Shapes and types of the arguments, checked before anything is computed; means over the steps that count; aliases."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxdl.arrays import fit_mask, widen_floating
from jaxdl.typing import Array, ArrayLike, Batch, Key, PyTree

Loss = Callable[[dict[str, PyTree], Batch, Key], tuple[Array, tuple[dict[str, PyTree], dict[str, Array]]]]
"""``loss(variables, batch, key) -> (loss, (collections, metrics))``, as ``train.make_step`` takes it."""

Update = Callable[[Any, Batch], tuple[Any, dict[str, Array]]]
"""``update(learner, batch) -> (learner, metrics)``, as ``train.make_step`` makes it."""


def to_sequences(**arrays: ArrayLike) -> list[Array]:
    """Convert the arrays of a trajectory to one floating-point type.

    Raises:
        ValueError: one is not a sequence ``[T]``, they differ in ``T``, or ``T`` is 0.
    """
    sequences = to_floats(**arrays)
    shapes = {name: sequence.shape for name, sequence in zip(arrays, sequences, strict=True)}
    lengths = set(shapes.values())
    if len(lengths) > 1 or any(len(shape) != 1 or not shape[0] for shape in lengths):
        raise ValueError(
            f"expected sequences [T] of one length, T at least 1, got {shapes}; map over batches with jax.vmap"
        )
    return sequences


def to_floats(**arrays: ArrayLike) -> list[Array]:
    """Convert arrays to one floating-point type of at least float32; Python's numbers take that of the others."""
    floats = [widen_floating(array) for array in arrays.values()]
    typed = [new for new, old in zip(floats, arrays.values(), strict=True) if not isinstance(old, bool | int | float)]
    dtype = jnp.result_type(*(typed or floats))
    return [array.astype(dtype) for array in floats]


def check_shape(name: str, array: ArrayLike, shape: tuple[int | None, ...], meaning: str) -> None:
    """Check a shape, in which None is any size of at least 1.

    Raises:
        ValueError: the array has another.
    """
    found = np.shape(array)
    fits = len(found) == len(shape) and all(
        size == wanted if wanted is not None else size > 0 for size, wanted in zip(found, shape, strict=True)
    )
    if not fits:
        raise ValueError(f"expected {name} of shape {meaning}, got {found}; map over batches with jax.vmap")


def masked_mean(terms: Array, mask: ArrayLike | None) -> Array:
    """Average terms ``[T]`` over the steps that the mask leaves, 0 of none.

    Raises:
        ValueError: the mask has another shape.
    """
    if mask is None:
        return jnp.mean(terms)
    mask = fit_mask(mask, terms.shape).astype(terms.dtype)
    check_shape("mask", mask, terms.shape, f"[T] = {list(terms.shape)}")
    total = jnp.sum(mask)
    return jnp.sum(jnp.where(mask > 0, mask * terms, 0)) / jnp.where(total > 0, total, 1)
