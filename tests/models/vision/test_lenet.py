"""LeNet-5: the modern form against torch with the same weights, the published form against loops."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl import models, tree
from jaxdl.models import LeNet5, LeNet5Original
from jaxdl.models.vision import lenet
from jaxdl.nn import activations
from tests.variables import draw

MODERN = {"conv1": (5, 5, 1, 6), "conv2": (5, 5, 6, 16), "dense1": (400, 120), "dense2": (120, 84), "output": (84, 10)}


def modern_weights(seed=0):
    random = np.random.RandomState(seed)
    return {
        name: {
            "kernel": random.standard_normal(shape) / np.prod(shape[:-1]) ** 0.5,
            "bias": 0.1 * random.standard_normal(shape[-1]),
        }
        for name, shape in MODERN.items()
    }


def torch_lenet(params, activation, pooling):
    """Build torch's LeNet-5 with these weights; its flattening runs over channels first."""
    torch = pytest.importorskip("torch", reason="parity with torch")
    nn = torch.nn
    act = {"relu": nn.ReLU, "tanh": nn.Tanh}[activation]
    pool = {"max": nn.MaxPool2d, "average": nn.AvgPool2d}[pooling]
    layers = {
        "conv1": nn.Conv2d(1, 6, 5, padding=2),
        "conv2": nn.Conv2d(6, 16, 5),
        "dense1": nn.Linear(400, 120),
        "dense2": nn.Linear(120, 84),
        "output": nn.Linear(84, 10),
    }
    for name, layer in layers.items():
        kernel = params[name]["kernel"]
        if kernel.ndim == 4:
            kernel = kernel.transpose(3, 2, 0, 1)
        elif name == "dense1":
            kernel = kernel.reshape(5, 5, 16, 120).transpose(3, 2, 0, 1).reshape(120, 400)
        else:
            kernel = kernel.T
        layer.double()
        layer.weight.data = torch.tensor(kernel.copy())
        layer.bias.data = torch.tensor(params[name]["bias"])
    stages = [layers["conv1"], act(), pool(2), layers["conv2"], act(), pool(2), nn.Flatten()]
    return layers, nn.Sequential(*stages, layers["dense1"], act(), layers["dense2"], act(), layers["output"])


@pytest.mark.parametrize(("activation", "pooling"), [("relu", "max"), ("tanh", "average")])
@pytest.mark.usefixtures("float64")
def test_the_modern_form_gives_torchs_logits_and_gradients(activation, pooling):
    torch = pytest.importorskip("torch", reason="parity with torch")
    params = modern_weights()
    random = np.random.RandomState(1)
    x, weights = random.standard_normal((3, 28, 28, 1)), random.standard_normal((3, 10))
    model = LeNet5(activation=activation, pooling=pooling)

    @jax.jit
    def run(params, x):
        logits, pull = jax.vjp(lambda params, x: model.apply({"params": params}, x), params, x)
        return logits, *pull(jnp.asarray(weights))

    logits, gradient, x_gradient = run(params, x)
    layers, peer = torch_lenet(params, activation, pooling)
    images = torch.tensor(x.transpose(0, 3, 1, 2).copy(), requires_grad=True)
    expected = peer(images)
    expected.backward(torch.tensor(weights))
    np.testing.assert_allclose(logits, expected.detach().numpy(), atol=1e-11)
    np.testing.assert_allclose(x_gradient, images.grad.numpy().transpose(0, 2, 3, 1), atol=1e-11)
    for name, layer in layers.items():
        theirs = layer.weight.grad.numpy()
        if name == "dense1":
            theirs = theirs.reshape(120, 16, 5, 5).transpose(0, 2, 3, 1).reshape(120, 400)
        theirs = theirs.transpose(2, 3, 1, 0) if theirs.ndim == 4 else theirs.T
        np.testing.assert_allclose(gradient[name]["kernel"], theirs, atol=1e-11, err_msg=name)
        np.testing.assert_allclose(gradient[name]["bias"], layer.bias.grad.numpy(), atol=1e-11, err_msg=name)


def test_padding_by_two_gives_what_padded_images_give():
    params = jax.tree.map(lambda leaf: leaf.astype(np.float32), modern_weights())
    x = np.random.RandomState(1).standard_normal((2, 28, 28, 1)).astype(np.float32)
    images = np.pad(x, ((0, 0), (2, 2), (2, 2), (0, 0)))

    @jax.jit
    def run(params, x, images):
        others = [model.apply({"params": params}, images) for model in (LeNet5(), LeNet5(pad=0))]
        return LeNet5().apply({"params": params}, x), others

    padded, others = run(params, x, images)
    for other in others:
        np.testing.assert_allclose(other, padded, rtol=1e-4, atol=1e-5)


@pytest.fixture(scope="module")
def published():
    """The published form with random images: (params, images, logits, features), in float32."""
    model = LeNet5Original(pad=2)
    x = np.random.default_rng(1).normal(size=(2, 28, 28, 1)).astype(np.float32)
    params = draw(model.init, jax.random.key(0), x)["params"]
    logits, features = jax.jit(lambda p, x: model.apply({"params": p}, x, return_intermediates=True))(params, x)
    return jax.tree.map(np.asarray, (params, x, logits, features))


def test_the_published_form_has_the_published_parameters(published):
    params, *_ = published
    counts = {name: tree.size(layer) for name, layer in params.items()}
    assert counts == {"c1": 156, "s2": 12, "c3": 1_516, "s4": 32, "c5": 48_120, "f6": 10_164}
    assert sum(counts.values()) == 60_000


def test_the_connections_are_those_of_the_papers_table():
    rows = ["#...###..####.##", "##...###..####.#", "###...###..#.###", ".###..####..#.##", "..###..####.##.#"]
    rows.append("...###..####.###")
    for source, row in enumerate(rows):
        assert [source in sources for sources in lenet.CONNECTIONS] == [mark == "#" for mark in row]


def test_the_layers_of_the_published_form_are_their_loops(published):
    params, x, logits, features = published

    def squash(a):
        return 1.7159 * np.tanh(2 / 3 * a)

    def convolution(maps, kernel, bias):
        height, width = maps.shape[0] - 4, maps.shape[1] - 4
        y = np.zeros((height, width, kernel.shape[-1])) + bias
        for i in range(height):
            for j in range(width):
                y[i, j] += np.einsum("uvc,uvco->o", maps[i : i + 5, j : j + 5], kernel)
        return squash(y)

    def subsampling(maps, layer):
        y = np.zeros((maps.shape[0] // 2, maps.shape[1] // 2, maps.shape[2]))
        for i in range(y.shape[0]):
            for j in range(y.shape[1]):
                total = maps[2 * i : 2 * i + 2, 2 * j : 2 * j + 2].sum((0, 1))
                y[i, j] = layer["coefficient"] * total + layer["bias"]
        return squash(y)

    def table(maps, layer):
        y, pair = np.zeros((10, 10, 16)), 0
        for target, sources in enumerate(lenet.CONNECTIONS):
            kernel = np.zeros((5, 5, 6, 1))
            for source in sources:
                kernel[:, :, source, 0] = layer["kernel"][:, :, pair]
                pair += 1
            y[..., target : target + 1] = convolution(maps, kernel, layer["bias"][target])
        return y

    for example in range(2):
        out = {}
        out["c1"] = convolution(np.pad(x[example], ((2, 2), (2, 2), (0, 0))), **params["c1"])
        out["s2"] = subsampling(out["c1"], params["s2"])
        out["c3"] = table(out["s2"], params["c3"])
        out["s4"] = subsampling(out["c3"], params["s4"])
        out["c5"] = convolution(out["s4"], **params["c5"])
        out["f6"] = squash(out["c5"].ravel() @ params["f6"]["kernel"] + params["f6"]["bias"])
        for name, expected in out.items():
            np.testing.assert_allclose(features[name][example], expected, rtol=1e-4, atol=1e-5, err_msg=name)
        distances = [sum((a - b) ** 2 for a, b in zip(out["f6"], code, strict=True)) for code in lenet.digit_codes()]
        np.testing.assert_allclose(logits[example], -np.array(distances), rtol=1e-4)


def test_the_bitmaps_are_ten_different_signs():
    codes = lenet.digit_codes()
    assert codes.shape == (10, 84)
    assert set(np.unique(codes)) == {-1, 1}
    different = (codes[:, None] != codes[None]).sum(-1) + 84 * np.eye(10)
    assert different.min() >= 6


def test_initialization_is_within_the_bound_of_the_paper(key):
    params = jax.jit(LeNet5Original(output="dense").init)(key, jnp.zeros((1, 28, 28, 1)))["params"]
    bounds = {"c1": 2.4 / 25, "s2": 2.4 / 4, "c3": 2.4 / 75, "c5": 2.4 / 400, "f6": 2.4 / 120, "output": 2.4 / 84}
    for name, bound in bounds.items():
        leaf = np.abs(params[name]["coefficient" if name == "s2" else "kernel"])
        assert 0.4 * bound < leaf.max() <= bound, name
    assert np.abs(params["c3"]["kernel"][:, :, -6:]).max() <= 2.4 / 150


@pytest.mark.parametrize(
    ("name", "changes", "shape", "message"),
    [
        ("lenet5", {}, (2, 30, 30, 1), r"\[B, 32, 32, C\] or \[B, 28, 28, C\], got \(2, 30, 30, 1\)"),
        ("lenet5", {"pad": 2}, (2, 32, 32, 1), r"pad=2 expected images \[B, 28, 28, C\], got \(2, 32, 32, 1\)"),
        ("lenet5", {"pad": 0}, (2, 28, 28, 1), r"\[B, 32, 32, C\]"),
        ("lenet5", {"pooling": "sum"}, (2, 28, 28, 1), "pooling .* got 'sum'"),
        ("lenet5", {"activation": "rel"}, (2, 28, 28, 1), "got 'rel'"),
        ("lenet5_original", {}, (28, 28, 1), r"got \(28, 28, 1\)"),
        ("lenet5_original", {"num_classes": 3}, (2, 28, 28, 1), "output='dense'"),
        ("lenet5_original", {"output": "softmax"}, (2, 28, 28, 1), "'rbf', 'dense', got 'softmax'"),
    ],
)
def test_mistakes_are_answered_with_what_was_expected(name, changes, shape, message, key):
    with pytest.raises(ValueError, match=message):
        models.create(name, **changes).init(key, np.zeros(shape, np.float32))


def test_the_activation_of_the_published_form_is_one_at_one():
    np.testing.assert_allclose(activations.scaled_tanh(jnp.array([-1.0, 1.0])), [-1, 1], atol=1e-4)
