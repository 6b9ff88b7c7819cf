"""WaveNet against torch's dilated convolutions; its receptive field; single steps against the whole."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl import decode, losses, optim, tree
from jaxdl.models import registry, step_function
from jaxdl.models.sequence.wavenet import WaveNet
from tests.peers import torch

SMALL = WaveNet(7, 2, (1, 3), 3, residual_channels=4, gate_channels=3, skip_channels=5, dtype=jnp.float64)
CODES = np.random.default_rng(0).integers(0, 7, (2, 12))


def random_params(model, scale=1.0):
    """Draw normal numbers, divided by the square root of the fan-in."""
    shapes = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 3), int))["params"]
    generator = np.random.default_rng(1)

    def draw(leaf):
        return scale * generator.normal(size=leaf.shape) / np.prod(leaf.shape[:-1]) ** 0.5

    return jax.tree.map(draw, shapes)


def test_the_registered_model_has_the_expected_number_of_parameters():
    model = registry.create("wavenet")
    x = jnp.zeros((1, *registry.input_shape("wavenet")), int)
    logits, variables = jax.eval_shape(model.init_with_output, jax.random.key(0), x)
    gated, residual, skip = 2 * (2 * 32 * 32 + 32), 32 * 32 + 32, 32 * 256 + 256
    assert tree.size(variables) == 256 * 32 + 10 * (gated + skip) + 9 * residual + 2 * (256 * 256 + 256) == 275_360
    assert logits.shape == (1, 1024, 256)


def test_the_receptive_field_grows_by_1023_a_stack():
    assert WaveNet().receptive_field == 1_024
    assert WaveNet(stacks=16).receptive_field == 16_369
    assert SMALL.receptive_field == 1 + 2 * 2 * 4


@pytest.mark.parametrize(
    ("model", "field"),
    [
        (WaveNet(1_100, residual_channels=2, gate_channels=2, skip_channels=2, dtype=jnp.float64), 1_024),
        (SMALL.clone(num_classes=40), 17),
    ],
)
@pytest.mark.usefixtures("float64")
def test_one_output_depends_on_exactly_its_receptive_field(model, field):
    # Every sample has a different level, so that the gradient of an embedding is that of a sample.
    size = model.num_classes
    params, last = random_params(model, 2.0), size - 10

    @jax.jit
    def gradient(embedding):
        def output(embedding):
            return model.apply({"params": params | {"embedding": embedding}}, jnp.arange(size)[None])[0, last].sum()

        return jax.grad(output)(embedding)["embedding"]

    seen = np.flatnonzero(np.any(np.asarray(gradient(params["embedding"])) != 0, axis=1))
    np.testing.assert_array_equal(seen, np.arange(last - field + 1, last + 1))


def torch_wavenet(params, codes):
    """Run the same network with torch's convolutions; also return its weights in our layout."""
    library, leaves = torch(), {}
    functional = library.nn.functional
    for path, leaf in tree.flatten(params).items():
        leaves[path] = library.tensor(leaf, requires_grad=True)

    def conv(name, x, dilation=1):
        kernel = leaves[f"{name}/kernel"]
        kernel = kernel[None] if kernel.ndim == 2 else kernel
        x = functional.pad(x, (dilation * (len(kernel) - 1), 0))
        return functional.conv1d(x, kernel.permute(2, 1, 0), leaves[f"{name}/bias"], dilation=dilation)

    x, total = leaves["embedding/embedding"][library.tensor(codes)].transpose(1, 2), 0
    for name, dilation in SMALL.layers().items():
        z = conv(f"{name}/filter", x, dilation).tanh() * conv(f"{name}/gate", x, dilation).sigmoid()
        total = total + conv(f"{name}/skip", z)
        x = z if name == "stack2_layer2" else x + conv(f"{name}/residual", z)
    return conv("output", conv("dense", total.relu()).relu()).transpose(1, 2), leaves


@pytest.mark.usefixtures("float64")
def test_logits_and_gradients_match_torch():
    params = random_params(SMALL)

    @jax.jit
    def run(params):
        def loss(params):
            logits = SMALL.apply({"params": params}, CODES)
            return losses.cross_entropy(logits[:, :-1], jnp.asarray(CODES[:, 1:])), logits

        return jax.grad(loss, has_aux=True)(params)

    gradient, logits = run(params)
    expected, leaves = torch_wavenet(params, CODES)
    np.testing.assert_allclose(logits, expected.detach().numpy(), rtol=1e-10, atol=1e-12)
    targets = torch().tensor(CODES[:, 1:])
    torch().nn.functional.cross_entropy(expected[:, :-1].transpose(1, 2), targets).backward()
    for path, leaf in tree.flatten(gradient).items():
        np.testing.assert_allclose(leaf, leaves[path].grad.numpy(), rtol=1e-9, atol=1e-12, err_msg=path)


@pytest.mark.usefixtures("float64")
def test_single_steps_match_the_whole_after_any_prompt():
    variables, length = {"params": random_params(SMALL)}, 5

    @jax.jit
    def run(variables, codes):
        step = step_function(SMALL, variables)
        _, steps = jax.lax.scan(step, SMALL.init_carry((2,)), codes.T)
        carry, before = SMALL.apply(variables, codes[:, :length], method="prefill")
        _, after = jax.lax.scan(step, carry, codes[:, length:].T)
        return SMALL.apply(variables, codes), steps, before, after, carry

    whole, steps, before, after, carry = run(variables, jnp.asarray(CODES))
    close = partial(np.testing.assert_allclose, rtol=1e-10, atol=1e-12)
    close(np.swapaxes(steps, 0, 1), whole)
    close(before, whole[:, :length])
    close(np.swapaxes(after, 0, 1), whole[:, length:])
    # One queue is longer than the prompt, the other shorter; neither changes its shape.
    assert {queue.shape[1] for queue in carry.queues} == {3, 7}
    assert jax.tree.map(jnp.shape, carry) == jax.tree.map(jnp.shape, SMALL.init_carry((2,)))


def test_training_on_a_melody_and_generating_its_continuation():
    melody = jnp.tile(jnp.array([0, 1, 2, 0, 3, 2, 0, 1]), 4)[None]
    model = WaveNet(4, 1, (1, 2, 4), residual_channels=8, gate_channels=8, skip_channels=8)
    params = jax.tree.map(lambda leaf: leaf.astype(np.float32), random_params(model))
    optimizer = optim.adam(0.02)

    def loss(params):
        return losses.cross_entropy(model.apply({"params": params}, melody[:, :-1]), melody[:, 1:])

    @jax.jit
    def train(params):
        def step(state, _):
            params, moments = state
            value, gradient = jax.value_and_grad(loss)(params)
            updates, moments = optimizer.update(gradient, moments, params)
            return (tree.add(params, updates), moments), value

        (params, _), values = jax.lax.scan(step, (params, optimizer.init(params)), length=150)
        return params, values

    def play(params):
        carry, _ = model.apply({"params": params}, melody[:, :15], method="prefill")
        step_fn = step_function(model, {"params": params})
        return decode.greedy(step_fn, carry, melody[:, 15], max_length=20).tokens

    params, values = train(params)
    # The first samples cannot be predicted.
    assert values[0] > 1.2
    assert values[-1] < 0.2
    assert jax.jit(play)(params)[0].tolist() == np.resize(melody[0, :8], 20).tolist()


def test_intermediates_have_names_and_shapes(key):
    model = SMALL.clone(dtype=None)
    _, intermediates = jax.eval_shape(lambda: model.init_with_output(key, CODES, return_intermediates=True)[0])
    names = [f"stack{stack}_layer{layer}" for stack in (1, 2) for layer in (1, 2)]
    assert list(intermediates) == sorted(["embedding", *names, "skip", "dense"])
    assert intermediates["stack2_layer1"].shape == (2, 12, 4)
    assert intermediates["stack2_layer2"].shape == (2, 12, 3)


@pytest.mark.parametrize("samples", [np.zeros((2, 5), np.float32), np.zeros(5, np.int32), np.int32(3)])
def test_invalid_samples_raise(samples, key):
    with pytest.raises(ValueError, match=r"samples \[B, T\], integers in \[0, 256\), got"):
        WaveNet().init(key, samples)


def test_a_step_of_many_samples_raises():
    model = SMALL.clone(dtype=None)
    with pytest.raises(ValueError, match=r"samples \[B\].* got \(2, 12\)"):
        model.apply({}, model.init_carry((2,)), CODES, method="step")
