"""Losses against torch, and at the ends of the number line."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl import losses


def test_the_mean_divides_by_the_sum_of_the_mask():
    predictions, targets = jnp.array([[1.0, 2.0], [3.0, 5.0]]), jnp.zeros((2, 2))
    assert losses.mean_squared_error(predictions, targets, mask=jnp.array([1.0, 0.0])) == 2.5


def test_cross_entropy_takes_class_numbers_and_probabilities():
    logits, labels = jnp.array([[2.0, 1.0, 0.0]]), jnp.array([2])
    expected = -np.log(np.exp(0) / np.exp([2, 1, 0]).sum())
    np.testing.assert_allclose(losses.cross_entropy(logits, labels), expected, rtol=1e-6)
    np.testing.assert_allclose(losses.cross_entropy(logits, jax.nn.one_hot(labels, 3)), expected, rtol=1e-6)


def test_shapes_that_differ_are_named():
    with pytest.raises(ValueError, match=r"\(4, 3\) need integer labels of shape \(4,\)"):
        losses.cross_entropy(jnp.zeros((4, 3)), jnp.zeros((3,), int))
