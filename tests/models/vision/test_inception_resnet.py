"""Inception-ResNet v2 against timm's of narrow layers and one block of each kind, its names and its sizes."""

from functools import partial
from importlib import import_module

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl import models, pretrained
from jaxdl.models.vision.inception_resnet import InceptionResNetV2
from tests.models.parity import assert_same_weights, assert_training_parity
from tests.peers import timm, torch

DIVISOR = 16


def peers():
    return import_module(f"{timm().__name__}.models.inception_resnet_v2")


def narrow_timm(model):
    """Build timm's network of a sixteenth of the channels; its own layers, never allocated, are all replaced."""
    nn, module = torch().nn, peers()

    def conv(inputs, outputs, kernel_size, **options):
        inputs = inputs if inputs == 3 else inputs // DIVISOR
        options = {"padding": 0} | options
        return module.ConvNormAct(
            inputs, outputs // DIVISOR, kernel_size=kernel_size, norm_kwargs={"eps": 1e-3}, **options
        )

    def block(kind, inputs, outputs, **options):
        made = kind(conv_block=conv, **options)
        made.conv2d = nn.Conv2d(inputs // DIVISOR, outputs // DIVISOR, 1)
        return made

    with torch().device("meta"):
        peer = module.InceptionResnetV2(num_classes=model.num_classes)
    peer.conv2d_1a, peer.conv2d_2a = conv(3, 32, 3, stride=2), conv(32, 32, 3)
    peer.conv2d_2b, peer.conv2d_3b, peer.conv2d_4a = conv(32, 64, 3, padding=1), conv(64, 80, 1), conv(80, 192, 3)
    peer.mixed_5b, peer.mixed_6a, peer.mixed_7a = (
        kind(conv_block=conv) for kind in (module.Mixed_5b, module.Mixed_6a, module.Mixed_7a)
    )
    peer.repeat = nn.Sequential(block(module.Block35, 128, 320, scale=0.17))
    peer.repeat_1 = nn.Sequential(block(module.Block17, 384, 1088, scale=0.1))
    peer.repeat_2 = nn.Sequential(block(module.Block8, 448, 2080, scale=0.2))
    peer.block8 = block(module.Block8, 448, 2080, no_relu=True)
    peer.conv2d_7b, peer.classif = conv(2080, 1536, 1), nn.Linear(1536 // DIVISOR, model.num_classes)
    return peer


@pytest.mark.usefixtures("float64")
def test_it_is_timms():
    model = InceptionResNetV2(num_classes=5, width=1 / DIVISOR, depths=(1, 1, 2), dropout_rate=0.0)
    x = np.random.RandomState(0).standard_normal((2, 107, 111, 3))
    assert_training_parity(model, narrow_timm(model), pretrained.rules_of(model, "timm"), x)


def test_all_weights_of_timm_have_a_place_and_shapes_are_the_published(key):
    model, shape = models.create("inception_resnet_v2"), models.input_shape("inception_resnet_v2")
    build = partial(model.init_with_output, return_intermediates=True)
    (_, features), variables = jax.eval_shape(build, key, jnp.zeros((2, *shape)))
    sizes = {name: feature.shape[1:] for name, feature in features.items()}
    assert sizes["mixed5b"] == sizes["block35_10"] == (35, 35, 320)
    assert sizes["mixed6a"] == sizes["block17_20"] == (17, 17, 1088)
    assert sizes["mixed7a"] == sizes["block8_10"] == (8, 8, 2080)
    assert sizes["pool"] == (1536,)
    with torch().device("meta"):
        peer = peers().InceptionResnetV2()
    assert_same_weights(variables, peer, pretrained.rules_of(model, "timm"))


@pytest.mark.parametrize(
    ("fields", "size", "message"),
    [
        ({}, 74, r"at least 75, got \(1, 74, 74, 3\)"),
        ({"depths": (1, 1)}, 75, r"got \(1, 1\)"),
        ({"depths": (1, 1, 0)}, 75, r"got \(1, 1, 0\)"),
    ],
)
def test_bad_sizes_are_errors(key, fields, size, message):
    with pytest.raises(ValueError, match=message):
        jax.eval_shape(InceptionResNetV2(**fields).init, key, jnp.zeros((1, size, size, 3)))
