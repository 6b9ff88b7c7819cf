"""The U-Net of diffusion against torch's layers with the same weights, and what its inputs must be."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.benchmarks.generative import to_torch, torch_unet
from jaxdl import tree
from jaxdl.models import DiffusionUNet
from jaxdl.models.generative.diffusion_unet import time_embedding
from tests.peers import torch
from tests.variables import draw

FLAT = DiffusionUNet(widths=(4,), num_blocks=1, attention_scales=(), num_labels=3, groups=2)
NARROW = DiffusionUNet(widths=(4, 8), num_blocks=1, attention_scales=(2,), num_labels=3, groups=2, num_heads=2)


@pytest.mark.usefixtures("float64")
def test_outputs_and_gradients_match_torch():
    rng, library = np.random.default_rng(0), torch()
    x, weights = rng.normal(size=(2, 2, 4, 6, 1))
    t, labels = np.array([3, 700]), np.array([0, 3])
    drawn = draw(NARROW.init, jax.random.key(0), np.zeros((1, 4, 6, 1), np.float32))["params"]
    params = jax.tree.map(lambda leaf: leaf.astype(np.float64), drawn)

    @jax.jit
    def run(params, x):
        def loss(params, x):
            output = NARROW.apply({"params": params}, x, t, labels)
            return jnp.sum(output * weights), output

        return jax.grad(loss, argnums=(0, 1), has_aux=True)(params, x)

    (gradient, of_x), output = run(params, x)
    leaves = {
        path: library.tensor(to_torch(path, leaf), requires_grad=True) for path, leaf in tree.flatten(params).items()
    }
    images = library.tensor(np.moveaxis(x, -1, 1).copy(), requires_grad=True)
    peer = torch_unet(NARROW, leaves, images, library.tensor(t), library.tensor(labels))
    np.testing.assert_allclose(output, peer.detach().movedim(1, -1), rtol=1e-9, atol=1e-10)
    (peer * library.tensor(np.moveaxis(weights, -1, 1).copy())).sum().backward()
    np.testing.assert_allclose(of_x, images.grad.movedim(1, -1), rtol=1e-8, atol=1e-9)
    for path, leaf in tree.flatten(gradient).items():
        np.testing.assert_allclose(to_torch(path, leaf), leaves[path].grad, rtol=1e-8, atol=1e-9, err_msg=path)
        assert np.any(leaf != 0), path


def test_no_class_is_the_last_label_and_one_time_is_that_of_all(key):
    x = np.random.default_rng(0).normal(size=(2, 4, 4, 1)).astype(np.float32)
    variables = draw(FLAT.init, key, x)

    @jax.jit
    def run(variables):
        none, out = FLAT.apply(variables, x, 5.0, return_intermediates=True)
        return none, FLAT.apply(variables, x, jnp.full(2, 5), jnp.full(2, 3)), out

    none, last, out = run(variables)
    np.testing.assert_allclose(none, last, rtol=1e-5, atol=1e-6)
    assert list(out) == ["down1_block1", "middle", "up1_block1", "up1_block2"]


def test_the_last_layers_of_branches_and_network_are_zero_at_first(key):
    x = np.zeros((1, 4, 4, 1), np.float32)
    zeros = ("middle1/conv2/kernel", "middle_attention/output/kernel", "output/kernel")

    @jax.jit
    def run():
        params = tree.flatten(FLAT.init(key, x)["params"])
        return {path: params[path] for path in (*zeros, "middle1/conv1/kernel")}

    assert [path for path, leaf in run().items() if not np.any(leaf)] == sorted(zeros)


@pytest.mark.usefixtures("float64")
def test_the_waves_of_a_time_are_those_of_the_paper():
    angles = 17 * 10_000.0 ** -np.array([0, 1 / 3, 2 / 3])
    np.testing.assert_allclose(time_embedding(np.array([17]), 6)[0], [*np.cos(angles), *np.sin(angles)], rtol=1e-12)


@pytest.mark.parametrize(
    ("model", "x", "options", "got"),
    [
        (NARROW, (1, 5, 4, 1), {}, r"\(1, 5, 4, 1\)"),
        (NARROW, (1, 4, 4), {}, r"\(1, 4, 4\)"),
        (NARROW.clone(groups=3), (1, 4, 4, 1), {}, r"\(4, 8\)"),
        (NARROW.clone(num_labels=0), (1, 4, 4, 1), {"labels": np.zeros(1, int)}, r"\(1,\)"),
        (NARROW, (1, 4, 4, 1), {"labels": np.array([4])}, "got 4"),
    ],
)
def test_invalid_inputs_raise(model, x, options, got, key):
    with pytest.raises(ValueError, match=got):
        model.init(key, np.zeros(x, np.float32), **options)


def test_an_odd_embedding_raises():
    with pytest.raises(ValueError, match=r"got .* and 3"):
        time_embedding(np.zeros(1), 3)
