"""Filters against numbers by hand and scipy's."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl.nn.convolution import filters
from jaxdl.nn.convolution.convolution import convolve

SCIPY_MODES = {"symmetric": "reflect", "reflect": "mirror", "edge": "nearest", "constant": "constant", "wrap": "wrap"}


@pytest.fixture
def image():
    return np.random.RandomState(0).standard_normal((9, 8))


@pytest.mark.parametrize("mode", SCIPY_MODES)
@pytest.mark.usefixtures("float64")
def test_filters_are_those_of_scipy_at_every_border(mode, image):
    ndimage = pytest.importorskip("scipy.ndimage", reason="parity with scipy")
    kernel, theirs = np.random.RandomState(1).standard_normal((3, 5)), {"mode": SCIPY_MODES[mode]}

    @jax.jit
    def compute(x):
        blurs = [filters.box_blur(x, 5, mode=mode), filters.gaussian_blur(x, 0.8, mode=mode)]
        edges = [filters.laplacian(x, mode=mode), *filters.sobel(x, mode=mode)]
        return [
            filters.correlate(x, kernel, mode=mode),
            filters.convolve_true(x, kernel, mode=mode),
            *blurs,
            *edges,
            filters.high_pass(x, 0.8, mode=mode),
        ]

    blurred = ndimage.gaussian_filter(image, 0.8, **theirs)
    expected = [
        ndimage.correlate(image, kernel, **theirs),
        ndimage.convolve(image, kernel, **theirs),
        ndimage.uniform_filter(image, 5, **theirs),
        blurred,
        ndimage.laplace(image, **theirs),
        ndimage.sobel(image, axis=0, **theirs),
        ndimage.sobel(image, axis=1, **theirs),
        image - blurred,
    ]
    for number, (y, e) in enumerate(zip(compute(image[..., None]), expected, strict=True)):
        np.testing.assert_allclose(y[..., 0], e, atol=1e-12, err_msg=str(number))


@pytest.mark.usefixtures("float64")
def test_a_point_becomes_the_kernel_by_convolution_and_the_flipped_kernel_by_correlation():
    signal = pytest.importorskip("scipy.signal", reason="parity with scipy")
    point, kernel = np.zeros((5, 5)), np.arange(9.0).reshape(3, 3)
    point[2, 2] = 1

    @jax.jit
    def compute(x):
        results = [function(x, kernel, mode="constant") for function in (filters.convolve_true, filters.correlate)]
        return [y[..., 0] for y in (*results, convolve(x, kernel[..., None, None], padding=1))]

    true, correlated, network = compute(point[..., None])
    np.testing.assert_array_equal(true[1:4, 1:4], kernel)
    np.testing.assert_array_equal(correlated[1:4, 1:4], kernel[::-1, ::-1])
    np.testing.assert_allclose(true, signal.convolve2d(point, kernel, mode="same"), atol=1e-12)
    np.testing.assert_allclose(correlated, signal.correlate2d(point, kernel, mode="same"), atol=1e-12)
    np.testing.assert_array_equal(correlated, network)


def test_numbers_by_hand():
    image = np.array([[1, 2, 3], [4, 6, 8], [7, 8, 9]], np.float32)[..., None]

    @jax.jit
    def centre(x):
        results = [filters.box_blur(x), filters.sharpen(x), filters.sharpen(x, 0.5), filters.laplacian(x)]
        results += [*filters.sobel(x), filters.correlate(x, filters.HIGH_PASS)]
        return jnp.stack([y[1, 1, 0] for y in results])

    # sums: all 48, four neighbours 22; rows 7 + 16 + 9 - (1 + 4 + 3); columns 3 + 16 + 9 - (1 + 8 + 7)
    expected = [48 / 9, 5 * 6 - 22, 6 - 0.5 * (22 - 24), 22 - 24, 24, 12, 6 - 48 / 9]
    np.testing.assert_allclose(centre(image), expected, rtol=1e-6)


def test_what_blurs_keeps_the_mean_and_what_finds_edges_does_not_see_it():
    kernels = {name: getattr(filters, name) for name in ("LAPLACE", "HIGH_PASS", "SOBEL_ROWS", "SOBEL_COLUMNS")}
    for name, kernel in kernels.items():
        assert abs(kernel.sum()) < 1e-6, name
    assert filters.SHARPEN.sum() == 1
    assert filters.gaussian(2.0).sum() == pytest.approx(1)
    assert len(filters.gaussian(2.0)) == 17


def test_channels_and_leading_dimensions_are_filtered_alone(image):
    stack = np.stack([image, 2 * image, -image], axis=-1).astype(np.float32)

    @jax.jit
    def compute(x):
        return filters.gaussian_blur(x), filters.gaussian_blur(x[None, None]), jax.vmap(filters.gaussian_blur)(x[None])

    alone, nested, mapped = compute(stack)
    np.testing.assert_allclose(alone, alone[..., :1] * np.array([1, 2, -1], np.float32)[None, None], atol=1e-6)
    np.testing.assert_allclose(nested[0, 0], alone, atol=1e-6)
    np.testing.assert_allclose(mapped[0], alone, atol=1e-6)


def test_dtypes_stay_and_integers_become_floating():
    blur = jax.jit(filters.box_blur)
    assert blur(jnp.ones((4, 4, 1), jnp.bfloat16)).dtype == jnp.bfloat16
    assert blur(np.full((4, 4, 1), 255, np.uint8)).max() == pytest.approx(255)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: filters.correlate(np.ones((4, 4, 1)), np.ones((2, 3))), r"got \(2, 3\)"),
        (lambda: filters.correlate(np.ones((4, 4)), np.ones((3, 3))), r"got \(4, 4\)"),
        (lambda: filters.correlate(np.ones((4, 4, 1)), np.ones((3, 3)), mode="mirror"), "got 'mirror'"),
        (lambda: filters.box_blur(np.ones((4, 4, 1)), 2), "got 2"),
        (lambda: filters.gaussian_blur(np.ones((4, 4, 1)), 0.0), r"got 0\.0"),
    ],
)
def test_invalid_arguments_raise(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("sigma", [0.0, -1.0, np.nan])
def test_a_width_that_is_not_positive_is_refused(sigma):
    with pytest.raises(ValueError, match="expected sigma > 0"):
        filters.gaussian(sigma)
