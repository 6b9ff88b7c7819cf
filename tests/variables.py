"""Variables of models for tests that do not test their initialization: drawn by NumPy, which compiles nothing."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from jaxdl import tree


def draw(init: Callable[..., Any], *arguments: Any, seed: int = 0) -> Any:
    """Draw what ``init(*arguments)`` would return, only traced: random leaves that keep signals near 1.

    Kernels and embeddings are normal with variance ``1 / inputs``, scales near 1, variances from 0.5 to 1.5, all other
    leaves near 0.
    """
    random = np.random.default_rng(seed)

    def leaf_of(path: str, form: jax.ShapeDtypeStruct) -> np.ndarray:
        numbers = random.standard_normal(form.shape)
        if path.endswith("var"):
            numbers = random.uniform(0.5, 1.5, form.shape)
        elif path.endswith("scale"):
            numbers = 1 + 0.1 * numbers
        elif len(form.shape) > 1:
            numbers = numbers / np.prod(form.shape[:-1]) ** 0.5
        else:
            numbers = 0.1 * numbers
        return numbers.astype(form.dtype)

    return tree.map_with_path(leaf_of, jax.eval_shape(init, *arguments))
