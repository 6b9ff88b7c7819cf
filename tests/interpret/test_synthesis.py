"""Maximization, inversion and patches against closed forms, numpy, optax and brute force."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxdl import interpret, optim
from jaxdl.nn.convolution.convolution import convolve
from jaxdl.nn.convolution.pooling import max_pool

close = partial(np.testing.assert_allclose, rtol=1e-9, atol=1e-11)
RNG = np.random.default_rng(0)
IMAGES = RNG.normal(size=(2, 5, 6, 2))
W = RNG.normal(size=(60, 7)) / 8


def score(x):
    return jnp.sum(jnp.tanh(x.reshape(len(x), -1) @ W.astype(x.dtype)), axis=-1)


@pytest.mark.usefixtures("float64")
def test_total_variation_and_its_gradient_by_a_loop():
    def loop(x, beta):
        total = 0.0
        for h, w, c in np.ndindex(x.shape):
            across = x[h, w + 1, c] - x[h, w, c] if w + 1 < x.shape[1] else 0
            down = x[h + 1, w, c] - x[h, w, c] if h + 1 < x.shape[0] else 0
            total += (across**2 + down**2) ** (beta / 2)
        return total

    for beta in (1.0, 2.0, 2.5):
        compute = jax.jit(partial(interpret.total_variation, beta=beta))
        close(compute(IMAGES), [loop(x, beta) for x in IMAGES])
    x, step = IMAGES[:1], np.zeros((1, 5, 6, 2))
    step[0, 2, 3, 1] = 1e-6
    gradient = jax.jit(jax.grad(lambda x: interpret.total_variation(x, beta=1.0)[0]))
    change = loop((x + step)[0], 1.0) - loop((x - step)[0], 1.0)
    close(gradient(x)[0, 2, 3, 1], change / 2e-6, rtol=1e-6)
    assert not np.asarray(gradient(np.ones_like(x))).any()


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("size", [(5, 6), (4, 7)])
def test_fourier_images_have_their_scaled_spectrum(size):
    x = RNG.normal(size=(2, *size, 3))
    there, back = jax.jit(
        lambda x: (z := interpret.fourier_spectrum(x), interpret.fourier_image(z, x.shape[2])), static_argnums=()
    )(x)
    close(back, x)
    frequency = np.hypot(np.fft.fftfreq(size[0])[:, None], np.fft.rfftfreq(size[1])[None])
    expected = np.fft.rfft2(x, axes=(1, 2), norm="ortho") * np.maximum(frequency, 1 / max(size))[None, :, :, None]
    close(there[..., 0] + 1j * there[..., 1], expected)


@pytest.mark.usefixtures("float64")
def test_a_linear_unit_is_largest_for_its_own_weights():
    kernel = RNG.normal(size=(3, 3, 2, 4))
    best = interpret.linear_maximizer(kernel)
    close(np.linalg.norm(best.reshape(4, -1), axis=1), 1)
    values = np.einsum("khwc,hwck->k", best, kernel)
    close(values, np.linalg.norm(kernel.reshape(-1, 4), axis=0))
    other = RNG.normal(size=(1000, 18))
    other /= np.linalg.norm(other, axis=1, keepdims=True)
    assert ((other @ kernel.reshape(18, 4)) < values).all()


@pytest.mark.usefixtures("float64")
def test_the_line_search_never_lowers_the_score():
    def decode(z):
        return jax.nn.sigmoid(interpret.fourier_image(z, 6))

    def penalty(x):
        return 0.01 * jnp.sum(x**2)

    @jax.jit
    def run(pixels, spectrum):
        search = interpret.maximize_by_line_search
        return search(score, pixels, 15, penalty=penalty), search(score, spectrum, 15, decode=decode)

    pixels, fourier = run(np.zeros((1, 5, 6, 2)), np.zeros((1, 5, 4, 2, 2)))
    for found in (pixels, fourier):
        assert (np.diff(found.losses) <= 0).all()
        assert found.losses[-1] < found.losses[0] - 0.5
    close(pixels.losses[0], 0)
    image = decode(fourier.params)
    assert 0 < image.min() < image.max() < 1


@pytest.mark.usefixtures("float64")
def test_the_loop_is_that_of_the_optimizer_and_continues_from_its_state():
    target, optimizer, clip = np.asarray(score(IMAGES)) + 0.3, optim.adam(0.1), partial(jnp.clip, min=-1, max=1)

    def loss(x):
        return jnp.sum((score(x) - target) ** 2)

    @jax.jit
    def step(x, state):
        value, g = jax.value_and_grad(loss)(x)
        updates, state = optimizer.update(g, state, x)
        return clip(optax.apply_updates(x, updates)), state, value

    x, state, values = IMAGES, optimizer.init(jnp.asarray(IMAGES)), []
    for _ in range(4):
        x, state, value = step(x, state)
        values.append(value)
    minimize = jax.jit(partial(interpret.minimize, loss, optimizer=optimizer, steps=2, project=clip))
    half = minimize(IMAGES)
    found = minimize(half.params, state=half.state)
    close(found.params, x)
    close(np.concatenate([half.losses, found.losses]), values)


def test_jitter_uses_a_new_key_in_every_step_and_shifts_around():
    x = np.arange(30.0).reshape(1, 5, 6, 1)
    shift = jax.jit(jax.vmap(lambda key: interpret.jitter(key, jnp.asarray(x), 2)))
    shifted = np.asarray(shift(jax.random.split(jax.random.key(0), 40)))[:, 0, :, :, 0]
    allowed = {np.roll(x[0, :, :, 0], (d, r), (0, 1)).tobytes() for d in range(-2, 3) for r in range(-2, 3)}
    seen = {each.astype(np.float64).tobytes() for each in shifted}
    assert seen <= allowed
    assert len(seen) > 10
    find = partial(interpret.maximize, score, optimizer=optim.sgd(0.1), steps=20, key=jax.random.key(0))
    moved = jax.jit(partial(find, transform=lambda key, x: interpret.jitter(key, x, 1)))(np.zeros_like(ONES))
    assert moved.losses[-1] < moved.losses[0]
    assert len(np.unique(moved.losses)) == 20


def test_inversion_finds_an_image_of_the_same_embedding():
    embed = lambda x: jnp.tanh(x.reshape(len(x), -1) @ W.astype(x.dtype))  # noqa: E731
    image = IMAGES.astype(np.float32)
    target = embed(image)
    run = jax.jit(lambda start: interpret.minimize(interpret.inversion_loss(embed, target), start, optax.lbfgs(), 25))
    found = run(np.zeros_like(image))
    close(found.losses[0], 1, rtol=1e-5)
    assert found.losses[-1] < 1e-4
    regular = interpret.inversion_loss(embed, target, variation=0.5)(image)
    close(regular, 0.5 * np.sum(interpret.total_variation(image)) / 60, rtol=1e-5)


KERNELS = RNG.normal(size=(3, 3, 1, 2)).astype(np.float32), RNG.normal(size=(3, 3, 2, 3)).astype(np.float32)
LAYERS = [
    interpret.Layer(3, padding=1),
    interpret.Layer(2, stride=2),
    interpret.Layer(3, stride=2, padding=2, dilation=2),
]


def features(x):
    x = max_pool(convolve(x, KERNELS[0], padding=1), 2)
    return convolve(x, KERNELS[1], stride=2, padding=2, dilation=2)


def test_receptive_intervals_are_where_pixels_matter():
    x = RNG.normal(size=(1, 16, 16, 1)).astype(np.float32)
    sum_of = jax.jit(jax.vmap(jax.grad(lambda x, row: jnp.sum(jnp.abs(features(x)[0, row]))), (None, 0)))
    gradients = np.asarray(sum_of(x, np.arange(4)))
    assert features(x).shape[1] == 4
    for row, gradient in enumerate(gradients):
        start, stop = interpret.receptive_interval(LAYERS, row)
        inside = np.flatnonzero(np.abs(gradient[0]).sum(axis=(1, 2)))
        assert max(start, 0) <= inside.min() <= inside.max() < stop
        if row:  # within the pooling windows only one pixel has a gradient
            assert inside.min() - start < 3
    assert interpret.receptive_interval([interpret.Layer(11, 4, 2)], 3) == (10, 21)


def test_maximal_patches_by_brute_force():
    images = RNG.normal(size=(7, 16, 16, 1)).astype(np.float32)
    maps = np.array(jax.jit(features)(images))
    found = interpret.maximal_patches(features, images, 3, batch_size=4)
    patches = interpret.cut_patches(images, found, LAYERS, fill=9.0)
    padded = np.pad(images, ((0, 0), (12, 12), (12, 12), (0, 0)), constant_values=9.0)
    for channel in range(3):
        best = maps[..., channel].reshape(7, -1).max(axis=1)
        order = np.argsort(-best)[:3]
        close(found.activations[:, channel], best[order], rtol=1e-5)
        assert found.image[:, channel].tolist() == order.tolist()
        for place in range(3):
            row, column = found.row[place, channel], found.column[place, channel]
            close(maps[order[place], row, column, channel], best[order[place]], rtol=1e-5)
            top, left = (interpret.receptive_interval(LAYERS, int(at))[0] + 12 for at in (row, column))
            side = patches.shape[2]
            assert np.array_equal(patches[place, channel], padded[order[place], top : top + side, left : left + side])


def test_the_patch_alone_gives_the_activation():
    images = RNG.normal(size=(5, 9, 9, 1)).astype(np.float32)
    images[1, 4, 4] = np.nan
    convolution = partial(convolve, kernel=KERNELS[0], stride=2)
    found = interpret.maximal_patches(convolution, images, 9)
    assert len(found.image) == 5  # all
    patches = interpret.cut_patches(images, found, [interpret.Layer(3, 2)])
    again = np.einsum("nkhwc,hwck->nk", patches[:4], KERNELS[0])
    close(again, found.activations[:4], rtol=1e-4)
    assert (found.activations[0] >= found.activations[3]).all()


ONES = np.ones((1, 5, 6, 2), np.float32)


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: interpret.minimize(jnp.sum, ONES, optim.sgd(1.0), 0), "got 0"),
        (lambda: interpret.minimize(lambda x: x, ONES, optim.sgd(1.0), 1), r"got \(1, 5, 6, 2\)"),
        (lambda: interpret.maximize(lambda x: x, ONES, optim.sgd(1.0), 1), r"got \(1, 5, 6, 2\)"),
        (lambda: interpret.maximize_by_line_search(score, ONES, 1, initial_step=0), "got 0"),
        (lambda: interpret.total_variation(ONES[0]), r"got \(5, 6, 2\)"),
        (lambda: interpret.total_variation(ONES, beta=0.0), "got 0.0"),
        (lambda: interpret.fourier_image(jnp.zeros((1, 5, 6, 2, 2)), 6), r"got \(1, 5, 6, 2, 2\)"),
        (lambda: interpret.inversion_loss(score, np.ones(3))(ONES), r"got \(1,\)"),
        (lambda: interpret.receptive_interval([interpret.Layer(3, padding=-1)], 0), "padding=-1"),
        (lambda: interpret.receptive_interval([interpret.Layer(0)], 0), r"got \(0, 1, 1\)"),
        (lambda: interpret.maximal_patches(features, IMAGES, 0), "got 0"),
        (lambda: interpret.maximal_patches(features, IMAGES[:0], 1), r"got \(0, 5, 6, 2\)"),
        (lambda: interpret.maximal_patches(score, ONES, 1), r"got \(1,\)"),
        (
            lambda: interpret.cut_patches(ONES, interpret.Patches(*np.full((4, 1, 1), 5)), [interpret.Layer(1, 2)]),
            "got 10 to 11",
        ),
    ],
)
def test_bad_input(call, match):
    with pytest.raises(ValueError, match=match):
        call()
