"""Pruning, quantization and distillation against torch and NumPy, and whole models in integers."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen

from jaxdl import compress, models, nn, train, tree
from tests.peers import torch
from tests.variables import draw

RANDOM = np.random.default_rng(0)


def params():
    random = np.random.default_rng(1)
    shapes = {"conv": (3, 3, 2, 4), "dense": (8, 5)}
    return {
        name: {"kernel": random.normal(size=shape), "bias": np.full(shape[-1], 0.01)} for name, shape in shapes.items()
    }


@pytest.mark.parametrize("rate", [0.0, 0.33, 1.0])
def test_masks_are_those_of_torch(rate):
    prune = pytest.importorskip("torch.nn.utils.prune", reason="parity with torch")
    ours = params()

    def peers():
        layers = {name: torch().nn.Linear(1, 1) for name in ours}
        for name, layer in layers.items():
            layer.weight = torch().nn.Parameter(torch().tensor(ours[name]["kernel"]))
        return layers

    masks = {"layer": compress.layer_masks(ours, rate), "global": compress.global_masks(ours, rate)}
    alone, together = peers(), peers()
    for layer in alone.values():
        prune.l1_unstructured(layer, "weight", rate)
    weights = [(layer, "weight") for layer in together.values()]
    prune.global_unstructured(weights, pruning_method=prune.L1Unstructured, amount=rate)
    for name in ours:
        np.testing.assert_array_equal(masks["layer"][name]["kernel"], alone[name].weight_mask.numpy())
        np.testing.assert_array_equal(masks["global"][name]["kernel"], together[name].weight_mask.numpy())
        assert masks["global"][name]["bias"].all()
    share = compress.sparsity(compress.apply_masks(ours, masks["global"]))
    assert share == pytest.approx(round(rate * 112) / 112)


def test_ties_and_nan():
    mask = compress.layer_masks({"kernel": jnp.array([1.0, jnp.nan, -1.0, 1.0])}, 0.5)["kernel"]
    assert mask.tolist() == [False, True, False, True]


def test_pruned_weights_stay_at_zero():
    start = compress.apply_masks(params(), compress.global_masks(params(), 0.5))
    start = jax.tree.map(jnp.asarray, start)
    inner = optax.chain(optax.add_decayed_weights(0.1), optax.adam(0.1))
    optimizer = compress.keep_zeros(inner)

    def fit(optimizer, params):
        def step(carry, _):
            params, state = carry
            gradient = jax.tree.map(lambda p: p - 3.0, params)
            updates, state = optimizer.update(gradient, state, params)
            return (optax.apply_updates(params, updates), state), None

        return jax.lax.scan(step, (params, optimizer.init(params)), length=5)[0][0]

    kept, free = jax.jit(lambda p: (fit(optimizer, p), fit(inner, p)))(start)
    for path, leaf in tree.flatten(start).items():
        found, expected = tree.flatten(kept)[path], np.asarray(tree.flatten(free)[path])
        if path.endswith("kernel"):
            expected = np.where(leaf == 0, 0, expected)
        np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize("bits", [8, 2])
def test_fake_quantization_is_torchs(bits):
    lowest, highest = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    x = RANDOM.normal(size=(6, 5)).astype(np.float32)
    peer, cotangent = torch().tensor(x, requires_grad=True), RANDOM.normal(size=x.shape).astype(np.float32)
    scale = compress.symmetric_scale(x * 0.8, bits=bits, axis=-1)
    by_channel = torch().fake_quantize_per_channel_affine(
        peer, torch().tensor(np.array(scale[0])), torch().zeros(5, dtype=torch().int32), 1, lowest, highest
    )
    by_channel.backward(torch().tensor(cotangent))
    y, back = jax.vjp(lambda x: compress.fake_quantize(x, scale, bits=bits), x)
    np.testing.assert_allclose(y, by_channel.detach().numpy(), rtol=1e-6)
    np.testing.assert_array_equal(back(cotangent)[0], peer.grad.numpy())
    np.testing.assert_allclose(compress.dequantize(compress.quantize(x, scale, bits=bits)), y, rtol=1e-6)

    scale, zero_point = compress.affine_scale(-0.3, 1.1, bits=bits)
    expected = torch().fake_quantize_per_tensor_affine(
        torch().tensor(x), scale.item(), zero_point.item(), lowest, highest
    )
    np.testing.assert_allclose(compress.fake_quantize(x, scale, zero_point, bits=bits), expected.numpy(), rtol=1e-6)


def test_scales_are_those_of_torchs_observers():
    quantization = pytest.importorskip("torch.ao.quantization", reason="parity with torch")
    x = RANDOM.normal(size=(6, 5)).astype(np.float32) + 0.5
    observer = quantization.MinMaxObserver(dtype=torch().qint8, qscheme=torch().per_tensor_affine)
    observer(torch().tensor(x))
    scale, zero_point = observer.calculate_qparams()
    found = compress.affine_scale(x.min(), x.max())
    np.testing.assert_allclose(found[0], scale.item(), rtol=1e-6)
    assert found[1] == zero_point.item()


def test_constant_and_strange_numbers():
    assert compress.symmetric_scale(jnp.zeros((3, 2)), axis=-1).tolist() == [[1.0, 1.0]]
    assert compress.symmetric_scale(jnp.zeros((0,))) == 1
    x = jnp.array([jnp.nan, jnp.inf, -jnp.inf, 2**31.0])
    assert compress.quantize(x, 0.5, 3).values.tolist() == [3, 127, -128, 127]
    assert jnp.isnan(compress.fake_quantize(x, 0.5)[0])
    assert compress.quantize(np.array([3, -7], np.int16), np.float16(0.5)).values.tolist() == [6, -14]


def test_products_of_integers_are_exact():
    x, kernel = RANDOM.normal(size=(2, 6, 7, 4)), RANDOM.normal(size=(3, 2, 2, 6))
    inputs = compress.quantize(x, *compress.affine_scale(-1.0, 2.5))
    weights = compress.quantize(kernel, compress.symmetric_scale(kernel, axis=-1))
    options = {"stride": (1, 2), "padding": ((1, 0), (2, 1)), "dilation": (2, 1), "groups": 2}
    bias = RANDOM.normal(size=6)
    real = [np.asarray(compress.dequantize(each), np.float64) for each in (inputs, weights)]
    expected = np.asarray(nn.convolve(*real, **options)) + bias
    np.testing.assert_allclose(compress.quantized_convolve(inputs, weights, bias, **options), expected, atol=1e-4)

    dense = compress.quantize(kernel[0, 0], compress.symmetric_scale(kernel[0, 0]))
    rows = inputs._replace(values=inputs.values[..., :2])
    sums = np.asarray(rows.values, np.int64) @ np.asarray(dense.values, np.int64)
    offsets = np.int64(inputs.zero_point) * np.asarray(dense.values, np.int64).sum(0)
    expected = (sums - offsets) * float(inputs.scale) * float(dense.scale)
    np.testing.assert_allclose(compress.quantized_linear(rows, dense), expected, rtol=1e-6, atol=1e-6)


class Small(linen.Module):
    """Two convolutions, one of them called twice, a norm and a linear output."""

    @linen.compact
    def __call__(self, x, train=False):
        shared = nn.Conv(3, (3, 3), padding="same", name="shared")
        x = jax.nn.relu(shared(jax.nn.relu(shared(x))))
        x = linen.LayerNorm(name="norm")(nn.Conv(4, (2, 2), stride=2, use_bias=False, name="conv")(x))
        return linen.Dense(5, name="output")(x.mean((-3, -2)))


def test_a_model_in_integers():
    model, x = Small(), RANDOM.normal(size=(6, 8, 9, 3)).astype(np.float32)
    variables = draw(model.init, jax.random.key(0), x)
    ranges = compress.calibrate(model, variables, x)
    assert ranges.keys() == {"shared", "conv", "output"}
    assert ranges["shared"][0] == x.min()
    quantized = compress.quantize_variables(variables, ranges)
    integer = jax.jit(lambda v, x: compress.apply_integer(model, v, x))(quantized, x)
    simulated = jax.jit(lambda v, x: compress.apply_simulated(model, v, x))(quantized, x)
    np.testing.assert_allclose(integer, simulated, atol=2e-2 * np.abs(simulated).max())  # a tie may round differently
    exact = model.apply(variables, x)
    assert 0 < np.abs(integer - exact).max() < 0.05 * np.abs(exact).max()
    assert compress.size_in_bytes(quantized["params"]) < compress.size_in_bytes(variables) / 2
    restored = compress.dequantize_variables(quantized)
    assert jax.tree.map(jnp.shape, restored) == jax.tree.map(jnp.shape, dict(variables))
    program = train.export(lambda v, x: compress.apply_integer(model, v, x), quantized, (None, 8, 9, 3))
    np.testing.assert_allclose(jax.export.deserialize(program).call(x[:2]), integer[:2], rtol=1e-5, atol=1e-5)


def test_layers_without_a_range_stay_real():
    model, x = models.MLP(hidden_sizes=(4,), num_classes=3), RANDOM.normal(size=(2, 5)).astype(np.float32)
    variables = draw(model.init, jax.random.key(0), x)
    ranges = compress.calibrate(model, variables, x)
    quantized = compress.quantize_variables(variables, {"output": ranges["output"]}, bits=2)
    assert quantized["params"]["hidden1"] == variables["params"]["hidden1"]
    assert set(np.unique(quantized["params"]["output"]["kernel"].values)) <= {-2, -1, 0, 1}
    assert compress.apply_integer(model, quantized, x).shape == (2, 3)


@pytest.mark.parametrize("temperature", [3.0])
def test_distillation_is_torchs(temperature):
    functional = torch().nn.functional
    z, v, y = RANDOM.normal(size=(4, 5)), 3 * RANDOM.normal(size=(4, 5)), np.array([0, 4, 2, 1])
    peer = torch().tensor(z.astype(np.float32), requires_grad=True)
    soft = functional.kl_div(
        functional.log_softmax(peer / temperature, 1),
        functional.softmax(torch().tensor(v.astype(np.float32)) / temperature, 1),
        reduction="batchmean",
    )
    loss = 0.7 * temperature**2 * soft + 0.3 * functional.cross_entropy(peer, torch().tensor(y))
    loss.backward()

    def ours(z, mask=None):
        settings = {"teacher_logits": v, "temperature": temperature, "soft_weight": 0.7}
        return compress.distillation_loss(z, y, mask=mask, **settings)

    value, gradient = jax.value_and_grad(ours)(z.astype(np.float32))
    np.testing.assert_allclose(value, loss.item(), rtol=1e-5)
    np.testing.assert_allclose(gradient, peer.grad.numpy(), rtol=1e-4, atol=1e-6)
    padded = np.where(np.array([1, 1, 1, 0])[:, None] == 1, z, np.nan)
    settings = {"teacher_logits": v[:3], "temperature": temperature, "soft_weight": 0.7}
    expected = compress.distillation_loss(z[:3], y[:3], **settings)
    np.testing.assert_allclose(ours(padded, np.array([1, 1, 1, 0])), expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("call", "got"),
    [
        (lambda: compress.global_masks(params(), 1.5), "got 1.5"),
        (lambda: compress.layer_masks(params(), 0.5, pattern="weight$"), "got 'weight\\$'"),
        (lambda: compress.quantize(jnp.ones(2), 1.0, bits=9), "got 9"),
        (lambda: compress.symmetric_scale(jnp.ones(2), bits=1.5), "got 1.5"),
        (lambda: compress.soft_target_loss(jnp.ones((2, 3)), jnp.ones((2, 4))), r"got \(2, 3\) and \(2, 4\)"),
        (lambda: compress.soft_target_loss(jnp.ones(2), jnp.ones(2), temperature=0), "got 0"),
        (
            lambda: compress.quantized_linear(
                compress.quantize(jnp.ones(2), 1.0), compress.quantize(jnp.ones((2, 1)), 1.0, 3)
            ),
            "got 3",
        ),
        (
            lambda: compress.quantized_convolve(
                compress.quantize(jnp.ones((1, 4, 4, 3)), 1.0), compress.quantize(jnp.ones((2, 2, 2, 1)), 1.0)
            ),
            r"got \(1, 4, 4, 3\) and \(2, 2, 2, 1\)",
        ),
        (
            lambda: compress.calibrate(linen.LayerNorm(use_scale=False, use_bias=False), {}, jnp.ones((2, 3))),
            "LayerNorm",
        ),
        (
            lambda: compress.quantize_variables({"params": params()}, {"convv": (0.0, 1.0)}),
            "got 'convv/kernel'; did you mean 'conv/kernel'",
        ),
    ],
)
def test_bad_arguments_are_errors(call, got):
    with pytest.raises(ValueError, match=got):
        call()
