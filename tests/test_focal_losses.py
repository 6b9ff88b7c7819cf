"""Focal losses against torchvision and keras, and where an exponent meets zeros and infinities."""

import os

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl import losses
from tests.peers import torch, torchvision

os.environ.setdefault("KERAS_BACKEND", "jax")  # read when keras is imported first


@pytest.mark.usefixtures("float64")
def test_the_sigmoid_form_equals_torchvision_with_its_gradient():
    rng = np.random.default_rng(0)
    z, y, soft = 3 * rng.normal(size=(4, 3)), rng.integers(0, 2, (4, 3)).astype(float), rng.uniform(size=(4, 3))
    cases = [
        (targets, alpha, gamma) for targets in (y, soft) for alpha, gamma in ((0.25, 2.0), (None, 1.5), (0.9, 0.0))
    ]

    @jax.jit
    def ours(z):
        return [
            jax.value_and_grad(lambda z, case=case: losses.sigmoid_focal(z, case[0], alpha=case[1], gamma=case[2]))(z)
            for case in cases
        ]

    peer = torchvision().ops.sigmoid_focal_loss
    for (value, gradient), (targets, alpha, gamma) in zip(ours(z), cases, strict=True):
        t = torch().tensor(z, requires_grad=True)
        expected = peer(t, torch().tensor(targets), alpha=-1 if alpha is None else alpha, gamma=gamma, reduction="mean")
        expected.backward()
        np.testing.assert_allclose(value, expected.item(), rtol=1e-12)
        np.testing.assert_allclose(gradient, t.grad, rtol=1e-10)


@pytest.mark.usefixtures("float64")
def test_the_softmax_form_equals_keras():
    keras = pytest.importorskip("keras", reason="parity with keras")
    if keras.backend.backend() != "jax":
        pytest.skip("keras runs on another backend here")
    rng = np.random.default_rng(0)
    z, y, soft = rng.normal(size=(5, 3)), rng.integers(0, 3, 5), rng.dirichlet(np.ones(3), 5)

    @jax.jit
    def both(z, y, soft):
        theirs = [
            keras.ops.sum(keras.losses.categorical_focal_crossentropy(t, z, alpha=1.0, gamma=1.5, from_logits=True))
            for t in (jax.nn.one_hot(y, 3), soft)
        ]
        return [losses.focal(z, t, gamma=1.5, reduction="sum") for t in (y, soft)], theirs

    with jax.numpy_rank_promotion("allow"):  # inside of keras
        ours, theirs = both(z, y, soft)
    np.testing.assert_allclose(ours, theirs, rtol=1e-6)  # keras adds 1e-7 to probabilities


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_certain_predictions_have_finite_gradients(gamma):
    z = np.array([[200.0, -200.0], [-np.inf, 1.0], [np.inf, np.inf], [0.0, 0.0]], np.float32)
    y, mask = np.array([0, 1, 0, 1]), np.array([1, 1, 0, 1])

    @jax.jit
    def run(z):
        soft = jax.nn.one_hot(y, 2)
        return [
            jax.value_and_grad(lambda z: losses.focal(z, y, gamma=gamma, mask=mask))(z),
            jax.value_and_grad(lambda z: losses.focal(z, soft, gamma=gamma, mask=mask))(z),
            jax.value_and_grad(lambda z: losses.sigmoid_focal(z, soft, gamma=gamma, mask=mask))(z),
        ]

    (of_labels, slope), (of_shares, soft_slope), (of_sigmoids, sigmoid_slope) = run(z)
    np.testing.assert_allclose(of_labels, 0.5**gamma * np.log(2) / 3, rtol=1e-6)
    assert of_shares == of_labels
    assert np.isfinite(of_sigmoids)
    for gradient in (slope, soft_slope, sigmoid_slope):
        assert np.isfinite(gradient).all()
        assert not gradient[2].any()


@pytest.mark.parametrize(("options", "message"), [({"gamma": -1.0}, "got -1"), ({"alpha": 2.0}, "got 2.0")])
def test_errors_have_the_offending_number(options, message):
    with pytest.raises(ValueError, match=message):
        losses.sigmoid_focal(jnp.zeros(2), jnp.zeros(2), **options)
