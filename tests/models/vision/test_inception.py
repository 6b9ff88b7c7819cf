"""Inception: v3 against torchvision's of narrow layers, v2, which has no peer, against the paper's table in torch."""

from functools import partial
from importlib import import_module

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl import models, pretrained, tree
from jaxdl.models.vision.inception import V2_MODULES, V3_MODULES, InceptionV2, InceptionV3
from tests.models.parity import assert_parity, assert_same_weights, assert_training_parity
from tests.peers import torch, torchvision

KEPT = ("mixed5b", "mixed6a", "mixed6e", "mixed7a", "mixed7b")

# Figure 5 of the paper: 1x1, 3x3 reduce, 3x3, double 3x3 reduce, double 3x3, pool, its projection
TABLE = """
3a  64  64  64  64  96 avg 32
3b  64  64  96  64  96 avg 64
3c   0 128 160  64  96 max 0
4a 224  64  96  96 128 avg 128
4b 192  96 128  96 128 avg 128
4c 160 128 160 128 160 avg 96
4d  96 128 192 160 192 avg 96
4e   0 128 192 192 256 max 0
5a 352 192 320 160 224 avg 128
5b 352 192 320 192 224 max 128
"""


def narrow_torchvision():
    """Build torchvision's Inception v3 with one module of each kind and a sixteenth of its channels."""
    nn, peers = torch().nn, import_module(f"{torchvision().__name__}.models.inception")

    def narrow(inputs, outputs, **window):
        return peers.BasicConv2d(inputs if inputs == 3 else inputs // 16, outputs // 16, **window)

    def head(inputs, classes):
        made = peers.InceptionAux(inputs, classes, narrow)
        made.fc = nn.Linear(768 // 16, classes)
        return made

    kinds = [getattr(peers, f"Inception{letter}") for letter in "ABCDE"]
    blocks = [narrow, *(partial(kind, conv_block=narrow) for kind in kinds), head]
    peer = peers.Inception3(5, inception_blocks=blocks, init_weights=False, dropout=0, transform_input=True)
    for name in V3_MODULES.keys() - {*KEPT}:
        setattr(peer, name.replace("mixed", "Mixed_"), nn.Identity())
    peer.Mixed_6a, peer.Mixed_6e = blocks[2](256), blocks[3](736, channels_7x7=192)  # the channels before are others
    peer.fc = nn.Linear(2048 // 16, 5)
    return peer


@pytest.mark.usefixtures("float64")
def test_v3_is_torchvisions():
    def outputs(output):
        return {"logits": output[0], "auxiliary": output[1]} if isinstance(output, tuple) else {"logits": output}

    model = InceptionV3(num_classes=5, width=1 / 16, modules=KEPT, dropout_rate=0.0, transform_input=True)
    x = np.random.RandomState(0).standard_normal((2, 299, 299, 3))
    assert_parity(model, narrow_torchvision(), pretrained.rules_of(model, "torchvision"), x, outputs=outputs)


def test_all_weights_of_torchvision_have_a_place():
    model = models.create("inception_v3")
    forms = pretrained.template(model, (299, 299, 3))
    with torch().device("meta"):
        peer = torchvision().models.inception_v3(init_weights=False)
    assert_same_weights(forms, peer, pretrained.rules_of(model, "torchvision"))
    assert tree.size(forms["params"]) == 27_161_264


def convolution(inputs, outputs, size, stride=1):
    """Make a convolution, padded as TensorFlow's "same" is, with batch norm."""
    nn = torch().nn
    pad = nn.ZeroPad2d((0, 1, 0, 1) if stride == 2 else size // 2)  # for stride 2 the sides here are even
    conv = nn.Conv2d(inputs, outputs, size, stride, bias=False)
    return nn.Sequential(pad, conv, nn.BatchNorm2d(outputs, eps=1e-3), nn.ReLU())


def paper_inception(divisor):
    """Build the paper's table in torch, with a part of the channels; the names of the layers are in order."""
    nn = torch().nn

    class Module(nn.Module):
        def __init__(self, inputs, row):
            super().__init__()
            _, *numbers, self.pool, projection = row
            one, reduce, three, reduce2, double = (int(n) // divisor for n in numbers)
            stride, projection = (1 if one else 2), int(projection) // divisor
            chains = {"branch1x1": [(inputs, one, 1)]} if one else {}
            chains["branch3x3"] = [(inputs, reduce, 1), (reduce, three, 3, stride)]
            chains["branch3x3_double"] = [(inputs, reduce2, 1), (reduce2, double, 3), (double, double, 3, stride)]
            chains["pool"] = [(inputs, projection, 1)] if one else []
            made = {name: [convolution(*link) for link in chain] for name, chain in chains.items()}
            self.chains = nn.ModuleDict({name: nn.Sequential(*links) for name, links in made.items()})
            self.stride, self.outputs = stride, one + three + double + (projection if one else inputs)

        def forward(self, x):
            functional = nn.functional
            if self.pool == "avg":
                pooled = functional.avg_pool2d(x, 3, 1, 1, count_include_pad=False)
            else:
                pooled = functional.max_pool2d(x, 3, self.stride, self.stride % 2, ceil_mode=self.stride == 2)
            ends = {name: chain(pooled if name == "pool" else x) for name, chain in self.chains.items()}
            return torch().cat(list(ends.values()), 1)

    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.pad, self.depthwise = nn.ZeroPad2d((2, 3, 2, 3)), nn.Conv2d(3, 24, 7, 2, groups=3, bias=False)
            self.pointwise = nn.Conv2d(24, 64 // divisor, 1, bias=False)
            self.norm = nn.BatchNorm2d(64 // divisor, eps=1e-3)
            self.conv2, self.conv3 = (convolution(64 // divisor, n // divisor, s) for n, s in ((64, 1), (192, 3)))
            inputs, self.inceptions = 192 // divisor, nn.ModuleDict()
            for row in map(str.split, TABLE.split("\n")[1:-1]):
                self.inceptions[row[0]] = Module(inputs, row)
                inputs = self.inceptions[row[0]].outputs
            self.output = nn.Linear(inputs, 5)

        def forward(self, x):
            def pool(x):
                return nn.functional.max_pool2d(x, 3, 2, ceil_mode=True)

            x = pool(nn.functional.relu(self.norm(self.pointwise(self.depthwise(self.pad(x))))))
            x = pool(self.conv3(self.conv2(x)))
            for module in self.inceptions.values():
                x = module(x)
            return self.output(x.mean((2, 3)))

    return Network()


def rules_of_the_table():
    rules = [pretrained.Rule(f"conv1/{part}", part) for part in ("depthwise", "pointwise")]
    for ours, theirs in (("conv", "1"), ("norm", "2")):
        rules.append(pretrained.Rule(rf"(conv[23])/{ours}", rf"\1.{theirs}"))
        for i in (1, 2, 3):
            place = rf"inceptions.\1.chains.\2.{i - 1}.{theirs}"
            rules.append(pretrained.Rule(rf"inception(..)/(\w+)_{i}/{ours}", place))
    return [*rules, pretrained.Rule("norm1", "norm"), pretrained.Rule("output", "output")]


@pytest.mark.usefixtures("float64")
def test_v2_is_the_papers_table():
    x = np.random.RandomState(0).standard_normal((2, 64, 64, 3))
    assert_training_parity(InceptionV2(num_classes=5, width=1 / 16), paper_inception(16), rules_of_the_table(), x)


def test_v2_has_the_parameters_of_the_papers_table(key):
    def conv(inputs, outputs, size):
        return size * size * inputs * outputs + 2 * outputs

    count = 3 * 8 * 49 + 24 * 64 + 2 * 64 + conv(64, 64, 1) + conv(64, 192, 3)
    inputs = 192
    for row in map(str.split, TABLE.split("\n")[1:-1]):
        one, reduce, three, reduce2, double, projection = (int(row[i]) for i in (1, 2, 3, 4, 5, 7))
        count += (conv(inputs, one, 1) + conv(inputs, projection, 1)) if one else 0
        count += conv(inputs, reduce, 1) + conv(reduce, three, 3)
        count += conv(inputs, reduce2, 1) + conv(reduce2, double, 3) + conv(double, double, 3)
        inputs = one + three + double + (projection if one else inputs)
        assert f"inception{row[0]}" in V2_MODULES
    assert inputs == 1024
    assert count + 1024 * 1000 + 1000 == 11_188_288
    model, shape = models.create("inception_v2"), models.input_shape("inception_v2")
    build = partial(model.init_with_output, return_intermediates=True)
    (logits, features), variables = jax.eval_shape(build, key, jnp.zeros((2, *shape)))
    assert tree.size(variables["params"]) == 11_188_288
    assert logits.shape == (2, 1000)
    sizes = [features[f"inception{name}"].shape[1:] for name in ("3b", "3c", "4e", "5b")]
    assert sizes == [(28, 28, 320), (14, 14, 576), (7, 7, 1024), (7, 7, 1024)]


def test_v3_has_the_published_parameters_and_sizes(key):
    model, shape = models.create("inception_v3"), models.input_shape("inception_v3")
    assert model.auxiliary == {"auxiliary": 0.4}
    assert not model.clone(auxiliary_weight=0.0).auxiliary
    build = partial(model.init_with_output, return_intermediates=True)
    (logits, features), variables = jax.eval_shape(build, key, jnp.zeros((2, *shape)))
    assert tree.size(variables["params"]) == 23_834_568
    assert logits.shape == (2, 1000)
    sizes = [features[f"mixed{name}"].shape[1:] for name in ("5b", "5d", "6a", "6e", "7a", "7c")]
    assert sizes == [(35, 35, 256), (35, 35, 288), (17, 17, 768), (17, 17, 768), (8, 8, 1280), (8, 8, 2048)]


def test_images_that_are_too_small_for_v3_or_its_head_are_refused(key):
    model = InceptionV3(num_classes=5, width=1 / 16, modules=KEPT)
    with pytest.raises(ValueError, match=r"InceptionV3 expected .* at least 75, got \(1, 74, 74, 3\)"):
        model.init(key, jnp.zeros((1, 74, 74, 3)))
    with pytest.raises(ValueError, match=r"auxiliary_weight=0 .* at least 299, got \(1, 298, 299, 3\)"):
        model.init(key, jnp.zeros((1, 298, 299, 3)), train=True)
    logits, _ = jax.eval_shape(model.init_with_output, key, jnp.zeros((1, 75, 75, 3)))
    assert logits.shape == (1, 5)


def test_there_are_no_weights_of_v2():
    with pytest.raises(ValueError, match="got InceptionV2"):
        pretrained.rules_of(InceptionV2(), "torchvision")
