"""Every form of ``remat`` gives the same loss and gradient, and keeps what it says."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl.models.transformers.gpt import GPT
from jaxdl.models.transformers.llama import Llama
from jaxdl.models.vision.resnet import ResNet
from tests.variables import draw

GPT_FIELDS = {"vocab_size": 7, "context_length": 9, "d_model": 8, "num_layers": 3, "num_heads": 2}
TOKENS = np.random.default_rng(0).integers(0, 7, (2, 6))


def gradient_of(model, variables, x):
    collections = {name: tree for name, tree in variables.items() if name != "params"}

    def loss(params, key):
        y, state = model.apply(
            {"params": params, **collections}, x, train=True, mutable=list(collections), rngs={"dropout": key}
        )
        return jnp.sum(jnp.sin(y)), state

    return jax.value_and_grad(loss, has_aux=True)


@pytest.mark.parametrize(
    ("scan", "forms"), [(False, ["block"]), (True, [("attention_output",), jax.checkpoint_policies.dots_saveable])]
)
def test_a_transformer_with_dropout(scan, forms, key):
    model = GPT(**{**GPT_FIELDS, "num_layers": 1 + scan}, scan_blocks=scan)
    variables = draw(model.init, key, TOKENS)
    params = variables["params"]
    expected = jax.jit(gradient_of(model, variables, TOKENS))(params, key)
    for remat in forms:
        other = jax.jit(gradient_of(model.clone(remat=remat), variables, TOKENS))(params, key)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-5, atol=1e-6), other, expected)


@pytest.mark.parametrize("scan", [False, True])
def test_a_residual_network_with_its_statistics(scan, key):
    x = np.random.default_rng(1).standard_normal((3, 4, 4, 3), np.float32)
    model = ResNet(num_classes=3, depths=(2,), widths=(2,), stem="cifar", scan_blocks=scan)
    variables = draw(model.init, key, x)
    expected = jax.jit(gradient_of(model, variables, x))(variables["params"], key)
    other = jax.jit(gradient_of(model.clone(remat="block"), variables, x))(variables["params"], key)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), other, expected)


@pytest.mark.parametrize("family", [GPT, Llama])
def test_what_is_kept_for_the_backward_pass(family, key):
    """Of the scanned blocks: for "block" their inputs alone, with a name also the arrays of that name."""
    scanned = family(**GPT_FIELDS, mlp_dim=32, scan_blocks=True)
    variables = draw(scanned.init, key, TOKENS)

    def kept(remat):
        model = scanned.clone(remat=remat)
        forward = lambda params: jax.vjp(lambda p: model.apply({"params": p}, TOKENS), params)[1]  # noqa: E731
        shapes = [leaf.shape for leaf in jax.tree.leaves(jax.eval_shape(forward, variables["params"]))]
        return sum(shape == (2, 2, 6, 8) for shape in shapes), sum(shape == (2, 2, 6, 32) for shape in shapes)

    inputs, nothing = kept("block")
    assert (inputs, nothing) == (1, 0)
    assert kept(("attention_output",)) == (2, 0)
    assert kept(("mlp_hidden",)) == (1, 1)
    assert kept("none")[1] > 1


@pytest.mark.parametrize("remat", ["blocks", 3, ("a", 1)])
def test_other_values_raise(remat):
    model = GPT(**GPT_FIELDS, remat=remat)
    with pytest.raises(ValueError, match=re.escape(f"got {remat!r}")):
        jax.eval_shape(model.init, jax.random.key(0), TOKENS)
