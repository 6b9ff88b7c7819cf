"""The decoder of a U-Net over the intermediates of other networks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl import losses, models
from jaxdl.models import EncoderUNet
from jaxdl.models.vision.resnet import ResNet
from tests.variables import draw


@pytest.mark.parametrize(
    ("encoder", "skips"),
    [
        (models.create("resnet18", num_classes=None), ("stem", "stage1", "stage2", "stage3", "stage4")),
        (models.create("vgg11"), ("pool1", "pool2", "pool3", "pool4", "pool5")),
    ],
)
def test_any_network_with_intermediates_is_an_encoder(encoder, skips):
    x = jnp.zeros((2, 45, 70, 3))
    model = EncoderUNet(encoder, num_classes=3, skips=skips)
    (logits, out), variables = jax.eval_shape(
        lambda key: model.init_with_output(key, x, return_intermediates=True), jax.random.key(0)
    )
    assert logits.shape == (2, 45, 70, 3)
    assert out["up1"].shape == (*out[skips[0]].shape[:3], 32)
    assert {"encoder", "up1", "up4", "output"} <= set(variables["params"])


def test_every_parameter_has_a_gradient():
    model = EncoderUNet(ResNet(None, (1, 1), (2, 3)), 2, ("stem", "stage1", "stage2"), (2, 3))
    x = np.random.default_rng(0).normal(size=(2, 11, 9, 1)).astype(np.float32)
    variables = draw(model.init, jax.random.key(0), x)

    @jax.jit
    def run(params):
        def loss(params):
            logits, updated = model.apply({**variables, "params": params}, x, train=True, mutable=["batch_stats"])
            return losses.cross_entropy(logits, jnp.zeros(logits.shape[:-1], int)), (logits, updated)

        return jax.grad(loss, has_aux=True)(params)

    gradients, (logits, updated) = run(variables["params"])
    assert logits.shape == (2, 11, 9, 2)
    assert all(np.any(leaf != 0) for leaf in jax.tree.leaves(gradients))
    assert jax.tree.structure(updated["batch_stats"]) == jax.tree.structure(variables["batch_stats"])


def test_errors_have_the_unknown_name_and_the_widths():
    for model, message in (
        (EncoderUNet(models.create("resnet18"), skips=("stem", "stage9"), widths=(2,)), "stage9"),
        (EncoderUNet(models.create("resnet18"), widths=(2,)), r"got \(2,\)"),
    ):
        with pytest.raises(ValueError, match=message):
            jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 32, 32, 3)))
