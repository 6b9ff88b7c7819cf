"""U-Net against a construction in torch of the published network, and its sizes."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl import losses
from jaxdl.models.dense import UNet, unet_margin
from tests.peers import torch

WIDTHS = (2, 3, 4)


def draw_parameters(model, channels, size):
    """Draw the parameters of a model by NumPy, with signals of size 1."""
    rng = np.random.default_rng(0)
    forms = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, size, size, channels)))["params"]
    return jax.tree.map(lambda leaf: rng.normal(size=leaf.shape) / max(np.prod(leaf.shape[:-1]), 1) ** 0.5, forms)


def run_torch(params, x, labels):
    """Build the network of the paper from our weights, channels first; return its logits and the weights' gradients."""
    library = torch()
    functional = library.nn.functional
    weights = jax.tree.map(lambda leaf: library.tensor(leaf, requires_grad=True), params)

    def conv(x, w):
        return functional.conv2d(x, w["kernel"].permute(3, 2, 0, 1), w["bias"])

    def double(x, w):
        return functional.relu(conv(functional.relu(conv(x, w["conv1"])), w["conv2"]))

    y, skips = library.tensor(np.moveaxis(x, -1, 1).copy()), []
    for scale in range(1, len(WIDTHS) + 1):
        y = double(y if scale == 1 else functional.max_pool2d(y, 2), weights[f"down{scale}"])
        skips.append(y)
    for scale in range(len(WIDTHS) - 1, 0, -1):
        w = weights[f"upconv{scale}"]
        y = functional.conv_transpose2d(y, w["kernel"].permute(3, 2, 0, 1), w["bias"], stride=2)
        cut = (skips[scale - 1].shape[-1] - y.shape[-1]) // 2
        y = double(library.cat([skips[scale - 1][..., cut:-cut, cut:-cut], y], dim=1), weights[f"up{scale}"])
    y = conv(y, weights["output"])
    functional.cross_entropy(y, library.tensor(labels)).backward()
    gradients = jax.tree.map(lambda leaf: leaf.grad.numpy(), weights)
    return np.moveaxis(y.detach().numpy(), 1, -1), gradients


@pytest.mark.usefixtures("float64")
def test_it_is_the_published_network_with_its_gradients():
    model = UNet(3, WIDTHS, dropout_rate=0.0)
    params = draw_parameters(model, 2, 48)
    rng = np.random.default_rng(1)
    x, labels = rng.normal(size=(2, 48, 48, 2)), rng.integers(0, 3, (2, 8, 8))

    @jax.jit
    def run(params, x):
        def loss(params):
            logits = model.apply({"params": params}, x, train=True)
            return losses.cross_entropy(logits, labels), logits

        (_, logits), gradients = jax.value_and_grad(loss, has_aux=True)(params)
        return logits, gradients

    logits, gradients = run(params, x)
    expected, theirs = run_torch(params, x, labels)
    np.testing.assert_allclose(logits, expected, rtol=1e-9, atol=1e-12)
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-8, atol=1e-12), gradients, theirs)


@pytest.mark.parametrize("scales", [2, 3, 4])
def test_the_margin_is_what_is_lost_on_every_side(scales):
    model = UNet(1, (1,) * scales)
    least = {2: 18, 3: 44, 4: 92}[scales]
    for size in (least, least + 2 ** (scales - 1)):
        y, _ = jax.eval_shape(model.init_with_output, jax.random.key(0), jnp.zeros((1, size, size, 1)))
        assert y.shape[1] == size - 2 * unet_margin(scales) == size - 2 * model.margin
    for size in (least - 2 ** (scales - 1), least + 1):
        with pytest.raises(ValueError, match=rf"\(1, {size}, {size}, 1\)"):
            jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, size, size, 1)))


def test_padding_keeps_the_size_and_channels_first_are_noticed():
    model = UNet(4, (1, 1, 1), padding="same", batch_norm=True)
    assert model.margin == 0
    build = partial(jax.eval_shape, partial(model.init_with_output, return_intermediates=True), jax.random.key(0))
    (logits, out), variables = build(jnp.zeros((1, 8, 12, 3)))
    assert logits.shape == (1, 8, 12, 4)
    assert sorted(out) == ["down1", "down2", "down3", "up1", "up2"]
    assert sorted(variables) == ["batch_stats", "params"]
    for shape in ((1, 6, 8, 3), (8, 8, 3), (1, 3, 32, 30)):
        with pytest.raises(ValueError, match=str(shape[-1])):
            build(jnp.zeros(shape))
    with pytest.raises(ValueError, match="'full'"):
        jax.eval_shape(UNet(padding="full").init, jax.random.key(0), jnp.zeros((1, 16, 16, 1)))
