"""Composited digits, and measures of maps."""

import numpy as np

from experiments.harness.interpret import composites


def test_digits_are_placed_whole_and_masked():
    rng = np.random.default_rng(0)
    digits = {"image": rng.uniform(size=(5, 16, 16, 1)).astype(np.float32), "label": np.arange(5)}
    ground = np.full((30, 40, 1), 0.25, np.float32)
    made = composites.compose(rng, digits, ground)
    for digit, image, mask in zip(digits["image"], made["image"], made["mask"], strict=True):
        assert mask.sum() == (digit > 1 / 3).sum()
        expected = 0.25 + 0.75 * digit
        np.testing.assert_allclose(np.sort(image[image != 0.25]), np.sort(expected.ravel()), rtol=1e-6)


def test_measures_of_known_maps():
    mask = np.zeros((2, 24, 24, 1), bool)
    mask[:, :12] = True
    arrays = {"image": np.zeros(mask.shape, np.float32), "mask": mask, "label": np.zeros(2, np.int32)}
    params = {
        name: {"kernel": np.zeros((2, *shape), np.float32), "bias": np.zeros((2, shape[-1]), np.float32)}
        for name, shape in {
            "Conv_0": (3, 3, 1, 12),
            "Conv_1": (3, 3, 12, 24),
            "Conv_2": (3, 3, 24, 24),
            "Dense_0": (864, 48),
            "Dense_1": (48, 10),
        }.items()
    }
    methods = {"all": lambda params, x, label: x + 1, "inside": lambda params, x, label: -1.0 * arrays["mask"]}
    found = composites.measure_maps(methods, params, arrays)
    np.testing.assert_allclose(found["accuracy"]["networks"], 1)  # of equal scores the first, 0, is largest
    np.testing.assert_allclose(found["inside"]["all"], 0.5)
    np.testing.assert_allclose(found["inside"]["inside"], 1)
    np.testing.assert_allclose(found["gini"]["all"], 0, atol=1e-6)
    np.testing.assert_allclose(found["gini"]["inside"], 0.5, rtol=1e-5)
    assert found["maps"]["all"].shape == mask.shape
