"""Scores of attention against plain loops in float64, and against Keras."""

import os
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from jaxdl import tree
from jaxdl.nn.attention import scores
from jaxdl.nn.attention.dot_product import attend

os.environ.setdefault("KERAS_BACKEND", "jax")  # read when keras is imported first
B, T, S, D, E, A = 2, 3, 4, 5, 6, 7
close = partial(np.testing.assert_allclose, rtol=1e-10, atol=1e-12)
SCORES = {
    "additive": scores.AdditiveScore(A),
    "concat": scores.ConcatScore(A),
    "dot": scores.DotScore(),
    "scaled dot": scores.DotScore(scaled=True),
    "general": scores.GeneralScore(),
}


def draw(name):
    """Draw a score's parameters, queries and keys."""
    rng = np.random.default_rng(0)
    keys = D if "dot" in name else E
    parameters = {name: rng.normal(size=shape) for name, (_, shape) in SCORES[name].shapes(D, keys).items()}
    return parameters, rng.normal(size=(B, T, D)), rng.normal(size=(B, S, keys))


def by_hand(name, p, q, k):
    """One query and one key."""
    if name == "additive":
        return np.tanh(q @ p["query_kernel"] + k @ p["key_kernel"]) @ p["vector"]
    if name == "concat":
        return np.tanh(np.concatenate([q, k]) @ p["kernel"]) @ p["vector"]
    if name == "general":
        return q @ p["kernel"] @ k
    return q @ k / (D**0.5 if name == "scaled dot" else 1)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("name", SCORES)
def test_scores_equal_those_of_single_pairs_and_gradients_are_right(name):
    parameters, q, k = draw(name)
    found = jax.jit(SCORES[name])(parameters, q, k)
    expected = [[[by_hand(name, parameters, x, y) for y in keys] for x in row] for row, keys in zip(q, k, strict=True)]
    close(found, expected)
    check_grads(jax.jit(SCORES[name]), (parameters, q, k), order=1, modes=["rev"])


@pytest.mark.usefixtures("float64")
def test_the_functions_equal_the_dataclasses():
    functions = {
        "additive": scores.additive_scores,
        "concat": scores.concat_scores,
        "general": scores.general_scores,
        "dot": scores.dot_scores,
    }
    for name, function in functions.items():
        parameters, q, k = draw(name)
        close(jax.jit(function)(q, k, *parameters.values()), jax.jit(SCORES[name])(parameters, q, k))


@pytest.mark.parametrize("name", ["AdditiveAttention", "Attention"])
def test_means_and_weights_match_keras(name):
    keras = pytest.importorskip("keras", reason="parity with keras")
    if keras.backend.backend() != "jax":
        pytest.skip("keras runs on another backend here")
    rng = np.random.default_rng(0)
    q, k, v = (rng.normal(size=(B, n, w)).astype(np.float32) for n, w in ((T, A), (S, A), (S, E)))
    valid, scale = np.array([[1, 1, 0, 1], [0, 1, 1, 1]], bool), rng.normal(size=A).astype(np.float32)
    layer = getattr(keras.layers, name)(use_scale=name == "AdditiveAttention")
    with jax.numpy_rank_promotion("allow"):  # inside of keras
        layer.build([q.shape, v.shape, k.shape])
        if name == "AdditiveAttention":
            layer.set_weights([scale])
        expected = layer([q, v, k], mask=[None, valid], return_attention_scores=True)
    if name == "AdditiveAttention":
        given = scores.additive_scores(q, k, np.eye(A), np.eye(A), scale)
    else:
        given = scores.dot_scores(q, k)
    found = attend(given, v, valid[:, None], return_weights=True)
    for mine, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-5, atol=1e-6)


def test_the_layer_is_the_score_and_attend(key):
    random = np.random.default_rng(0)
    q, k, v = (random.standard_normal(shape, np.float32) for shape in ((B, T, D), (B, S, E), (B, S, 2)))
    layer, mask = scores.Attention(scores.AdditiveScore(A)), jnp.array([[1, 1, 0, 1], [0, 1, 1, 1]], bool)[:, None]

    @jax.jit
    def both(key):
        found, variables = layer.init_with_output(key, q, k, v, mask, return_weights=True)
        expected = attend(scores.AdditiveScore(A)(variables["params"]["score"], q, k), v, mask, return_weights=True)
        return found, expected, variables

    found, expected, variables = both(key)
    jax.tree.map(np.testing.assert_array_equal, found, expected)
    narrow = (jax.ShapeDtypeStruct(x.shape, jnp.bfloat16) for x in (q, k))
    y = jax.eval_shape(layer.apply, variables, *narrow)
    assert (y.shape, y.dtype) == ((B, T, E), jnp.bfloat16)
    assert tree.size(variables["params"]) == D * A + E * A + A


def look(score, q, k):
    return jax.eval_shape(scores.Attention(score).init, jax.random.key(0), q, k)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: scores.DotScore().shapes(3, 4), "got 3 and 4"),
        (lambda x: scores.AdditiveScore(0), "got 0"),
        (lambda x: scores.tanh_scores(x, x, jnp.zeros(3)), r"got \(2, 4\), \(2, 4\) and \(3,\)"),
        (lambda x: scores.tanh_scores(x[None], x, jnp.zeros(4)), r"got \(1, 2, 4\), \(2, 4\)"),
        (lambda x: scores.concat_scores(x, x, jnp.zeros((7, 2)), jnp.zeros(2)), r"\(2, 4\) and \(3, 2\)"),
        (lambda x: look(scores.AdditiveScore(8), x.astype(int), x), "got int32"),
        (lambda x: look("additive", x, x), "got 'additive'"),
    ],
)
def test_invalid_arguments_raise(call, message):
    with pytest.raises((ValueError, TypeError), match=message):
        call(jnp.zeros((2, 4)))


def test_scores_of_narrow_integers_do_not_wrap():
    q, k = np.array([[120], [-100]], np.int8), np.array([[120]], np.int8)
    assert scores.tanh_scores(q, k, np.ones(1, np.int8)).tolist() == [[1.0], [np.tanh(np.float32(20))]]
    assert scores.general_scores(q, k, np.full((1, 1), 2, np.int8)).tolist() == [[28_800.0], [-24_000.0]]
