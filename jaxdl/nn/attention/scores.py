"""Scores of attention: how well a key answers a query, learned or not. ``attend`` makes weights and a mean of them.

With queries ``q_t`` and keys ``k_s`` as rows, the score of ``q_t`` for ``k_s`` is

    additive   tanh(q_t W + k_s U) v       (Bahdanau et al., 2015)
    dot        q_t k_s^T                   (Luong et al., 2015), by ``sqrt(D)`` if scaled (Vaswani et al., 2017)
    general    q_t W k_s^T                 (Luong et al., 2015)
    concat     tanh([q_t; k_s] W) v        (Luong et al., 2015)

Each is a function of arrays. Beside it stands a description without arrays, ``Additive(64)``, as for the cells of
``nn.cells``: ``shapes`` names its parameters, ``keys`` is the part that needs the keys alone, which a decoder does once
for all of its steps, and ``scores`` the rest. ``score(parameters, q, k)`` is one after the other.
"""

from dataclasses import dataclass

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxdl.nn import initializers
from jaxdl.nn.attention.dot_product import attend, scaled_dot_product
from jaxdl.nn.dense import linear
from jaxdl.typing import Array, ArrayLike, Key

SCORES = ("Additive(64)", "Dot()", "General()", "Concat(64)")
Parameters = dict[str, Array]
Shapes = dict[str, tuple[initializers.Initializer, tuple[int, ...]]]


def additive(q: ArrayLike, k: ArrayLike, query_kernel: ArrayLike, key_kernel: ArrayLike, vector: ArrayLike) -> Array:
    """Return ``tanh(q_t W + k_s U) v`` (Bahdanau et al., 2015).

    Args:
        q: ``[..., T, D]``.
        k: ``[..., S, E]``.
        query_kernel: ``W``, ``[D, A]``.
        key_kernel: ``U``, ``[E, A]``.
        vector: ``v``, ``[A]``.

    Returns:
        ``[..., T, S]``.

    Raises:
        ValueError: the shapes do not fit each other.

    >>> additive(jnp.ones((1, 1)), jnp.zeros((2, 1)), jnp.zeros((1, 3)), jnp.ones((1, 3)), jnp.ones(3)).tolist()
    [[0.0, 0.0]]
    """
    return tanh_scores(linear(q, query_kernel), linear(k, key_kernel), vector)


def tanh_scores(a: ArrayLike, b: ArrayLike, vector: ArrayLike) -> Array:
    """Return ``tanh(a_t + b_s) v`` of queries and keys that are mapped already, summed in at least float32.

    Args:
        a: ``[..., T, A]``.
        b: ``[..., S, A]``.
        vector: ``v``, ``[A]``.

    Returns:
        ``[..., T, S]``.

    Raises:
        ValueError: the shapes do not fit each other.

    >>> tanh_scores(jnp.zeros((1, 2)), jnp.zeros((3, 2)), jnp.ones(2)).shape
    (1, 3)
    """
    a, b, vector = jnp.asarray(a), jnp.asarray(b), jnp.asarray(vector)
    if min(a.ndim, b.ndim) < 2 or a.shape[:-2] != b.shape[:-2] or {a.shape[-1:], b.shape[-1:]} != {vector.shape}:
        raise ValueError(
            "these scores need queries [..., T, A] and keys [..., S, A] of equal leading dimensions, and a vector [A]; "
            f"came {a.shape}, {b.shape} and {vector.shape}"
        )
    x = jnp.tanh(a[..., :, None, :] + b[..., None, :, :])
    return jnp.einsum("...tsa,a->...ts", x, vector, preferred_element_type=jnp.promote_types(x.dtype, jnp.float32))


def dot(q: ArrayLike, k: ArrayLike) -> Array:
    """Return ``q_t k_s^T``, ``[..., T, S]``, of ``q [..., T, D]`` and ``k [..., S, D]`` (Luong et al., 2015).

    Raises:
        ValueError: the shapes do not fit each other.

    >>> dot(jnp.array([[1.0, 2.0]]), jnp.array([[3.0, 4.0], [0.0, 1.0]])).tolist()
    [[11.0, 2.0]]
    """
    return scaled_dot_product(q, k, scale=1.0)


def general(q: ArrayLike, k: ArrayLike, kernel: ArrayLike) -> Array:
    """Return ``q_t W k_s^T`` (Luong et al., 2015).

    Args:
        q: ``[..., T, D]``.
        k: ``[..., S, E]``.
        kernel: ``W``, ``[D, E]``.

    Returns:
        ``[..., T, S]``.

    Raises:
        ValueError: the shapes do not fit each other.

    >>> general(jnp.array([[1.0, 2.0]]), jnp.array([[3.0]]), jnp.array([[1.0], [1.0]])).tolist()
    [[9.0]]
    """
    return dot(q, linear(k, jnp.asarray(kernel).T))


def concat(q: ArrayLike, k: ArrayLike, kernel: ArrayLike, vector: ArrayLike) -> Array:
    """Return ``tanh([q_t; k_s] W) v`` (Luong et al., 2015).

    The product with the pair is the sum of two products, so that no pair is ever written down: the score is
    ``additive`` with the rows of ``W`` that meet the query, and with those that meet the key.

    Args:
        q: ``[..., T, D]``.
        k: ``[..., S, E]``.
        kernel: ``W``, ``[D + E, A]``.
        vector: ``v``, ``[A]``.

    Returns:
        ``[..., T, S]``.

    Raises:
        ValueError: the shapes do not fit each other.

    >>> concat(jnp.ones((1, 2)), jnp.ones((4, 3)), jnp.zeros((5, 6)), jnp.ones(6)).shape
    (1, 4)
    """
    kernel, features = jnp.asarray(kernel), jnp.shape(q)[-1]
    return additive(q, k, kernel[:features], kernel[features:], vector)


@dataclass(frozen=True)
class Score:
    """What all scores share; without parameters, the keys are taken as they are."""

    def shapes(self, query_features: int, key_features: int) -> Shapes:
        """Name every parameter for queries and keys of these widths, with what draws it and its shape.

        Raises:
            ValueError: the score has no answer for such widths.
        """
        raise NotImplementedError

    def keys(self, parameters: Parameters, k: Array) -> Array:
        """Do what needs the keys ``[..., S, E]`` alone."""
        return k

    def scores(self, parameters: Parameters, q: Array, keys: Array) -> Array:
        """Return the scores ``[..., T, S]`` of queries ``[..., T, D]``, given what ``keys`` returned."""
        raise NotImplementedError

    def __call__(self, parameters: Parameters, q: Array, k: Array) -> Array:
        """Return the scores ``[..., T, S]`` of queries ``[..., T, D]`` for keys ``[..., S, E]``."""
        return self.scores(parameters, q, self.keys(parameters, k))


@dataclass(frozen=True)
class Additive(Score):
    """``additive``, through ``features`` hidden units.

    >>> score = Additive(8)
    >>> parameters = init(jax.random.key(0), score, query_features=3, key_features=5)
    >>> score(parameters, jnp.ones((2, 4, 3)), jnp.ones((2, 6, 5))).shape
    (2, 4, 6)
    """

    features: int = 64

    def __post_init__(self):
        if self.features < 1:
            raise ValueError(f"features is the number of hidden units and must be at least 1; got {self.features}")

    def shapes(self, query_features: int, key_features: int) -> Shapes:
        """Name every parameter."""
        return {
            "query_kernel": (initializers.lecun_normal(), (query_features, self.features)),
            "key_kernel": (initializers.lecun_normal(), (key_features, self.features)),
            "vector": (initializers.normal(self.features**-0.5), (self.features,)),
        }

    def keys(self, parameters: Parameters, k: Array) -> Array:
        """Return ``k U``."""
        return linear(k, parameters["key_kernel"])

    def scores(self, parameters: Parameters, q: Array, keys: Array) -> Array:
        """Return ``tanh(q_t W + keys_s) v``."""
        return tanh_scores(linear(q, parameters["query_kernel"]), keys, parameters["vector"])


@dataclass(frozen=True)
class Concat(Additive):
    """``concat``, through ``features`` hidden units; the first rows of ``kernel`` meet the query."""

    def shapes(self, query_features: int, key_features: int) -> Shapes:
        """Name every parameter."""
        return {
            "kernel": (initializers.lecun_normal(), (query_features + key_features, self.features)),
            "vector": (initializers.normal(self.features**-0.5), (self.features,)),
        }

    def keys(self, parameters: Parameters, k: Array) -> Array:
        """Return the keys' share of ``[q; k] W``."""
        return linear(k, parameters["kernel"][-k.shape[-1] :])

    def scores(self, parameters: Parameters, q: Array, keys: Array) -> Array:
        """Return ``tanh([q_t; k_s] W) v``."""
        return tanh_scores(linear(q, parameters["kernel"][: q.shape[-1]]), keys, parameters["vector"])


@dataclass(frozen=True)
class Dot(Score):
    """``dot``, or ``scaled`` by the square root of the width; it has no parameters."""

    scaled: bool = False

    def shapes(self, query_features: int, key_features: int) -> Shapes:
        """Check the widths."""
        if query_features != key_features:
            raise ValueError(
                f"a dot product needs queries and keys of one width; they have {query_features} and {key_features}: "
                "give both networks one width (an encoder in both directions has twice its cell's), or take General()"
            )
        return {}

    def scores(self, parameters: Parameters, q: Array, keys: Array) -> Array:
        """Return ``q_t k_s^T``."""
        return scaled_dot_product(q, keys) if self.scaled else dot(q, keys)


@dataclass(frozen=True)
class General(Score):
    """``general``: a dot product after a linear map, so that the widths may differ."""

    def shapes(self, query_features: int, key_features: int) -> Shapes:
        """Name every parameter."""
        return {"kernel": (initializers.lecun_normal(), (query_features, key_features))}

    def keys(self, parameters: Parameters, k: Array) -> Array:
        """Return ``k W^T``."""
        return linear(k, parameters["kernel"].T)

    def scores(self, parameters: Parameters, q: Array, keys: Array) -> Array:
        """Return ``q_t keys_s^T``."""
        return dot(q, keys)


def init(key: Key, score: Score, query_features: int, key_features: int) -> Parameters:
    """Draw the parameters of a score.

    >>> jax.eval_shape(lambda: init(jax.random.key(0), General(), 3, 5))["kernel"].shape
    (3, 5)
    """
    shapes = score.shapes(query_features, key_features)
    keys = jax.random.split(key, max(len(shapes), 1))
    return {name: draw(key, shape) for key, (name, (draw, shape)) in zip(keys, shapes.items(), strict=False)}


class ScoreParameters(nn.Module):
    """The parameters of a score, as a linen module that returns them."""

    score: Score

    def __post_init__(self):
        if not isinstance(self.score, Score):
            raise TypeError(f"score is one of {', '.join(SCORES)}; came {self.score!r}")
        super().__post_init__()

    @nn.compact
    def __call__(self, query_features: int, key_features: int) -> Parameters:
        """Make or read the parameters for queries and keys of these widths."""
        shapes = self.score.shapes(query_features, key_features)
        return {name: self.param(name, draw, shape) for name, (draw, shape) in shapes.items()}


class Attention(nn.Module):
    """``attend`` with a learned score: queries look at keys and take values, by default the keys themselves.

    >>> layer = Attention(Additive(8))
    >>> y, variables = jax.eval_shape(layer.init_with_output, jax.random.key(0), jnp.zeros((2, 3)), jnp.zeros((4, 5)))
    >>> y.shape, sorted(variables["params"]["score"])
    ((2, 5), ['key_kernel', 'query_kernel', 'vector'])
    """

    score: Score = Additive()

    @nn.compact
    def __call__(
        self, q: Array, k: Array, v: Array | None = None, mask: ArrayLike | None = None, return_weights: bool = False
    ) -> Array | tuple[Array, Array]:
        """Return the means ``[..., T, F]`` of values ``[..., S, F]``; with ``return_weights`` also ``[..., T, S]``.

        Raises:
            ValueError: the shapes do not fit each other.
            TypeError: the mask is not Boolean, the score is none, or queries or values are no floating-point numbers.
        """
        if not jnp.issubdtype(q.dtype, jnp.floating):
            raise TypeError(f"queries must be floating-point numbers; came {q.dtype}: say q.astype(float)")
        parameters = ScoreParameters(self.score, name="score")(q.shape[-1], k.shape[-1])
        parameters = jax.tree.map(lambda leaf: leaf.astype(q.dtype), parameters)
        return attend(self.score(parameters, q, k), k if v is None else v, mask, return_weights=return_weights)
