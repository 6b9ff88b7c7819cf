"""Xception against timm's of narrow layers and one block in the middle, and its counts."""

from functools import partial
from importlib import import_module

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl import models, pretrained, tree
from jaxdl.models.vision.xception import Xception
from tests.models.parity import assert_parity, assert_same_weights
from tests.peers import timm, torch


def narrow_timm(model):
    """Put layers of an eighth of the channels into timm's Xception, whose constructor offers none."""
    nn, peers = torch().nn, import_module(f"{timm().__name__}.models.xception")
    peer = peers.Xception(num_classes=model.num_classes)
    peer.conv1, peer.bn1 = nn.Conv2d(3, 4, 3, 2, bias=False), nn.BatchNorm2d(4)
    peer.conv2, peer.bn2 = nn.Conv2d(4, 8, 3, bias=False), nn.BatchNorm2d(8)
    peer.block1 = peers.Block(8, 16, 2, 2, start_with_relu=False)
    peer.block2, peer.block3 = peers.Block(16, 32, 2, 2), peers.Block(32, 91, 2, 2)
    peer.block4, peer.block12 = peers.Block(91, 91, 3, 1), peers.Block(91, 128, 2, 2, grow_first=False)
    for number in range(5, 12):
        setattr(peer, f"block{number}", nn.Identity())
    peer.conv3, peer.bn3 = peers.SeparableConv2d(128, 192, 3, 1, 1), nn.BatchNorm2d(192)
    peer.conv4, peer.bn4 = peers.SeparableConv2d(192, 256, 3, 1, 1), nn.BatchNorm2d(256)
    peer.fc = nn.Linear(256, model.num_classes)
    return peer


@pytest.mark.usefixtures("float64")
def test_it_is_timms():
    model = Xception(num_classes=5, width=1 / 8, middle_blocks=1, dropout_rate=0.0)
    x = np.random.RandomState(0).standard_normal((2, 33, 36, 3))
    assert_parity(model, narrow_timm(model), pretrained.rules_of(model, "timm"), x)


def test_counts_and_shapes_are_the_published(key):
    model, shape = models.create("xception"), models.input_shape("xception")
    build = partial(model.init_with_output, return_intermediates=True)
    (logits, features), variables = jax.eval_shape(build, key, jnp.zeros((2, *shape)))
    assert tree.size(variables["params"]) == 22_855_952
    assert logits.shape == (2, 1000)
    sizes = {name: feature.shape[1:] for name, feature in features.items()}
    assert [sizes[f"entry{i}"] for i in (1, 2, 3)] == [(74, 74, 128), (37, 37, 256), (19, 19, 728)]
    assert sizes["middle8"] == (19, 19, 728)
    assert [sizes[name] for name in ("exit1", "conv4")] == [(10, 10, 1024), (10, 10, 2048)]


def test_all_weights_of_timm_have_a_place():
    model = models.create("xception")
    forms = pretrained.template(model, (299, 299, 3))
    with torch().device("meta"):
        peer = import_module(f"{timm().__name__}.models.xception").Xception()
    assert_same_weights(forms, peer, pretrained.rules_of(model, "timm"))


def test_small_images_are_refused(key):
    model = Xception(num_classes=5, width=1 / 8, middle_blocks=1)
    with pytest.raises(ValueError, match=r"at least 7, got \(1, 6, 6, 3\)"):
        model.init(key, jnp.zeros((1, 6, 6, 3)))
    assert jax.eval_shape(model.init_with_output, key, jnp.zeros((1, 7, 7, 3)))[0].shape == (1, 5)
