"""Magnitude pruning: masks that remove the smallest weights, and an optimizer that keeps them removed."""

import re
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxdl import tree
from jaxdl.arrays import widen
from jaxdl.checks import check_in_range, shorten
from jaxdl.optim.numerics import check_inexact
from jaxdl.typing import Array, PyTree

KERNELS = "kernel$"
"""The pattern of the paths of weights; biases and the parameters of norms are few and are kept."""


def global_masks(params: PyTree, rate: float, *, pattern: str = KERNELS) -> PyTree:
    """Return masks that are False for the share ``rate`` of all weights with the smallest magnitudes.

    Layers with small weights lose more of them than others. Of ``n`` weights exactly ``round(rate n)`` are removed,
    of equal magnitudes the first; NaN counts as the largest.

    Args:
        params: a tree of arrays.
        rate: share of the weights to remove, from 0 to 1.
        pattern: a regular expression, searched in the paths of the leaves to prune; the masks of others are True.

    Raises:
        ValueError: the rate is not from 0 to 1, or the pattern is found in no path.

    Source: Han, Pool, Tran and Dally, "Learning both weights and connections for efficient neural networks" (2015).

    >>> masks = global_masks({"a": {"kernel": jnp.array([1.0, -4.0])}, "b": {"kernel": jnp.array([3.0, 2.0])}}, 0.5)
    >>> masks["a"]["kernel"].tolist(), masks["b"]["kernel"].tolist()
    ([False, True], [True, False])
    """
    leaves = _selected(params, rate, pattern)
    flat = _largest(jnp.concatenate([jnp.abs(widen(leaf)).ravel() for leaf in leaves.values()]), rate)
    ends = np.cumsum([jnp.size(leaf) for leaf in leaves.values()])
    parts = dict(zip(leaves, jnp.split(flat, ends[:-1]), strict=True))
    return _fill(params, {path: part.reshape(leaves[path].shape) for path, part in parts.items()})


def layer_masks(params: PyTree, rate: float, *, pattern: str = KERNELS) -> PyTree:
    """Return masks that are False for the share ``rate`` of the weights of every layer; see `global_masks`.

    >>> masks = layer_masks({"a": {"kernel": jnp.array([1.0, -4.0])}, "b": {"kernel": jnp.array([9.0, 8.0])}}, 0.5)
    >>> masks["a"]["kernel"].tolist(), masks["b"]["kernel"].tolist()
    ([False, True], [True, False])
    """
    leaves = _selected(params, rate, pattern)
    flat = {path: _largest(jnp.abs(widen(leaf)).ravel(), rate) for path, leaf in leaves.items()}
    return _fill(params, {path: mask.reshape(leaves[path].shape) for path, mask in flat.items()})


def apply_masks(params: PyTree, masks: PyTree) -> PyTree:
    """Set the parameters whose mask is False to 0.

    >>> apply_masks({"kernel": jnp.array([1.0, 2.0])}, {"kernel": jnp.array([False, True])})["kernel"].tolist()
    [0.0, 2.0]
    """
    return jax.tree.map(lambda p, mask: jnp.where(mask, p, jnp.zeros((), jnp.asarray(p).dtype)), params, masks)


class KeepZerosState(NamedTuple):
    """The state of `keep_zeros`: Booleans, False for weights that were 0 at the start, and the state inside."""

    masks: PyTree
    inner: Any


def keep_zeros(optimizer: optax.GradientTransformation, *, pattern: str = KERNELS) -> optax.GradientTransformation:
    """Keep the weights at 0 that are 0 when the state is initialized: fine-tuning after pruning.

    The masks are part of the state, so that each member of an ensemble under `jax.vmap` has its own, and checkpoints
    hold them.

    Args:
        optimizer: of the other weights.
        pattern: a regular expression, searched in the paths of the leaves whose zeros are kept.

    >>> optimizer = keep_zeros(optax.sgd(1.0))
    >>> params = {"kernel": jnp.array([0.0, 2.0])}
    >>> updates, _ = optimizer.update({"kernel": jnp.ones(2)}, optimizer.init(params), params)
    >>> updates["kernel"].tolist()
    [0.0, -1.0]
    """
    search, optimizer = re.compile(pattern).search, optax.with_extra_args_support(optimizer)

    def init(params: PyTree) -> KeepZerosState:
        check_inexact("parameters", params)
        masks = tree.map_with_path(lambda path, p: (p != 0) if search(path) else jnp.ones(jnp.shape(p), bool), params)
        return KeepZerosState(masks, optimizer.init(params))

    def update(
        updates: PyTree, state: Any, params: PyTree | None = None, **extra: Any
    ) -> tuple[PyTree, KeepZerosState]:
        check_inexact("gradients", updates)
        updates, inner = optimizer.update(updates, state.inner, params, **extra)
        return apply_masks(updates, state.masks), KeepZerosState(state.masks, inner)

    return optax.GradientTransformationExtraArgs(init, update)


def sparsity(params: PyTree, *, pattern: str = KERNELS) -> Array:
    """Return the share of zeros among the weights.

    Raises:
        ValueError: the pattern is found in no path.

    >>> sparsity({"kernel": jnp.array([0.0, 2.0]), "bias": jnp.zeros(3)}).item()
    0.5
    """
    leaves = list(_selected(params, 0.0, pattern).values())
    zeros = sum(jnp.sum(jnp.asarray(leaf) == 0, dtype=jnp.float32) for leaf in leaves)
    return jnp.asarray(zeros / max(1, sum(jnp.size(leaf) for leaf in leaves)))


def _selected(params: PyTree, rate: float, pattern: str) -> dict[str, Array]:
    """Check the arguments, and return the leaves to prune by their paths."""
    check_in_range("rate", rate, 0.0, 1.0)
    leaves = tree.flatten(params)
    found = {path: jnp.asarray(leaf) for path, leaf in leaves.items() if re.search(pattern, path)}
    if not found:
        raise ValueError(f"expected a pattern of one of the paths {shorten(', '.join(leaves))}, got {pattern!r}")
    return found


def _largest(magnitudes: Array, rate: float) -> Array:
    """Return True for all of the magnitudes ``[n]`` but the ``round(rate n)`` smallest."""
    order = jnp.argsort(magnitudes, stable=True)
    return jnp.ones(magnitudes.shape, bool).at[order[: round(rate * magnitudes.size)]].set(False)


def _fill(params: PyTree, masks: dict[str, Array]) -> PyTree:
    """Return a tree of the given masks, True at all other leaves."""
    return tree.map_with_path(lambda path, p: masks.get(path, jnp.ones(jnp.shape(p), bool)), params)
