"""PixelCNN: causality by the Jacobian, probabilities of all images, and torch's masked convolutions."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl import generative, models, tree
from jaxdl.models import PixelCNN
from tests.peers import torch
from tests.variables import draw

SMALL = PixelCNN(num_classes=3, num_layers=3, hidden_size=4, num_labels=2)
LABELS = np.array([0, 1])


def variables_of(model, shape, dtype):
    labels = np.zeros(1, int) if model.num_labels else None
    drawn = draw(model.init, jax.random.key(0), np.zeros((1, *shape), int), labels)
    return jax.tree.map(lambda leaf: jnp.asarray(2 * leaf, dtype), drawn)


@pytest.mark.usefixtures("float64")
def test_a_pixel_depends_on_exactly_the_pixels_before_it():
    model, (height, width) = SMALL.clone(num_layers=4, hidden_size=16, num_labels=0), (4, 5)
    x = np.random.default_rng(0).uniform(-1, 1, (height, width))

    @jax.jit
    def jacobian(variables, x):
        def logits(x):
            return model.apply(variables, x[None], method="from_brightness")[0][0]

        return jnp.any(jax.jacrev(logits)(x) != 0, axis=2)

    seen = np.asarray(jacobian(variables_of(model, (height, width), jnp.float64), x)).reshape(20, 20)
    # The receptive field of four layers reaches every pixel before: no blind spot either.
    np.testing.assert_array_equal(seen, np.tril(np.ones((20, 20), bool), -1))


@pytest.mark.usefixtures("float64")
def test_the_probabilities_of_all_images_sum_to_one_and_samples_have_them():
    images = np.array(list(itertools.product(range(3), repeat=4))).reshape(81, 2, 2)
    variables, count = variables_of(SMALL, (2, 2), jnp.float64), 8000

    @jax.jit
    def run(variables, images):
        def network(label):
            return lambda x: SMALL.apply(variables, x, jnp.full(len(x), label))

        p = jnp.stack([jnp.exp(generative.pixel_log_likelihood(network(y)(images), images)) for y in (0, 1)])
        drawn = generative.sample_pixels(jax.random.key(0), network(1), jnp.zeros((count, 2, 2), int))
        return p, drawn

    p, drawn = run(variables, images)
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-12)
    assert np.abs(p[0] - p[1]).sum() > 0.1
    numbers = np.asarray(drawn).reshape(count, 4) @ [27, 9, 3, 1]
    shares = np.bincount(numbers, minlength=81) / count
    p = np.asarray(p)
    assert np.abs(shares - p[1]).sum() / 2 < 0.06
    assert np.abs(shares - p[0]).sum() / 2 > 0.08


def test_the_given_pixels_stay_and_a_low_temperature_takes_the_most_probable(key):
    variables = variables_of(SMALL, (3, 3), jnp.float32)
    given = np.random.default_rng(0).integers(0, 3, (2, 3, 3))
    given[:, 2] = 7  # not valid, and not looked at

    @jax.jit
    def run(variables, x):
        def network(x):
            return SMALL.apply(variables, x, LABELS)

        drawn = generative.sample_pixels(key, network, x, start=5, temperature=1e-4)
        return drawn, jnp.argmax(network(drawn), axis=-1)

    drawn, best = (np.asarray(each).reshape(2, 9) for each in run(variables, given))
    np.testing.assert_array_equal(drawn[:, :5], given.reshape(2, 9)[:, :5])
    np.testing.assert_array_equal(drawn[:, 5:], best[:, 5:])


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize(("model", "labels"), [(SMALL.clone(kernel_size=5), LABELS), (SMALL.clone(num_labels=0), None)])
def test_sampling_with_what_was_kept_draws_the_same_images(model, labels, key):
    variables = variables_of(model, (4, 5), jnp.float64)
    given = np.random.default_rng(0).integers(0, 3, (2, 4, 5))

    @jax.jit
    def run(variables, x):
        options = {"start": 7, "temperature": 0.7}
        kept = models.generative.sample_pixel_cnn(key, model, variables, x, labels=labels, **options)
        return kept, generative.sample_pixels(key, lambda x: model.apply(variables, x, labels), x, **options)

    kept, whole = run(variables, given)
    np.testing.assert_array_equal(kept, whole)
    assert len(np.unique(np.asarray(kept)[:, 2:])) == 3


def torch_pixel_cnn(params, x, labels):
    """Run the same network with masked kernels of full size, as the paper has them; also return its weights."""
    library, leaves = torch(), {}
    functional = library.nn.functional
    for path, leaf in tree.flatten(params).items():
        leaves[path] = library.tensor(np.asarray(leaf), requires_grad=True)

    def conv(name, x, zeros):
        """Embed the kernel in one of 5 x 5 pixels, whose other entries a mask would hide."""
        kernel = functional.pad(leaves[f"{name}/kernel"].permute(3, 2, 0, 1), zeros)
        return functional.conv2d(x, kernel, leaves[f"{name}/bias"], padding=2)

    def dense(name, x):
        return functional.linear(x.movedim(1, -1), leaves[f"{name}/kernel"].T, leaves[f"{name}/bias"]).movedim(-1, 1)

    def gate(x):
        a, b = x.chunk(2, dim=1)
        return a.tanh() * b.sigmoid()

    x = library.tensor(2 * x / 2 - 1, dtype=library.float64)[:, None]
    v = h = library.cat([x, library.ones_like(x)], dim=1)
    for number in (1, 2, 3):
        name, first = f"layer{number}", int(number == 1)
        label = leaves[f"{name}_label/embedding"][library.tensor(labels)][:, :, None, None]
        # Rows i - 1 and i (the first time i - 2 and i - 1) of the vertical stack; likewise the columns of the other.
        seen = conv(f"{name}_vertical", v, (1, 1, 1 - first, 2 + first))
        z = conv(f"{name}_horizontal", h, (1 - first, 2 + first, 2, 2))
        y = dense(f"{name}_output", gate(z + dense(f"{name}_across", seen) + label))
        v, h = gate(seen + label), y if first else h + y
    return dense("output", dense("dense", h.relu()).relu()).movedim(1, -1), leaves


@pytest.mark.usefixtures("float64")
def test_logits_and_gradients_match_masked_convolutions_of_torch():
    params = variables_of(SMALL, (4, 5), jnp.float64)["params"]
    x = np.random.default_rng(0).integers(0, 3, (2, 4, 5))

    @jax.jit
    def run(params):
        def loss(params):
            logits = SMALL.apply({"params": params}, x, LABELS)
            return -jnp.mean(generative.pixel_log_likelihood(logits, x)) / 20, logits

        return jax.grad(loss, has_aux=True)(params)

    gradient, logits = run(params)
    expected, leaves = torch_pixel_cnn(params, x, LABELS)
    np.testing.assert_allclose(logits, expected.detach().numpy(), rtol=1e-9, atol=1e-11)
    torch().nn.functional.cross_entropy(expected.flatten(0, 2), torch().tensor(x).flatten()).backward()
    for path, leaf in tree.flatten(gradient).items():
        np.testing.assert_allclose(leaf, leaves[path].grad.numpy(), rtol=1e-8, atol=1e-11, err_msg=path)


@pytest.mark.parametrize(
    ("x", "options", "got"),
    [
        (np.zeros((1, 2, 2), np.float32), {}, "float32"),
        (np.zeros((2, 2), int), {}, r"\(2, 2\)"),
        (np.full((1, 2, 2), 3), {}, "got 3"),
        (np.zeros((1, 2, 2), int), {"labels": np.zeros(1, int)}, r"\(1,\) with num_labels=0"),
    ],
)
def test_invalid_images_and_labels_raise(x, options, got, key):
    with pytest.raises(ValueError, match=got):
        SMALL.clone(num_labels=0).init(key, x, **options)


@pytest.mark.parametrize(("changes", "got"), [({"start": 5}, "got 5"), ({"temperature": 0.0}, "got 0.0")])
def test_invalid_settings_of_sampling_raise(changes, got, key):
    with pytest.raises(ValueError, match=got):
        generative.sample_pixels(key, lambda x: x, np.zeros((1, 2, 2), int), **changes)
    with pytest.raises(ValueError, match=got):
        models.generative.sample_pixel_cnn(key, SMALL, {}, np.zeros((1, 2, 2), int), **changes)
