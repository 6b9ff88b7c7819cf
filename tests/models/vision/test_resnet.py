"""Residual networks against torchvision's, timm's and plain torch modules, and against their counts."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl import models, pretrained, tree
from jaxdl.models.vision.resnet import PADDINGS, PreActivationResNet, ResNet, subsample_and_pad
from tests.models.parity import assert_parity, assert_same_weights
from tests.peers import timm, torch, torchvision


def images(*shape, seed=0):
    return np.random.RandomState(seed).standard_normal(shape)


def narrow_torchvision(block, depths, classes):
    """Build torchvision's network of a sixteenth of its channels."""
    nn, resnet = torch().nn, torchvision().models.resnet

    class Narrow(resnet.ResNet):
        def _make_layer(self, block, planes, *arguments, **options):
            if planes == 64:
                self.inplanes = 4
            return super()._make_layer(block, planes // 16, *arguments, **options)

    kind = {"basic": resnet.BasicBlock, "bottleneck": resnet.Bottleneck}[block]
    peer = Narrow(kind, depths, num_classes=classes)
    peer.conv1, peer.bn1 = nn.Conv2d(3, 4, 7, 2, 3, bias=False), nn.BatchNorm2d(4)
    peer.fc = nn.Linear(32 * kind.expansion, classes)
    return peer


@pytest.mark.parametrize("block", ["basic", "bottleneck"])
@pytest.mark.usefixtures("float64")
def test_both_blocks_are_torchvisions(block):
    depths = (1, 1, 1, 1)
    model = ResNet(num_classes=5, depths=depths, widths=(4, 8, 16, 32), block=block)
    peer = narrow_torchvision(block, depths, 5)
    assert_parity(model, peer, pretrained.rules_of(model, "torchvision"), images(2, 33, 32, 3))


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_the_names_are_those_of_torchvision_and_timm(name):
    model = models.create(name)
    forms = pretrained.template(model, (32, 32, 3))
    with torch().device("meta"):
        peers = {"torchvision": torchvision().models.get_model(name), "timm": timm().create_model(name)}
    for source, peer in peers.items():
        assert_same_weights(forms, peer, pretrained.rules_of(model, source))


@pytest.mark.parametrize("block", ["basic", "bottleneck"])
@pytest.mark.usefixtures("float64")
def test_preactivation_is_timms(block):
    layers, channels = timm().layers, {"basic": (8, 16), "bottleneck": (32, 64)}[block]
    depths = {"basic": (1, 1), "bottleneck": (2, 1)}[block]
    peer = timm().models.ResNetV2(
        depths, channels, num_classes=5, stem_chs=8, basic=block == "basic", bottle_ratio=8 / channels[0],
        norm_layer=layers.BatchNormAct2d, conv_layer=layers.create_conv2d,
    )  # fmt: skip
    model = PreActivationResNet(num_classes=5, depths=depths, widths=(8, 16), block=block)
    assert_parity(model, peer, pretrained.rules_of(model, "timm"), images(2, 17, 16, 3))


def cifar_peer(widths, residual):
    """Build the paper's network for CIFAR-10 of torch modules, with one block in a stage."""
    library = torch()
    nn, functional = library.nn, library.nn.functional

    class Block(nn.Module):
        def __init__(self, inputs, width, stride):
            super().__init__()
            self.conv1 = nn.Conv2d(inputs, width, 3, stride, 1, bias=False)
            self.bn1 = nn.BatchNorm2d(width)
            self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
            self.bn2 = nn.BatchNorm2d(width)
            self.stride, self.more = stride, width - inputs

        def forward(self, x):
            y = self.bn2(self.conv2(functional.relu(self.bn1(self.conv1(x)))))
            past = functional.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.more))
            return functional.relu(y + past if residual else y)

    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv1 = nn.Conv2d(3, widths[0], 3, 1, 1, bias=False)
            self.bn1 = nn.BatchNorm2d(widths[0])
            for stage, width in enumerate(widths):
                block = Block(widths[max(stage - 1, 0)], width, 2 if stage else 1)
                setattr(self, f"layer{stage + 1}", nn.Sequential(block))
            self.fc = nn.Linear(widths[-1], 5)

        def forward(self, x):
            x = functional.relu(self.bn1(self.conv1(x)))
            for stage in range(len(widths)):
                x = getattr(self, f"layer{stage + 1}")(x)
            return self.fc(x.mean((2, 3)))

    return Network()


@pytest.mark.parametrize("residual", [True, False])
@pytest.mark.usefixtures("float64")
def test_the_form_for_cifar_is_its_layers_in_torch(residual):
    model = models.create("resnet20", num_classes=5, depths=(1, 1), widths=(4, 6), residual=residual)
    peer = cifar_peer((4, 6), residual)
    assert_parity(model, peer, pretrained.rules_of(model, "torchvision"), images(2, 8, 7, 3))


@pytest.mark.parametrize(
    ("network", "block", "last"),
    [
        (ResNet, "basic", "norm2/scale"),
        (ResNet, "bottleneck", "norm3/scale"),
        (PreActivationResNet, "basic", "conv2/kernel"),
        (PreActivationResNet, "bottleneck", "conv3/kernel"),
    ],
)
def test_with_zero_init_every_block_begins_as_its_shortcut(network, block, last, key):
    model = network(2, (2,), (4,), block, "cifar", zero_init=True)
    x = np.random.default_rng(0).standard_normal((2, 4, 4, 3), np.float32)

    @jax.jit
    def run(key):
        (_, features), variables = model.init_with_output(key, x, train=True, return_intermediates=True)
        return features, variables["params"]

    features, params = run(key)
    np.testing.assert_array_equal(features["stage1_block2"], features["stage1_block1"])
    zero = {
        path for path, leaf in tree.flatten(params).items() if path.endswith(("kernel", "scale")) and not leaf.any()
    }
    assert zero == {f"stage1_block{i}/{last}" for i in (1, 2)}


def test_what_is_padded_is_subsampled_and_has_zeros_behind():
    x = jnp.arange(2 * 4 * 3 * 2.0).reshape(2, 4, 3, 2)
    y = subsample_and_pad(x, 2, 3)
    np.testing.assert_array_equal(y[..., :2], x[:, ::2, ::2])
    assert y.shape == (2, 2, 2, 3)
    assert not y[..., 2].any()
    with pytest.raises(ValueError, match="got 1; give shortcut='projection'"):
        subsample_and_pad(x, 2, 1)


def test_padding_on_both_sides_is_that_of_the_widespread_implementation():
    """``F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, planes // 4, planes // 4))`` with twice the channels."""
    x = np.random.default_rng(0).normal(size=(2, 4, 4, 4)).astype(np.float32)
    planes, taken = 8, torch().tensor(x).movedim(-1, 1)[:, :, ::2, ::2]
    expected = torch().nn.functional.pad(taken, (0, 0, 0, 0, planes // 4, planes // 4), "constant", 0)
    np.testing.assert_array_equal(PADDINGS["padding_both_sides"](jnp.asarray(x), 2, planes), expected.movedim(1, -1))


def test_every_stage_and_block_is_a_feature_of_half_the_size_of_the_stage_before():
    model = ResNet(num_classes=5, depths=(1, 2), widths=(4, 6), block="bottleneck", dtype=jnp.bfloat16)
    x = jnp.zeros((2, 33, 32, 3))
    (logits, features), variables = jax.eval_shape(
        lambda key: model.init_with_output(key, x, return_intermediates=True), jax.random.key(0)
    )
    shapes = {name: value.shape[1:] for name, value in features.items()}
    assert shapes == {
        "stem": (17, 16, 4), "stem_pool": (9, 8, 4), "stage1_block1": (9, 8, 16), "stage1": (9, 8, 16),
        "stage2_block1": (5, 4, 24), "stage2_block2": (5, 4, 24), "stage2": (5, 4, 24), "pool": (24,),
    }  # fmt: skip
    assert {value.dtype for value in (logits, *features.values())} == {jnp.dtype(jnp.bfloat16)}
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype(jnp.float32)}


@pytest.mark.parametrize(
    ("changes", "shape", "message"),
    [
        ({}, (2, 3, 32, 32), r"jnp.moveaxis\(x, 1, -1\)"),
        ({}, (32, 32, 3), r"got \(32, 32, 3\)"),
        ({"block": "wide"}, (2, 32, 32, 3), "block .* got 'wide'"),
        ({"stem": "mnist"}, (2, 32, 32, 3), "stem .* got 'mnist'"),
        ({"shortcut": "identity"}, (2, 32, 32, 3), "shortcut .* got 'identity'"),
        ({"depths": (1, 0, 1, 1)}, (2, 32, 32, 3), r"got \(1, 0, 1, 1\)"),
        ({"depths": (1, 1)}, (2, 32, 32, 3), r"got \(1, 1\)"),
        ({"residual": False, "zero_init": True}, (2, 32, 32, 3), "residual=False"),
    ],
)
def test_mistakes_are_answered_with_what_was_expected(changes, shape, message, key):
    with pytest.raises(ValueError, match=message):
        models.create("resnet18", **changes).init(key, np.zeros(shape, np.float32))


@pytest.mark.parametrize(
    ("model", "source", "message"),
    [
        (PreActivationResNet(), "torchvision", "source='timm'"),
        (ResNet(scan_blocks=True), "timm", "stack_blocks"),
    ],
)
def test_weights_without_names_are_refused(model, source, message):
    with pytest.raises(ValueError, match=message):
        pretrained.rules_of(model, source)


def test_preactivation_is_a_class_of_its_own():
    with pytest.raises(TypeError, match="PreActivationResNet"):
        ResNet(preactivation=True)
