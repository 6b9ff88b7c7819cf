"""Augmentation against interpolation and filters of scipy, and invariants of each transformation."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl.data import augmentation

SCIPY_MODES = {"constant": "grid-constant", "edge": "nearest", "reflect": "mirror", "wrap": "grid-wrap"}
IDENTITIES = {
    "shift": partial(augmentation.shift, down=0, right=0),
    "flip": partial(augmentation.flip, probability=0.0),
    "rotate": partial(augmentation.rotate, degrees=0),
    "scale": partial(augmentation.scale, factor=(1.0, 1.0)),
    "crop": partial(augmentation.crop, height=6, width=5),
    "blur": partial(augmentation.blur, sigma=(0.0, 0.0), radius=2),
    "noise": partial(augmentation.noise, std=0.0),
    "cutout": partial(augmentation.cutout, size=0),
    "elastic": partial(augmentation.elastic, strength=0.0, sigma=0.5),
}
TRANSFORMATIONS = {
    "shift": augmentation.shift,
    "flip": augmentation.flip,
    "rotate": augmentation.rotate,
    "scale": augmentation.scale,
    "crop": partial(augmentation.crop, height=6, width=5, padding=2),
    "blur": partial(augmentation.blur, radius=2),
    "noise": augmentation.noise,
    "cutout": partial(augmentation.cutout, size=3),
    "elastic": partial(augmentation.elastic, sigma=0.5, strength=2.0),
}


@pytest.fixture
def ndimage():
    return pytest.importorskip("scipy.ndimage", reason="scipy.ndimage is the peer")


@pytest.fixture
def images():
    return np.random.default_rng(0).uniform(size=(3, 6, 5, 2)).astype(np.float32)


def planes(function, images):
    """Apply ``function(index, plane)`` to every channel of every example."""
    images = np.asarray(images, np.float64)
    stacked = [
        np.stack([function(i, image[..., c]) for c in range(image.shape[-1])], -1) for i, image in enumerate(images)
    ]
    return np.stack(stacked)


def in_every_mode(function):
    """Compile one program that applies a function in all modes."""
    return jax.jit(lambda *arguments: {mode: function(*arguments, mode=mode) for mode in augmentation.MODES})


def all_of(functions):
    """Compile one program that applies all functions, by name."""
    return jax.jit(lambda key, images: {name: function(key, images) for name, function in functions.items()})


@pytest.mark.usefixtures("float64")
def test_warp_agrees_with_scipy(ndimage):
    generator = np.random.default_rng(1)
    images = generator.uniform(size=(2, 6, 5, 2))
    coordinates = generator.uniform(-12, 17, size=(2, 40, 3, 2))
    ours = in_every_mode(partial(augmentation.warp, fill=0.25))(images, coordinates)
    places = np.moveaxis(coordinates, -1, 1)
    for mode, sampled in ours.items():

        def theirs(i, plane, mode=SCIPY_MODES[mode]):
            return ndimage.map_coordinates(plane, places[i], order=1, mode=mode, cval=0.25)

        np.testing.assert_allclose(sampled, planes(theirs, images), atol=1e-12, err_msg=mode)


@pytest.mark.usefixtures("float64")
def test_affine_transformations_agree_with_scipy(ndimage, key):
    generator = np.random.default_rng(2)
    images, matrices = generator.uniform(size=(2, 7, 7, 1)), generator.normal(size=(2, 2, 2))

    def theirs(matrix, mode):
        offset = np.full(2, 3.0) - matrix @ np.full(2, 3.0)
        return lambda i, plane: ndimage.affine_transform(plane, matrix, offset, order=1, mode=mode)

    @jax.jit
    def ours(images):
        return (
            augmentation.affine(images[:1], matrices[:1], mode="edge"),
            augmentation.rotate(key, images, (25.0, 25.0)),
            augmentation.scale(key, images, (1.5, 1.5), mode="reflect"),
            augmentation.rotate(key, images, (90.0, 90.0)),
        )

    affine, rotated, scaled, quarter = ours(images)
    np.testing.assert_allclose(affine, planes(theirs(matrices[0], "nearest"), images[:1]), atol=1e-12)
    expected = planes(lambda i, x: ndimage.rotate(x, 25, order=1, reshape=False, mode="grid-constant"), images)
    np.testing.assert_allclose(rotated, expected, atol=1e-12)
    np.testing.assert_allclose(scaled, planes(theirs(np.eye(2) / 1.5, "mirror"), images), atol=1e-12)
    np.testing.assert_allclose(quarter, np.rot90(images, axes=(1, 2)), atol=1e-12)


@pytest.mark.usefixtures("float64")
def test_blur_agrees_with_scipy(ndimage, key):
    images = np.random.default_rng(4).uniform(size=(2, 6, 5, 2))
    ours = in_every_mode(partial(augmentation.blur, sigma=(1.3, 1.3), radius=3))(key, images)
    for mode, blurred in ours.items():

        def theirs(i, x, mode=SCIPY_MODES[mode]):
            return ndimage.gaussian_filter(x, 1.3, mode=mode, radius=3)

        np.testing.assert_allclose(blurred, planes(theirs, images), atol=1e-12, err_msg=mode)


@pytest.mark.usefixtures("float64")
def test_elastic_agrees_with_scipy(ndimage, key):
    images = np.random.default_rng(5).uniform(size=(2, 9, 8, 1))
    ours = jax.jit(partial(augmentation.elastic, strength=5.0, sigma=0.8))(key, images)
    field = np.asarray(jax.random.uniform(key, (2, 9, 8, 2), minval=-1.0, maxval=1.0))
    grid = np.stack(np.meshgrid(np.arange(9), np.arange(8), indexing="ij"))

    def theirs(i, plane):
        offsets = [ndimage.gaussian_filter(field[i, ..., axis], 0.8, mode="constant") for axis in (0, 1)]
        return ndimage.map_coordinates(plane, grid + 5 * np.stack(offsets), order=1, mode="grid-constant")

    np.testing.assert_allclose(ours, planes(theirs, images), atol=1e-12)


def test_an_integer_shift_is_a_padded_slice(images, key):
    ours = in_every_mode(partial(augmentation.shift, down=(2, 2), right=(-1, -1)))(key, images)
    for mode, moved in ours.items():
        padded = np.pad(images, ((0, 0), (2, 2), (2, 2), (0, 0)), mode=mode)
        np.testing.assert_array_equal(moved, padded[:, 0:6, 3:8], err_msg=mode)
    np.testing.assert_array_equal(ours["wrap"], np.roll(images, (2, -1), axis=(1, 2)))


@pytest.mark.parametrize("axis", ["horizontal", "vertical"])
def test_flip_is_an_involution(axis, images, key):
    flip = jax.jit(partial(augmentation.flip, probability=1.0, axis=axis))
    np.testing.assert_array_equal(flip(key, images), np.flip(images, 2 if axis == "horizontal" else 1))
    np.testing.assert_array_equal(flip(key, flip(key, images)), images)


def test_an_integer_shift_is_uniform(key):
    image = np.zeros((2000, 5, 5, 1), np.float32)
    image[:, 2, 2] = 1.0
    moved = np.asarray(jax.jit(augmentation.shift)(key, image))
    np.testing.assert_array_equal(moved.sum((1, 2, 3)), 1)
    expected = 2000 / 25
    assert (np.abs(moved.sum((0, 3)) - expected) < 4.5 * np.sqrt(expected)).all()


def test_a_crop_is_a_window_of_the_padded_image(images, key):
    crops = np.asarray(jax.jit(lambda images: augmentation.crop(key, images, 4, 3, padding=1))(images))
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0))), (4, 3), (1, 2))
    for i in range(3):
        same = (windows[i] == np.moveaxis(crops[i], -1, 0)).all((-3, -2, -1))
        assert same.sum() == 1


def test_cutout_masks_one_square(key):
    images = jnp.ones((200, 8, 9, 3))
    masked = np.asarray(jax.jit(augmentation.cutout)(key, images, 4)) == 0
    assert (masked == masked[..., :1]).all()
    counts = masked[..., 0].sum((1, 2))
    assert counts.min() >= 4
    assert counts.max() == 16
    rows, columns = masked[..., 0].any(2), masked[..., 0].any(1)
    np.testing.assert_array_equal(masked[..., 0], rows[:, :, None] & columns[:, None, :])


def test_noise_has_the_given_standard_deviation(key):
    noisy = np.asarray(augmentation.noise(key, np.full((4, 16, 16, 3), 0.5, np.float32), 0.2))
    assert noisy.std() == pytest.approx(0.2, rel=4.5 / np.sqrt(2 * noisy.size))


def test_zero_strength_is_the_identity(images, key):
    for name, changed in all_of(IDENTITIES)(key, images).items():
        np.testing.assert_array_equal(changed, images, err_msg=name)


def test_examples_differ_and_equal_keys_give_equal_results(key):
    image = np.random.default_rng(6).uniform(size=(1, 6, 5, 1)).astype(np.float32)
    images = np.repeat(image, 16, axis=0)
    transform = all_of(TRANSFORMATIONS)
    first, again, other = (jax.device_get(transform(k, images)) for k in (key, key, jax.random.key(1)))
    for name, changed in first.items():
        np.testing.assert_array_equal(changed, again[name], err_msg=name)
        assert (changed != other[name]).any(), name
        assert len(np.unique(np.asarray(changed).reshape(16, -1), axis=0)) > 1, name
        assert changed.dtype == jnp.float32, name
        assert np.isfinite(changed).all(), name


def test_compose_applies_functions_in_order_to_images_only(images, key):
    batch = {"image": images, "label": jnp.arange(3), "mask": jnp.ones(3)}
    augment = augmentation.compose(augmentation.flip, lambda key, x: x + 1, lambda key, x: 2 * x)
    after = jax.jit(augment)(key, batch)
    np.testing.assert_array_equal(after["label"], batch["label"])
    np.testing.assert_array_equal(after["mask"], batch["mask"])
    flipped = augmentation.flip(jax.random.split(key, 3)[0], images)
    np.testing.assert_allclose(after["image"], 2 * (flipped + 1), rtol=1e-6)
    assert augmentation.compose()(key, batch).keys() == batch.keys()
    other = augmentation.compose(augmentation.noise, name="picture")(key, {"picture": images})
    assert (other["picture"] != images).any()


def test_half_precision_is_kept_and_parameters_may_be_traced(images, key):
    shapes = jax.eval_shape(all_of(TRANSFORMATIONS), key, images.astype(jnp.bfloat16))
    assert {name for name, shape in shapes.items() if shape.dtype != jnp.bfloat16} == set()

    @jax.jit
    def traced(m):
        return augmentation.shift(key, augmentation.rotate(key, images, (m, m)), m, m)

    np.testing.assert_array_equal(traced(0.0), images)


@pytest.mark.parametrize(
    ("call", "error", "got"),
    [
        (lambda k, x: augmentation.shift(k, x[0]), ValueError, r"shape \(6, 5, 2\)"),
        (lambda k, x: augmentation.noise(k, jnp.uint8(x)), TypeError, "uint8"),
        (lambda k, x: augmentation.rotate(k, x, -5), ValueError, "-5"),
        (lambda k, x: augmentation.rotate(k, x, (5, 1)), ValueError, r"\(5, 1\)"),
        (lambda k, x: augmentation.scale(k, x, 0.1), ValueError, "0.1"),
        (lambda k, x: augmentation.scale(k, x, (0, 1)), ValueError, "0"),
        (lambda k, x: augmentation.flip(k, x, axis="up"), ValueError, "'up'"),
        (lambda k, x: augmentation.flip(k, x, 1.5), ValueError, "1.5"),
        (lambda k, x: augmentation.crop(k, x, 7, 5), ValueError, "7 x 5"),
        (lambda k, x: jax.jit(lambda high: augmentation.blur(k, x, (0, high)))(1.0), ValueError, "(Jit|Dynamic)"),
        (lambda k, x: augmentation.shift(k, x, mode="mirror"), ValueError, "'mirror'"),
        (lambda k, x: augmentation.warp(x, jnp.zeros((3, 6, 5))), ValueError, r"shape \(3, 6, 5\)"),
        (lambda k, x: augmentation.affine(x, jnp.eye(2)), ValueError, r"shape \(2, 2\)"),
    ],
)
def test_arguments_are_checked(call, error, got, images, key):
    with pytest.raises(error, match=f"got {got}"):
        call(key, images)


def test_sigma_may_be_a_number_of_any_kind(key):
    images = np.random.default_rng(0).random((1, 4, 4, 1), dtype=np.float32)
    for sigma in (np.float32(0.5), np.array(0.5), jnp.array(0.5)):
        np.testing.assert_array_equal(
            augmentation.elastic(key, images, sigma=sigma), augmentation.elastic(key, images, sigma=0.5)
        )
    with pytest.raises(ValueError, match="low, high"):
        augmentation.blur(key, images, (np.float32(1), np.float32(0)), radius=1)


def test_a_range_may_be_a_list():
    images = jnp.asarray(np.random.default_rng(0).uniform(size=(2, 6, 6, 1)), jnp.float32)
    for function, value in (
        (augmentation.rotate, (-10, 10)),
        (augmentation.scale, (0.8, 1.2)),
        (augmentation.blur, (0.1, 1.0)),
    ):
        found, expected = (function(jax.random.key(0), images, kind(value)) for kind in (list, tuple))
        np.testing.assert_array_equal(found, expected)
