"""Every implementation of attention against the plain form and torch, with every mask, and its memory."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec

from jaxdl import nn
from jaxdl.nn.attention import _implementations as implementations
from jaxdl.nn.attention import dot_product
from jaxdl.train import parallel
from tests.peers import torch

B, H, T, D, E = 2, 4, 13, 6, 5
VALID = np.arange(T) < np.array([[9], [13]])
SEGMENTS = np.repeat([[1, 2, 2], [3, 4, 5]], [5, 4, 4], axis=1)
MASKS = {
    "padding": {"mask": nn.padding_mask(VALID)[:, None]},
    "causal window": {"causal": True, "window": 5},
    "window": {"window": 3},
    "all": {
        "causal": True,
        "window": 6,
        "segment_ids": SEGMENTS[:, None],
        "mask": np.random.default_rng(1).random((B, H, T, T)) < 0.5,  # some queries have no key at all
    },
}


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    """Blocks of four queries and keys, the last one of each row not full."""
    small = partial(implementations.blockwise, block=4)
    monkeypatch.setitem(implementations.IMPLEMENTATIONS, "blockwise", small)


def draw(*shapes, dtype=np.float64):
    generator = np.random.default_rng(0)
    return [generator.normal(size=shape).astype(dtype) for shape in shapes]


def pulled_back(options, implementation):
    """Compile attention with its gradients."""

    @jax.jit
    def run(q, k, v, dy):
        attend = partial(nn.dot_product_attention, **options, implementation=implementation)
        y, pull = jax.vjp(attend, q, k, v)
        return y, pull(dy)

    return run


def numpy_mask(options):
    """Return the mask of the options as booleans ``[B, H, T, T]``."""
    t, shape = np.arange(T), (B, H, T, T)
    visible = np.broadcast_to(options.get("mask", True), shape)
    if options.get("causal"):
        visible = visible & (t[None] <= t[:, None])
    if "window" in options:
        visible = visible & (np.abs(t[None] - t[:, None]) < options["window"])
    if "segment_ids" in options:
        ids = options["segment_ids"]
        visible = visible & (ids[..., :, None] == ids[..., None, :])
    return visible


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("kind", MASKS)
def test_blocks_give_the_values_and_gradients_of_the_plain_form_and_of_torch(kind):
    heads = H // 2 if kind in ("causal window", "all") else H  # grouped keys
    q, k, v, dy = draw((B, H, T, D), (B, heads, T, D), (B, heads, T, E), (B, H, T, E))
    blocks = pulled_back(MASKS[kind], "blockwise")(q, k, v, dy)
    plain = pulled_back(MASKS[kind], "plain")(q, k, v, dy)
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-10, atol=1e-12), blocks, plain)

    mask = numpy_mask(MASKS[kind])
    seen = mask.any(-1, keepdims=True)
    leaves = [torch().tensor(a, requires_grad=True) for a in (q, k, v)]
    # torch gives nan to a query without keys: it sees all, and its result does not count.
    attend = torch().nn.functional.scaled_dot_product_attention
    peer = attend(*leaves, torch().tensor(mask | ~seen), enable_gqa=True) * torch().tensor(seen)
    peer.backward(torch().tensor(dy))
    y, gradients = blocks
    np.testing.assert_allclose(y, peer.detach().numpy(), rtol=1e-10, atol=1e-12)
    assert (kind == "all") == (~seen).any()
    for mine, leaf in zip(gradients, leaves, strict=True):
        np.testing.assert_allclose(mine, leaf.grad.numpy(), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, jnp.bfloat16])
def test_blocks_of_floats_under_vmap_with_few_queries(dtype):
    q, k, v = draw((3, B, 2, D), (3, B, T, D), (3, B, T, E), dtype=np.float32)
    q, k, v = (x.astype(dtype) for x in (q, k, v))
    mask = np.random.default_rng(1).random((B, 1, T)) < 0.7

    def total(q, k, v, name):
        y = nn.dot_product_attention(q, k, v, mask, implementation=name)
        return jnp.sum(jnp.sin(y.astype(jnp.float32))), y

    def run_all(name):
        return jax.jit(jax.vmap(jax.value_and_grad(partial(total, name=name), argnums=(0, 1, 2), has_aux=True)))

    blocks, plain = (run_all(name)(q, k, v) for name in ("blockwise", "plain"))
    assert blocks[0][1].dtype == dtype
    tolerance = 1e-6 if dtype == np.float32 else 0.03
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(np.asarray(a, np.float32), np.asarray(b, np.float32), atol=tolerance),
        blocks,
        plain,
    )


@pytest.mark.parametrize("filler", [np.nan, np.inf])
@pytest.mark.parametrize("name", ["plain", "blockwise"])
def test_hidden_keys_and_values_of_any_content_change_nothing(name, filler):
    q, k, v = draw((B, 1, T, D), (B, 1, T, D), (B, 1, T, E), dtype=np.float32)
    padding = nn.padding_mask(VALID)[:, None]
    spoiled = [np.where(VALID[:, None, :, None], x, np.float32(filler)) for x in (k, v)]
    other = v.copy()
    other[0, 0, 3, 2] = filler

    @jax.jit
    def run(q, k, v, other):
        def total(q, k, v):
            y = nn.dot_product_attention(q, k, v, padding, implementation=name)
            return jnp.sum(y**2), y

        options = {"causal": True, "window": 4, "segment_ids": SEGMENTS[:, None], "implementation": name}
        gradients = jax.value_and_grad(total, argnums=(0, 1, 2), has_aux=True)(q, k, v)
        return gradients, nn.dot_product_attention(q, q, other, **options)

    clean, _ = run(q, k, v, v)
    dirty, y = run(q, *spoiled, other)
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-6, atol=1e-6), dirty, clean)
    expected = np.zeros(y.shape, bool)
    expected[0, 0, 3:5, 2] = True  # the queries of its segment that see it
    np.testing.assert_array_equal(np.isnan(y), expected)


def test_blocks_drop_the_same_weights_forward_and_backward(key):
    q, k, v = draw((T, D), (T, D), (T, E), dtype=np.float32)
    options = {"causal": True, "dropout_rate": 0.4, "implementation": "blockwise"}

    @jax.jit
    def run(q, k, v):
        def attend(key, v):
            return nn.dot_product_attention(q, k, v, key=key, **options)

        y, pull = jax.vjp(partial(attend, key), v)
        # The result is linear in the values: the dropped weights are its derivative, row by row.
        weights = jax.vmap(partial(attend, key), in_axes=-1, out_axes=-1)(jnp.eye(T)[:, None] * jnp.ones((1, E, 1)))
        mean = jnp.mean(jax.vmap(attend, in_axes=(0, None))(jax.random.split(key, 2000), v), axis=0)
        return y, pull(y)[0], weights[:, 0], mean

    y, gradient, weights, mean = run(q, k, v)
    np.testing.assert_allclose(weights @ v, y, atol=1e-5)
    np.testing.assert_allclose(weights.T @ y, gradient, atol=1e-5)
    lower = np.tril(np.ones((T, T), bool))
    assert 0.25 < np.mean(weights[lower] == 0) < 0.55
    np.testing.assert_allclose(mean, nn.dot_product_attention(q, k, v, causal=True), atol=0.15)


@pytest.mark.parametrize("T, S", [(0, 3), (3, 0), (1, 1)])  # noqa: PT006
def test_blocks_of_nothing(T, S):
    q, k, v = np.ones((2, T, D), np.float32), np.ones((2, S, D), np.float32), np.ones((2, S, E), np.float32)
    y = nn.dot_product_attention(q, k, v, implementation="blockwise")
    np.testing.assert_array_equal(y, np.full((2, T, E), float(S > 0)))


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("shared", [False, True])
def test_blocks_on_devices_that_have_rows_of_their_own(shared):
    """Under the checks of ``shard_map``: the gradient of keys that all devices share is the sum of theirs."""
    q, k, v, dy = draw((B, H, T, D), (B, H, T, D), (B, H, T, E), (B, H, T, E))
    run = pulled_back(MASKS["causal window"], "blockwise")
    rows = PartitionSpec("data")
    keys = PartitionSpec() if shared else rows
    k, v = (x[:1] if shared else x for x in (k, v))
    specs = {"in_specs": (rows, keys, keys, rows), "out_specs": (rows, (rows, keys, keys))}
    mapped = jax.shard_map(run, mesh=parallel.make_mesh({"data": B}), **specs)

    def alone(q, k, v, dy):
        y, (dq, dk, dv) = run(q, *(jnp.broadcast_to(x, (B, *x.shape[1:])) for x in (k, v)), dy)
        return y, (dq, *(x.sum(0, keepdims=True) if shared else x for x in (dk, dv)))

    mine, expected = jax.jit(lambda *x: (mapped(*x), alone(*x)))(q, k, v, dy)
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-12, atol=1e-14), mine, expected)


def temporary_bytes(T, **options):
    """Return the temporaries of attention with its gradient over ``T`` positions; nothing runs."""
    form = jax.ShapeDtypeStruct((1, 2, T, 16), jnp.float32)

    def total(q, k, v):
        return jnp.sum(nn.dot_product_attention(q, k, v, **options))

    compiled = jax.jit(jax.grad(total, argnums=(0, 1, 2))).lower(form, form, form).compile()
    return compiled.memory_analysis().temp_size_in_bytes


def test_memory_grows_with_the_length_and_not_with_its_square(monkeypatch):
    monkeypatch.undo()
    short, long = (temporary_bytes(T, causal=True) for T in (8192, 16_384))
    assert long < 2.1 * short
    assert long < 16_384**2  # bytes: a quarter of the scores of one head
    assert temporary_bytes(8192, causal=True, implementation="plain") > 2 * 4 * 8192**2


def test_the_platform_of_the_program_decides(monkeypatch):
    """NVIDIA's kernel is in the program for CUDA alone, and neither where it lacks an option nor if T is small."""
    called = []

    def kernel(q, k, v, call):
        called.append(q.shape[-2])
        return jnp.cosh(q)

    monkeypatch.setitem(implementations.IMPLEMENTATIONS, "cudnn", kernel)
    monkeypatch.setattr(implementations, "_has_nvidia", lambda: True)
    monkeypatch.setattr(dot_product, "PLAIN_LENGTH", 4)

    def program(platform, length=8, **options):
        form = jax.ShapeDtypeStruct((2, length, 8), jnp.bfloat16)
        attend = jax.jit(partial(nn.dot_product_attention, causal=True, **options))
        return attend.trace(form, form, form).lower(lowering_platforms=(platform,)).as_text()

    assert "cosh" in program("cuda")
    assert "cosh" not in program("cpu")
    assert "while" in program("tpu")
    assert set(called) == {8}
    for options in ({"length": 4}, {"segment_ids": np.zeros(8, int)}, {"mask": np.ones((8, 8), bool)}):
        assert "cosh" not in program("cuda", **options)


def test_the_kernel_for_tpus_is_for_programs_of_a_single_device(monkeypatch):
    monkeypatch.setattr(dot_product, "PLAIN_LENGTH", 4)
    form = jax.ShapeDtypeStruct((2, 128, 8), jnp.bfloat16)

    def attend(q, k, v, **options):
        return nn.dot_product_attention(q, k, v, causal=True, segment_ids=np.arange(128) // 50, **options)

    def program(attend):
        return jax.jit(attend).trace(form, form, form).lower(lowering_platforms=("tpu",)).as_text()

    spec, mesh = PartitionSpec("data"), parallel.make_mesh({"data": 2})
    mapped = jax.shard_map(attend, mesh=mesh, in_specs=(spec,) * 3, out_specs=spec, check_vma=False)
    assert "tpu_custom_call" in program(partial(attend, implementation="flash"))
    assert "tpu_custom_call" in program(mapped)
    assert "tpu_custom_call" not in program(attend)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"implementation": "flash"}, ValueError, "got 13 and 13"),
        ({"implementation": "fast"}, ValueError, "got 'fast'"),
        ({"implementation": "cudnn"}, ValueError, "got float32"),
        ({"implementation": "blockwise", "return_weights": True}, ValueError, "got 'blockwise'"),
        ({"window": 0}, ValueError, "got 0"),
        ({"segment_ids": np.zeros(T)}, TypeError, "got float"),
        ({"segment_ids": np.zeros(T - 1, int)}, ValueError, rf"got \({T - 1},\)"),
        ({"implementation": "blockwise", "mask": np.ones((2, T), bool)}, ValueError, rf"got \(2, {T}\)"),
    ],
)
def test_invalid_arguments_raise(options, error, message):
    x = np.zeros((T, D), np.float32)
    with pytest.raises(error, match=message):
        nn.dot_product_attention(x, x, x, **options)


def test_heads_of_keys_must_divide_those_of_queries():
    q, k = np.zeros((6, T, D)), np.zeros((4, T, D))
    with pytest.raises(ValueError, match=r"got \(6, 13, 6\) and \(4, 13, 6\)"):
        nn.dot_product_attention(q, k, k)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("rope_base", [None, 30.0])
def test_shared_heads_of_keys_with_a_window_and_a_cache(rope_base):
    """A layer with shared keys equals one whose keys repeat; with a cache it equals one pass over all positions."""
    x = draw((B, 5, 8))[0]
    layer = nn.MultiHeadAttention(4, num_kv_heads=2, rope_base=rope_base, fused=True)
    kernel, output = draw((8, 16), (8, 8))
    bias = np.linspace(-1, 1, 16)
    variables = {"params": {"query_key_value": {"kernel": kernel, "bias": bias}, "output": {"kernel": output}}}
    variables["params"]["output"]["bias"] = bias[:8]

    def repeated(leaf):
        q, k, v = np.split(leaf, [8, 12], axis=-1)
        k, v = (np.repeat(part.reshape(*leaf.shape[:-1], 2, 2), 2, axis=-2).reshape(q.shape) for part in (k, v))
        return np.concatenate([q, k, v], axis=-1)

    whole = {"query_key_value": {"kernel": repeated(kernel), "bias": repeated(bias)}}
    whole["output"] = variables["params"]["output"]

    @jax.jit
    def run(x):
        steps, cache = [], nn.init_cache((B,), 2, 5, 2, x.dtype)
        for part in (x[:, :2], x[:, 2:3], x[:, 3:]):
            y, cache = layer.apply(variables, part, window=2, cache=cache)
            steps.append(y)
        options = {"causal": True, "window": 2}
        other = nn.MultiHeadAttention(4, rope_base=rope_base, fused=True).apply({"params": whole}, x, **options)
        return layer.apply(variables, x, **options), other, jnp.concatenate(steps, axis=1)

    y, other, steps = run(x)
    np.testing.assert_allclose(other, y, rtol=1e-10)
    np.testing.assert_allclose(steps, y, rtol=1e-10)
    with pytest.raises(ValueError, match="num_heads = 4, got 3"):
        jax.eval_shape(nn.MultiHeadAttention(4, num_kv_heads=3).init, jax.random.key(0), x)
