"""Attention against torch: values, weights and gradients in float64, with every kind of mask."""

from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl import tree
from jaxdl.nn import attention as att
from jaxdl.nn.attention.multi_head import MultiHeadAttention
from tests.variables import draw as draw_variables

B, H, T, S, D = 2, 2, 3, 4, 6
close = partial(np.testing.assert_allclose, rtol=1e-10, atol=1e-12)
VALID = np.array([[1, 1, 0, 1], [1, 0, 1, 1]])


@pytest.fixture
def torch():
    return pytest.importorskip("torch", reason="torch is the peer")


def draw(*shapes):
    generator = np.random.default_rng(0)
    return [generator.normal(size=shape) for shape in shapes]


def pulled_back(function):
    """Compile a function with the gradient of its product with a cotangent."""

    @jax.jit
    def run(cotangent, *arrays):
        y, pull, aux = jax.vjp(function, *arrays, has_aux=True)
        return y, pull(cotangent), aux

    return run


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("kind", ["open", "padding", "causal"])
def test_values_and_gradients_are_torchs(torch, kind):
    keys = T if kind == "causal" else S
    q, k, v, cotangent = draw((B, H, T, D), (B, H, keys, D), (B, H, keys, 5), (B, H, T, 5))
    mask = jnp.asarray(VALID != 0)[:, None, None] if kind == "padding" else None
    run = pulled_back(lambda *x: (att.dot_product_attention(*x, mask, causal=kind == "causal"), ()))
    y, gradients, _ = run(cotangent, q, k, v)
    leaves = [torch.tensor(a, requires_grad=True) for a in (q, k, v)]
    theirs = None if mask is None else torch.tensor(np.array(mask))
    peer = torch.nn.functional.scaled_dot_product_attention(*leaves, theirs, is_causal=kind == "causal")
    peer.backward(torch.tensor(cotangent))
    close(y, peer.detach().numpy())
    for mine, leaf in zip(gradients, leaves, strict=True):
        close(mine, leaf.grad.numpy())


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("kind", ["self, causal", "cross, padding"])
def test_many_heads_are_torchs(torch, kind):
    width = D if kind == "self, causal" else 5
    x, context, cotangent = draw((B, T, D), (B, S, width), (B, T, D))
    peer = torch.nn.MultiheadAttention(D, H, kdim=width, vdim=width, batch_first=True, dtype=torch.float64)
    with torch.no_grad():
        for leaf in peer.parameters():
            leaf.normal_(generator=torch.Generator().manual_seed(1))
    if kind == "self, causal":
        kernels = np.split(peer.in_proj_weight.detach().numpy().T, 3, axis=1)
    else:
        kernels = [getattr(peer, f"{name}_proj_weight").detach().numpy().T for name in "qkv"]
    biases = np.split(peer.in_proj_bias.detach().numpy(), 3)
    layers = zip(("query", "key", "value"), kernels, biases, strict=True)
    params = {name: {"kernel": kernel, "bias": bias} for name, kernel, bias in layers}
    output = peer.out_proj
    params["output"] = {"kernel": output.weight.detach().numpy().T, "bias": output.bias.detach().numpy()}

    model = MultiHeadAttention(H)

    def apply(params, x, context):
        given = {"causal": True} if kind == "self, causal" else {"key": context, "mask": att.padding_mask(VALID)}
        return model.apply({"params": params}, x, **given, return_weights=True)

    y, (gradient, x_gradient, context_gradient), weights = pulled_back(apply)(cotangent, params, x, context)
    inputs, others = torch.tensor(x, requires_grad=True), torch.tensor(context, requires_grad=True)
    if kind == "self, causal":
        blocked = torch.ones(T, T, dtype=bool).triu(1)
        expected, shares = peer(inputs, inputs, inputs, attn_mask=blocked, average_attn_weights=False)
    else:
        blocked = torch.tensor(VALID == 0)
        expected, shares = peer(inputs, others, others, key_padding_mask=blocked, average_attn_weights=False)
        assert (np.asarray(weights)[:, :, :, 2][0] == 0).all()
    expected.backward(torch.tensor(cotangent))
    close(y, expected.detach().numpy())
    close(weights, shares.detach().numpy())
    close(x_gradient, inputs.grad.numpy())
    if kind == "cross, padding":
        close(context_gradient, others.grad.numpy())
        theirs = [getattr(peer, f"{name}_proj_weight").grad.numpy().T for name in "qkv"]
    else:
        theirs = np.split(peer.in_proj_weight.grad.numpy().T, 3, axis=1)
    for name, kernel, bias in zip(
        ("query", "key", "value"), theirs, np.split(peer.in_proj_bias.grad.numpy(), 3), strict=True
    ):
        close(gradient[name]["kernel"], kernel, err_msg=name)
        close(gradient[name]["bias"], bias, err_msg=name, atol=1e-10)
    close(gradient["output"]["kernel"], output.weight.grad.numpy().T)


def by_hand(q, k, v, mask):
    """One query after the other, one key after the other."""
    y = np.zeros((len(q), v.shape[-1]))
    for t, query in enumerate(q):
        powers = {s: np.exp(query @ key / len(query) ** 0.5) for s, key in enumerate(k) if mask[t, s]}
        for s, power in powers.items():
            y[t] += power / sum(powers.values()) * v[s]
    return y


@pytest.mark.usefixtures("float64")
def test_attention_is_a_loop_and_a_query_without_keys_gets_nothing():
    q, k, v = draw((T, D), (S, D), (S, 5))
    mask = np.array([[1, 0, 1, 1], [0, 0, 0, 0], [0, 1, 0, 0]], bool)

    def total(q, k, v):
        y, weights = att.dot_product_attention(q, k, v, mask, return_weights=True)
        return jnp.sum(y**2), (y, weights)

    gradients, (y, weights) = jax.jit(jax.grad(total, argnums=(0, 1, 2), has_aux=True))(q, k, v)
    close(y, by_hand(q, k, v, mask))
    assert (np.asarray(y)[1] == 0).all()
    assert (np.asarray(weights)[~mask] == 0).all()
    close(weights.sum(-1), [1, 0, 1])
    assert all(jnp.isfinite(gradient).all() for gradient in gradients)
    assert (np.asarray(gradients[0])[1] == 0).all()


def test_where_there_are_no_keys_every_query_gets_nothing():
    q, k, v = np.ones((T, D), np.float32), np.ones((0, D), np.float32), np.ones((0, 5), np.float32)
    model = MultiHeadAttention(H)
    forms = jax.eval_shape(model.init, jax.random.key(0), q, k)
    variables = jax.tree.map(lambda form: np.ones(form.shape, form.dtype), forms)

    @jax.jit
    def run(q):
        y, pull = jax.vjp(lambda q: att.dot_product_attention(q, k, v), q)
        return y, pull(y + 1)[0], model.apply(variables, q, k)

    y, gradient, heads = run(q)
    np.testing.assert_array_equal(y, np.zeros((T, 5)))
    np.testing.assert_array_equal(gradient, np.zeros((T, D)))
    np.testing.assert_array_equal(heads, np.ones((T, D)))
    assert jax.eval_shape(lambda: att.dot_product_attention(k, k, v, causal=True)).shape == (0, 5)


@pytest.mark.usefixtures("float64")
def test_positions_as_columns_give_the_transpose():
    q, k, v = draw((T, D), (S, D), (S, 5))
    columns_q, columns_k, columns_v = q.T, k.T, v.T
    powers = np.exp(columns_k.T @ columns_q / D**0.5)
    close(att.dot_product_attention(q, k, v).T, columns_v @ (powers / powers.sum(0)))


def test_what_is_hidden_changes_nothing():
    q, k, v = (a.astype(np.float32) for a in draw((1, S, D), (1, S, D), (1, S, D)))
    mask = att.combine_masks(att.causal_mask(S), att.padding_mask(VALID[:1]))
    run = jax.jit(att.dot_product_attention)
    other_k, other_v = k.copy(), v.copy()
    other_k[:, 2], other_v[:, 2] = 100.0, 1e30
    np.testing.assert_array_equal(run(q, k, v, mask), run(q, other_k, other_v, mask))
    later_k, later_v = k.copy(), v.copy()
    later_k[:, 3], later_v[:, 3] = -7.0, 5.0
    np.testing.assert_array_equal(run(q, k, v, mask)[:, :3], run(q, later_k, later_v, mask)[:, :3])
    assert not np.allclose(run(q, k, v, mask)[:, 3], run(q, later_k, later_v, mask)[:, 3])


@pytest.mark.parametrize("filler", [np.nan, np.inf])
def test_padding_of_any_content_changes_neither_values_nor_gradients(filler):
    rng = np.random.default_rng(1)
    draw32 = lambda *shape: rng.normal(size=shape).astype(np.float32)  # noqa: E731
    layer = MultiHeadAttention(num_heads=2, qkv_features=4)
    kernels = {name: {"kernel": draw32(4, 4), "bias": draw32(4)} for name in ("query", "key", "value", "output")}
    x, valid = draw32(1, S, 4), np.array([[True, True, False, False]])
    padded = np.where(valid[..., None], x, np.float32(filler))

    @jax.jit
    def run(params, x, memory):
        def total(params, x, memory):
            own = layer.apply({"params": params}, x, mask=att.padding_mask(valid))
            cross = layer.apply({"params": params}, x[:, :2], memory, mask=att.padding_mask(valid))
            plain = att.dot_product_attention(x[:, :2], memory, memory, att.padding_mask(valid))
            y = own[:, :2] + cross + plain
            return jnp.sum(y**2), y

        (_, y), gradients = jax.value_and_grad(total, argnums=(0, 1, 2), has_aux=True)(params, x, memory)
        return y, gradients

    y, (params, *inputs) = run(kernels, x, x)
    other_y, (other_params, *other_inputs) = run(kernels, padded, padded)
    np.testing.assert_array_equal(y, other_y)
    chex.assert_trees_all_close(params, other_params, rtol=1e-5, atol=1e-5)
    for gradient, other in zip(inputs, other_inputs, strict=True):
        np.testing.assert_allclose(gradient[:, :2], other[:, :2], rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(other[:, 2:], 0)


@pytest.mark.parametrize("filler", [np.nan, np.inf])
def test_later_positions_of_any_content_change_no_causal_result(filler):
    inputs = [a.astype(np.float32) for a in draw((2, S, D), (2, S, D), (2, S, 5))]
    spoiled = [np.where(np.arange(S)[:, None] < 2, a, np.float32(filler)) for a in inputs]
    run = jax.jit(lambda q, k, v: att.dot_product_attention(q, k, v, causal=True))
    y, other = run(*inputs), run(*spoiled)
    np.testing.assert_array_equal(y[:, :2], other[:, :2])
    assert np.isnan(other[:, 2:]).all()
    one, expected = inputs[2].copy(), np.zeros(y.shape, bool)
    one[0, 1, 3], expected[0, 1:, 3] = filler, True  # a single element spoils its column from there on
    np.testing.assert_array_equal(np.isnan(run(*inputs[:2], one)), expected)


def test_queries_may_stand_later_among_the_keys():
    whole = np.asarray(att.causal_mask(5))
    np.testing.assert_array_equal(whole, np.tril(np.ones((5, 5), bool)))
    np.testing.assert_array_equal(jax.jit(lambda first: att.causal_mask(2, 5, first))(3), whole[3:])


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float32])
def test_the_dtype_is_that_of_the_input_and_sums_are_wide(dtype):
    q, k, v = (a.astype(dtype) for a in draw((T, 64), (512, 64), (512, 3)))
    y, weights = jax.jit(partial(att.dot_product_attention, return_weights=True))(q, k, v)
    assert y.dtype == weights.dtype == dtype
    wide = jax.jit(att.dot_product_attention)(*(a.astype(np.float32) for a in (q, k, v)))
    np.testing.assert_allclose(np.asarray(y, np.float32), wide, atol=2e-3 if dtype == jnp.bfloat16 else 1e-6)


def test_dropped_weights_leave_the_mean_and_testing_alone(key):
    x = np.random.default_rng(0).standard_normal((3, D), np.float32)
    model = MultiHeadAttention(H, dropout_rate=0.5)
    variables = draw_variables(model.init, key, x)
    plain, weights = jax.jit(partial(model.apply, return_weights=True))(variables, x)
    run = jax.jit(
        jax.vmap(lambda key: model.apply(variables, x, train=True, return_weights=True, rngs={"dropout": key}))
    )
    draws, shown = map(np.asarray, run(jax.random.split(key, 4000)))
    np.testing.assert_allclose(draws.mean(0), plain, atol=0.05)
    assert draws.std(0).min() > 0.02
    np.testing.assert_allclose(shown[7], weights, rtol=1e-5)


def test_the_layer_has_the_sizes_it_is_told():
    model = MultiHeadAttention(3, qkv_features=12, out_features=7, use_bias=False)
    y, variables = jax.eval_shape(model.init_with_output, jax.random.key(0), jnp.zeros((2, 4, 5)), jnp.zeros((2, 6, 8)))
    shapes = {path: leaf.shape for path, leaf in tree.flatten(variables["params"]).items()}
    assert y.shape == (2, 4, 7)
    assert shapes == {
        "query/kernel": (5, 12),
        "key/kernel": (8, 12),
        "value/kernel": (8, 12),
        "output/kernel": (12, 7),
    }


def attend(q, k, v, *mask, **options):
    return jax.eval_shape(partial(att.dot_product_attention, **options), q, k, v, *mask)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda x: attend(x, x[:, :2], x), ValueError, r"got \(4, 3\) and \(4, 2\)"),
        (lambda x: attend(x, x[None], x), ValueError, r"got \(4, 3\) and \(1, 4, 3\)"),
        (lambda x: attend(x, x, x[:2]), ValueError, r"got \(4, 4\) and \(2, 3\)"),
        (lambda x: attend(x[:2], x, x, causal=True), ValueError, "got 2 and 4"),
        (lambda x: attend(x, x, x, jnp.zeros((4, 4))), TypeError, "got float32"),
        (lambda x: attend(x, x, x, jnp.zeros((4, 4)), causal=True), TypeError, "got float32"),
        (lambda x: attend(x, x, x, jnp.zeros((3, 4), bool), causal=True), ValueError, r"got \(3, 4\) and \(4, 4\)"),
        (lambda x: attend(x, x, x.astype(int)), TypeError, "got int32"),
        (lambda x: attend(x, x, x, jnp.zeros((3, 4), bool)), ValueError, r"got \(3, 4\)"),
        (lambda x: MultiHeadAttention(2).init(jax.random.key(0), x), ValueError, "got 2"),
        (lambda x: MultiHeadAttention(heads=2), TypeError, "'num_heads'"),
        (lambda x: MultiHeadAttention(2, features=8), TypeError, "'qkv_features'"),
        (lambda x: MultiHeadAttention(2, retain_probability=0.9), TypeError, "dropout_rate"),
    ],
)
def test_invalid_arguments_raise(call, error, message):
    with pytest.raises(error, match=message):
        call(jnp.zeros((4, 3)))
