"""The vision transformer: its published sizes, scanned and unrolled blocks, and positions for other images."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl import tree
from jaxdl.models import registry, vit

SMALL = {"num_classes": 5, "patch_size": 4, "features": 8, "depth": 2, "heads": 2, "mlp_features": 12}


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


@pytest.fixture(scope="module")
def small():
    """A small model with random weights, and images."""
    model, x = vit.VisionTransformer(**SMALL), jax.random.normal(jax.random.key(1), (2, 8, 12, 3))
    shapes = jax.eval_shape(model.init, jax.random.key(0), x)["params"]
    generator = np.random.default_rng(0)
    params = jax.tree.map(lambda leaf: generator.normal(size=leaf.shape).astype(np.float32) / 3, shapes)
    return model, params, x


def test_scanned_blocks_give_what_unrolled_blocks_give(small):
    model, params, x = small
    scanned = model.clone(scan_blocks=True)
    blocks = [params[f"block{number}"] for number in (1, 2)]
    rest = {name: leaf for name, leaf in params.items() if not name.startswith("block")}
    stacked = rest | {"blocks": tree.stack(blocks)}

    def run(model, params):
        def loss(params):
            logits, features = model.apply({"params": params}, x, return_features=True)
            return jnp.sum(jax.nn.log_softmax(logits)[:, 1]), (logits, features)

        return jax.grad(loss, has_aux=True)(params)

    (gradient, seen), (other_gradient, other_seen) = jax.jit(
        lambda params, stacked: (run(model, params), run(scanned, stacked))
    )(params, stacked)
    assert set(seen[1]) == set(other_seen[1])
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), seen, other_seen)
    other_gradient |= {f"block{i + 1}": tree.take(other_gradient["blocks"], i) for i in range(2)}
    del other_gradient["blocks"]
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4), gradient, other_gradient)
    weights = seen[1]["block2_attention"]
    assert weights.shape == (2, 2, 7, 7)
    np.testing.assert_allclose(weights.sum(-1), 1, rtol=1e-5)


def test_scanned_blocks_draw_their_own_first_values_and_their_own_dropout(small, key):
    model, _, x = small
    model = model.clone(scan_blocks=True, retain_probability=0.5)

    @jax.jit
    def run(key):
        params = model.init({"params": key}, x)["params"]
        blank = jax.tree.map(jnp.zeros_like, params)
        blank["blocks"]["dense2"]["bias"] = jnp.ones_like(params["blocks"]["dense2"]["bias"])
        _, seen = model.apply({"params": blank}, x, True, True, rngs={"dropout": key})
        return params["blocks"]["dense1"]["kernel"], seen["block1"], seen["block2"] - seen["block1"]

    kernels, first, second = run(key)
    assert (kernels[0] != kernels[1]).all()
    assert sorted(np.unique(first)) == sorted(np.unique(second)) == [0, 2]
    assert (first != second).any()


@pytest.mark.parametrize("grid", [(6, 9), (2, 3), (4, 4)])
@pytest.mark.usefixtures("float64")
def test_positions_are_resized_as_torch_resizes_pictures(grid):
    torch = pytest.importorskip("torch", reason="torch is the peer")
    positions = np.random.default_rng(0).normal(size=(17, 3))
    picture = torch.tensor(positions[1:].reshape(1, 4, 4, 3).transpose(0, 3, 1, 2).copy())
    options = {"mode": "bilinear", "align_corners": False, "antialias": True}
    expected = torch.nn.functional.interpolate(picture, grid, **options)[0].numpy().transpose(1, 2, 0)
    resized = vit.resize_positions(positions, grid)
    np.testing.assert_allclose(resized[1:], expected.reshape(-1, 3), rtol=1e-6, atol=1e-7)
    np.testing.assert_array_equal(resized[0], positions[0])


def test_resized_positions_take_images_of_another_size(small):
    model, params, _ = small
    larger = jnp.zeros((1, 16, 16, 3))
    with pytest.raises(ValueError, match=r"4 x 4 patches need 17 positions; the parameters have 7: .*\(4, 4\)"):
        jax.eval_shape(model.apply, {"params": params}, larger)
    resized = params | {"positions": vit.resize_positions(params["positions"], (4, 4), (2, 3))}
    assert jax.eval_shape(model.apply, {"params": resized}, larger).shape == (1, 5)


def test_the_compute_type_is_the_one_asked_for(small):
    model, params, x = small
    half = model.clone(dtype=jnp.bfloat16)
    logits, features = jax.eval_shape(lambda p: half.apply({"params": p}, x, return_features=True), params)
    assert {leaf.dtype for leaf in jax.tree.leaves((logits, features))} == {jnp.dtype(jnp.bfloat16)}
    assert {leaf.dtype for leaf in jax.tree.leaves(jax.eval_shape(half.init, jax.random.key(0), x))} == {
        jnp.dtype("float32")
    }


@pytest.mark.parametrize("shape", [(2, 3, 8, 8), (8, 8, 3), (2, 8, 10, 3)])
def test_wrong_images_are_answered_with_what_was_expected(shape, key):
    with pytest.raises(ValueError, match=r"images \[B, H, W, C\] of whole patches of 4 x 4; came"):
        vit.VisionTransformer(**SMALL).init(key, jnp.zeros(shape))


def test_positions_that_fill_no_grid_are_refused():
    with pytest.raises(ValueError, match="do not fill a grid of 2 x 2; came"):
        vit.resize_positions(jnp.zeros((7, 3)), (2, 2))
