"""Word alignment by expectation-maximization: IBM model 1, the first translation that learned from sentence pairs.

Each word of a target is the translation of one word of its source, of any with equal probability, and only the words
matter, not where they are (Brown et al., 1993)::

    p(t_1 .. t_T | s_1 .. s_S) = prod_j 1/S sum_i p(t_j | s_i)

The posterior of ``i`` is an alignment: a table's form of the attention weights that an encoder-decoder learns.
"""

import jax
import jax.numpy as jnp

from jaxdl.checks import check_indices, check_positive_integer
from jaxdl.typing import Array, ArrayLike


def align(table: ArrayLike, sources: ArrayLike, targets: ArrayLike, source_mask: ArrayLike | None = None) -> Array:
    """Compute the posterior of the source word of every target word, ``p(t_j | s_i) / sum_k p(t_j | s_k)``.

    Args:
        table: ``p(t | s)``, ``[V, W]``.
        sources: ``[..., S]``.
        targets: ``[..., T]``.
        source_mask: ``[..., S]``, 0 for padding.

    Returns:
        ``[..., T, S]``; a row that no source word explains is 0.

    >>> align(jnp.array([[0.75, 0.25], [0.25, 0.75]]), jnp.array([0, 1]), jnp.array([1])).tolist()
    [[0.25, 0.75]]
    """
    p = _probabilities(table, sources, targets, source_mask)
    total = jnp.sum(p, axis=-1, keepdims=True)
    return p / jnp.where(total > 0, total, 1)


def update_translation(
    table: ArrayLike,
    sources: ArrayLike,
    targets: ArrayLike,
    source_mask: ArrayLike | None = None,
    target_mask: ArrayLike | None = None,
) -> tuple[Array, Array]:
    """Make one step of expectation-maximization; the log-likelihood never falls from one step to the next.

    The expected counts are ``c(s, t) = sum of the posteriors of all pairs (s, t)``, and then
    ``p(t | s) = c(s, t) / sum_u c(s, u)``. A source word that does not occur keeps its probabilities.

    Args:
        table: ``p(t | s)``, ``[V, W]``.
        sources: ``[N, S]``.
        targets: ``[N, T]``.
        source_mask: ``[N, S]``, 0 for padding.
        target_mask: ``[N, T]``, 0 for padding.

    Returns:
        The new table, and the log-likelihood of all targets under the given one.

    Raises:
        ValueError: shapes do not match, or a token is known to be outside of the table.
    """
    table, sources, targets = jnp.asarray(table), jnp.asarray(sources), jnp.asarray(targets)
    p = _probabilities(table, sources, targets, source_mask)
    valid = jnp.ones(targets.shape, bool) if target_mask is None else jnp.asarray(target_mask) > 0
    lengths = sources.shape[-1] if source_mask is None else jnp.sum(jnp.asarray(source_mask) > 0, -1, keepdims=True)
    total = jnp.sum(p, axis=-1)
    likelihood = jnp.sum(jnp.where(valid, jnp.log(jnp.where(valid, total, 1) / jnp.maximum(lengths, 1)), 0))
    posterior = p * (valid / jnp.where(total > 0, total, 1))[..., None]
    places = jnp.broadcast_to(sources[..., None, :], p.shape), jnp.broadcast_to(targets[..., None], p.shape)
    counts = jnp.zeros_like(table).at[places].add(posterior.astype(table.dtype))
    mass = jnp.sum(counts, axis=1, keepdims=True)
    return jnp.where(mass > 0, counts / jnp.where(mass > 0, mass, 1), table), likelihood


def learn_translation(
    sources: ArrayLike,
    targets: ArrayLike,
    sizes: tuple[int, int],
    *,
    source_mask: ArrayLike | None = None,
    target_mask: ArrayLike | None = None,
    iterations: int = 10,
) -> tuple[Array, Array]:
    """Learn IBM model 1 from a uniform table; its likelihood has one maximum, so that the start does not matter.

    A first source word that is the same in all sentences is the empty word, from which words come that translate none.

    Args:
        sources: ``[N, S]``.
        targets: ``[N, T]``.
        sizes: ``(V, W)``, those of both vocabularies.
        source_mask: ``[N, S]``, 0 for padding.
        target_mask: ``[N, T]``, 0 for padding.
        iterations: steps of expectation-maximization.

    Returns:
        ``p(t | s)``, ``[V, W]``, and the log-likelihood before every step, ``[iterations]``.

    Raises:
        ValueError: shapes do not match, a token is known to be outside of its vocabulary, or ``iterations`` is not
            positive.

    >>> sources, targets = jnp.array([[0, 1], [0, 2]]), jnp.array([[0, 1], [0, 2]])  # das Haus, das Buch
    >>> table, _ = learn_translation(sources, targets, (3, 3), iterations=30)
    >>> table.argmax(axis=1).tolist()
    [0, 1, 2]
    """
    check_positive_integer("iterations", iterations)
    table = jnp.full(sizes, 1 / sizes[1])
    _probabilities(table, sources, targets, source_mask)

    def step(table: Array, _: None) -> tuple[Array, Array]:
        return update_translation(table, sources, targets, source_mask, target_mask)

    return jax.lax.scan(step, table, length=iterations)


def _probabilities(table: ArrayLike, sources: ArrayLike, targets: ArrayLike, source_mask: ArrayLike | None) -> Array:
    """Return ``p(t_j | s_i)``, ``[..., T, S]``, 0 for the padding of the source."""
    table, sources, targets = jnp.asarray(table), jnp.asarray(sources), jnp.asarray(targets)
    if table.ndim != 2 or sources.ndim < 1 or sources.shape[:-1] != targets.shape[:-1]:
        raise ValueError(
            f"expected a table [V, W], sources [..., S] and targets [..., T], got {table.shape}, {sources.shape} and "
            f"{targets.shape}"
        )
    check_indices("sources", sources, table.shape[0])
    check_indices("targets", targets, table.shape[1])
    p = table[sources[..., None, :], targets[..., None]]
    if source_mask is None:
        return p
    if jnp.shape(source_mask) != sources.shape:
        raise ValueError(f"expected source_mask {sources.shape}, got {jnp.shape(source_mask)}")
    return jnp.where(jnp.asarray(source_mask)[..., None, :] > 0, p, 0)
