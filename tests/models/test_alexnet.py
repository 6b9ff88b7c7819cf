"""AlexNet against torchvision's with narrow layers, and the published form against its count and its parts."""

import numpy as np
import pytest

from jaxdl import models, pretrained, tree
from jaxdl.models.alexnet import AlexNet
from tests.models.parity import assert_parity
from tests.peers import torch, torchvision


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
    dense = [nn.Dropout(0), nn.Linear(36 * e, model.hidden[0]), nn.ReLU(), nn.Dropout(0)]
    dense += [nn.Linear(*model.hidden), nn.ReLU(), nn.Linear(model.hidden[1], model.num_classes)]
    peer.classifier = nn.Sequential(*dense)
    return peer


@pytest.mark.usefixtures("float64")
def test_the_form_of_one_group_is_torchvisions():
    model = AlexNet(num_classes=5, widths=(3, 4, 5, 4, 3), hidden=(7, 6), dropout=0.0)
    x = np.random.RandomState(0).standard_normal((2, 70, 64, 3))
    assert_parity(model, narrow_torchvision(model), pretrained.rules_of(model, "torchvision"), x)


def test_the_counts_are_the_published():
    for name, count, size in (("alexnet", 61_100_840, 224), ("alexnet_grouped", 60_965_224, 227)):
        model = models.create(name)
        assert models.input_shape(name) == (size, size, 3)
        assert tree.size(pretrained.template(model, (size, size, 3))["params"]) == count
