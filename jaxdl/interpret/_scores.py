"""Checks of the functions and images that the tools of this package are given."""

from collections.abc import Callable

import jax
import numpy as np
from jax.core import Tracer

from jaxdl.arrays import to_floating
from jaxdl.typing import Array, ArrayLike

Bounds = tuple[float, float] | None
"""The lowest and the highest value of a pixel; None for no limits."""


def as_images(x: ArrayLike, bounds: Bounds) -> Array:
    """Convert examples ``[B, ...]`` to floating-point numbers; a traced array is not compared with the bounds.

    Raises:
        ValueError: the bounds are not increasing, or a value lies outside of them.
    """
    x = to_floating(x)
    if bounds is None:
        return x
    low, high = bounds
    if not low < high:
        raise ValueError(f"expected bounds (low, high) with low < high, got {bounds}")
    if isinstance(x, Tracer):
        return x
    values = np.asarray(x)
    if not np.all((values >= low) & (values <= high)):
        raise ValueError(
            f"expected x within {bounds}, got values from {values.min():g} to {values.max():g}; scale x or give the "
            "range of the pixels as bounds=(low, high)"
        )
    return x


def check_scores(name: str, f: Callable[[Array], Array], x: Array) -> tuple[int, ...]:
    """Check that ``f(x)`` is one number, or one for each of the ``B`` examples of ``x``; return its shape.

    Raises:
        TypeError: the function returns no array.
        ValueError: the function returns an array of another shape.
    """
    found = jax.eval_shape(f, x)
    if not hasattr(found, "shape"):
        raise TypeError(f"expected {name} to return an array, got {type(found).__name__}")
    if found.shape not in {(), x.shape[:1]}:
        raise ValueError(
            f"expected {name} to return one number or one per example, [{x.shape[0]}], got {list(found.shape)}; select "
            "a class, lambda x: f(x)[:, k]"
        )
    return found.shape
