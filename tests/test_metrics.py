"""Metrics against scikit-learn."""

import jax.numpy as jnp
import numpy as np

from jaxdl import metrics


def test_a_merged_mean_is_the_mean_of_everything():
    merged = metrics.mean(jnp.array([1.0, 9.0]), jnp.array([1, 0])).merge(metrics.mean(jnp.array([2.0, 6.0])))
    assert merged.value == 3


def test_a_mean_of_nothing_is_not_a_number():
    assert np.isnan(metrics.mean(jnp.array([1.0]), jnp.array([0.0])).value)
