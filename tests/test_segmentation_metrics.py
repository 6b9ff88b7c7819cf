"""Metrics of segmentation against scikit-learn and a loop over pairs of masks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxdl import metrics

K = 4


@pytest.fixture
def sklearn():
    return pytest.importorskip("sklearn.metrics", reason="scikit-learn is the peer")


@pytest.fixture
def pixels():
    """Labels without class 3, predictions without classes 2 and 3, and a mask; ignored labels are 255."""
    rng = np.random.default_rng(0)
    labels, mask = rng.integers(0, 3, (5, 6, 7)), rng.uniform(size=(5, 6, 7)) < 0.8
    predictions = np.where(rng.uniform(size=labels.shape) < 0.5, labels, rng.integers(0, 2, labels.shape)) % 2
    return predictions, np.where(mask, labels, 255), mask


def test_ratios_of_a_matrix_summed_over_batches_equal_scikit_learn(sklearn, pixels):
    predictions, labels, mask = pixels

    @jax.jit
    def measure(predictions, labels, mask):
        parts = [
            metrics.confusion_matrix(predictions[i], labels[i], K, mask=mask[i]) for i in (slice(0, 2), slice(2, 5))
        ]
        matrix = parts[0] + parts[1]
        each = [[ratio(matrix, average) for ratio in (metrics.iou, metrics.dice)] for average in metrics.AVERAGES]
        running = [metrics.running_mean_iou(predictions[i], labels[i], K, mask=mask[i]) for i in range(5)]
        for other in running[1:]:
            running[0] = running[0].merge(other)
        means = metrics.mean_iou(matrix), metrics.mean_dice(matrix), metrics.pixel_accuracy(matrix), running[0].value
        return each, means

    each, (mean_iou, mean_dice, accuracy, running) = measure(predictions, labels, mask)
    y, y_hat = labels[mask], predictions[mask]
    for average, (iou, dice) in zip(metrics.AVERAGES, each, strict=True):
        options = {"labels": range(K), "average": average, "zero_division": 0}
        np.testing.assert_allclose(iou, sklearn.jaccard_score(y, y_hat, **options), rtol=1e-6)
        np.testing.assert_allclose(dice, sklearn.f1_score(y, y_hat, **options), rtol=1e-6)
    # Without a list of classes scikit-learn averages over those that are there.
    np.testing.assert_allclose(mean_iou, sklearn.jaccard_score(y, y_hat, average="macro"), rtol=1e-6)
    np.testing.assert_allclose(mean_dice, sklearn.f1_score(y, y_hat, average="macro"), rtol=1e-6)
    np.testing.assert_allclose(accuracy, (y == y_hat).mean(), rtol=1e-6)
    np.testing.assert_allclose(running, mean_iou, rtol=1e-6)


def test_no_pixels_are_nan_and_a_diverged_network_is_wrong():
    assert np.isnan(metrics.mean_iou(np.zeros((2, 2), int)))
    assert np.isnan(metrics.pixel_accuracy(np.zeros((2, 2), int)))
    predictions = metrics.predict(np.full((3, 2), np.nan, np.float32))
    assert metrics.running_mean_iou(predictions, np.array([0, 1, 1]), 2).value == 0
    assert metrics.running_mean_iou(predictions, np.array([0, 1, 255]), 2, mask=np.zeros(3)).matrix.sum() == 0


def loop_distance(a, b, classes):
    """One minus the mean intersection over union of the classes that one of two masks contains."""
    ratios = []
    for k in range(1, classes):
        union = ((a == k) | (b == k)).sum()
        if union:
            ratios.append(((a == k) & (b == k)).sum() / union)
    return 1 - np.mean(ratios) if ratios else 0.0


def loop_energy(samples, references, probabilities, classes):
    """Compute the distance by loops over all pairs."""
    cross = np.mean([[loop_distance(s, y, classes) for y in references] for s in samples], axis=0) @ probabilities
    within = np.mean([loop_distance(s, t, classes) for s in samples for t in samples])
    of_references = sum(
        p * q * loop_distance(y, t, classes)
        for y, p in zip(references, probabilities, strict=True)
        for t, q in zip(references, probabilities, strict=True)
    )
    return 2 * cross - within - of_references


@pytest.mark.usefixtures("float64")
def test_the_energy_distance_is_that_of_a_loop():
    rng = np.random.default_rng(0)
    samples, references = rng.integers(0, 3, (4, 3, 5)), rng.integers(0, 3, (3, 3, 5))
    samples[0] = references[1] = 0
    probabilities, mask = np.array([0.5, 0.2, 0.3]), rng.integers(0, 2, (3, 5))

    @jax.jit
    def run(samples, references):
        distance = metrics.generalized_energy_distance
        return (
            distance(samples, references, 3),
            distance(samples, references, 3, probabilities=probabilities),
            distance(samples, references, 3, mask=mask),
            distance(samples > 0, references > 0),
        )

    equal = np.full(3, 1 / 3)
    kept = mask != 0
    expected = (
        loop_energy(samples, references, equal, 3),
        loop_energy(samples, references, probabilities, 3),
        loop_energy(samples[:, kept], references[:, kept], equal, 3),
        loop_energy(samples > 0, references > 0, equal, 2),
    )
    np.testing.assert_allclose(run(samples, references), expected, rtol=1e-12)
    hidden = run(np.where(kept, samples, 255), np.where(kept, references, -1))
    np.testing.assert_allclose(hidden[2], expected[2], rtol=1e-12)


distance = jax.jit(metrics.generalized_energy_distance)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 1), min_size=18, max_size=18))
def test_the_distance_is_zero_for_equal_distributions_and_never_below(bits):
    masks = np.array(bits).reshape(6, 3)
    assert distance(masks[:3], masks[3:]) >= -1e-6
    np.testing.assert_allclose(distance(masks[:3], masks[[2, 0, 1]]), 0, atol=1e-6)


@pytest.mark.parametrize("shapes", [((2, 3), (2, 4)), ((0, 3), (2, 3)), ((), (2,))])
def test_masks_that_do_not_fit_are_errors(shapes):
    with pytest.raises(ValueError, match="got") as error:
        metrics.generalized_energy_distance(*(jnp.zeros(shape, int) for shape in shapes))
    assert all(str(shape) in str(error.value) for shape in shapes)


def test_counts_beyond_int32_do_not_wrap():
    matrix = np.array([[3_000_000_000, 1_500_000_000], [700_000_000, 2_000_000_000]])
    (a, b), (c, d) = matrix.tolist()
    np.testing.assert_allclose(metrics.f1(matrix), [2 * a / (2 * a + b + c), 2 * d / (2 * d + b + c)], rtol=1e-6)
    np.testing.assert_allclose(metrics.mean_iou(matrix), (a / (a + b + c) + d / (b + c + d)) / 2, rtol=1e-6)
    np.testing.assert_allclose(metrics.pixel_accuracy(matrix), (a + d) / (a + b + c + d), rtol=1e-6)
    small = jnp.asarray(matrix // 2, jnp.int32)  # whose sums and doubles exceed int32
    np.testing.assert_allclose(metrics.f1(small), metrics.f1(matrix), rtol=1e-6)
    np.testing.assert_allclose(metrics.precision(small, "micro"), (a + d) / (a + b + c + d), rtol=1e-6)


@pytest.mark.parametrize("average", ["weighted", "macro", "micro"])
def test_an_average_without_examples_is_zero(average):
    assert metrics.f1(np.zeros((3, 3)), average) == 0
