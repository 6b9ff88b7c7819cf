"""Attribution by gradients: saliency, gradient times input, SmoothGrad and integrated gradients.

Each explains a function that maps a batch ``[B, ...]`` to one score per example, ``[B]``: the score of a class by
`target_score`, or any neuron of any layer, ``lambda x: read(f, "conv2")(x)[1]["conv2"][:, 3, 3, 0]``. Examples must not
influence each other, as they do where batch statistics are computed. Compile the whole for speed,
``jax.jit(lambda x: saliency(f, x))``.

Several classes at once are a ``vmap``:

>>> from jaxdl.interpret import target_score
>>> def f(x):
...     return x @ jnp.array([[1.0, -2.0], [3.0, 4.0]])
>>> jax.vmap(lambda k: saliency(target_score(f, k), jnp.ones((1, 2))))(jnp.arange(2)).tolist()
[[[1.0, 3.0]], [[2.0, 4.0]]]
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from jaxdl.checks import check_in_range, check_positive_integer
from jaxdl.interpret.intermediates import read, replace
from jaxdl.interpret.scores import Scores, check_scores, fill_baseline, sum_chunks
from jaxdl.typing import Array, ArrayLike, Key


def gradient(f: Scores, x: ArrayLike) -> Array:
    """Compute ``d f(x)_b / d x_b``, the gradient of each score with respect to its example.

    Args:
        f: maps ``[B, ...]`` to scores ``[B]``.
        x: ``[B, ...]``.

    Returns:
        The shape of ``x``.

    Raises:
        TypeError: ``x`` has no floating dtype.
        ValueError: ``f`` does not return one score per example.

    >>> gradient(lambda x: jnp.sum(x**2, axis=1), jnp.array([[1.0, -2.0]])).tolist()
    [[2.0, -4.0]]
    """
    f, x, restore = check_scores(f, x)
    return restore(_gradient(f, x))


def saliency(f: Scores, x: ArrayLike) -> Array:
    """Compute ``|d f / d x|``, the magnitude of `gradient` (Simonyan et al., 2014).

    The paper reduces an image to its largest channel, ``jnp.max(saliency(f, x), axis=-1)``.

    Args:
        f: maps ``[B, ...]`` to scores ``[B]``.
        x: ``[B, ...]``.

    Returns:
        The shape of ``x``.

    Raises:
        TypeError: ``x`` has no floating dtype.
        ValueError: ``f`` does not return one score per example.

    >>> saliency(lambda x: jnp.sum(x**2, axis=1), jnp.array([[1.0, -2.0]])).tolist()
    [[2.0, 4.0]]
    """
    return jnp.abs(gradient(f, x))


def gradient_times_input(f: Scores, x: ArrayLike) -> Array:
    """Compute ``x * d f / d x`` (Shrikumar et al., 2016), the contributions to a function that is linear in ``x``.

    Args:
        f: maps ``[B, ...]`` to scores ``[B]``.
        x: ``[B, ...]``.

    Returns:
        The shape of ``x``.

    Raises:
        TypeError: ``x`` has no floating dtype.
        ValueError: ``f`` does not return one score per example.

    >>> gradient_times_input(lambda x: jnp.sum(x**2, axis=1), jnp.array([[1.0, -2.0]])).tolist()
    [[2.0, 8.0]]
    """
    return jnp.asarray(x) * gradient(f, x)


def smooth_grad(
    f: Scores, x: ArrayLike, key: Key, *, stddev: ArrayLike = 0.15, samples: int = 50, chunk_size: int = 10
) -> Array:
    """Compute the mean of `gradient` over noisy copies of the input (Smilkov et al., 2017).

        1/S sum_s d f(x + e_s) / d x        e_s ~ N(0, stddev^2)

    Args:
        f: maps ``[B, ...]`` to scores ``[B]``.
        x: ``[B, ...]``.
        key: a random key; sample ``s`` uses ``jax.random.split(key, samples)[s]``.
        stddev: of the noise, in units of ``x``; the paper uses 10 to 20% of the range of an image.
        samples: number of copies.
        chunk_size: number of copies that are evaluated at a time, which bounds the memory.

    Returns:
        The shape of ``x``.

    Raises:
        TypeError: ``x`` has no floating dtype.
        ValueError: ``f`` does not return one score per example, or a number is out of range.
    """
    check_in_range("stddev", stddev)
    check_positive_integer("samples", samples)
    f, x, restore = check_scores(f, x)

    def noisy(key: Key) -> Array:
        return _gradient(f, x + (jnp.asarray(stddev) * jax.random.normal(key, x.shape, x.dtype)).astype(x.dtype))

    return restore(sum_chunks(noisy, jax.random.split(key, samples), chunk_size) / samples)


def integrated_gradients(
    f: Scores, x: ArrayLike, baseline: ArrayLike | None = None, steps: int = 50, *, chunk_size: int = 10
) -> tuple[Array, Array]:
    """Integrate the gradient along the straight line from a baseline ``x'`` to the input (Sundararajan et al., 2017).

        a = (x - x') * int_0^1 d f(x' + t (x - x')) / d x dt

    by Gauss-Legendre quadrature. The attributions of an example sum to ``f(x) - f(x')`` (completeness).

    Args:
        f: maps ``[B, ...]`` to scores ``[B]``.
        x: ``[B, ...]``.
        baseline: ``x'``, broadcasts to ``x``; zeros by default.
        steps: number of points of the quadrature.
        chunk_size: number of points that are evaluated at a time, which bounds the memory.

    Returns:
        The attributions, of the shape of ``x``, and the completeness error ``|sum a - (f(x) - f(x'))|``, ``[B]``.

    Raises:
        TypeError: ``x`` has no floating dtype.
        ValueError: ``f`` does not return one score per example, the baseline does not broadcast to ``x``, or a number
            is no positive integer.

    >>> attributions, error = integrated_gradients(lambda x: x[:, 0] * x[:, 1], jnp.array([[2.0, 3.0]]), steps=2)
    >>> jnp.round(attributions, 4).tolist(), bool(error[0] < 1e-5)
    ([[3.0, 3.0]], True)
    """
    check_positive_integer("steps", steps)
    check_positive_integer("chunk_size", chunk_size)
    f, x, restore = check_scores(f, x)
    start = fill_baseline(baseline, x)
    nodes, weights = np.polynomial.legendre.leggauss(steps)

    def point(item: tuple[Array, Array]) -> Array:
        t, weight = item
        return weight * _gradient(f, start + t * (x - start))

    items = jnp.asarray((1 + nodes) / 2, x.dtype), jnp.asarray(weights / 2, x.dtype)
    attributions = (x - start) * sum_chunks(point, items, chunk_size)
    total = jnp.sum(attributions, axis=tuple(range(1, x.ndim)))
    return restore((attributions, jnp.abs(total - (f(x) - f(start)))))


def attribute_tokens(
    f: Callable[[Array], Array],
    tokens: ArrayLike,
    layer: str,
    reference: ArrayLike,
    steps: int = 50,
    *,
    chunk_size: int = 10,
) -> tuple[Array, Array]:
    """Attribute scores to tokens: `integrated_gradients` from the embedding of a reference, summed over each vector.

    The layer must be all that the score sees of the tokens' identity, such as ``embedding`` of the recurrent models and
    ``embedded`` of the transformers here. A reference of zeros in the embedding is a poor baseline for layer norms,
    which scale it to the length of any other; a token such as the padding or the end is a good one.

    Args:
        f: maps tokens ``[B, T]`` to scores ``[B]``.
        tokens: integers ``[B, T]``.
        layer: the name of the embedding ``[B, T, D]`` among the intermediates of ``f``.
        reference: tokens that broadcast to ``[B, T]``, which stand for no information.
        steps: as in `integrated_gradients`.
        chunk_size: as in `integrated_gradients`.

    Returns:
        The attributions ``[B, T]``, and the completeness error ``[B]``.

    Raises:
        ValueError: ``f`` has no such intermediate, or does not return one score per example.
    """
    tokens = jnp.asarray(tokens)
    reference = jnp.broadcast_to(jnp.asarray(reference, tokens.dtype), tokens.shape)
    embed = read(f, layer)
    start, end = (embed(ids)[1][layer] for ids in (reference, tokens))
    if end.ndim != tokens.ndim + 1:
        raise ValueError(f"expected an embedding {(*tokens.shape, 'D')} as layer, got {layer!r} of shape {end.shape}")
    attributions, error = integrated_gradients(
        lambda vectors: replace(f, layer)(vectors, tokens), end, start, steps, chunk_size=chunk_size
    )
    return jnp.sum(attributions, axis=-1), error


def _gradient(f: Scores, x: Array) -> Array:
    return jax.grad(lambda x: jnp.sum(f(x)))(x)
