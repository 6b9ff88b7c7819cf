"""Clipping against optax and torch."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxdl import optim

GRADIENTS = {"a": jnp.array([3.0, -4.0]), "b": {"c": jnp.array([[0.1, 0.2]]), "d": jnp.array(12.0)}, "empty": {}}


def apply(transform, gradients=GRADIENTS):
    return transform.update(gradients, transform.init(gradients))[0]


@pytest.mark.parametrize("bound", [0.15, 1.0, 13.5, 100.0])
def test_clipping_equals_that_of_optax(bound):
    chex.assert_trees_all_close(apply(optim.clip(bound)), apply(optax.clip(bound)))
    chex.assert_trees_all_close(apply(optim.clip_by_global_norm(bound)), apply(optax.clip_by_global_norm(bound)))
    each = jax.tree.map(lambda g: apply(optax.clip_by_global_norm(bound), g), GRADIENTS)
    chex.assert_trees_all_close(apply(optim.clip_by_norm(bound)), each)


def test_clipping_by_global_norm_equals_that_of_torch():
    torch = pytest.importorskip("torch", reason="parity with clip_grad_norm_")
    leaves = [torch.zeros(leaf.shape, requires_grad=True) for leaf in jax.tree.leaves(GRADIENTS)]
    for leaf, gradient in zip(leaves, jax.tree.leaves(GRADIENTS), strict=True):
        leaf.grad = torch.tensor(np.asarray(gradient))
    torch.nn.utils.clip_grad_norm_(leaves, 2.0)
    for leaf, got in zip(leaves, jax.tree.leaves(apply(optim.clip_by_global_norm(2.0))), strict=True):
        np.testing.assert_allclose(got, leaf.grad.numpy(), rtol=1e-5)  # torch adds 1e-6 to the norm


def test_bfloat16_is_measured_in_float32():
    gradients = {"a": jnp.full(1000, 0.1, jnp.bfloat16)}
    clipped = apply(optim.clip_by_global_norm(1.0), gradients)["a"]
    assert clipped.dtype == jnp.bfloat16
    np.testing.assert_allclose(np.linalg.norm(clipped.astype(np.float32)), 1.0, rtol=4e-3)


def test_zero_and_huge_gradients_stay_finite():
    for transform in (optim.clip(1.0), optim.clip_by_norm(1.0), optim.clip_by_global_norm(1.0)):
        for size in (0.0, 1e30):
            clipped = apply(transform, {"a": jnp.full(3, size)})["a"]
            assert np.all(np.isfinite(clipped))
            assert np.linalg.norm(clipped) <= np.sqrt(3)


@pytest.mark.parametrize("make", [optim.clip, optim.clip_by_norm, optim.clip_by_global_norm])
def test_a_bound_that_is_not_positive_is_an_error(make):
    for bound in (-1.0, 0.0):
        with pytest.raises(ValueError, match=rf"max_.*got {bound}"):
            make(bound)
