"""Freezing and learning rates by path, to fine-tune pretrained parameters."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import optax
from optax import GradientTransformation

from jaxdl.optim.numerics import transformation
from jaxdl.optim.regularization import Mask, masked
from jaxdl.tree import flatten, map_with_path, select
from jaxdl.typing import ArrayLike, PyTree


def freeze(optimizer: GradientTransformation, mask: Mask) -> GradientTransformation:
    """Freeze the parameters that a mask selects, and update the others by an optimizer.

    Frozen parameters take no memory in the optimizer's state, do not decay, and do not count in the norm of clipping.
    Batch statistics are not parameters; `frozen_paths` of the optimizer's state let ``train.make_step`` keep those of
    modules whose parameters are all frozen.

    Args:
        optimizer: of the other parameters.
        mask: a pattern searched in the paths, a tree of Booleans, or a function that returns one.

    Raises:
        ValueError: at ``init``, the pattern matches no path.

    >>> params = {"conv1": jnp.ones(1), "output": jnp.ones(1)}
    >>> optimizer = freeze(optax.sgd(0.5), "^conv")
    >>> update, _ = optimizer.update(params, optimizer.init(params), params)
    >>> float(update["conv1"][0]), float(update["output"][0])
    (0.0, -0.5)
    """

    def frozen(params: PyTree) -> PyTree:
        if not isinstance(mask, str):
            return mask(params) if callable(mask) else mask
        _check_patterns([mask], params)
        return select(params, mask)

    def trainable(params: PyTree) -> PyTree:
        return jax.tree.map(lambda is_frozen: not is_frozen, frozen(params))

    def init_marker(params: PyTree) -> PyTree:
        return _Frozen(frozenset(path for path, is_frozen in flatten(frozen(params)).items() if is_frozen))

    marker = GradientTransformation(init_marker, lambda updates, state, params=None: (updates, state))
    return optax.chain(masked(optimizer, trainable), masked(optax.set_to_zero(), frozen), marker)


@jax.tree_util.register_static
@dataclass(frozen=True)
class _Frozen:
    """The paths of frozen parameters, in the state of an optimizer; it has no leaves."""

    paths: frozenset[str]


def frozen_paths(state: PyTree) -> frozenset[str]:
    """Return the paths of the parameters that `freeze` keeps, from an optimizer's state, also a nested one.

    Where a mask has one entry for a whole subtree, its path is that of the subtree.

    >>> sorted(frozen_paths(freeze(optax.sgd(0.5), "^conv").init({"conv1": jnp.ones(1), "output": jnp.ones(1)})))
    ['conv1']
    """
    leaves = jax.tree.leaves(state, is_leaf=lambda leaf: isinstance(leaf, _Frozen))
    return frozenset().union(*(leaf.paths for leaf in leaves if isinstance(leaf, _Frozen)))


def scale_by_path(factors: Mapping[str, ArrayLike]) -> GradientTransformation:
    """Multiply each update by the factor of the first pattern that matches its path, by 1 where none does.

    Behind an optimizer it gives each path its own learning rate:
    ``optax.chain(adam(1e-3), scale_by_path({"^conv": 0.1}))``. Weight decay in the optimizer is multiplied too. A
    factor of 0 freezes, but keeps the optimizer's state.

    Args:
        factors: from patterns to numbers, which may be traced.

    Raises:
        ValueError: at ``init``, a pattern matches no path.

    >>> updates = {"conv1": jnp.ones(1), "output": jnp.ones(1)}
    >>> optimizer = scale_by_path({"^conv": 0.25})
    >>> {name: float(u[0]) for name, u in optimizer.update(updates, optimizer.init(updates))[0].items()}
    {'conv1': 0.25, 'output': 1.0}
    """

    def init(params: PyTree) -> optax.EmptyState:
        _check_patterns(factors, params)
        return optax.EmptyState()

    def update(updates, state, params=None):
        del params

        def scaled(path: str, leaf: jax.Array) -> jax.Array:
            factor = next((factor for pattern, factor in factors.items() if re.search(pattern, path)), None)
            return leaf if factor is None else (leaf * jnp.asarray(factor)).astype(leaf.dtype)

        return map_with_path(scaled, updates), state

    return transformation(init, update)


def discriminative_factors(groups: Sequence[str], decay: float = 2.6) -> dict[str, float]:
    """Compute the factors of discriminative fine-tuning, for `scale_by_path` (Howard and Ruder, 2018).

    Group ``l = 1 .. L`` of layers has the factor ``decay^-(L - l)``: layers nearer to the input are more general and
    move less.

    Args:
        groups: patterns of paths, from the input to the output.
        decay: how much slower each group is than the next.

    Raises:
        ValueError: ``decay`` is not positive.

    >>> discriminative_factors(["^conv1/", "^conv2/", "^output/"], decay=2.0)
    {'^conv1/': 0.25, '^conv2/': 0.5, '^output/': 1.0}
    """
    if not decay > 0:
        raise ValueError(f"expected decay in (0, inf), got {decay}; above 1, earlier layers learn more slowly")
    return {pattern: float(decay ** (i + 1 - len(groups))) for i, pattern in enumerate(groups)}


def _check_patterns(patterns: Sequence[str] | Mapping[str, ArrayLike], params: PyTree) -> None:
    paths = list(flatten(params))
    for pattern in patterns:
        if not any(re.search(pattern, path) for path in paths):
            raise ValueError(
                f"expected a pattern found in a path, got {pattern!r}; paths are {', '.join(paths[:8])}..."
            )
