"""GoogLeNet: with batch norm against torchvision's, as published against the paper's table written in torch."""

from functools import partial
from importlib import import_module

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl import models, pretrained, tree
from jaxdl.models.vision import googlenet
from jaxdl.models.vision.googlenet import GoogLeNet
from tests.models.parity import assert_parity, assert_same_weights
from tests.peers import torch, torchvision

NARROW = GoogLeNet(num_classes=5, width=1 / 8, dropout_rate=0.0, auxiliary_dropout_rate=0.0)
KEPT = ("inception3a", "inception4a", "inception4d", "inception5a")


def narrow_torchvision(**changes):
    """Build torchvision's GoogLeNet with an eighth of its channels, all multiples of eight, and four of its modules."""
    nn, peers = torch().nn, import_module(f"{torchvision().__name__}.models.googlenet")

    def narrow(inputs, outputs, **window):
        return peers.BasicConv2d(inputs if inputs == 3 else inputs // 8, outputs // 8, **window)

    def head(inputs, classes, dropout):
        made = peers.InceptionAux(inputs, classes, narrow, dropout)
        made.fc1, made.fc2 = nn.Linear(2048 // 8, 1024 // 8), nn.Linear(1024 // 8, classes)
        return made

    blocks = [narrow, partial(peers.Inception, conv_block=narrow), head]
    peer = peers.GoogLeNet(5, init_weights=False, blocks=blocks, dropout=0, dropout_aux=0, **changes)
    for name in googlenet.INCEPTIONS.keys() - {*KEPT}:
        setattr(peer, name, nn.Identity())
    peer.inception4a = blocks[1](256, 192, 96, 208, 16, 48, 64)  # the channels before them are others now
    peer.inception5a = blocks[1](528, 256, 160, 320, 32, 128, 128)
    peer.fc = nn.Linear(832 // 8, 5)
    return peer


@pytest.mark.usefixtures("float64")
def test_the_form_with_batch_norm_is_torchvisions():
    def outputs(output):
        if isinstance(output, tuple):
            return {"logits": output.logits, "auxiliary1": output.aux_logits1, "auxiliary2": output.aux_logits2}
        return {"logits": output}

    model = NARROW.clone(transform_input=True, modules=KEPT)
    rules = pretrained.rules_of(model, "torchvision")
    x = np.random.RandomState(0).standard_normal((3, 43, 36, 3))
    assert_parity(model, narrow_torchvision(transform_input=True), rules, x, outputs=outputs)


def test_all_weights_of_torchvision_have_a_place():
    model = models.create("googlenet")
    forms = pretrained.template(model, (224, 224, 3))
    with torch().device("meta"):
        peer = torchvision().models.googlenet(init_weights=False)
    assert_same_weights(forms, peer, pretrained.rules_of(model, "torchvision"))


class PaperGoogLeNet:
    """Rows of the paper's table 1 in torch's functions, of as many channels as the parameters have."""

    def __init__(self, params):
        self.params = tree.flatten(jax.tree.map(np.asarray, params))

    def conv(self, x, name, **window):
        kernel, bias = (torch().tensor(self.params[f"{name}/conv/{leaf}"]) for leaf in ("kernel", "bias"))
        return torch().relu(torch().nn.functional.conv2d(x, kernel.permute(3, 2, 0, 1), bias, **window))

    def dense(self, x, name):
        return x @ torch().tensor(self.params[f"{name}/kernel"]) + torch().tensor(self.params[f"{name}/bias"])

    def inception(self, x, name):
        conv, pool = self.conv, torch().nn.functional.max_pool2d(x, 3, 1, 1)
        three = conv(conv(x, f"{name}/branch2_reduce"), f"{name}/branch2", padding=1)
        five = conv(conv(x, f"{name}/branch3_reduce"), f"{name}/branch3", padding=2)
        return torch().cat([conv(x, f"{name}/branch1"), three, five, conv(pool, f"{name}/branch4")], 1)

    def head(self, x, name):
        x = self.conv(torch().nn.functional.avg_pool2d(x, 5, 3), f"{name}_conv")
        x = x.permute(0, 2, 3, 1).flatten(1)
        return self.dense(torch().relu(self.dense(x, f"{name}_dense")), f"{name}_output")

    def __call__(self, x):
        functional = torch().nn.functional
        pool = partial(functional.max_pool2d, kernel_size=3, stride=2, ceil_mode=True)
        norm = torch().nn.LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2.0)  # torch divides alpha by the size
        heads = {}
        x = norm(pool(self.conv(x, "conv1", stride=2, padding=3)))
        x = pool(norm(self.conv(self.conv(x, "conv2"), "conv3", padding=1)))
        for name in ("3a", "pool", "4a", "head1", "4d", "head2", "pool", "5a"):
            if name == "pool":
                x = pool(x)
            elif name.startswith("head"):
                heads[f"auxiliary{name[-1]}"] = self.head(x, f"auxiliary{name[-1]}")
            else:
                x = self.inception(x, f"inception{name}")
        return self.dense(x.mean((2, 3)), "output"), heads


@pytest.mark.usefixtures("float64")
def test_the_published_form_is_the_papers_table():
    model, random = NARROW.clone(form="published", modules=KEPT), np.random.RandomState(0)
    x = random.standard_normal((2, 84, 79, 3))
    forms = pretrained.template(model, x.shape[1:])["params"]
    params = jax.tree.map(lambda leaf: random.standard_normal(leaf.shape) / np.prod(leaf.shape[:-1]) ** 0.5, forms)
    run = partial(model.apply, train=True, return_intermediates=True, rngs={"dropout": jax.random.key(0)})
    logits, features = jax.jit(run)({"params": params}, x)
    expected, heads = PaperGoogLeNet(params)(torch().tensor(np.moveaxis(x, -1, 1).copy()))
    for ours, theirs in [(logits, expected), *((features[name], heads[name]) for name in ("auxiliary1", "auxiliary2"))]:
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-10 * np.abs(theirs.numpy()).max())


@pytest.mark.parametrize(("name", "alone"), [("googlenet", 6_624_904), ("googlenet_original", 6_998_552)])
def test_counts_and_shapes_are_the_published(name, alone):
    model, shape = models.create(name), models.input_shape(name)
    assert tree.size(pretrained.template(model.clone(auxiliary_weight=0.0), shape)["params"]) == alone
    assert model.auxiliary == {"auxiliary1": 0.3, "auxiliary2": 0.3}
    assert not model.clone(auxiliary_weight=0.0).auxiliary
    build = partial(model.init_with_output, return_intermediates=True)
    (logits, features), variables = jax.eval_shape(build, jax.random.key(0), jnp.zeros((2, *shape)))
    assert tree.size(variables["params"]) == alone
    assert logits.shape == (2, 1000)
    assert not features.keys() & {"auxiliary1", "auxiliary2"}
    sizes = {feature: features[feature].shape[1:] for feature in features}
    assert sizes["conv1"] == (112, 112, 64)
    assert sizes["pool2"] == (28, 28, 192)
    assert [sizes[f"inception{m}"] for m in ("3b", "4e", "5b")] == [(28, 28, 480), (14, 14, 832), (7, 7, 1024)]


def test_the_smallest_images_leave_one_place_and_smaller_are_refused(key):
    def shape_of(model, size, **options):
        build = partial(model.init_with_output, return_intermediates=True, **options)
        rngs = {"params": key, "dropout": key}
        return jax.eval_shape(build, rngs, jnp.zeros((1, size, size, 3)))[0][1]["inception5b"].shape[1:3]

    narrow = NARROW.clone(modules=(*KEPT, "inception5b"))
    published = narrow.clone(form="published")
    heads = r" with its auxiliary heads \(auxiliary_weight=0 removes them\)"
    cases = [
        (narrow, 15, {}, r"\(form='batch_norm'\)"),
        (narrow, 15, {"train": True}, r"\(form='batch_norm'\)"),
        (published, 31, {}, r"\(form='published'\)"),
        (published, 79, {"train": True}, heads),
        (published.clone(auxiliary_weight=0.0), 31, {"train": True}, r"\(form='published'\)"),
    ]
    for model, size, options, name in cases:
        message = rf"GoogLeNet{name} expected .* at least {size}, got \(1, {size - 1}, {size - 1}, 3\); resize them"
        with pytest.raises(ValueError, match=message):
            shape_of(model, size - 1, **options)
    assert shape_of(narrow, 15) == shape_of(published, 31) == (1, 1)
    shape_of(published, 79, train=True)
    with pytest.raises(ValueError, match=r"jnp.moveaxis\(x, 1, -1\)"):
        NARROW.init(key, jnp.zeros((1, 3, 32, 32)))
    with pytest.raises(ValueError, match=r"got \(32, 32, 3\).* x\[None\]"):
        NARROW.init(key, jnp.zeros((32, 32, 3)))


def test_wrong_forms_are_answered_with_the_right(key):
    with pytest.raises(ValueError, match="'batch_norm', 'published', got 'caffe'"):
        GoogLeNet(form="caffe").init(key, jnp.zeros((1, 32, 32, 3)))
    with pytest.raises(ValueError, match="got 'published'"):
        pretrained.rules_of(GoogLeNet(form="published"), "torchvision")


@pytest.mark.parametrize(("size", "window", "stride"), [(7, 3, 2), (8, 3, 2), (7, 2, 2), (10, 3, 4), (1, 2, 2)])
def test_pooling_with_a_rest_is_torchs_ceil_mode(size, window, stride):
    x = np.random.RandomState(0).standard_normal((1, size, size + 1, 2)).astype(np.float32)
    pool = partial(torch().nn.functional.max_pool2d, ceil_mode=True)
    expected = pool(torch().tensor(np.moveaxis(x, -1, 1).copy()), window, stride)
    np.testing.assert_array_equal(googlenet.ceil_max_pool(x, window, stride), expected.permute(0, 2, 3, 1))
