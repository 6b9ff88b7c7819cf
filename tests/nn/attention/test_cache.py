"""Attention with a cache equals attention over all positions at once; an overflow is an error or nan."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl.nn.attention.cache import extend_cache, init_cache
from jaxdl.nn.attention.multi_head import MultiHeadAttention
from tests.variables import draw

close = partial(np.testing.assert_allclose, rtol=1e-10, atol=1e-12)
B, T, D, H = 2, 5, 6, 2


@pytest.fixture
def layer(key):
    """A layer whose parameters are float64, and positions."""
    x = np.random.default_rng(0).normal(size=(B, T, D))
    model = MultiHeadAttention(H)
    return model, draw(model.init, key, x), x


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("parts", [(1, 1, 1, 1, 1), (3, 2)])
def test_positions_in_parts_equal_all_at_once(layer, parts):
    model, variables, x = layer

    @jax.jit
    def run(variables, x):
        cache, outputs, first = init_cache((B,), H, 7, D // H, x.dtype), [], 0
        for count in parts:
            y, weights, cache = model.apply(variables, x[:, first : first + count], cache=cache, return_weights=True)
            outputs.append((y, weights))
            first += count
        return model.apply(variables, x, causal=True, return_weights=True), outputs, cache

    (y, weights), outputs, cache = run(variables, x)
    close(jnp.concatenate([y for y, _ in outputs], axis=1), y)
    rows = jnp.concatenate([weights for _, weights in outputs], axis=2)
    close(rows[..., :T], weights)
    assert (np.asarray(rows)[..., T:] == 0).all()
    assert cache.length == T
    assert cache.k.dtype == jnp.float64


@pytest.mark.usefixtures("float64")
def test_a_fused_layer_equals_three_layers(layer):
    model, variables, x = layer
    fused = model.clone(fused=True)
    layers = dict(variables["params"])
    three = [layers.pop(name) for name in ("query", "key", "value")]
    layers["query_key_value"] = jax.tree.map(lambda *leaves: jnp.concatenate(leaves, axis=-1), *three)
    assert jax.tree.map(jnp.shape, layers) == jax.tree.map(
        jnp.shape, jax.eval_shape(fused.init, jax.random.key(0), x)["params"]
    )
    run = jax.jit(lambda *params: [m.apply(p, x, causal=True) for m, p in zip((model, fused), params, strict=True)])
    close(*run(variables, {"params": layers}))


def test_a_padded_slot_of_the_cache_stays_masked():
    model, x = MultiHeadAttention(H), np.random.default_rng(0).normal(size=(B, T, D)).astype(np.float32)
    mask = jnp.ones((B, 1, T), bool).at[0, :, 1].set(False)

    @jax.jit
    def run(x):
        cache = init_cache((B,), H, T, D // H)
        _, cache = model.apply(variables, x[:, :3], mask=mask, cache=cache)
        return model.apply(variables, x[:, 3:], mask=mask, cache=cache)[0]

    variables = draw(model.init, jax.random.key(0), x)
    other = x.copy()
    other[:, 1] = 7.0
    before, after = run(x), run(other)
    np.testing.assert_array_equal(before[0], after[0])
    assert np.any(before[1] != after[1])


def test_an_overflow_is_nan_for_a_traced_length():
    new = jnp.ones((1, 2, 1))
    grow = jax.jit(lambda cache: extend_cache(cache, new, new))
    full = grow(init_cache((), 1, 3, 1))
    assert not np.isnan(full.k).any()
    assert np.isnan(grow(full).k).any()
    assert np.isnan(grow(full).v).any()


@pytest.mark.usefixtures("float64")
def test_a_wider_cache_does_not_widen_the_output():
    model, x = MultiHeadAttention(H), jax.ShapeDtypeStruct((B, T, D), jnp.float32)
    cache = init_cache((B,), H, T, D // H)
    (y, after), _ = jax.eval_shape(partial(model.init_with_output, cache=cache), jax.random.key(0), x)
    assert (y.dtype, after.k.dtype, cache.k.dtype) == (jnp.float32, jnp.float64, jnp.float64)


def read(mask):
    x = jnp.zeros((2, 4))
    return MultiHeadAttention(1).init(jax.random.key(0), x, mask=mask, cache=init_cache((), 1, 3, 4))


def test_an_additive_mask_raises():
    with pytest.raises(TypeError, match="got float32"):
        read(jnp.zeros((2, 3)))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: read(jnp.ones((2, 2), bool)), r"got \(2, 2\) and \(2, 3\)"),
        (lambda: init_cache((), 1, 0, 1), "got 0"),
        (lambda: extend_cache(init_cache((), 1, 2, 3), jnp.zeros((1, 3, 3)), jnp.zeros((1, 3, 3))), r"got \(1, 3, 3\)"),
        (
            lambda: extend_cache(init_cache((4,), 1, 2, 3), jnp.zeros((1, 1, 3)), jnp.zeros((1, 1, 3))),
            r"got \(1, 1, 3\)",
        ),
        (
            lambda: MultiHeadAttention(1, fused=True).init(jax.random.key(0), jnp.zeros((2, 3)), jnp.zeros((2, 3))),
            "got keys",
        ),
        (
            lambda: MultiHeadAttention(1, rope_base=9.0).init(jax.random.key(0), jnp.zeros((2, 4)), jnp.zeros((2, 4))),
            "got keys",
        ),
    ],
)
def test_invalid_arguments_raise(call, message):
    with pytest.raises(ValueError, match=message):
        call()
