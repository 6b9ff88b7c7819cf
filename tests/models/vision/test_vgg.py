"""VGG against torchvision's with narrow layers, and the counts of every configuration."""

from functools import partial

import jax
import numpy as np
import pytest

from jaxdl import models, pretrained, tree
from jaxdl.models.vision.vgg import VGG
from jaxdl.pretrained import rules
from tests.models.parity import assert_parity
from tests.peers import torch, torchvision


def narrow_torchvision(model):
    """Build torchvision's VGG of layers as narrow as the model's, which its constructor does not offer."""
    vgg, nn = torchvision().models.vgg, torch().nn
    layers = []
    for depth, width in zip(model.depths, model.widths, strict=True):
        layers += [width] * depth + ["M"]
    peer = vgg.VGG.__new__(vgg.VGG)
    nn.Module.__init__(peer)
    peer.features, peer.avgpool = vgg.make_layers(layers, model.batch_norm), nn.AdaptiveAvgPool2d((7, 7))
    a, b = model.hidden_sizes
    dense = [nn.Linear(49 * model.widths[-1], a), nn.ReLU(), nn.Dropout(0), nn.Linear(a, b), nn.ReLU(), nn.Dropout(0)]
    peer.classifier = nn.Sequential(*dense, nn.Linear(b, model.num_classes))
    return peer


@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.usefixtures("float64")
def test_it_is_torchvisions(batch_norm):
    depths, widths = (1, 1, 2), (2, 3, 4)
    model = VGG(5, depths, widths, hidden_sizes=(7, 6), batch_norm=batch_norm, dropout_rate=0.0)
    x = np.random.RandomState(0).standard_normal((2, 20, 36, 3))
    assert_parity(model, narrow_torchvision(model), pretrained.rules_of(model, "torchvision"), x)


def test_the_names_are_torchvisions_layer_for_layer():
    peer_vgg, library = torchvision().models.vgg, torch()
    for letter, name in (("A", "vgg11"), ("B", "vgg13_bn"), ("D", "vgg16"), ("E", "vgg19_bn")):
        with library.device("meta"):
            peer = peer_vgg.VGG(peer_vgg.make_layers(peer_vgg.cfgs[letter], name.endswith("bn")), init_weights=False)
        expected = {entry for entry in peer.state_dict() if not entry.endswith("num_batches_tracked")}
        model = models.create(name)
        paths = tree.flatten(pretrained.template(model, (224, 224, 3)))
        ours = rules.places(paths, pretrained.rules_of(model, "torchvision"))
        assert {entry for place in ours.values() for entry in place.entries} == expected


def test_configuration_c_has_pointwise_convolutions_and_features_have_the_papers_sizes():
    model = models.create("vgg16_c")
    forms = pretrained.template(model, (224, 224, 3))
    sizes = {name: forms["params"][name]["kernel"].shape[0] for name in forms["params"] if name.startswith("conv")}
    assert [name for name, size in sizes.items() if size == 1] == ["conv3_3", "conv4_3", "conv5_3"]
    apply = partial(model.apply, return_intermediates=True)
    logits, features = jax.eval_shape(apply, forms, jax.ShapeDtypeStruct((2, 224, 224, 3), np.float32))
    assert [features[f"pool{stage}"].shape[1:] for stage in range(1, 6)] == [
        (112, 112, 64),
        (56, 56, 128),
        (28, 28, 256),
        (14, 14, 512),
        (7, 7, 512),
    ]
    assert logits.shape == (2, 1000)


def test_without_classes_it_returns_the_last_maps_and_small_images_are_refused(key):
    model = VGG(None, (1, 1), (2, 3))
    maps, variables = jax.jit(model.init_with_output)(key, np.ones((1, 28, 28, 3), np.float32))
    assert maps.shape == (1, 7, 7, 3)
    assert sorted(variables["params"]) == ["conv1_1", "conv2_1"]
    with pytest.raises(ValueError, match=r"at least 32, got \(1, 31, 40, 3\)"):
        models.create("vgg11").init(key, np.ones((1, 31, 40, 3), np.float32))
    with pytest.raises(ValueError, match=r"moveaxis\(x, 1, -1\)"):
        models.create("vgg11").init(key, np.ones((1, 3, 224, 224), np.float32))
