"""Scores of attention, learned or not, whose softmax `attend` takes.

With queries ``q_t`` and keys ``k_s`` as rows, the score of ``q_t`` for ``k_s`` is

    additive   tanh(q_t W + k_s U) v       (Bahdanau et al., 2015)
    dot        q_t k_s^T                   (Luong et al., 2015), by ``sqrt(D)`` if scaled (Vaswani et al., 2017)
    general    q_t W k_s^T                 (Luong et al., 2015)
    concat     tanh([q_t; k_s] W) v        (Luong et al., 2015)

``additive_scores`` and so on are functions of arrays. ``AdditiveScore(64)`` and so on are frozen dataclasses without
arrays, as the cells of ``nn.recurrent``: ``shapes`` names the parameters, ``keys`` computes what depends on the keys
alone, once for all steps of a decoder, ``scores`` the rest, and calling it does both.

Dimensions: T queries, S keys, D width of queries, E width of keys, A hidden units.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen

from jaxdl.arrays import to_floating
from jaxdl.checks import check_positive_integer, renamed_fields
from jaxdl.nn import initializers
from jaxdl.nn.attention.dot_product import attend, scaled_dot_product
from jaxdl.nn.attention.masking import clear_hidden
from jaxdl.nn.dense import linear
from jaxdl.typing import Array, ArrayLike, Key

Parameters = dict[str, Array]
Shapes = dict[str, tuple[initializers.Initializer, Sequence[int]]]


def additive_scores(
    q: ArrayLike, k: ArrayLike, query_kernel: ArrayLike, key_kernel: ArrayLike, vector: ArrayLike
) -> Array:
    """Compute ``tanh(q_t W + k_s U) v`` (Bahdanau et al., 2015).

    Args:
        q: ``[..., T, D]``.
        k: ``[..., S, E]``.
        query_kernel: ``W``, ``[D, A]``.
        key_kernel: ``U``, ``[E, A]``.
        vector: ``v``, ``[A]``.

    Returns:
        ``[..., T, S]``.

    Raises:
        ValueError: shapes do not match.

    >>> q, k, W, U = jnp.ones((1, 1)), jnp.zeros((2, 1)), jnp.zeros((1, 3)), jnp.ones((1, 3))
    >>> additive_scores(q, k, W, U, jnp.ones(3)).tolist()
    [[0.0, 0.0]]
    """
    return tanh_scores(linear(q, query_kernel), linear(k, key_kernel), vector)


def tanh_scores(a: ArrayLike, b: ArrayLike, vector: ArrayLike) -> Array:
    """Compute ``tanh(a_t + b_s) v`` of projected queries and keys, accumulated in at least float32.

    Args:
        a: ``[..., T, A]``.
        b: ``[..., S, A]``.
        vector: ``v``, ``[A]``.

    Returns:
        ``[..., T, S]``.

    Raises:
        ValueError: shapes do not match.

    >>> tanh_scores(jnp.zeros((1, 2)), jnp.zeros((3, 2)), jnp.ones(2)).shape
    (1, 3)
    """
    a, b, vector = to_floating(a), to_floating(b), to_floating(vector)
    if min(a.ndim, b.ndim) < 2 or a.shape[:-2] != b.shape[:-2] or {a.shape[-1:], b.shape[-1:]} != {vector.shape}:
        raise ValueError(
            "expected queries [..., T, A] and keys [..., S, A] with equal leading dimensions, and a vector [A], "
            f"got {a.shape}, {b.shape} and {vector.shape}"
        )
    x = jnp.tanh(a[..., :, None, :] + b[..., None, :, :])  # [..., T, S, A]
    return jnp.einsum("...tsa,a->...ts", x, vector, preferred_element_type=jnp.promote_types(x.dtype, jnp.float32))


def dot_scores(q: ArrayLike, k: ArrayLike) -> Array:
    """Compute ``q_t k_s^T``, ``[..., T, S]``, of ``q [..., T, D]`` and ``k [..., S, D]`` (Luong et al., 2015).

    Raises:
        ValueError: shapes do not match.

    >>> dot_scores(jnp.array([[1.0, 2.0]]), jnp.array([[3.0, 4.0], [0.0, 1.0]])).tolist()
    [[11.0, 2.0]]
    """
    return scaled_dot_product(q, k, scale=1.0)


def general_scores(q: ArrayLike, k: ArrayLike, kernel: ArrayLike) -> Array:
    """Compute ``q_t W k_s^T`` (Luong et al., 2015).

    Args:
        q: ``[..., T, D]``.
        k: ``[..., S, E]``.
        kernel: ``W``, ``[D, E]``.

    Returns:
        ``[..., T, S]``.

    Raises:
        ValueError: shapes do not match.

    >>> general_scores(jnp.array([[1.0, 2.0]]), jnp.array([[3.0]]), jnp.array([[1.0], [1.0]])).tolist()
    [[9.0]]
    """
    return dot_scores(q, linear(k, jnp.asarray(kernel).T))


def concat_scores(q: ArrayLike, k: ArrayLike, kernel: ArrayLike, vector: ArrayLike) -> Array:
    """Compute ``tanh([q_t; k_s] W) v`` (Luong et al., 2015).

    The product with a pair is the sum of two products, and no pair is concatenated: the score is ``additive_scores``
    with the rows of ``W`` for the query, and those for the key.

    Args:
        q: ``[..., T, D]``.
        k: ``[..., S, E]``.
        kernel: ``W``, ``[D + E, A]``.
        vector: ``v``, ``[A]``.

    Returns:
        ``[..., T, S]``.

    Raises:
        ValueError: shapes do not match.

    >>> concat_scores(jnp.ones((1, 2)), jnp.ones((4, 3)), jnp.zeros((5, 6)), jnp.ones(6)).shape
    (1, 4)
    """
    kernel, query_size = jnp.asarray(kernel), jnp.shape(q)[-1]
    return additive_scores(q, k, kernel[:query_size], kernel[query_size:], vector)


@dataclass(frozen=True)
class Score:
    """The base class of scores; ``keys`` is the identity for scores without parameters on the keys."""

    def shapes(self, query_size: int, key_size: int) -> Shapes:
        """Return the initializer and the shape of every parameter.

        Raises:
            ValueError: the score is not defined for these widths.
        """
        raise NotImplementedError

    def keys(self, parameters: Parameters, k: Array) -> Array:
        """Compute what depends on the keys ``[..., S, E]`` alone."""
        return k

    def scores(self, parameters: Parameters, q: Array, keys: Array) -> Array:
        """Compute the scores ``[..., T, S]`` of queries ``[..., T, D]`` from the result of ``keys``."""
        raise NotImplementedError

    def __call__(self, parameters: Parameters, q: Array, k: Array) -> Array:
        """Compute the scores ``[..., T, S]`` of queries ``[..., T, D]`` for keys ``[..., S, E]``."""
        return self.scores(parameters, q, self.keys(parameters, k))


@renamed_fields(features="hidden_size")
@dataclass(frozen=True)
class AdditiveScore(Score):
    """`additive_scores` with ``hidden_size`` hidden units.

    >>> score = AdditiveScore(8)
    >>> parameters = init_score(jax.random.key(0), score, query_size=3, key_size=5)
    >>> score(parameters, jnp.ones((2, 4, 3)), jnp.ones((2, 6, 5))).shape
    (2, 4, 6)
    """

    hidden_size: int = 64

    def __post_init__(self):
        check_positive_integer("hidden_size", self.hidden_size)

    def shapes(self, query_size: int, key_size: int) -> Shapes:
        """Return the initializer and the shape of every parameter."""
        return {
            "query_kernel": (initializers.lecun_normal(), (query_size, self.hidden_size)),
            "key_kernel": (initializers.lecun_normal(), (key_size, self.hidden_size)),
            "vector": (initializers.normal(self.hidden_size**-0.5), (self.hidden_size,)),
        }

    def keys(self, parameters: Parameters, k: Array) -> Array:
        """Compute ``k U``."""
        return linear(k, parameters["key_kernel"])

    def scores(self, parameters: Parameters, q: Array, keys: Array) -> Array:
        """Compute ``tanh(q_t W + keys_s) v``."""
        return tanh_scores(linear(q, parameters["query_kernel"]), keys, parameters["vector"])


@renamed_fields()
@dataclass(frozen=True)
class ConcatScore(AdditiveScore):
    """`concat_scores` with ``hidden_size`` hidden units; the first rows of ``kernel`` multiply the query."""

    def shapes(self, query_size: int, key_size: int) -> Shapes:
        """Return the initializer and the shape of every parameter."""
        return {
            "kernel": (initializers.lecun_normal(), (query_size + key_size, self.hidden_size)),
            "vector": (initializers.normal(self.hidden_size**-0.5), (self.hidden_size,)),
        }

    def keys(self, parameters: Parameters, k: Array) -> Array:
        """Compute the keys' part of ``[q; k] W``."""
        return linear(k, parameters["kernel"][-k.shape[-1] :])

    def scores(self, parameters: Parameters, q: Array, keys: Array) -> Array:
        """Compute ``tanh([q_t; k_s] W) v``."""
        return tanh_scores(linear(q, parameters["kernel"][: q.shape[-1]]), keys, parameters["vector"])


@dataclass(frozen=True)
class DotScore(Score):
    """`dot_scores`, optionally ``scaled`` by the square root of the width, without parameters."""

    scaled: bool = False

    def shapes(self, query_size: int, key_size: int) -> Shapes:
        """Check that the widths are equal."""
        if query_size != key_size:
            raise ValueError(
                f"expected queries and keys of equal width, got {query_size} and {key_size}; use GeneralScore(), or "
                "give both networks one width (a bidirectional encoder has twice its cell's)"
            )
        return {}

    def scores(self, parameters: Parameters, q: Array, keys: Array) -> Array:
        """Compute ``q_t k_s^T``."""
        return scaled_dot_product(q, keys) if self.scaled else dot_scores(q, keys)


@dataclass(frozen=True)
class GeneralScore(Score):
    """`general_scores`: a dot product after a linear map, for queries and keys of any widths."""

    def shapes(self, query_size: int, key_size: int) -> Shapes:
        """Return the initializer and the shape of every parameter."""
        return {"kernel": (initializers.lecun_normal(), (query_size, key_size))}

    def keys(self, parameters: Parameters, k: Array) -> Array:
        """Compute ``k W^T``."""
        return linear(k, parameters["kernel"].T)

    def scores(self, parameters: Parameters, q: Array, keys: Array) -> Array:
        """Compute ``q_t keys_s^T``."""
        return dot_scores(q, keys)


def init_score(key: Key, score: Score, query_size: int, key_size: int) -> Parameters:
    """Draw the parameters of a score.

    >>> jax.eval_shape(lambda: init_score(jax.random.key(0), GeneralScore(), 3, 5))["kernel"].shape
    (3, 5)
    """
    shapes = score.shapes(query_size, key_size)
    keys = jax.random.split(key, max(len(shapes), 1))
    return {
        name: draw(key, shape, jnp.result_type(float))
        for key, (name, (draw, shape)) in zip(keys, shapes.items(), strict=False)
    }


class ScoreParameters(linen.Module):
    """The parameters of a score, returned by a linen module."""

    score: Score

    def __post_init__(self):
        if not isinstance(self.score, Score):
            raise TypeError(f"expected a Score, such as AdditiveScore(64), got {self.score!r}")
        super().__post_init__()

    @linen.compact
    def __call__(self, query_size: int, key_size: int) -> Parameters:
        """Create or read the parameters for queries and keys of these widths."""
        shapes = self.score.shapes(query_size, key_size)
        return {name: self.param(name, draw, shape) for name, (draw, shape) in shapes.items()}


class Attention(linen.Module):
    """`attend` with a learned score: from queries to keys, with the keys as values by default.

    >>> layer = Attention(AdditiveScore(8))
    >>> y, variables = jax.eval_shape(layer.init_with_output, jax.random.key(0), jnp.zeros((2, 3)), jnp.zeros((4, 5)))
    >>> y.shape, sorted(variables["params"]["score"])
    ((2, 5), ['key_kernel', 'query_kernel', 'vector'])
    """

    score: Score = AdditiveScore()

    @linen.compact
    def __call__(
        self, q: Array, k: Array, v: Array | None = None, mask: ArrayLike | None = None, return_weights: bool = False
    ) -> Any:
        """Compute means ``[..., T, F]`` of values ``[..., S, F]``, optionally also weights ``[..., T, S]``.

        Raises:
            ValueError: shapes do not match.
            TypeError: the mask is not Boolean, the score is not a `Score`, or queries or values are not floating-point
                numbers.
        """
        if not jnp.issubdtype(q.dtype, jnp.floating):
            raise TypeError(f"expected floating-point queries, got {q.dtype}; cast with q.astype(float)")
        parameters = ScoreParameters(self.score, name="score")(q.shape[-1], k.shape[-1])
        parameters = jax.tree.map(lambda leaf: leaf.astype(q.dtype), parameters)
        if mask is not None:
            k = clear_hidden(k, mask)
        scores = self.score(parameters, q, k)  # [..., T, S]
        if return_weights:
            return attend(scores, k if v is None else v, mask, return_weights=True)
        return attend(scores, k if v is None else v, mask)
