"""Laws for every model that has a name, and the answers to wrong names."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl import models, tree
from jaxdl.models import registry

# each: input shape, parameters, names of the features
MODELS = {
    "mlp": ((2, 28, 28, 1), 784 * 64 + 64 + 64 * 64 + 64 + 64 * 10 + 10, ["hidden1", "hidden2"]),
    "lenet5": ((2, 28, 28, 1), 61_706, ["conv1", "pool1", "conv2", "pool2", "dense1", "dense2"]),
    "lenet5_original": ((2, 28, 28, 1), 60_000, ["c1", "s2", "c3", "s4", "c5", "f6"]),
}


def test_the_table_of_this_test_knows_every_model():
    assert models.list() == tuple(sorted(MODELS))


@pytest.mark.parametrize("name", MODELS)
def test_every_model_runs_forward_and_backward(name, key):
    shape, count, names = MODELS[name]
    model = models.create(name)
    x = jax.random.normal(key, shape)
    variables = jax.jit(model.init)(key, x)
    assert set(variables) == {"params"}
    assert tree.size(variables) == count

    @jax.jit
    def run(params, x):
        def loss(params):
            logits, features = model.apply({"params": params}, x, train=True, return_features=True)
            return jnp.sum(jax.nn.log_softmax(logits)[:, 0]), (logits, features, model.apply({"params": params}, x))

        return jax.grad(loss, has_aux=True)(params)

    gradient, (logits, features, alone) = run(variables["params"], x)
    assert logits.shape == (shape[0], 10)
    np.testing.assert_allclose(alone, logits, rtol=1e-5, atol=1e-5)
    assert list(features) == sorted(names)
    assert all(feature.shape[0] == shape[0] and jnp.isfinite(feature).all() for feature in features.values())
    for path, leaf in tree.flatten(gradient).items():
        assert jnp.isfinite(leaf).all(), path
        assert jnp.any(leaf != 0), path


def test_names_are_found_by_a_shell_pattern():
    assert models.list("lenet*") == ("lenet5", "lenet5_original")
    assert models.list("no such*") == ()


def test_changes_reach_the_fields():
    assert models.create("mlp", hidden=(3,), num_classes=2) == models.MLP(hidden=(3,), num_classes=2)


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("lenet", {}, "no model is called 'lenet'; did you mean lenet5"),
        ("qqq", {}, "lenet5, lenet5_original, mlp"),
        ("mlp", {"hiden": (3,)}, "no field 'hiden'; did you mean hidden"),
        ("mlp", {"parent": None}, "no field 'parent'"),
    ],
)
def test_unknown_names_and_changes_are_answered_with_the_nearest(name, changes, message):
    with pytest.raises(ValueError, match=message):
        models.create(name, **changes)


def test_a_name_is_taken_once(monkeypatch):
    monkeypatch.setattr(registry, "_BUILDERS", {})
    monkeypatch.setattr(registry, "_INPUT_SHAPES", {})

    def tiny():
        return nn.Dense(2)

    assert models.register((5,))(tiny) is tiny
    assert models.input_shape("tiny") == (5,)
    assert models.create("tiny", features=3).features == 3
    with pytest.raises(ValueError, match="'tiny' is registered already"):
        models.register((5,))(tiny)


@pytest.mark.parametrize("name", models.list())
def test_every_model_takes_the_shape_that_it_names(name):
    model = models.create(name)
    x = jnp.zeros((2, *models.input_shape(name)))
    logits, _ = jax.eval_shape(model.init_with_output, jax.random.key(0), x)
    assert logits.shape == (2, model.num_classes)


def test_the_shape_of_an_unknown_model_is_not_known():
    with pytest.raises(ValueError, match="did you mean lenet5"):
        models.input_shape("lenet")
