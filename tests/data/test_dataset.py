"""Resizing and standardization of images, against JAX, torch and formulas."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl.data import resize, standardize, statistics

IMAGES = np.random.default_rng(0).random((2, 8, 5, 3), dtype=np.float32)


@pytest.mark.parametrize("size", [(8, 5), (28, 28), (9, 3), (1, 1)])
@pytest.mark.parametrize("method", ["bilinear", "nearest"])
def test_resize_agrees_with_jax(size, method):
    theirs = jax.image.resize(IMAGES, (2, *size, 3), method, antialias=False)
    result = resize(IMAGES, size, method)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, theirs, atol=1e-6)


@pytest.mark.parametrize(("method", "theirs"), [("bilinear", "bilinear"), ("nearest", "nearest-exact")])
def test_resize_agrees_with_torch(method, theirs):
    torch = pytest.importorskip("torch", reason="the peer that resizes")
    image = torch.from_numpy(IMAGES.transpose(0, 3, 1, 2).astype(np.float64))
    expected = torch.nn.functional.interpolate(image, (32, 20), mode=theirs).numpy().transpose(0, 2, 3, 1)
    np.testing.assert_allclose(resize(IMAGES.astype(np.float64), (32, 20), method), expected, atol=1e-12)


@pytest.mark.parametrize(
    ("image", "size", "method", "got"),
    [
        (IMAGES[0], 4, "bilinear", r"shape \[8, 5, 3\]"),
        (IMAGES, 0, "bilinear", "0$"),
        (IMAGES, 4, "cubic", "'cubic'"),
    ],
)
def test_arguments_of_resize_are_checked(image, size, method, got):
    with pytest.raises(ValueError, match=f"got {got}"):
        resize(image, size, method)


def test_standardized_images_have_mean_0_and_standard_deviation_1():
    images = np.random.default_rng(1).normal([3.0, -1.0], [2.0, 0.1], (300, 20, 20, 2)).astype(np.float32)
    mean, std = statistics(images)
    np.testing.assert_allclose(mean, images.mean(axis=(0, 1, 2), dtype=np.float64), rtol=1e-6)
    np.testing.assert_allclose(std, images.astype(np.float64).std(axis=(0, 1, 2)), rtol=1e-6)
    result = standardize(images, mean, std)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result.mean(axis=(0, 1, 2)), 0, atol=1e-4)
    np.testing.assert_allclose(result.std(axis=(0, 1, 2)), 1, atol=1e-4)


def test_standardize_agrees_for_JAX_arrays_and_under_jit():
    mean, std = statistics(IMAGES)
    expected = standardize(IMAGES, mean, std)
    result = jax.jit(lambda image: standardize(image, mean, std))(IMAGES)
    assert isinstance(result, jax.Array)
    np.testing.assert_allclose(result, expected, atol=1e-6)
    assert standardize(jnp.zeros((3, 1), jnp.bfloat16), 0.5, 2.0).dtype == jnp.bfloat16


@pytest.mark.parametrize(
    ("mean", "std", "got"),
    [
        ([0.0, 0.0], 1.0, r"shape \[2\]"),
        (0.0, [1.0, 0.0, 1.0], r"\[1.0, 0.0, 1.0\]"),
        (0.0, float("nan"), "nan"),
    ],
)
def test_arguments_of_standardize_are_checked(mean, std, got):
    with pytest.raises(ValueError, match=f"got {got}"):
        standardize(IMAGES, mean, std)


def test_statistics_need_an_image():
    with pytest.raises(ValueError, match=r"got shape \[0, 8, 8, 1\]"):
        statistics(np.zeros((0, 8, 8, 1)))


@pytest.mark.parametrize("of", [np.asarray, jnp.asarray])
def test_bytes_are_standardized_as_numbers(of):
    pixels = np.array([[[0, 10], [40, 255]]], np.uint8)
    mean, std = [72.5, 3.25], [0.75, 100.5]
    result = standardize(of(pixels), mean, std)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, (pixels - np.array(mean)) / std, rtol=1e-6)


def test_resized_bytes_are_rounded():
    pixels = np.array([0, 255], np.uint8).reshape(1, 1, 2, 1)
    resized = resize(pixels, (1, 4))
    assert resized.dtype == np.uint8
    assert resized.ravel().tolist() == [0, 64, 191, 255]
