"""Densely connected networks against torchvision's and plain torch modules, and against their counts."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl import models, pretrained
from jaxdl.models.vision.densenet import DenseLayer, DenseNet
from tests.models.parity import assert_parity, assert_same_weights
from tests.peers import timm, torch, torchvision


def images(*shape):
    return np.random.RandomState(0).standard_normal(shape)


@pytest.mark.usefixtures("float64")
def test_it_is_torchvisions_with_a_bottleneck_and_compression():
    peer = torchvision().models.DenseNet(3, (2, 1), 7, bn_size=2, num_classes=5)
    model = DenseNet(num_classes=5, growth_rate=3, depths=(2, 1), stem_features=7, bottleneck=2)
    assert_parity(model, peer, pretrained.rules_of(model, "torchvision"), images(2, 17, 16, 3))


def cifar_peer(growth_rate, depths, theta):
    """Build the paper's first form for CIFAR-10 of torch modules: one 3x3 convolution in a layer."""
    library = torch()
    nn = library.nn

    def part(inputs, outputs, size):
        conv = nn.Conv2d(inputs, outputs, size, 1, size // 2, bias=False)
        return nn.ModuleDict({"norm": nn.BatchNorm2d(inputs), "conv": conv})

    def through(layer, x):
        return layer["conv"](library.relu(layer["norm"](x)))

    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            maps = 2 * growth_rate
            self.stem = nn.Conv2d(3, maps, 3, 1, 1, bias=False)
            self.blocks, self.transitions = nn.ModuleList(), nn.ModuleList()
            for depth in depths:
                self.blocks.append(nn.ModuleList(part(maps + i * growth_rate, growth_rate, 3) for i in range(depth)))
                maps += depth * growth_rate
                if len(self.blocks) < len(depths):
                    self.transitions.append(part(maps, int(theta * maps), 1))
                    maps = int(theta * maps)
            self.norm, self.output = nn.BatchNorm2d(maps), nn.Linear(maps, 5)

        def forward(self, x):
            x = self.stem(x)
            for number, block in enumerate(self.blocks):
                if number:
                    x = nn.functional.avg_pool2d(through(self.transitions[number - 1], x), 2)
                for layer in block:
                    x = library.cat([x, through(layer, x)], 1)
            return self.output(library.relu(self.norm(x)).mean((2, 3)))

    return Network()


@pytest.mark.usefixtures("float64")
def test_the_form_for_cifar_without_bottleneck_is_its_layers_in_torch():
    model = DenseNet(num_classes=5, growth_rate=3, depths=(2, 1), bottleneck=0, compression=0.6, stem="cifar")
    rules = [
        pretrained.Rule(r"block1_layer(1)/(norm|conv)1", r"blocks.0.0.\2"),
        pretrained.Rule(r"block1_layer(2)/(norm|conv)1", r"blocks.0.1.\2"),
        pretrained.Rule(r"block2_layer1/(norm|conv)1", r"blocks.1.0.\1"),
        pretrained.Rule(r"transition1/(norm|conv)", r"transitions.0.\1"),
        pretrained.Rule("(stem|norm|output)", r"\1"),
    ]
    assert_parity(model, cifar_peer(3, (2, 1), 0.6), rules, images(2, 6, 7, 3))


def test_the_names_are_those_of_torchvision_and_timm():
    model = models.create("densenet121")
    forms = pretrained.template(model, (29, 29, 3))
    with torch().device("meta"):
        peers = {"torchvision": torchvision().models.densenet121(), "timm": timm().create_model("densenet121")}
    for source, peer in peers.items():
        assert_same_weights(forms, peer, pretrained.rules_of(model, source))


def test_every_intermediate_has_a_name():
    model = DenseNet(num_classes=5, growth_rate=2, depths=(2, 1), dtype=jnp.bfloat16)
    x = jnp.zeros((1, 16, 16, 3))
    (logits, features), variables = jax.eval_shape(
        lambda key: model.init_with_output(key, x, return_intermediates=True), jax.random.key(0)
    )
    shapes = {name: value.shape[1:] for name, value in features.items()}
    assert shapes == {
        "stem": (8, 8, 4), "stem_pool": (4, 4, 4), "block1_layer1": (4, 4, 2), "block1_layer2": (4, 4, 2),
        "block1": (4, 4, 8), "transition1": (2, 2, 4), "block2_layer1": (2, 2, 2), "block2": (2, 2, 6),
        "norm": (2, 2, 6), "pool": (6,),
    }  # fmt: skip
    assert {value.dtype for value in (logits, *features.values())} == {jnp.dtype(jnp.bfloat16)}
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype(jnp.float32)}


def test_what_a_layer_adds_is_dropped_in_training_alone(key):
    layer = DenseLayer(growth_rate=40, bottleneck=0, dropout_rate=0.25)
    x = np.random.default_rng(0).standard_normal((4, 2, 2, 3), np.float32)

    @jax.jit
    def run(key):
        y, variables = layer.init_with_output({"params": key, "dropout": key}, x, train=True)
        return y, layer.apply(variables, x)

    trained, tested = run(key)
    assert 0.15 < np.mean(trained == 0) < 0.35
    assert np.mean(tested == 0) < 0.01


@pytest.mark.parametrize(
    ("changes", "shape", "message"),
    [
        ({"depths": (1,) * 4}, (2, 28, 29, 3), r"at least 29, got \(2, 28, 29, 3\)"),
        ({}, (2, 3, 32, 32), r"jnp.moveaxis\(x, 1, -1\)"),
        ({"stem": "cifar"}, (2, 7, 8, 3), "at least 8, got"),
        ({"stem": "mnist"}, (2, 32, 32, 3), "got 'mnist'"),
        ({"compression": 0.0}, (2, 32, 32, 3), "compression.*got 0.0"),
        ({"depths": ()}, (2, 32, 32, 3), r"depths.*got 32 and \(\)"),
    ],
)
def test_mistakes_are_answered_with_what_was_expected(changes, shape, message, key):
    with pytest.raises(ValueError, match=message):
        DenseNet(**changes).init(key, np.zeros(shape, np.float32))


@pytest.mark.parametrize(("stem", "size"), [("imagenet", 29), ("cifar", 8)])
def test_the_smallest_images_leave_something(stem, size):
    assert pretrained.template(DenseNet(depths=(1,) * 4, stem=stem), (size, size, 3))["params"]
