"""Networks on a dilated ResNet against torchvision's: logits, gradients and statistics, and the names of weights."""

import jax
import numpy as np
import pytest

from jaxdl import models, pretrained
from jaxdl.models.dense import FCN, DeepLabV3
from tests.models.parity import assert_parity, assert_same_weights, entries_of, randomize
from tests.peers import torch, torchvision

DEPTHS, WIDTHS = (1, 1, 1, 2), (2, 4, 8, 16)
NO_DROPOUT = {"dropout_rate": 0.0, "auxiliary_dropout_rate": 0.0}


def narrow_backbone(depths=DEPTHS):
    """Build torchvision's dilated network of a thirty-second of its channels, without output layer."""
    nn, resnet = torch().nn, torchvision().models.resnet

    class Narrow(resnet.ResNet):
        def _make_layer(self, block, planes, *arguments, **options):
            if planes == 64:
                self.inplanes = 2
            return super()._make_layer(block, planes // 32, *arguments, **options)

    peer = Narrow(resnet.Bottleneck, depths, replace_stride_with_dilation=[False, True, True])
    peer.conv1, peer.bn1 = nn.Conv2d(3, 2, 7, 2, 3, bias=False), nn.BatchNorm2d(2)
    return torchvision().models._utils.IntermediateLayerGetter(peer, {"layer4": "out", "layer3": "aux"})


def without_dropout(peer):
    for module in peer.modules():
        if isinstance(module, torch().nn.Dropout):
            module.p = 0.0
    return peer


def outputs(result):
    named = {"logits": result["out"], "auxiliary": result["aux"]}
    return {name: value.movedim(1, -1) for name, value in named.items()}


@pytest.mark.usefixtures("float64")
def test_logits_gradients_and_statistics_of_deeplab_are_torchvisions():
    segmentation = torchvision().models.segmentation
    model = DeepLabV3(5, DEPTHS, WIDTHS, rates=(1, 2, 5), **NO_DROPOUT)
    heads = segmentation.deeplabv3.DeepLabHead(64, 5, (1, 2, 5)), segmentation.fcn.FCNHead(32, 5)
    peer = without_dropout(segmentation.DeepLabV3(narrow_backbone(), *heads))
    x = np.random.default_rng(0).normal(size=(2, 33, 26, 3))
    assert_parity(model, peer, pretrained.rules_of(model, "torchvision"), x, outputs=outputs)


@pytest.mark.usefixtures("float64")
def test_logits_of_the_fully_convolutional_network_are_torchvisions():
    segmentation = torchvision().models.segmentation
    model = FCN(5, (1, 1, 1, 1), WIDTHS)
    heads = segmentation.fcn.FCNHead(64, 5), segmentation.fcn.FCNHead(32, 5)
    peer = randomize(segmentation.FCN(narrow_backbone((1, 1, 1, 1)), *heads)).eval()
    x, rules = np.random.default_rng(0).normal(size=(1, 33, 26, 3)), pretrained.rules_of(model, "torchvision")
    forms = pretrained.template(model, x.shape[1:])
    variables = pretrained.convert(entries_of(peer), forms, rules, dtype=np.float64)
    with torch().no_grad():
        expected = outputs(peer(torch().tensor(np.moveaxis(x, -1, 1).copy())))["logits"]
    np.testing.assert_allclose(jax.jit(model.apply)(variables, x), expected, rtol=1e-9, atol=1e-9)


def test_the_names_are_those_of_torchvision():
    name = "deeplabv3_resnet50"
    model = models.create(name)
    with torch().device("meta"):
        peer = torchvision().models.get_model(name, weights=None, weights_backbone=None, aux_loss=True, num_classes=21)
    assert_same_weights(pretrained.template(model, (32, 32, 3)), peer, pretrained.rules_of(model, "torchvision"))
