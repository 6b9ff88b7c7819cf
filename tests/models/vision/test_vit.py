"""The vision transformer against torchvision, timm and transformers; its sizes, its blocks in a scan, its positions."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl import pretrained, tree
from jaxdl.models import registry
from jaxdl.models.scanning import stack_blocks, unstack_blocks
from jaxdl.models.vision import vit
from tests.models.parity import assert_parity, randomize
from tests.peers import timm, torch, torchvision

SMALL = {"num_classes": 5, "patch_size": 4, "d_model": 8, "num_layers": 3, "num_heads": 2, "mlp_dim": 12}


@pytest.mark.parametrize(
    ("name", "count"), [("vit_b16", 86_567_656), ("vit_b32", 88_224_232), ("vit_l16", 304_326_632)]
)
def test_the_published_sizes(name, count):
    x = jnp.zeros((1, *registry.input_shape(name)))
    for scan_blocks in (False, True):
        model = registry.create(name, scan_blocks=scan_blocks)
        logits, variables = jax.eval_shape(model.init_with_output, jax.random.key(0), x)
        assert logits.shape == (1, 1000)
        assert tree.size(variables) == count


@pytest.mark.parametrize("source", ["torchvision", "timm"])
@pytest.mark.usefixtures("float64")
def test_logits_and_gradients_are_those_of(source):
    model = vit.VisionTransformer(**SMALL | {"num_layers": 2})
    x = np.random.default_rng(0).normal(size=(2, 8, 8, 3))
    if source == "torchvision":
        kind = torchvision().models.vision_transformer.VisionTransformer
        peer = kind(8, 4, 2, 2, 8, 12, num_classes=5)
    else:
        kind = timm().models.vision_transformer.VisionTransformer
        peer = kind(8, 4, embed_dim=8, depth=2, num_heads=2, mlp_ratio=1.5, num_classes=5)
    assert_parity(model, peer, pretrained.rules_of(model, source), x)


@pytest.mark.usefixtures("float64")
def test_files_of_hugging_face_give_its_logits_and_hidden_states(tmp_path):
    torchvision()
    transformers = pytest.importorskip("transformers", reason="parity with transformers")
    sizes = {"hidden_size": 8, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 12}
    config = transformers.ViTConfig(**sizes, image_size=8, patch_size=4, num_labels=5)
    peer = randomize(transformers.ViTForImageClassification(config)).eval()
    images = torch().tensor(np.random.default_rng(0).normal(size=(2, 3, 8, 8)))
    with torch().no_grad():
        expected = peer(images).logits.numpy(), peer.vit(images).last_hidden_state.numpy()
    model = vit.VisionTransformer(**SMALL, epsilon=config.layer_norm_eps)
    forms = pretrained.template(model, (8, 8, 3))
    peer.save_pretrained(tmp_path)
    entries = pretrained.read(tmp_path / "model.safetensors")
    rules = pretrained.rules_of(model, "huggingface")
    variables = pretrained.convert(entries, forms, rules, dtype=np.float64)
    again = pretrained.to_theirs(tree.flatten(variables), rules)
    assert again.keys() == entries.keys()
    assert all((again[name] == entries[name]).all() for name in entries)
    x = np.moveaxis(images.numpy(), 1, -1)
    logits, features = jax.jit(lambda v, x: model.apply(v, x, return_intermediates=True))(variables, x)
    for ours, theirs in zip((logits, features["encoded"]), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-11)

    base = {name.removeprefix("vit."): value for name, value in entries.items() if name.startswith("vit.")}
    base |= {"pooler.dense.weight": np.eye(8), "pooler.dense.bias": np.zeros(8)}
    rules = pretrained.rules_of(model, "huggingface_model")
    body = pretrained.convert(base, forms, rules, dtype=np.float64, without="^output/")
    whole = tree.flatten(variables)
    assert all((leaf == whole[path]).all() for path, leaf in tree.flatten(body).items())
    assert len(tree.flatten(body)) == len(whole) - 2


def test_weights_are_loaded_block_by_block():
    with pytest.raises(ValueError, match="got True"):
        pretrained.rules_of(vit.VisionTransformer(**SMALL, scan_blocks=True), "timm")


@pytest.fixture(scope="module")
def small():
    """A small model with random weights, and images."""
    model, x = vit.VisionTransformer(**SMALL), np.random.default_rng(1).normal(size=(2, 8, 12, 3)).astype(np.float32)
    shapes = jax.eval_shape(model.init, jax.random.key(0), x)["params"]
    generator = np.random.default_rng(0)
    params = jax.tree.map(lambda leaf: generator.normal(size=leaf.shape).astype(np.float32) / 3, shapes)
    return model, params, x


def test_scanned_blocks_give_what_unrolled_blocks_give(small):
    model, params, x = small

    def run(model, params):
        def loss(params):
            logits, features = model.apply({"params": params}, x, return_intermediates=True)
            return jnp.sum(jax.nn.log_softmax(logits)[:, 1]), (logits, features)

        return jax.grad(loss, has_aux=True)(params)

    @jax.jit
    def both(params):
        scanned, seen = run(model.clone(scan_blocks=True), stack_blocks(params))
        return run(model, params), (unstack_blocks(scanned), seen)

    (gradient, seen), (other_gradient, other_seen) = both(params)
    close = partial(np.testing.assert_allclose, rtol=1e-3, atol=1e-4)
    jax.tree.map(close, seen, other_seen)
    jax.tree.map(close, gradient, other_gradient)
    weights = seen[1]["encoder_block3_attention"]
    assert weights.shape == (2, 2, 7, 7)
    np.testing.assert_allclose(weights.sum(-1), 1, rtol=1e-5)


def test_scanned_blocks_have_their_own_initialization_and_dropout(small, key):
    model, _, x = small
    model = model.clone(scan_blocks=True, dropout_rate=0.5)

    @jax.jit
    def run(key):
        params = model.init({"params": key}, x)["params"]
        blank = jax.tree.map(jnp.zeros_like, params)
        blank["encoder_blocks"]["dense2"]["bias"] = jnp.ones_like(params["encoder_blocks"]["dense2"]["bias"])
        _, seen = model.apply({"params": blank}, x, True, True, rngs={"dropout": key})
        second, third = seen["encoder_block2"], seen["encoder_block3"]
        return params["encoder_blocks"]["dense1"]["kernel"], second, third - second

    kernels, second, third = run(key)
    assert (kernels[0] != kernels[1]).all()
    assert sorted(np.unique(second)) == sorted(np.unique(third)) == [0, 2]
    assert (second != third).any()


@pytest.mark.parametrize("grid", [(6, 9), (2, 3), (4, 4)])
@pytest.mark.usefixtures("float64")
def test_positions_are_resized_as_torch_resizes_pictures(grid):
    positions = np.random.default_rng(0).normal(size=(17, 3))
    picture = torch().tensor(positions[1:].reshape(1, 4, 4, 3).transpose(0, 3, 1, 2).copy())
    options = {"mode": "bilinear", "align_corners": False, "antialias": True}
    expected = torch().nn.functional.interpolate(picture, grid, **options)[0].numpy().transpose(1, 2, 0)
    resized = vit.resize_positions(positions, grid)
    np.testing.assert_allclose(resized[1:], expected.reshape(-1, 3), rtol=1e-6, atol=1e-7)
    np.testing.assert_array_equal(resized[0], positions[0])


def test_resized_positions_take_images_of_another_size(small):
    model, params, _ = small
    larger = jnp.zeros((1, 16, 16, 3))
    with pytest.raises(ValueError, match=r"expected 17 positions for 4 x 4 .* got 7; .*\(4, 4\)"):
        jax.eval_shape(model.apply, {"params": params}, larger)
    resized = params | {"positions": vit.resize_positions(params["positions"], (4, 4), (2, 3))}
    assert jax.eval_shape(model.apply, {"params": resized}, larger).shape == (1, 5)


@pytest.mark.parametrize("source", ["torchvision", "timm", "huggingface"])
def test_weights_for_images_of_another_size_are_answered_with_the_remedy(source):
    model = vit.VisionTransformer(**SMALL | {"num_layers": 1})
    table = pretrained.rules_of(model, source)
    large, like = (pretrained.template(model, (side, side, 3)) for side in (16, 8))
    forms = tree.flatten(large).items()
    entries = pretrained.to_theirs({path: np.ones(form.shape, np.float32) for path, form in forms}, table)
    remedy = r"params/positions \[5, 8\]: the file is for images of another size; .*resize_positions\(entry\[0\]"
    with pytest.raises(ValueError, match=remedy):
        pretrained.convert(entries, like, table)
    (name,) = (name for name in entries if "pos" in name)
    entries[name] = np.asarray(vit.resize_positions(entries[name][0], (2, 2))[None])
    np.testing.assert_array_equal(pretrained.convert(entries, like, table)["params"]["positions"], entries[name][0])


def test_the_compute_type_is_the_one_asked_for(small):
    model, params, x = small
    half = model.clone(dtype=jnp.bfloat16)
    logits, features = jax.eval_shape(lambda p: half.apply({"params": p}, x, return_intermediates=True), params)
    assert {leaf.dtype for leaf in jax.tree.leaves((logits, features))} == {jnp.dtype(jnp.bfloat16)}
    assert {leaf.dtype for leaf in jax.tree.leaves(jax.eval_shape(half.init, jax.random.key(0), x))} == {
        jnp.dtype("float32")
    }


@pytest.mark.parametrize("shape", [(2, 3, 8, 8), (8, 8, 3), (2, 8, 10, 3)])
def test_wrong_images_are_answered_with_what_was_expected(shape, key):
    with pytest.raises(ValueError, match=r"images \[B, H, W, C\] of whole patches of 4 x 4, got"):
        vit.VisionTransformer(**SMALL).init(key, jnp.zeros(shape))


def test_images_with_channels_first_are_answered_with_the_remedy(key):
    with pytest.raises(ValueError, match=r"jnp\.moveaxis\(x, 1, -1\)"):
        vit.VisionTransformer(**SMALL).init(key, jnp.zeros((2, 3, 8, 8)))


def test_positions_that_fill_no_grid_are_refused():
    with pytest.raises(ValueError, match=r"got \(7, 3\)"):
        vit.resize_positions(jnp.zeros((7, 3)), (2, 2))
