"""DCGAN, pix2pix and CycleGAN against constructions in torch with the public names; their sizes and weights."""

from itertools import pairwise

import jax
import numpy as np
import pytest

from jaxdl import models, pretrained, tree
from jaxdl.models.generative import (
    CycleGANGenerator,
    DCGANDiscriminator,
    DCGANGenerator,
    PatchDiscriminator,
    Pix2PixGenerator,
)
from tests.models.parity import assert_parity, entries_of, randomize
from tests.peers import torch

PUBLIC = "pytorch_cyclegan_and_pix2pix"


def channels_last(output):
    return {"logits": output.movedim(1, -1)}


def wrap(attribute, *layers, forward=lambda sequence, x: sequence(x)):
    """Make a module with a sequence of layers under one name."""
    module, sequence = torch().nn.Module(), torch().nn.Sequential(*layers)
    setattr(module, attribute, sequence)
    module.forward = lambda x: forward(sequence, x)
    return module


def dcgan_generator(latent, channels, widths):
    nn = torch().nn
    layers = []
    for i, (before, width) in enumerate(zip((latent, *widths), widths, strict=False)):
        stride, padding = (2, 1) if i else (1, 0)
        layers += [
            nn.ConvTranspose2d(before, width, 4, stride, padding, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
        ]
    output = nn.ConvTranspose2d(widths[-1], channels, 4, 2, 1, bias=False)
    return wrap("main", *layers, output, nn.Tanh(), forward=lambda sequence, z: sequence(z[:, :, None, None]))


def dcgan_discriminator(channels, widths):
    nn = torch().nn
    layers = []
    for i, (before, width) in enumerate(zip((channels, *widths), widths, strict=False)):
        layers += [nn.Conv2d(before, width, 4, 2, 1, bias=False), *([nn.BatchNorm2d(width)] if i else [])]
        layers += [nn.LeakyReLU(0.2)]
    return wrap("main", *layers, nn.Conv2d(widths[-1], 1, 4, 1, 0, bias=False))


def patch_discriminator(channels, widths, norm):
    """Build ``NLayerDiscriminator``."""
    nn = torch().nn
    with_bias = norm is nn.InstanceNorm2d
    layers = [nn.Conv2d(channels, widths[0], 4, 2, 1), nn.LeakyReLU(0.2)]
    for before, width in pairwise(widths[:-1]):
        layers += [nn.Conv2d(before, width, 4, 2, 1, bias=with_bias), norm(width), nn.LeakyReLU(0.2)]
    layers += [nn.Conv2d(widths[-2], widths[-1], 4, 1, 1, bias=with_bias), norm(widths[-1]), nn.LeakyReLU(0.2)]
    return wrap("model", *layers, nn.Conv2d(widths[-1], 1, 4, 1, 1))


def unet_block(outer, inner, channels, submodule=None, outermost=False):
    """Build ``UnetSkipConnectionBlock``."""
    library = torch()
    nn = library.nn
    down = nn.Conv2d(channels or outer, inner, 4, 2, 1, bias=False)

    def joined(sequence, x):
        return library.cat([x, sequence(x)], 1)

    if outermost:
        up = nn.ConvTranspose2d(2 * inner, outer, 4, 2, 1)
        return wrap("model", down, submodule, nn.ReLU(), up, nn.Tanh())
    if submodule is None:
        up = nn.ConvTranspose2d(inner, outer, 4, 2, 1, bias=False)
        block = wrap("model", nn.LeakyReLU(0.2), down, nn.ReLU(), up, nn.BatchNorm2d(outer), forward=joined)
    else:
        up = nn.ConvTranspose2d(2 * inner, outer, 4, 2, 1, bias=False)
        layers = [nn.LeakyReLU(0.2), down, nn.BatchNorm2d(inner), submodule, nn.ReLU(), up, nn.BatchNorm2d(outer)]
        block = wrap("model", *layers, forward=joined)
    return block


def unet_generator(channels, widths):
    """Build ``UnetGenerator``, the innermost block first."""
    block = None
    for outer, inner in reversed(list(pairwise(widths))):
        block = unet_block(outer, inner, None, block)
    module, model = torch().nn.Module(), unet_block(channels, widths[0], channels, block, outermost=True)
    module.model, module.forward = model, model.forward
    return module


def resnet_generator(channels, width, num_blocks):
    """Build ``ResnetGenerator`` with instance norm."""
    nn = torch().nn

    def norm(size):
        return [nn.InstanceNorm2d(size), nn.ReLU()]

    def block(size):
        conv = [nn.ReflectionPad2d(1), nn.Conv2d(size, size, 3), nn.InstanceNorm2d(size)]
        again = [nn.ReflectionPad2d(1), nn.Conv2d(size, size, 3), nn.InstanceNorm2d(size)]
        return wrap("conv_block", *conv, nn.ReLU(), *again, forward=lambda sequence, x: x + sequence(x))

    layers = [nn.ReflectionPad2d(3), nn.Conv2d(channels, width, 7), *norm(width)]
    layers += [nn.Conv2d(width, 2 * width, 3, 2, 1), *norm(2 * width)]
    layers += [nn.Conv2d(2 * width, 4 * width, 3, 2, 1), *norm(4 * width)]
    layers += [block(4 * width) for _ in range(num_blocks)]
    layers += [nn.ConvTranspose2d(4 * width, 2 * width, 3, 2, 1, 1), *norm(2 * width)]
    layers += [nn.ConvTranspose2d(2 * width, width, 3, 2, 1, 1), *norm(width)]
    return wrap("model", *layers, nn.ReflectionPad2d(3), nn.Conv2d(width, channels, 7), nn.Tanh())


class OneRow(DCGANDiscriminator):
    """The logits of a batch as one row, of which a cross-entropy has a gradient."""

    def __call__(self, x, train=False, return_intermediates=False):
        logits, out = super().__call__(x, train, True)
        return (logits.T, out) if return_intermediates else logits.T


class Rows(PatchDiscriminator):
    """The logits ``[B, H, W]`` of the patches, of which a cross-entropy has a gradient."""

    def __call__(self, x, train=False, return_intermediates=False):
        logits, out = super().__call__(x, train, True)
        return (logits[..., 0], out) if return_intermediates else logits[..., 0]


def images(*shape):
    return np.random.default_rng(0).normal(size=shape)


@pytest.mark.usefixtures("float64")
def test_dcgan_is_that_of_the_examples_of_pytorch():
    generator = DCGANGenerator(channels=2, widths=(4, 3))
    peer = dcgan_generator(5, 2, (4, 3))
    rules = pretrained.rules_of(generator, "pytorch_examples")
    assert_parity(generator, peer, rules, images(3, 5), outputs=channels_last)

    discriminator = OneRow(widths=(3, 4))
    rules = pretrained.rules_of(DCGANDiscriminator(widths=(3, 4)), "pytorch_examples")
    peer = dcgan_discriminator(2, (3, 4))
    assert_parity(discriminator, peer, rules, images(3, 16, 16, 2), outputs=lambda y: {"logits": y[:, :, 0, 0].T})


@pytest.mark.usefixtures("float64")
def test_pix2pix_is_that_of_the_public_repository():
    generator = Pix2PixGenerator(channels=2, widths=(2, 3, 4), dropout_rate=0.0)
    rules = pretrained.rules_of(generator, PUBLIC)
    assert_parity(generator, unet_generator(2, (2, 3, 4)), rules, images(2, 16, 16, 2), outputs=channels_last)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("norm", ["batch", "instance"])
def test_the_patch_discriminator_is_that_of_the_public_repository(norm):
    nn, widths = torch().nn, (2, 3, 4)
    rules = pretrained.rules_of(PatchDiscriminator(widths, norm), PUBLIC)
    peer = patch_discriminator(2, widths, {"batch": nn.BatchNorm2d, "instance": nn.InstanceNorm2d}[norm])
    assert_parity(Rows(widths, norm), peer, rules, images(2, 16, 16, 2), outputs=lambda y: {"logits": y[:, 0]})


@pytest.mark.usefixtures("float64")
def test_cyclegan_is_that_of_the_public_repository():
    generator = CycleGANGenerator(channels=2, width=2, num_blocks=2)
    rules = pretrained.rules_of(generator, PUBLIC)
    assert_parity(generator, resnet_generator(2, 2, 2), rules, images(2, 12, 8, 2), outputs=channels_last)


def test_names_and_shapes_of_the_published_sizes_are_public():
    library = torch()
    nn, widths = library.nn, (64, 128, 256, 512)
    with library.device("meta"):
        peers = {
            ("dcgan_generator", "pytorch_examples"): dcgan_generator(100, 3, widths[::-1]),
            ("dcgan_discriminator", "pytorch_examples"): dcgan_discriminator(3, widths),
            ("pix2pix_generator", PUBLIC): unet_generator(3, (*widths, 512, 512, 512, 512)),
            ("pix2pix_discriminator", PUBLIC): patch_discriminator(6, widths, nn.BatchNorm2d),
            ("cyclegan_generator", PUBLIC): resnet_generator(3, 64, 9),
            ("cyclegan_discriminator", PUBLIC): patch_discriminator(3, widths, nn.InstanceNorm2d),
        }
    for (name, source), peer in peers.items():
        theirs = {key: np.broadcast_to(np.float32(0), value.shape) for key, value in peer.state_dict().items()}
        model = models.create(name)
        like = pretrained.template(model, models.input_shape(name))
        found = pretrained.rules.places(tree.flatten(like), pretrained.rules_of(model, source))
        counters = {key for key in theirs if key.endswith("num_batches_tracked")}
        assert {entry for place in found.values() for entry in place.entries} == theirs.keys() - counters
        for path, leaf in tree.flatten(like).items():
            assert pretrained.rules.to_ours(found[path], theirs).shape == leaf.shape, path


def test_weights_go_through_a_file_and_old_moments_are_ignored(tmp_path):
    peer = randomize(resnet_generator(2, 2, 1)).float()
    entries = entries_of(peer)
    old = {"model.2.running_mean": np.zeros(2, np.float32), "model.10.conv_block.2.running_var": np.ones(8, np.float32)}
    pretrained.save(tmp_path / "latest_net_G.safetensors", entries | old)
    fields = {"channels": 2, "width": 2, "num_blocks": 1}
    variables = pretrained.load(
        "cyclegan_generator", tmp_path / "latest_net_G.safetensors", PUBLIC, input_shape=(8, 8, 2), **fields
    )
    again = pretrained.export("cyclegan_generator", variables, PUBLIC, **fields)
    assert again.keys() == entries.keys()
    assert all(np.array_equal(again[name], entries[name]) for name in entries)


@pytest.mark.parametrize(
    ("model", "shape", "message"),
    [
        (DCGANGenerator(), (2, 1, 1, 100), r"got \(2, 1, 1, 100\)"),
        (DCGANDiscriminator(widths=(2,)), (1, 16, 16, 3), r"8 x 8 pixels .* got \(1, 16, 16, 3\)"),
        (Pix2PixGenerator(widths=(2, 2)), (1, 8, 6, 3), r"multiples of 4, .* got \(1, 8, 6, 3\)"),
        (PatchDiscriminator(norm="layer"), (1, 64, 64, 3), "got 'layer'"),
        (PatchDiscriminator(), (1, 16, 16, 3), r"at least 24, got \(1, 16, 16, 3\)"),
        (CycleGANGenerator(), (1, 10, 8, 3), r"got \(1, 10, 8, 3\)"),
        (CycleGANGenerator(num_blocks=0), (1, 8, 8, 3), "got 0"),
    ],
)
def test_inputs_of_another_form_are_an_error(model, shape, message):
    with pytest.raises(ValueError, match=message):
        jax.eval_shape(model.init, jax.random.key(0), np.zeros(shape, np.float32))


def test_dropout_is_where_the_public_network_has_it():
    assert list(models.create("pix2pix_generator").dropped) == [5, 6, 7]


def test_spectral_norm_is_in_every_layer_of_the_discriminator():
    model = DCGANDiscriminator(widths=(3, 4), batch_norm=False, spectral_norm=True)
    forms = jax.eval_shape(model.init, jax.random.key(0), np.zeros((2, 16, 16, 1), np.float32))
    assert jax.tree.map(lambda leaf: leaf.shape, forms["batch_stats"]) == {
        "conv1_spectral": {"u": (3,)},
        "conv2_spectral": {"u": (4,)},
        "output_spectral": {"u": (1,)},
    }
    assert sorted(forms["params"]) == ["conv1", "conv2", "output"]
