"""Recursive networks against plain recursion in float64, over trees of any form; padding changes nothing."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl.data.trees import by_level
from jaxdl.models.sequence.recursive import Recursive, RecursiveNetwork, TreeLSTM

V, E, H = 9, 3, 4
TREES = [(7, 1, (8, 2, 3), (0, 4)), 5, (6, (6, (6, (6, 1, 2), 3)), 4), (3, 1, 2, 4)]
SHAPES = (None, (6, 14, 4))
close = partial(np.testing.assert_allclose, rtol=1e-10, atol=1e-12)
CELLS = {"recursive": Recursive(H, max_children=4), "lstm": TreeLSTM(H)}


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def by_recursion(cell, p, tree):
    """Compute one node after the other, each after its children."""
    token, *children = tree if isinstance(tree, tuple) else (tree,)
    below = [by_recursion(cell, p, child) for child in children]
    a = p["embedding"]["embedding"][token] @ p["kernel"] + p["bias"]
    if isinstance(cell, Recursive):
        return np.tanh(a + sum(h @ U for h, U in zip(below, p["recursive_kernel"], strict=False)))
    (W_i, W_o, W_g, W_f), (U_i, U_o, U_g, U_f) = np.split(a, 4), np.split(p["recursive_kernel"], 4, axis=1)
    total = sum((h for _, h in below), np.zeros(H))
    c = sigmoid(W_i + total @ U_i) * np.tanh(W_g + total @ U_g)
    c = c + sum(sigmoid(W_f + h @ U_f) * memory for memory, h in below)
    return c, sigmoid(W_o + total @ U_o) * np.tanh(c)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("name", CELLS)
def test_level_by_level_matches_recursion_whatever_the_padding(name):
    cell, rng = CELLS[name], np.random.default_rng(0)
    model, gradients = RecursiveNetwork(V, 2, E, cell), []
    variables = jax.eval_shape(model.init, jax.random.key(0), by_level(TREES))
    variables = jax.tree.map(lambda leaf: rng.normal(size=leaf.shape), variables)
    p = variables["params"]
    roots = [by_recursion(cell, p, tree) for tree in TREES]
    h = np.array([root if isinstance(cell, Recursive) else root[1] for root in roots])
    for shape in SHAPES:
        trees = by_level(TREES, shape)
        logits = jax.jit(model.apply)(variables, trees)
        close(logits, h @ p["output"]["kernel"] + p["output"]["bias"])
        gradients.append(jax.jit(jax.grad(lambda v, t: jnp.sum(jnp.sin(model.apply(v, t)))))(variables, trees))
    jax.tree.map(close, *gradients)
    assert all(np.any(leaf != 0) for leaf in jax.tree.leaves(jax.device_get(gradients[0])))


def test_nodes_follow_their_children():
    trees = by_level(TREES)
    L, W, _ = trees.children.shape
    assert L == 5
    inside = trees.children < L * W
    level = np.broadcast_to(np.arange(L)[:, None, None], inside.shape)
    assert (trees.children // W < level)[inside].all()
    places = np.concatenate([trees.children[inside], trees.root])
    assert len(set(places)) == len(places) == 20  # every node is a root or the child of one other


def test_a_tree_may_be_deeper_than_the_recursion_limit():
    tree = 0
    for token in range(1, 2000):
        tree = token, tree, 7
    trees = by_level([tree])
    np.testing.assert_array_equal(trees.token[1:, 0], np.arange(1, 2000))
    np.testing.assert_array_equal(trees.children[2:, 0, 0], np.arange(1, 1999) * trees.token.shape[1])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: by_level([]), "at least one tree"),
        (lambda: by_level([(1, "a")]), "got 'a'"),
        (lambda: by_level([(1, -2)]), "got -2"),
        (lambda: by_level(TREES, (4, 12, 4)), r"\(5, 12, 3\), got \(4, 12, 4\)"),
    ],
)
def test_invalid_trees_raise(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_more_than_max_children_raise(key):
    with pytest.raises(ValueError, match="at most 2 children, got 3"):
        jax.eval_shape(RecursiveNetwork(V, cell=Recursive(H)).init, key, by_level(TREES))


@pytest.mark.parametrize("name", CELLS)
def test_computation_is_in_the_given_dtype(name):
    half = RecursiveNetwork(V, 2, E, CELLS[name], dtype=jnp.bfloat16)
    run_half = partial(half.init_with_output, return_intermediates=True)
    outputs, variables = jax.eval_shape(run_half, jax.random.key(0), by_level(TREES))
    floats = {leaf.dtype for leaf in jax.tree.leaves(outputs) if jnp.issubdtype(leaf.dtype, jnp.floating)}
    assert floats == {jnp.dtype(jnp.bfloat16)}
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype(jnp.float32)}
