"""Neural style against torch in float64, and DeepDream."""

from functools import partial

import jax
import numpy as np
import pytest

from jaxdl import interpret
from jaxdl.nn.convolution.convolution import convolve
from jaxdl.nn.convolution.pooling import max_pool
from tests import peers

close = partial(np.testing.assert_allclose, rtol=1e-9, atol=1e-12)
RNG = np.random.default_rng(0)
KERNELS = RNG.normal(size=(3, 3, 3, 4)), RNG.normal(size=(3, 3, 4, 5)) / 3
CONTENT, STYLE = RNG.uniform(size=(1, 8, 9, 3)), RNG.uniform(size=(1, 10, 7, 3))
WEIGHTS = {"content_weight": 0.7, "style_weight": 30.0, "variation_weight": 0.2}


def features(x):
    first = jax.nn.relu(convolve(x, KERNELS[0].astype(x.dtype), padding=1))
    return {"first": first, "second": jax.nn.relu(convolve(max_pool(first, 2), KERNELS[1].astype(x.dtype)))}


@pytest.mark.usefixtures("float64")
def test_the_loss_and_its_gradient_are_those_of_torch():
    torch = peers.torch()
    functional = torch.nn.functional
    first, second = (torch.tensor(kernel.transpose(3, 2, 0, 1)) for kernel in KERNELS)

    def layers(x):
        h = functional.conv2d(x, first, padding=1).relu()
        return h, functional.conv2d(functional.max_pool2d(h, 2), second).relu()

    def gram(h):
        v = h[0].flatten(1)
        return v @ v.T / v.shape[1]

    x0 = RNG.uniform(size=CONTENT.shape)
    content, style, x = (torch.tensor(image.transpose(0, 3, 1, 2)) for image in (CONTENT, STYLE, x0))
    x.requires_grad_()
    found, of_content, of_style = layers(x), layers(content), layers(style)
    expected = 0.7 * 0.5 * (found[1] - of_content[1]).square().sum()
    for h, s in zip(found, of_style, strict=True):
        expected = expected + 30.0 / 2 * (gram(h) - gram(s)).square().sum() / (4 * h.shape[1] ** 2)
    down, across = x[..., 1:, :] - x[..., :-1, :], x[..., 1:] - x[..., :-1]
    expected = expected + 0.2 * (down.square().sum() + across.square().sum())
    expected.backward()
    loss = interpret.neural_style(
        features, CONTENT, STYLE, content_layers=["second"], style_layers=["first", "second"], **WEIGHTS
    )
    value, gradient = jax.jit(jax.value_and_grad(loss))(x0)
    close(value, expected.item())
    close(gradient, x.grad.numpy().transpose(0, 2, 3, 1))


@pytest.mark.usefixtures("float64")
def test_the_style_loss_is_that_of_gatys_for_images_of_one_size():
    V, S = RNG.normal(size=(2, 3, 4, 5))
    G, A = (np.einsum("hwc,hwd->cd", v, v) for v in (V, S))
    close(interpret.style_loss(V, interpret.gram_matrix(S)), np.sum((G - A) ** 2) / (4 * 5**2 * 12**2))
    close(interpret.content_loss(V, S), np.sum((V - S) ** 2) / 2)


def test_a_dream_strengthens_the_activations_at_every_size_and_stays_in_range():
    image = CONTENT.astype(np.float32)
    seen = []

    def activations(x):
        seen.append(x.shape[1:3])
        return x[:, 1:] - x[:, :-1]

    dream = partial(interpret.deep_dream, activations, octaves=2, steps=4, pixels=2, step_size=0.05)
    found = np.asarray(jax.jit(dream)(image, jax.random.key(0)))
    assert list(dict.fromkeys(seen)) == [(6, 6), (8, 9)]
    assert 0 <= found.min() <= found.max() <= 1
    assert np.mean(activations(found) ** 2) > 1.2 * np.mean(activations(image) ** 2)
    assert 0.02 < np.abs(found - image).mean() < 0.5


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: interpret.gram_matrix(np.ones((3, 4))), r"got \(3, 4\)"),
        (lambda: interpret.content_loss(np.ones((3, 4, 1)), np.ones((3, 5, 1))), r"got \(3, 4, 1\)"),
        (
            lambda: interpret.neural_style(features, CONTENT, STYLE, content_layers=["secnd"], style_layers=["first"]),
            "got 'secnd'; did you mean 'second'",
        ),
        (
            lambda: interpret.neural_style(features, CONTENT, STYLE, content_layers=["second"], style_layers=[]),
            r"got \('second',\) and \(\)",
        ),
        (lambda: interpret.deep_dream(features, CONTENT[0], None), r"got \(8, 9, 3\)"),
        (lambda: interpret.deep_dream(features, CONTENT, None, octaves=0), "got 0"),
        (lambda: interpret.deep_dream(features, CONTENT, None, scale=1.0), "got 1.0"),
        (lambda: interpret.deep_dream(features, CONTENT, None, octaves=9, scale=2.0), "got 9 and 2.0"),
    ],
)
def test_bad_input(call, match):
    with pytest.raises(ValueError, match=match):
        call()


def test_a_dream_refuses_an_image_outside_of_the_bounds():
    with pytest.raises(ValueError, match=r"within \(0.0, 1.0\), got values from 200 to 200"):
        interpret.deep_dream(lambda x: x, np.full((1, 4, 4, 1), 200, np.uint8), jax.random.key(0), octaves=1)
