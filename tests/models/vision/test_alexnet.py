"""AlexNet against torchvision's with narrow layers, and the published form against its count and its parts."""

from collections import OrderedDict
from functools import partial

import jax
import numpy as np
import pytest

from jaxdl import models, pretrained
from jaxdl.models.vision.alexnet import AlexNet
from jaxdl.pretrained import Rule
from jaxdl.pretrained.layouts import flattened
from tests.models.parity import assert_parity
from tests.peers import torch, torchvision
from tests.variables import draw


def narrow_torchvision(model):
    """Build torchvision's AlexNet of narrow layers, which its constructor does not offer."""
    kind, nn = torchvision().models.AlexNet, torch().nn
    peer = kind.__new__(kind)
    nn.Module.__init__(peer)
    a, b, c, d, e = model.widths
    convs = [nn.Conv2d(3, a, 11, 4, 2), nn.Conv2d(a, b, 5, padding=2), nn.Conv2d(b, c, 3, padding=1)]
    convs += [nn.Conv2d(c, d, 3, padding=1), nn.Conv2d(d, e, 3, padding=1)]
    features = []
    for conv, pooled in zip(convs, (True, True, False, False, True), strict=True):
        features += [conv, nn.ReLU(), *[nn.MaxPool2d(3, 2)] * pooled]
    peer.features, peer.avgpool = nn.Sequential(*features), nn.AdaptiveAvgPool2d((6, 6))
    dense = [nn.Dropout(0), nn.Linear(36 * e, model.hidden_sizes[0]), nn.ReLU(), nn.Dropout(0)]
    dense += [nn.Linear(*model.hidden_sizes), nn.ReLU(), nn.Linear(model.hidden_sizes[1], model.num_classes)]
    peer.classifier = nn.Sequential(*dense)
    return peer


def torch_of_layers(model, strides, pads, sizes, response_norm_first):
    """Build a network of this kind in torch, its layers called as ours are."""
    nn, layers, channels = torch().nn, {}, 3
    groups = getattr(model, "groups", 1)
    for i, (width, size, stride, pad) in enumerate(zip(model.widths, sizes, strides, pads, strict=True), 1):
        layers[f"conv{i}"] = nn.Conv2d(channels, width, size, stride, pad, groups=groups if i in {2, 4, 5} else 1)
        layers[f"relu{i}"] = nn.ReLU()
        after = {}
        if i <= 2:
            after["norm"] = nn.LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2.0)
        if i in {1, 2, 5}:
            after["pool"] = nn.MaxPool2d(3, 2, padding=0 if response_norm_first or i == 5 else 1)
        layers |= {f"{kind}{i}": after[kind] for kind in (after if response_norm_first else reversed(after))}
        channels = width
    layers |= {
        "mean": nn.AdaptiveAvgPool2d(6),
        "flat": nn.Flatten(),
        "dense1": nn.Linear(36 * channels, model.hidden_sizes[0]),
    }
    layers |= {"relu6": nn.ReLU(), "dense2": nn.Linear(*model.hidden_sizes), "relu7": nn.ReLU()}
    return nn.Sequential(OrderedDict(layers, output=nn.Linear(model.hidden_sizes[1], model.num_classes)))


NAMES = [Rule("dense1", "dense1", flattened(6, 6)), Rule("(.*)", r"\1")]


@pytest.mark.usefixtures("float64")
def test_the_form_of_one_group_is_torchvisions():
    model = AlexNet(num_classes=5, widths=(3, 4, 5, 4, 3), hidden_sizes=(7, 6), dropout_rate=0.0)
    x = np.random.RandomState(0).standard_normal((2, 70, 64, 3))
    assert_parity(model, narrow_torchvision(model), pretrained.rules_of(model, "torchvision"), x)


@pytest.mark.usefixtures("float64")
def test_the_published_form_is_torchs_layers_in_groups():
    model = models.create(
        "alexnet_grouped", num_classes=5, widths=(4, 6, 4, 6, 4), hidden_sizes=(7, 6), dropout_rate=0.0
    )
    peer = torch_of_layers(model, (4, 1, 1, 1, 1), (0, 2, 1, 1, 1), (11, 5, 3, 3, 3), response_norm_first=True)
    x = 20 * np.random.RandomState(0).standard_normal((2, 67, 67, 3))
    assert_parity(model, peer, NAMES, x)


def test_the_published_form_has_the_maps_of_the_paper():
    model = models.create("alexnet_grouped")
    forms = pretrained.template(model, (227, 227, 3))
    apply = partial(model.apply, return_intermediates=True)
    logits, features = jax.eval_shape(apply, forms, jax.ShapeDtypeStruct((1, 227, 227, 3), np.float32))
    maps = {name: features[name].shape[1:] for name in ("conv1", "pool1", "conv2", "pool2", "conv3", "conv5", "pool5")}
    assert maps == {
        "conv1": (55, 55, 96),
        "pool1": (27, 27, 96),
        "conv2": (27, 27, 256),
        "pool2": (13, 13, 256),
        "conv3": (13, 13, 384),
        "conv5": (13, 13, 256),
        "pool5": (6, 6, 256),
    }
    assert forms["params"]["conv2"]["kernel"].shape == (5, 5, 48, 256)
    assert logits.shape == (1, 1000)


def test_dropout_is_of_inputs_or_of_outputs(key):
    widths, hidden = (1, 1, 1, 1, 1), (400, 400)
    x = np.random.default_rng(0).normal(size=(1, 63, 63, 3)).astype(np.float32)
    for drop_outputs in (False, True):
        model = AlexNet(2, widths, hidden, dropout_rate=0.5, drop_outputs=drop_outputs)
        apply = jax.jit(partial(model.apply, train=True, return_intermediates=True))
        variables = draw(model.init, key, x)
        # The second dense layer passes on what it gets, the output adds it up: what was dropped can be counted.
        variables["params"]["dense2"] = {"kernel": np.eye(400, dtype=np.float32), "bias": np.ones(400, np.float32)}
        variables["params"]["dense1"]["kernel"] *= 0
        variables["params"]["dense1"]["bias"] = np.ones(400, np.float32)
        variables["params"]["output"] = {"kernel": np.ones((400, 2), np.float32), "bias": np.zeros(2, np.float32)}
        logits, features = apply(variables, x, rngs={"dropout": key})
        dropped = 400 - np.count_nonzero(features["dense2"] > 1)
        assert 140 < dropped < 260
        assert (np.isclose(logits[0, 0], np.sum(features["dense2"]))) == (not drop_outputs)


def test_small_images_are_refused(key):
    with pytest.raises(ValueError, match=r"at least 63, got \(1, 62, 80, 3\)"):
        models.create("alexnet").init(key, np.ones((1, 62, 80, 3), np.float32))
    least = AlexNet(None, (1, 1, 1, 1, 1))
    assert jax.eval_shape(least.init_with_output, key, np.ones((1, 63, 63, 3)))[0].shape == (1, 6, 6, 1)
