"""Tests of attribution maps: do they depend on the network, and do they predict what a change of the input does?

Model randomization (Adebayo et al., 2018) replaces trained parameters by a new initialization, layer by layer; a map
that stays the same does not explain the network. Infidelity and sensitivity (Yeh et al., 2019) and sensitivity-n
(Ancona et al., 2018) compare maps with finite changes of the input. Functions ``f`` map examples ``[B, ...]`` to one
number for each, ``[B]``, and ``attribute`` maps parameters or examples to maps ``[B, ...]``.
"""

import math
import re
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from jax import lax

from jaxdl import tree
from jaxdl.arrays import flatten_examples, to_floating, widen_floating
from jaxdl.checks import check_positive_integer
from jaxdl.typing import Array, ArrayLike, Key, PyTree

Similarity = Callable[[Array, Array], Array]


def rank_correlation(a: ArrayLike, b: ArrayLike) -> Array:
    """Compute Spearman's rank correlation of the elements of two maps, for each example.

    Pearson's correlation of the ranks, where equal elements share their mean rank; nan for a map that is constant or
    holds nan.

    Args:
        a: ``[B, ...]``.
        b: ``[B, ...]``.

    Returns:
        ``[B]``.

    Raises:
        ValueError: the shapes differ.

    >>> rank_correlation(jnp.array([[1.0, 2.0, 3.0]]), jnp.array([[1.0, 8.0, 27.0]])).round(4).tolist()
    [1.0]
    """
    a, b = _maps(a, b)

    def ranks(x: Array) -> Array:
        ordered = jnp.sort(x)
        places = [jnp.searchsorted(ordered, x, side=side) for side in ("left", "right")]
        return jnp.where(jnp.isnan(x).any(), jnp.nan, (places[0] + places[1]).astype(x.dtype) / 2)

    return _correlation(jax.vmap(ranks)(a), jax.vmap(ranks)(b))


def structural_similarity(a: ArrayLike, b: ArrayLike, *, window: int = 7) -> Array:
    """Compute the mean structural similarity (SSIM) of two maps, for each example (Wang et al., 2004).

    Channels are averaged and each map is scaled to ``[0, 1]`` by its extremes; a constant map becomes 0. With means,
    variances and the covariance within square windows,

        ``SSIM = (2 mu_a mu_b + c1) (2 cov + c2) / ((mu_a^2 + mu_b^2 + c1) (var_a + var_b + c2))``

    with ``c1 = 0.01^2`` and ``c2 = 0.03^2``, averaged over all windows inside of the map.

    Args:
        a: ``[B, H, W]`` or ``[B, H, W, C]``.
        b: of the same shape.
        window: ``N``, the side of the windows; variances are divided by ``N^2 - 1``.

    Returns:
        ``[B]``.

    Raises:
        ValueError: the shapes differ, or a window is larger than the maps.
    """
    if jnp.shape(a) != jnp.shape(b) or jnp.ndim(a) not in (3, 4):
        raise ValueError(f"expected two maps [B, H, W] or [B, H, W, C], got {jnp.shape(a)} and {jnp.shape(b)}")
    if not 2 <= window <= min(jnp.shape(a)[1:3]):
        raise ValueError(f"expected a window from 2 to {min(jnp.shape(a)[1:3])}, the size of the maps, got {window}")
    a, b = (_unit_range(x if x.ndim == 3 else jnp.mean(x, axis=-1)) for x in map(widen_floating, (a, b)))

    def mean(x: Array) -> Array:
        return (
            lax.reduce_window(x, jnp.zeros((), x.dtype), lax.add, (1, window, window), (1, 1, 1), "valid") / window**2
        )

    unbiased = window**2 / (window**2 - 1)
    mu_a, mu_b = mean(a), mean(b)
    var_a, var_b = (unbiased * (mean(x**2) - mu**2) for x, mu in ((a, mu_a), (b, mu_b)))
    cov = unbiased * (mean(a * b) - mu_a * mu_b)
    c1, c2 = 0.01**2, 0.03**2
    ssim = (2 * mu_a * mu_b + c1) * (2 * cov + c2) / ((mu_a**2 + mu_b**2 + c1) * (var_a + var_b + c2))
    return jnp.mean(ssim, axis=(1, 2))


def cascading_randomization(
    attribute: Callable[[PyTree], Array],
    params: PyTree,
    fresh: PyTree,
    layers: Sequence[str],
    similarity: Similarity = rank_correlation,
) -> dict[str, Array]:
    """Replace the parameters of one layer after the other, and compare the maps with those of the trained network.

    The first layer of the sequence is replaced first, then the first two, and so on: give them from the output to the
    input. For a map that explains the network, the similarity falls.

    Args:
        attribute: ``params -> [B, ...]``, the maps of some examples; compile it with `jax.jit`, as it is called once
            per layer.
        params: trained parameters.
        fresh: a new initialization, a tree like the parameters.
        layers: regular expressions that match the paths of each layer's leaves, such as ``"^conv1/"``.
        similarity: ``(maps, trained maps) -> [B]``; ``lambda a, b: rank_correlation(abs(a), abs(b))`` ignores signs.

    Returns:
        The similarities ``[B]`` after the replacement of each layer.

    Raises:
        ValueError: an expression matches no leaf, or the trees differ.
    """
    masks = _masks(params, fresh, layers)
    until = [jax.tree.map(lambda *each: any(each), *masks[: number + 1]) for number in range(len(masks))]
    return _similarities(attribute, params, fresh, dict(zip(layers, until, strict=True)), similarity)


def independent_randomization(
    attribute: Callable[[PyTree], Array],
    params: PyTree,
    fresh: PyTree,
    layers: Sequence[str],
    similarity: Similarity = rank_correlation,
) -> dict[str, Array]:
    """Replace the parameters of each layer alone; arguments and result are those of `cascading_randomization`.

    >>> params = {"a": {"kernel": jnp.array([1.0, 2.0, 3.0])}, "b": {"kernel": jnp.ones(3)}}
    >>> fresh = {"a": {"kernel": jnp.array([3.0, 2.0, 1.0])}, "b": {"kernel": jnp.ones(3)}}
    >>> found = independent_randomization(lambda p: (p["a"]["kernel"] * p["b"]["kernel"])[None], params, fresh, "ab")
    >>> {layer: round(value.item(), 4) for layer, value in found.items()}
    {'a': -1.0, 'b': 1.0}
    """
    masks = _masks(params, fresh, layers)
    return _similarities(attribute, params, fresh, dict(zip(layers, masks, strict=True)), similarity)


def infidelity(f: Callable[[Array], Array], x: ArrayLike, attributions: ArrayLike, perturbations: ArrayLike) -> Array:
    """Compute ``E_I[(I^T a - (f(x) - f(x - I)))^2]``, the error of the change that the map predicts (Yeh et al., 2019).

    Args:
        f: ``[B, ...] -> [B]``.
        x: ``[B, ...]``.
        attributions: ``a``, like ``x``; of a kind that multiplies differences of the input, as a gradient does.
        perturbations: samples ``[S, B, ...]`` of ``I``; one is evaluated after the other.

    Returns:
        ``[B]``, 0 for the gradient of a linear function.

    Raises:
        ValueError: the shapes do not match.

    >>> x, slope = jnp.array([[1.0, 2.0]]), jnp.array([[3.0, 4.0]])
    >>> infidelity(lambda x: jnp.sum(slope * x, axis=-1), x, slope, jnp.ones((5, 1, 2))).tolist()
    [0.0]
    """
    x, attributions, perturbations = _samples(f, x, attributions, perturbations)
    score = f(x)

    def error(change: Array) -> Array:
        return (_sum(change * attributions) - (score - f(x - change))) ** 2

    return jnp.mean(lax.map(error, perturbations), axis=0)


def max_sensitivity(attribute: Callable[[Array], Array], x: ArrayLike, perturbations: ArrayLike) -> Array:
    """Compute ``max_I ||a(x + I) - a(x)|| / ||a(x)||``, the instability of the maps (Yeh et al., 2019).

    Args:
        attribute: ``[B, ...] -> [B, ...]``, the maps of examples.
        x: ``[B, ...]``.
        perturbations: samples ``[S, B, ...]`` of ``I``, for instance uniform within a small radius.

    Returns:
        ``[B]``; inf or nan where a map is 0.

    Raises:
        ValueError: the shapes do not match.

    >>> max_sensitivity(lambda x: 2 * x, jnp.array([[4.0]]), jnp.array([[[1.0]], [[-2.0]]])).tolist()
    [0.5]
    """
    x, perturbations = to_floating(x), to_floating(perturbations)
    _check_samples(x, perturbations)
    maps = attribute(x)
    sizes = jnp.sqrt(_sum(maps**2))

    def change(perturbation: Array) -> Array:
        return jnp.sqrt(_sum((attribute(x + perturbation) - maps) ** 2))

    return jnp.max(lax.map(change, perturbations), axis=0) / sizes


def sensitivity_n(
    f: Callable[[Array], Array],
    x: ArrayLike,
    attributions: ArrayLike,
    subsets: ArrayLike,
    baseline: ArrayLike = 0.0,
) -> Array:
    """Correlate the sum of the attributions of ``n`` features with the effect of their removal (Ancona et al., 2018).

    Pearson's correlation over subsets ``S`` of ``sum_(i in S) a_i`` and ``f(x) - f(x with x_S = baseline)``.

    Args:
        f: ``[B, ...] -> [B]``.
        x: ``[B, ...]``.
        attributions: ``a``, like ``x``.
        subsets: Boolean ``[S, ...]``, the features that each subset removes; see `random_subsets`.
        baseline: what replaces removed features, a number or an array like ``x``.

    Returns:
        ``[B]``, 1 for gradient times input of a linear function; nan where sums or effects are constant.

    Raises:
        ValueError: the shapes do not match.
    """
    subsets = jnp.asarray(subsets, bool)
    if subsets.shape[1:] != jnp.shape(x)[1:] or len(subsets) < 2:
        raise ValueError(f"expected at least 2 subsets of features {jnp.shape(x)[1:]}, got {subsets.shape}")
    x, attributions, _ = _samples(f, x, attributions, jnp.zeros((1, *jnp.shape(x))))
    baseline, score = jnp.broadcast_to(jnp.asarray(baseline, x.dtype), x.shape), f(x)

    def compare(removed: Array) -> tuple[Array, Array]:
        removed = jnp.broadcast_to(removed[None], x.shape)
        return _sum(jnp.where(removed, attributions, 0)), score - f(jnp.where(removed, baseline, x))

    sums, effects = lax.map(compare, subsets)
    return _correlation(sums.T, effects.T)


def curve_area(scores: ArrayLike) -> Array:
    """Compute the area under a curve of scores over the share of replaced positions, from 0 to 1, by trapezoids.

    For deletion a small area is good, for insertion a large one (Petsiuk et al., 2018).

    Args:
        scores: ``[T + 1, ...]`` at the shares ``0, 1 / T, .., 1``, as from `deletion_curve`.

    Returns:
        ``[...]``, in units of the score.

    Raises:
        ValueError: there are fewer than two points.

    >>> curve_area(jnp.array([4.0, 2.0, 0.0])).item()
    2.0
    """
    scores = widen_floating(scores)
    if scores.ndim == 0 or len(scores) < 2:
        raise ValueError(f"expected scores [T + 1, ...] with T >= 1, got {scores.shape}")
    return jnp.mean((scores[1:] + scores[:-1]) / 2, axis=0)


def random_subsets(key: Key, shape: tuple[int, ...], n: int, count: int) -> Array:
    """Draw ``count`` subsets of exactly ``n`` features, Boolean arrays ``[count, *shape]``.

    Raises:
        ValueError: ``n`` is not between 1 and the number of features.

    >>> jnp.sum(random_subsets(jax.random.key(0), (3, 4), n=5, count=2), axis=(1, 2)).tolist()
    [5, 5]
    """
    check_positive_integer("count", count)
    size = math.prod(shape)
    if not 1 <= n <= size:
        raise ValueError(f"expected n from 1 to {size}, the number of features, got {n}")
    order = jax.vmap(lambda key: jax.random.permutation(key, size))(jax.random.split(key, count))
    return (order < n).reshape(count, *shape)


def _masks(params: PyTree, fresh: PyTree, layers: Sequence[str]) -> list[PyTree]:
    """Return for each layer the tree of whether a leaf belongs to it."""
    if jax.tree.structure(params) != jax.tree.structure(fresh):
        raise ValueError(f"expected fresh to be a tree like params, got {jax.tree.structure(fresh)}")
    masks = []
    for pattern in layers:
        mask = tree.map_with_path(lambda path, _, pattern=pattern: bool(re.search(pattern, path)), params)
        if not any(jax.tree.leaves(mask)):
            raise ValueError(
                f"expected layers to match paths of parameters, got {pattern!r}; the paths are "
                f"{', '.join(tree.flatten(params))}"
            )
        masks.append(mask)
    if not masks:
        raise ValueError("expected at least one layer, got none")
    return masks


def _similarities(
    attribute: Callable[[PyTree], Array],
    params: PyTree,
    fresh: PyTree,
    masks: dict[str, PyTree],
    similarity: Similarity,
) -> dict[str, Array]:
    trained = attribute(params)

    def replaced(mask: PyTree) -> PyTree:
        return jax.tree.map(lambda new, w, inside: new if inside else w, fresh, params, mask)

    return {layer: similarity(attribute(replaced(mask)), trained) for layer, mask in masks.items()}


def _maps(a: ArrayLike, b: ArrayLike) -> tuple[Array, Array]:
    a, b = widen_floating(a), widen_floating(b)
    if a.shape != b.shape or a.ndim < 2:
        raise ValueError(f"expected two maps [B, ...] of the same shape, got {a.shape} and {b.shape}")
    return flatten_examples(a), flatten_examples(b)


def _samples(
    f: Callable[[Array], Array], x: ArrayLike, attributions: ArrayLike, perturbations: ArrayLike
) -> tuple[Array, Array, Array]:
    x, attributions, perturbations = map(to_floating, (x, attributions, perturbations))
    if attributions.shape != x.shape:
        raise ValueError(f"expected attributions of the shape of x, {x.shape}, got {attributions.shape}")
    _check_samples(x, perturbations)
    found = jax.eval_shape(f, x)
    if getattr(found, "shape", None) != x.shape[:1]:
        got = jax.tree.map(jnp.shape, found)
        raise ValueError(f"expected f to return one number per example, {x.shape[:1]}, got {got}; see target_score")
    return x, attributions, perturbations


def _check_samples(x: Array, perturbations: Array) -> None:
    if perturbations.shape[1:] != x.shape or len(perturbations) == 0:
        raise ValueError(f"expected perturbations [S, ...] of x, {x.shape}, with S >= 1, got {perturbations.shape}")


def _correlation(a: Array, b: Array) -> Array:
    """Compute Pearson's correlation of rows ``[B, N]``."""
    a, b = (x - jnp.mean(x, axis=-1, keepdims=True) for x in (a, b))
    return jnp.sum(a * b, axis=-1) / jnp.sqrt(jnp.sum(a**2, axis=-1) * jnp.sum(b**2, axis=-1))


def _unit_range(x: Array) -> Array:
    low, high = (extreme(x, axis=(1, 2), keepdims=True) for extreme in (jnp.min, jnp.max))
    return (x - low) / jnp.where(high == low, 1, high - low)


def _sum(x: Array) -> Array:
    return jnp.sum(flatten_examples(x), axis=-1)
