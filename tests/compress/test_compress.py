"""Pruning, quantization and distillation against torch and NumPy, and whole models in integers."""

from functools import partial

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

    @jax.jit
    def run(params):
        masks = {"layer": compress.layer_masks(params, rate), "global": compress.global_masks(params, rate)}
        return masks, compress.sparsity(compress.apply_masks(params, masks["global"]))

    masks, share = run(ours)
    alone, together = peers(), peers()
    for layer in alone.values():
        prune.l1_unstructured(layer, "weight", rate)
    weights = [(layer, "weight") for layer in together.values()]
    prune.global_unstructured(weights, pruning_method=prune.L1Unstructured, amount=rate)
    for name in ours:
        np.testing.assert_array_equal(masks["layer"][name]["kernel"], alone[name].weight_mask.numpy())
        np.testing.assert_array_equal(masks["global"][name]["kernel"], together[name].weight_mask.numpy())
        assert masks["global"][name]["bias"].all()
    assert share == pytest.approx(round(rate * 112) / 112)


def test_ties_and_nan():
    mask = compress.layer_masks({"kernel": jnp.array([1.0, jnp.nan, -1.0, 1.0])}, 0.5)["kernel"]
    assert mask.tolist() == [False, True, False, True]


def test_pruned_weights_stay_at_zero():
    start = jax.jit(lambda p: compress.apply_masks(p, compress.global_masks(p, 0.5)))(params())
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

    @jax.jit
    def run(x, cotangent):
        scale = compress.symmetric_scale(x * 0.8, bits=bits, axis=-1)
        affine = compress.affine_scale(-0.3, 1.1, bits=bits)
        y, back = jax.vjp(lambda x: compress.fake_quantize(x, scale, bits=bits), x)
        real = compress.dequantize(compress.quantize(x, scale, bits=bits))
        return scale, y, back(cotangent)[0], real, affine, compress.fake_quantize(x, *affine, bits=bits)

    scale, y, gradient, real, affine, by_tensor = jax.device_get(run(x, cotangent))
    by_channel = torch().fake_quantize_per_channel_affine(
        peer, torch().tensor(scale[0]), torch().zeros(5, dtype=torch().int32), 1, lowest, highest
    )
    by_channel.backward(torch().tensor(cotangent))
    np.testing.assert_allclose(y, by_channel.detach().numpy(), rtol=1e-6)
    np.testing.assert_array_equal(gradient, peer.grad.numpy())
    np.testing.assert_allclose(real, y, rtol=1e-6)
    scale, zero_point = (each.item() for each in affine)
    expected = torch().fake_quantize_per_tensor_affine(torch().tensor(x), scale, zero_point, lowest, highest)
    np.testing.assert_allclose(by_tensor, expected.numpy(), rtol=1e-6)


def test_scales_are_those_of_torchs_observers():
    quantization = pytest.importorskip("torch.ao.quantization", reason="parity with torch")
    x = RANDOM.normal(size=(6, 5)).astype(np.float32) + 0.5
    observer = quantization.MinMaxObserver(dtype=torch().qint8, qscheme=torch().per_tensor_affine)
    observer(torch().tensor(x))
    scale, zero_point = observer.calculate_qparams()
    found = jax.jit(compress.affine_scale)(x.min(), x.max())
    np.testing.assert_allclose(found[0], scale.item(), rtol=1e-6)
    assert found[1] == zero_point.item()


def test_constant_and_strange_numbers():
    x = np.array([np.nan, np.inf, -np.inf, 2**31], np.float32)

    @jax.jit
    def run(x, short):
        scales = compress.symmetric_scale(jnp.zeros((3, 2)), axis=-1), compress.symmetric_scale(jnp.zeros((0,)))
        integers = compress.quantize(x, 0.5, 3), compress.quantize(short, np.float16(0.5))
        return scales, [each.values for each in integers], compress.fake_quantize(x, 0.5)

    (constant, empty), (strange, short), fake = run(x, np.array([3, -7], np.int16))
    assert constant.tolist() == [[1.0, 1.0]]
    assert empty == 1
    assert strange.tolist() == [3, 127, -128, 127]
    assert short.tolist() == [6, -14]
    assert np.isnan(fake[0])


@pytest.mark.usefixtures("float64")
def test_products_of_integers_are_exact():
    x, kernel = RANDOM.normal(size=(2, 6, 7, 4)), RANDOM.normal(size=(3, 2, 2, 6))
    bias = RANDOM.normal(size=6)

    @jax.jit
    def run(x, kernel, bias):
        inputs = compress.quantize(x, *compress.affine_scale(-1.0, 2.5))
        weights = compress.quantize(kernel, compress.symmetric_scale(kernel, axis=-1))
        options = {"stride": (1, 2), "padding": ((1, 0), (2, 1)), "dilation": (2, 1), "groups": 2}
        expected = nn.convolve(compress.dequantize(inputs), compress.dequantize(weights), **options)
        dense = compress.quantize(kernel[0, 0], compress.symmetric_scale(kernel[0, 0]))
        rows = inputs._replace(values=inputs.values[..., :2])
        found = compress.quantized_convolve(inputs, weights, bias, **options)
        return found, expected + bias[None, None, None], rows, dense, compress.quantized_linear(rows, dense)

    found, expected, rows, dense, y = jax.device_get(run(x, kernel, bias))
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)
    sums = rows.values.astype(int) @ dense.values.astype(int)
    offsets = int(rows.zero_point) * dense.values.astype(int).sum(0)
    np.testing.assert_allclose(y, (sums - offsets) * rows.scale * dense.scale, rtol=1e-12)


class Small(linen.Module):
    """Two convolutions, one of them called twice, a norm and a linear output."""

    @linen.compact
    def __call__(self, x, train=False):
        shared = nn.Conv(3, (3, 3), padding="same", name="shared")
        x = jax.nn.relu(shared(jax.nn.relu(shared(x))))
        x = linen.LayerNorm(name="norm")(nn.Conv(4, (2, 2), stride=2, use_bias=False, name="conv")(x))
        return linen.Dense(5, name="output")(x.mean((-3, -2)))


@pytest.mark.usefixtures("float64")
def test_a_model_in_integers():
    model, x = Small(), RANDOM.normal(size=(6, 8, 9, 3)).astype(np.float32)
    variables = jax.tree.map(np.float64, draw(model.init, jax.random.key(0), x))
    ranges = compress.calibrate(model, variables, x)
    assert ranges.keys() == {"shared", "conv", "output"}
    assert ranges["shared"][0] == x.min()

    @jax.jit
    def run(variables, x):
        quantized = compress.quantize_variables(variables, ranges)
        outputs = compress.apply_integer(model, quantized, x), compress.apply_simulated(model, quantized, x)
        return quantized, *outputs, model.apply(variables, x)

    quantized, integer, simulated, exact = run(variables, x)
    np.testing.assert_allclose(integer, simulated, rtol=1e-10, atol=1e-12)
    assert 0 < np.abs(integer - exact).max() < 0.05 * np.abs(exact).max()
    assert compress.size_in_bytes(quantized["params"]) < compress.size_in_bytes(variables) / 3
    restored = jax.eval_shape(compress.dequantize_variables, quantized)
    assert jax.tree.map(jnp.shape, restored) == jax.tree.map(jnp.shape, dict(variables))
    program = train.export(lambda v, x: compress.apply_integer(model, v, x), quantized, (None, 8, 9, 3))
    np.testing.assert_allclose(jax.export.deserialize(program).call(x[:2]), integer[:2], rtol=1e-10, atol=1e-12)


def test_layers_without_a_range_stay_real():
    model, x = models.MLP(hidden_sizes=(4,), num_classes=3), RANDOM.normal(size=(2, 5)).astype(np.float32)
    variables = draw(model.init, jax.random.key(0), x)
    ranges = compress.calibrate(model, variables, x)
    quantize = partial(compress.quantize_variables, ranges={"output": ranges["output"]}, bits=2)
    quantized = jax.jit(quantize)(variables)
    jax.tree.map(np.testing.assert_array_equal, quantized["params"]["hidden1"], variables["params"]["hidden1"])
    assert set(np.unique(quantized["params"]["output"]["kernel"].values)) <= {-2, -1, 0, 1}
    assert jax.eval_shape(partial(compress.apply_integer, model), quantized, x).shape == (2, 3)


@pytest.mark.usefixtures("float64")
def test_distillation_is_torchs():
    functional, temperature, mask = torch().nn.functional, 3.0, np.array([1, 1, 1, 0])
    z, v, y = RANDOM.normal(size=(4, 5)), 3 * RANDOM.normal(size=(4, 5)), np.array([0, 4, 2, 1])
    peer = torch().tensor(z, requires_grad=True)
    soft = functional.kl_div(
        functional.log_softmax(peer / temperature, 1),
        functional.softmax(torch().tensor(v) / temperature, 1),
        reduction="batchmean",
    )
    loss = 0.7 * temperature**2 * soft + 0.3 * functional.cross_entropy(peer, torch().tensor(y))
    loss.backward()

    def distil(z, y, v, mask=None):
        return compress.distillation_loss(z, y, teacher_logits=v, temperature=temperature, soft_weight=0.7, mask=mask)

    @jax.jit
    def run(z, y, v, mask):
        padded = jnp.where(mask[:, None] == 1, z, jnp.nan)
        return jax.value_and_grad(distil)(z, y, v), distil(padded, y, v, mask), distil(z[:3], y[:3], v[:3])

    (value, gradient), masked, shorter = run(z, y, v, mask)
    np.testing.assert_allclose(value, loss.item(), rtol=1e-12)
    np.testing.assert_allclose(gradient, peer.grad.numpy(), rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(masked, shorter, rtol=1e-12)


def ones(*shape, zero_point=0):
    return compress.Quantized(np.ones(shape, np.int8), 1.0, zero_point)


@pytest.mark.parametrize(
    ("call", "got"),
    [
        (lambda: compress.global_masks(params(), 1.5), "got 1.5"),
        (lambda: compress.layer_masks(params(), 0.5, pattern="weight$"), "got 'weight\\$'"),
        (lambda: compress.quantize(np.ones(2), 1.0, bits=9), "got 9"),
        (lambda: compress.symmetric_scale(np.ones(2), bits=1.5), "got 1.5"),
        (lambda: compress.soft_target_loss(np.ones((2, 3)), np.ones((2, 4))), r"got \(2, 3\) and \(2, 4\)"),
        (lambda: compress.soft_target_loss(np.ones(2), np.ones(2), temperature=0), "got 0"),
        (lambda: compress.quantized_linear(ones(2), ones(2, 1, zero_point=3)), "got 3"),
        (
            lambda: compress.quantized_convolve(ones(1, 4, 4, 3), ones(2, 2, 2, 1)),
            r"got \(1, 4, 4, 3\) and \(2, 2, 2, 1\)",
        ),
        (
            lambda: compress.calibrate(linen.LayerNorm(use_scale=False, use_bias=False), {}, np.ones((2, 3))),
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


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize(
    "make",
    [
        lambda x: compress.symmetric_scale(jnp.array([[1.0, x]])),
        lambda x: compress.symmetric_scale(jnp.array([[1.0, -x]]), axis=-1),
        lambda x: compress.affine_scale(-x, 1.0)[0],
        lambda x: compress.affine_scale(-1.0, x)[0],
    ],
)
def test_scales_of_numbers_that_are_not_finite_are_refused(make, bad):
    with pytest.raises(ValueError, match="finite, got"):
        make(bad)
    assert not np.isfinite(jax.jit(make)(bad)).all()


def test_an_optimizer_that_keeps_zeros_passes_on_the_value_of_the_loss():
    def chain():
        return optax.chain(optax.sgd(1.0), optax.contrib.reduce_on_plateau(patience=1, factor=0.5))

    params, gradients = {"kernel": jnp.array([0.0, 2.0])}, {"kernel": jnp.ones(2)}
    optimizer, inner = compress.keep_zeros(chain()), chain()
    state, inner_state = optimizer.init(params), inner.init(params)
    for value in (1.0, 1.0, 1.0, 1.0):
        updates, state = optimizer.update(gradients, state, params, value=value)
        expected, inner_state = inner.update(gradients, inner_state, params, value=value)
    assert updates["kernel"].tolist() == [0, expected["kernel"][1]]
    assert expected["kernel"][1] > -1
    with pytest.raises(TypeError, match="floating-point gradients, got int32"):
        optimizer.update({"kernel": jnp.ones(2, jnp.int32)}, state, params, value=1.0)


def test_a_calibration_without_examples_is_refused():
    model = models.MLP(hidden_sizes=(), num_classes=2)
    variables = model.init(jax.random.key(0), jnp.zeros((1, 3)))
    with pytest.raises(ValueError, match=r"got none, an array \(0, 3\)"):
        compress.calibrate(model, variables, jnp.zeros((0, 3)))
