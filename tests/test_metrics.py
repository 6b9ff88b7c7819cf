"""Metrics against scikit-learn."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl import metrics

K = 4


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def sklearn():
    return pytest.importorskip("sklearn.metrics", reason="scikit-learn is the peer")


@pytest.fixture
def classes(rng):
    """Labels, predictions without the last class, and a mask."""
    labels = rng.integers(0, K, 60)
    predictions = np.where(rng.uniform(size=60) < 0.5, labels, rng.integers(0, K - 1, 60)) % (K - 1)
    return labels, predictions, rng.uniform(size=60) < 0.8


def scores_with_ties(rng):
    scores = rng.integers(0, 12, 50) / 8
    return scores, (rng.uniform(size=50) < scores / 1.5).astype(int)


def test_a_merged_mean_is_the_mean_of_all_elements():
    merged = metrics.mean(np.float32([1, 9]), np.array([1, 0])).merge(metrics.mean(np.float32([2, 6])))
    assert merged.value == 3


def test_an_empty_mean_is_nan_and_padding_is_ignored():
    assert np.isnan(metrics.mean(jnp.array([1.0, 1.0]), jnp.array([0.0, 0.0])).value)
    assert metrics.mean(jnp.array([1.0, jnp.nan]), jnp.array([1.0, 0.0])).value == 1


def test_top_k_equals_scikit_learn(sklearn, rng):
    logits, labels = rng.normal(size=(30, 6)).astype(np.float32), rng.integers(0, 6, 30)
    measure = jax.jit(lambda *args: [metrics.accuracy(*args), *(metrics.top_k_accuracy(*args, k) for k in range(1, 6))])
    expected = [sklearn.top_k_accuracy_score(labels, logits, k=k, labels=range(6)) for k in (1, 1, 2, 3, 4, 5)]
    np.testing.assert_allclose(measure(logits, labels), expected, rtol=1e-6)


def test_of_equal_logits_the_first_classes_count_as_larger():
    top_k = jax.jit(metrics.top_k_correct, static_argnums=2)
    labels = np.arange(3)
    assert top_k(np.zeros((3, 3), np.float32), labels, 2).tolist() == [1, 1, 0]
    assert top_k(np.zeros((3, 3), np.float32), labels, 1).tolist() == [1, 0, 0]


def test_nan_logits_are_never_correct():
    top_k = jax.jit(metrics.top_k_correct, static_argnums=2)
    assert not top_k(np.full((3, 3), np.nan, np.float32), np.arange(3), 2).any()


def test_a_confusion_matrix_equals_scikit_learn(sklearn, classes):
    labels, predictions, mask = classes
    count = jax.jit(metrics.confusion_matrix, static_argnums=2)
    plain = count(predictions, labels, K)
    assert plain.dtype == jnp.int32
    np.testing.assert_array_equal(plain, sklearn.confusion_matrix(labels, predictions))
    kept = sklearn.confusion_matrix(labels[mask], predictions[mask])
    np.testing.assert_array_equal(count(predictions, np.where(mask, labels, -100), K, mask=mask), kept)
    np.testing.assert_array_equal(count(predictions, np.where(mask, labels, K), K), kept)
    weights = mask * 0.5
    np.testing.assert_array_equal(
        count(predictions.reshape(6, 10), labels.reshape(6, 10), K, mask=weights[0]), plain / 2
    )


@pytest.mark.parametrize("average", [None, "macro", "micro", "weighted"])
def test_ratios_equal_scikit_learn(sklearn, classes, average):
    labels, predictions, _ = classes
    matrix = sklearn.confusion_matrix(labels, predictions)
    measures = (metrics.precision, metrics.recall, metrics.sensitivity, metrics.f1)
    ours = jax.jit(lambda matrix: [measure(matrix, average) for measure in measures])(matrix)
    *theirs, _ = sklearn.precision_recall_fscore_support(labels, predictions, average=average, zero_division=0)
    for value, expected in zip(ours, [theirs[0], theirs[1], theirs[1], theirs[2]], strict=True):
        np.testing.assert_allclose(value, expected, rtol=1e-6)


def test_specificity_is_the_recall_of_the_opposite(sklearn, classes):
    labels, predictions, _ = classes
    matrix = sklearn.confusion_matrix(labels, predictions)
    expected = [sklearn.recall_score(labels != k, predictions != k) for k in range(K)]
    np.testing.assert_allclose(jax.jit(metrics.specificity)(matrix), expected, rtol=1e-6)


def test_precision_and_recall_of_five_of_twelve():
    matrix = np.array([[0, 7], [0, 5]])
    assert metrics.precision(matrix)[1] == np.float32(5 / 12)
    assert metrics.recall(matrix)[1] == 1


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("masked", [False, True])
def test_a_roc_curve_and_its_area_equal_scikit_learn(sklearn, rng, masked):
    scores, labels = scores_with_ties(rng)
    mask = rng.uniform(size=50) < 0.7 if masked else None
    shown = np.where(mask, scores, np.nan) if masked else scores
    kept = mask if masked else slice(None)
    curve = jax.device_get(jax.jit(metrics.roc_curve)(shown, labels, mask=mask))
    expected = sklearn.roc_curve(labels[kept], scores[kept], drop_intermediate=False)
    _, first = np.unique(-np.asarray(curve.thresholds), return_index=True)
    for ours, theirs in zip(curve, expected, strict=True):
        np.testing.assert_allclose(ours[first], theirs, rtol=1e-12)
    area = jax.jit(metrics.auc)(shown, labels, mask=mask)
    np.testing.assert_allclose(area, sklearn.roc_auc_score(labels[kept], scores[kept]), rtol=1e-12)
    trapezoids = np.trapezoid(curve.true_positive_rate, curve.false_positive_rate)
    np.testing.assert_allclose(trapezoids, area, rtol=1e-12)


@pytest.mark.usefixtures("float64")
def test_a_weighted_area_equals_scikit_learn(sklearn, rng):
    scores, labels = scores_with_ties(rng)
    weights = rng.uniform(size=50)
    expected = sklearn.roc_auc_score(labels, scores, sample_weight=weights)
    np.testing.assert_allclose(jax.jit(metrics.auc)(scores, labels, mask=weights), expected, rtol=1e-12)


def test_the_area_without_a_class_is_nan():
    assert np.isnan(jax.jit(metrics.auc)(jnp.array([0.1, 0.2]), jnp.array([1, 1])))


def test_thresholds_are_optimal(rng):
    scores, labels = scores_with_ties(rng)
    curve = jax.jit(metrics.roc_curve)(scores, labels)

    def rates(threshold):
        predicted = scores >= threshold
        return predicted[labels == 1].mean(), (~predicted)[labels == 0].mean()

    candidates = {t: rates(t) for t in scores}
    choose = jax.jit(metrics.choose_threshold)
    assert sum(rates(float(choose(curve)))) == max(map(sum, candidates.values()))
    target = sorted(tpr for tpr, _ in candidates.values())[5]
    assert choose(curve, sensitivity=target) == max(t for t, (tpr, _) in candidates.items() if tpr >= target)
    target = sorted(tnr for _, tnr in candidates.values())[5]
    assert choose(curve, specificity=target) == min(t for t, (_, tnr) in candidates.items() if tnr >= target)


def test_the_cheapest_threshold_is_that_of_a_loop_over_the_scores():
    random = np.random.default_rng(3)
    labels = random.integers(0, 2, 30)
    scores = np.round(labels + random.normal(size=30), 1).astype(np.float32)
    costs = {"false_negative": 7.0, "false_positive": 2.0, "prevalence": 0.1}

    def cost(threshold):
        missed = np.mean(scores[labels == 1] < threshold)
        return 0.1 * 7 * missed + 0.9 * 2 * np.mean(scores[labels == 0] >= threshold)

    curve = metrics.roc_curve(scores, labels)
    found = jax.jit(metrics.expected_costs)(curve, **costs)
    np.testing.assert_allclose(found, [cost(t) for t in np.asarray(curve.thresholds)], rtol=1e-5, atol=1e-6)
    chosen = float(jax.jit(metrics.cheapest_threshold)(curve, **costs))
    assert cost(chosen) == pytest.approx(min(cost(t) for t in [*scores, np.inf]))
    assert metrics.cheapest_threshold(curve, false_negative=0.0, false_positive=1.0, prevalence=0.5) == np.inf
    one_class = metrics.roc_curve(scores, np.ones(30))
    assert np.isnan(metrics.cheapest_threshold(one_class, **costs))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            partial(metrics.expected_costs, None, false_negative=-1.0, false_positive=1.0, prevalence=0.5),
            "got -1.0",
        ),
        (partial(metrics.cheapest_threshold, None, false_negative=1.0, false_positive=1.0, prevalence=2.0), "got 2.0"),
        (partial(metrics.mean, np.zeros((2, 3)), np.zeros(3)), r"\(2, 3\), got \(3,\)"),
        (partial(metrics.correct, np.zeros((2, 3)), np.zeros(3)), r"got labels of shape \(3,\)"),
        (partial(metrics.top_k_correct, np.zeros((2, 3)), np.zeros(2), 4), "got 4"),
        (partial(metrics.confusion_matrix, np.zeros(2), np.zeros(3), 2), r"got \(2,\) and \(3,\)"),
        (partial(metrics.precision, np.zeros((2, 3))), r"got shape \(2, 3\)"),
        (partial(metrics.precision, np.zeros((2, 2)), "mean"), "got 'mean'"),
        (partial(metrics.auc, np.zeros((2, 2)), np.zeros((2, 2))), r"got shape \(2, 2\)"),
        (partial(metrics.choose_threshold, None, sensitivity=0.5, specificity=0.5), "got sensitivity 0.5"),
    ],
)
def test_errors_have_the_offending_value(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_narrow_labels_work_with_more_classes_than_their_range():
    logits, labels = np.linspace(-1, 1, 300, dtype=np.float32)[None], np.array([250], np.uint8)
    assert [metrics.top_k_correct(logits, labels, k).tolist() for k in (49, 50)] == [[0.0], [1.0]]
    assert np.asarray(metrics.confusion_matrix(labels, labels, 256))[250, 250] == 1


def test_a_logit_of_nan_makes_an_example_wrong():
    logits = np.array([[np.nan, 1, 2], [0, np.nan, 2], [0, 1, np.nan], [0, 1, 2], [0, 1, np.inf]], np.float32)

    @jax.jit
    def measure(logits, labels):
        return metrics.predict(logits), metrics.correct(logits, labels), metrics.top_k_correct(logits, labels, 3)

    for label in range(3):
        predicted, right, among = measure(logits, np.full(5, label))
        assert predicted.tolist() == [-1, -1, -1, 2, 2]
        assert right.tolist() == [0, 0, 0, label == 2, label == 2]
        assert among.tolist() == [*(column != label for column in range(3)), 1, 1]
    assert metrics.correct(logits[:1], np.array([-1])).tolist() == [0]


@pytest.mark.parametrize("nan_in", ["scores", "labels"])
def test_a_score_or_label_of_nan_has_no_roc_curve_unless_it_is_masked(nan_in):
    arrays = {"scores": np.array([0.1, 0.4, 0.35, 0.8]), "labels": np.array([0.0, 0, 1, 1])}
    broken = {**arrays, nan_in: np.array([np.nan, *arrays[nan_in][1:]])}

    @jax.jit
    def measure(scores, labels, mask=None):
        curve = metrics.roc_curve(scores, labels, mask=mask)
        chosen = [metrics.choose_threshold(curve, **by) for by in ({}, {"sensitivity": 0.5}, {"specificity": 0.5})]
        return metrics.auc(scores, labels, mask=mask), chosen, curve

    assert all(np.isnan(values).all() for values in jax.tree.leaves(measure(**broken)))
    area, chosen, _ = measure(**broken, mask=np.array([0, 1, 1, 1]))
    assert area == 0.5
    assert np.isfinite(chosen).all()


def test_booleans_and_bytes_are_counted(sklearn):
    predictions, labels = np.array([True, False, True]), np.array([True, True, False])
    matrix = metrics.confusion_matrix(predictions, labels, 2)
    np.testing.assert_array_equal(matrix, sklearn.confusion_matrix(labels, predictions))
    assert metrics.auc(predictions, labels) == 0.25
    assert metrics.correct(np.eye(2)[predictions.astype(int)], labels).tolist() == [1, 0, 0]
    counted = np.array([[200, 100], [100, 200]], np.uint8)  # twice 200 is no byte
    np.testing.assert_allclose(metrics.f1(counted), [2 / 3, 2 / 3], rtol=1e-6)


@pytest.mark.parametrize("position", [0, 1])
def test_a_confusion_matrix_of_scores_is_a_type_error(position):
    pair = [np.array([0, 1]), np.array([0, 1])]
    pair[position] = np.array([0.7, np.nan])
    with pytest.raises(TypeError, match="got float32"):
        metrics.confusion_matrix(*pair, 2)


def test_a_running_area_of_logits_is_nan():
    labels = np.array([0, 1, 0, 1])
    assert np.isnan(metrics.running_auc(np.array([-3.0, 2.0, 0.5, 0.9]), labels).value)
    masked = metrics.running_auc(np.array([-3.0, 2.0, 0.5, 0.9]), labels, mask=np.array([0, 0, 1, 1]))
    assert masked.value == 1
