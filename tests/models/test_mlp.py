from functools import partial

import jax
import numpy as np
import pytest

from jaxdl.models import MLP


def test_the_output_is_that_of_the_equation(key):
    model = MLP(hidden_sizes=(5, 4), num_classes=3, activation="tanh")
    x = np.random.default_rng(0).standard_normal((2, 3, 2), np.float32)
    (logits, features), variables = jax.jit(partial(model.init_with_output, return_intermediates=True))(key, x)
    params = jax.tree.map(np.asarray, variables["params"])
    h = np.asarray(x).reshape(2, 6)
    for name in ("hidden1", "hidden2"):
        h = np.tanh(h @ params[name]["kernel"] + params[name]["bias"])
        np.testing.assert_allclose(features[name], h, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(logits, h @ params["output"]["kernel"] + params["output"]["bias"], rtol=1e-5, atol=1e-6)


def test_without_hidden_layers_it_is_linear(key):
    assert set(jax.eval_shape(MLP(hidden_sizes=()).init, key, np.zeros((2, 3)))["params"]) == {"output"}


def test_mistakes_are_answered(key):
    with pytest.raises(ValueError, match=r"got \(3,\)"):
        MLP().init(key, np.zeros(3))
    with pytest.raises(ValueError, match="did you mean 'relu'"):
        MLP(activation="reluu").init(key, np.zeros((2, 3)))
