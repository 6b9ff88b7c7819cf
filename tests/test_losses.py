"""Losses against torch, with extreme logits, and with padding of NaN."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from jaxdl import losses

REGRESSION = (losses.mean_squared_error, losses.sum_squared_error, losses.mean_absolute_error, losses.huber)
BINARY = (losses.binary_cross_entropy, losses.sigmoid_focal, losses.hinge, losses.margin_ranking)
CLASSES = (losses.cross_entropy, losses.focal, losses.multi_class_hinge)
PROBABILITIES = (losses.binary_cross_entropy, losses.sigmoid_focal)
LOGITS = (losses.cross_entropy, losses.focal, *PROBABILITIES, losses.hinge, losses.multi_class_hinge)

cross_entropy = jax.jit(losses.cross_entropy)
name = {"ids": lambda loss: loss.__name__}
name_of_dtype = pytest.mark.parametrize("dtype", [np.uint8, np.int8, bool])


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def functional():
    return pytest.importorskip("torch", reason="torch is the peer").nn.functional


def tensors(*arrays):
    import torch

    return [torch.from_numpy(np.asarray(array)) for array in arrays]


def example(loss, rng, batch=5):
    """Make predictions and targets for a loss."""
    predictions = 2 * rng.normal(size=(batch, 3))
    if loss in CLASSES:
        return predictions, rng.integers(0, 3, batch)
    if loss in PROBABILITIES:
        return predictions, rng.uniform(size=(batch, 3))
    return predictions, np.sign(rng.normal(size=(batch, 3)))


@pytest.mark.usefixtures("float64")
def test_elementwise_losses_equal_torch(functional, rng):
    y_hat, y = rng.normal(size=(2, 5, 3))
    t_hat, t = tensors(y_hat, y)
    peers = {
        losses.mean_squared_error: functional.mse_loss,
        losses.mean_absolute_error: functional.l1_loss,
        losses.huber: functional.huber_loss,
        losses.binary_cross_entropy: functional.binary_cross_entropy_with_logits,
    }
    cases = [(loss, reduction) for loss in peers for reduction in losses.REDUCTIONS]
    ours = jax.jit(lambda y_hat, y: [loss(y_hat, y, reduction=reduction) for loss, reduction in cases])(y_hat, y)
    for value, (loss, reduction) in zip(ours, cases, strict=True):
        np.testing.assert_allclose(value, peers[loss](t_hat, t, reduction=reduction), rtol=1e-12)


@pytest.mark.usefixtures("float64")
def test_losses_of_classes_equal_torch(functional, rng):
    z, y = rng.normal(size=(5, 3)), rng.integers(0, 3, 5)

    def ours(z, y, r):
        log_p = jax.nn.log_softmax(z)
        return (
            losses.cross_entropy(z, y, reduction=r),
            losses.cross_entropy(z, y, label_smoothing=0.1, reduction=r),
            losses.negative_log_likelihood(log_p, y, reduction=r),
            losses.categorical_cross_entropy(jnp.exp(log_p), y, reduction=r),
            losses.multi_class_hinge(z, y, reduction=r),
        )

    def theirs(z, y, r):
        log_p = functional.log_softmax(z, -1)
        return (
            functional.cross_entropy(z, y, reduction=r),
            functional.cross_entropy(z, y, label_smoothing=0.1, reduction=r),
            functional.nll_loss(log_p, y, reduction=r),
            functional.nll_loss(log_p, y, reduction=r),
            functional.multi_margin_loss(z, y, reduction=r),
        )

    values = jax.jit(lambda z, y: [ours(z, y, r) for r in losses.REDUCTIONS])(z, y)
    expected = [theirs(*tensors(z, y), r) for r in losses.REDUCTIONS]
    for value, other in zip(jax.tree.leaves(values), sum(expected, ()), strict=True):
        np.testing.assert_allclose(value, other, rtol=1e-12)


@pytest.mark.usefixtures("float64")
def test_probabilities_as_targets_equal_torch(functional, rng):
    z, y = rng.normal(size=(5, 3)), rng.dirichlet(np.ones(3), 5)
    t_z, t_y = tensors(z, y)
    for smoothing in (0.0, 0.2):
        ours = jax.jit(partial(losses.cross_entropy, label_smoothing=smoothing))(z, y)
        np.testing.assert_allclose(ours, functional.cross_entropy(t_z, t_y, label_smoothing=smoothing), rtol=1e-12)
    ours = jax.jit(losses.categorical_cross_entropy)(t_z.softmax(-1).numpy(), y)
    np.testing.assert_allclose(ours, functional.cross_entropy(t_z, t_y), rtol=1e-12)


@pytest.mark.usefixtures("float64")
def test_class_weights_are_a_mask(functional, rng):
    z, y, class_weights = rng.normal(size=(5, 3)), rng.integers(0, 3, 5), np.array([0.2, 1.0, 3.0])
    t_z, t_y, t_weights = tensors(z, y, class_weights)
    ours = cross_entropy(z, y, mask=class_weights[y])
    np.testing.assert_allclose(ours, functional.cross_entropy(t_z, t_y, weight=t_weights), rtol=1e-12)


@pytest.mark.usefixtures("float64")
def test_margins_equal_torch_and_scikit_learn(functional, rng):
    sklearn = pytest.importorskip("sklearn.metrics", reason="scikit-learn is the peer")
    s, s_r, y = rng.normal(size=7), rng.normal(size=7), np.sign(rng.normal(size=7))
    t_s, t_r, t_y = tensors(s, s_r, np.ones(7))
    np.testing.assert_allclose(jax.jit(losses.hinge)(s, y), sklearn.hinge_loss(y, s), rtol=1e-12)
    ours = jax.jit(losses.margin_ranking)(s, s_r, margin=0.5)
    np.testing.assert_allclose(ours, functional.margin_ranking_loss(t_s, t_r, t_y, margin=0.5), rtol=1e-12)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("loss", [*REGRESSION, *BINARY, *CLASSES], **name)
def test_gradients_equal_finite_differences(loss, rng):
    predictions, targets = example(loss, rng)
    check_grads(jax.jit(lambda x: loss(x, targets)), (predictions,), order=1, modes=["rev"], rtol=1e-6)


def test_the_gradient_of_the_squared_error_has_the_factor_two():
    gradient = jax.grad(losses.mean_squared_error)(jnp.array([3.0, 0.0]), jnp.zeros(2))
    np.testing.assert_array_equal(gradient, [3.0, 0.0])


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("loss", LOGITS, **name)
def test_huge_logits_give_finite_losses_and_gradients(loss, dtype):
    logits = jnp.array([[1e4, -1e4, 0.0], [-1e4, -1e4, 1e4], [1e4, 1e4, 1e4]], dtype)
    targets = jnp.array([1, 0, 2]) if loss in CLASSES else jnp.array([[0.0, 1.0, 1.0]] * 3)
    value, gradient = jax.jit(jax.value_and_grad(loss))(logits, targets)
    assert value.dtype == jnp.float32
    assert gradient.dtype == dtype
    assert jnp.isfinite(value)
    assert jnp.isfinite(gradient).all()


def test_the_loss_of_a_confident_correct_prediction_does_not_underflow():
    value = losses.binary_cross_entropy(jnp.array([30.0]), jnp.array([1.0]))
    np.testing.assert_allclose(value, np.exp(-30), rtol=1e-5)


def test_a_logit_of_minus_infinity_leaves_the_gradient_finite():
    logits = jnp.array([[0.0, 1.0, -jnp.inf]])
    gradient = jax.grad(cross_entropy)(logits, jnp.array([0]))
    np.testing.assert_allclose(gradient, [[-0.731059, 0.731059, 0.0]], rtol=1e-5)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("loss", [*REGRESSION, *BINARY, *CLASSES], **name)
def test_padding_never_changes_a_loss_or_a_gradient(loss, rng):
    predictions, targets = example(loss, rng)
    padded = np.where(np.arange(5)[:, None] < 3, predictions, np.nan)
    padded_targets = np.concatenate([targets[:3], np.full_like(targets[3:], -100)])
    gradient_of = jax.jit(jax.value_and_grad(loss))
    expected, slope = gradient_of(predictions[:3], targets[:3])
    value, gradient = gradient_of(padded, padded_targets, mask=np.arange(5) < 3)
    np.testing.assert_allclose(value, expected, rtol=1e-12)
    np.testing.assert_allclose(gradient, np.concatenate([slope, np.zeros((2, 3))]), rtol=1e-12)


def test_a_masked_class_of_probability_zero_adds_nothing():
    p, mask = jnp.array([[0.5, 0.5], [1.0, 0.0]]), jnp.array([1, 0])
    value, gradient = jax.value_and_grad(jax.jit(losses.categorical_cross_entropy))(p, jnp.array([0, 1]), mask=mask)
    np.testing.assert_allclose(value, np.log(2), rtol=1e-6)
    np.testing.assert_array_equal(gradient, [[-2.0, 0.0], [0.0, 0.0]])


@pytest.mark.usefixtures("float64")
def test_a_mask_of_fractions_is_a_weighted_mean_over_leading_dimensions(rng):
    z, y, w = rng.normal(size=(2, 4, 3)), rng.integers(0, 3, (2, 4)), rng.uniform(size=(2, 4))
    each = jax.jit(partial(losses.cross_entropy, reduction="none"))(z, y)
    np.testing.assert_allclose(cross_entropy(z, y, mask=w), np.average(each, weights=w), rtol=1e-12)
    by_row = jax.jit(losses.mean_squared_error)(z, 0 * z, mask=w[:, 0])
    np.testing.assert_allclose(by_row, np.average((z**2).mean((1, 2)), weights=w[:, 0]), rtol=1e-12)


@pytest.mark.usefixtures("float64")
def test_the_sum_of_squares_is_averaged_over_examples_only():
    value = losses.sum_squared_error(np.ones((4, 3)), np.zeros((4, 3)), reduction="mean")
    assert value == 3
    assert losses.sum_squared_error(np.ones((4, 3)), np.zeros((4, 3))) == 12


def test_a_mask_of_zeros_gives_zero_and_no_gradient():
    value, gradient = jax.value_and_grad(cross_entropy)(jnp.ones((2, 3)), jnp.array([0, 1]), mask=jnp.zeros(2))
    assert value == 0
    assert not gradient.any()


def test_an_unknown_class_gives_nan():
    assert np.isnan(cross_entropy(jnp.zeros((2, 3)), jnp.array([0, 3])))
    assert np.isnan(cross_entropy(jnp.zeros((2, 3)), jnp.array([0, -1])))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: losses.mean_squared_error(np.zeros((2, 3)), np.zeros((2,))), r"\(2, 3\) and \(2,\)"),
        (lambda: losses.sum_squared_error(np.zeros(()), np.zeros(())), r"got shape \(\)"),
        (lambda: losses.cross_entropy(np.zeros((4, 3)), np.zeros(3, int)), r"got int\d+ of shape \(3,\)"),
        (lambda: losses.cross_entropy(np.zeros((4, 3)), np.zeros(4)), r"got float32 of shape \(4,\)"),
        (lambda: losses.multi_class_hinge(np.zeros((4, 3)), np.zeros((4, 3))), r"got float32 of shape \(4, 3\)"),
        (lambda: losses.hinge(np.zeros((4, 3)), np.zeros((4, 3)), mask=np.zeros(3)), r"got \(3,\)"),
        (lambda: losses.huber(np.zeros(3), np.zeros(3), reduction="avg"), "got 'avg'"),
        (lambda: losses.cross_entropy(np.zeros((4, 3)), np.zeros(4, int), label_smoothing=2.0), "got 2.0"),
    ],
)
def test_errors_have_the_offending_value(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_losses_run_under_jit_and_vmap(rng):
    z, y = rng.normal(size=(2, 4, 3)).astype(np.float32), rng.integers(0, 3, (2, 4))
    by_member = jax.jit(jax.vmap(losses.cross_entropy))(z, y)
    np.testing.assert_allclose(by_member, [cross_entropy(z[i], y[i]) for i in range(2)], rtol=1e-6)


@pytest.mark.parametrize("dtype", [jnp.uint8, jnp.int8, jnp.uint16])
def test_narrow_labels_work_with_more_classes_than_their_range(dtype):
    @jax.jit
    def both(logits, *labels):
        return [[loss(logits, y) for y in labels] for loss in (losses.cross_entropy, losses.multi_class_hinge)]

    for classes in (128, 256, 300):
        logits, labels = np.linspace(-1.0, 1.0, classes, dtype=np.float32)[None], np.array([100])
        for narrow, wide in jax.device_get(both(logits, labels.astype(dtype), labels.astype(np.int32))):
            assert narrow == wide
            assert np.isfinite(wide)


@name_of_dtype
def test_integers_are_computed_with_as_floating_point_numbers(dtype, rng):
    pair = rng.integers(0, 2, (2, 4)) if dtype is bool else rng.integers(0, 120, (2, 4))
    narrow, wide = pair.astype(dtype), pair.astype(np.float32)

    @jax.jit
    def measure(predictions, targets):
        elementwise = [loss(predictions, targets, reduction="none") for loss in (*REGRESSION, *BINARY)]
        return elementwise, [loss(predictions[None], jnp.array([1])) for loss in CLASSES]

    jax.tree.map(np.testing.assert_array_equal, measure(*narrow), measure(*wide))


def test_an_infinite_logit_has_no_loss_where_it_is_right():
    z, y = np.array([np.inf, -np.inf, np.inf, -np.inf], np.float32), np.array([1, 0, 0, 1], np.float32)
    pulled = jax.jit(jax.vmap(jax.value_and_grad(losses.binary_cross_entropy, argnums=(0, 1))))
    values, (of_logits, _) = pulled(z, y)
    assert values.tolist() == [0, 0, np.inf, np.inf]
    assert of_logits.tolist() == [0, 0, 1, -1]
    certain = np.array([[0, -np.inf]], np.float32)
    for label in (np.array([0]), np.array([[1.0, 0.0]])):
        assert losses.cross_entropy(certain, label, label_smoothing=np.float32(0)) == 0
        assert cross_entropy(certain, label, label_smoothing=0.0) == 0


def test_infinite_scores_of_classes_are_those_of_torch(functional):
    torch = pytest.importorskip("torch", reason="torch is the peer")
    inf = np.inf
    logits = np.float32([[0, -inf, 1], [0, inf, 1], [inf, inf, 0], [-inf, -inf, 0], [-inf, -inf, -inf]])
    run = jax.jit(lambda z, y: losses.cross_entropy(z, y, reduction="none"))
    for label in range(3):
        expected = functional.cross_entropy(torch.tensor(logits), torch.full((5,), label), reduction="none")
        ours, theirs = np.asarray(run(logits, np.full(5, label))), expected.numpy()
        np.testing.assert_allclose(ours[~np.isnan(theirs)], theirs[~np.isnan(theirs)], rtol=1e-6)
        assert not np.isfinite(ours[np.isnan(theirs)]).any()
        assert np.isnan(ours[1]) == (label == 1)


@pytest.mark.usefixtures("float64")
def test_the_gradient_of_a_target_of_0_is_that_of_the_formula():
    slope = jax.jit(jax.grad(losses.binary_cross_entropy, argnums=1))(jnp.array([2.0]), jnp.array([0.0]))
    np.testing.assert_allclose(slope, -2.0, rtol=1e-12)  # ln(1 - p) - ln p = -z


@pytest.mark.usefixtures("float64")
def test_errors_of_complex_predictions_are_moduli(rng):
    y_hat, y = rng.normal(size=(2, 5, 3)) + 1j * rng.normal(size=(2, 5, 3))
    error = np.abs(y_hat - y)
    close = partial(np.testing.assert_allclose, rtol=1e-12)
    close(losses.mean_squared_error(y_hat, y), np.mean(error**2))
    close(losses.sum_squared_error(y_hat, y), np.sum(error**2))
    close(losses.mean_absolute_error(y_hat, y), np.mean(error))
    for loss in BINARY:
        with pytest.raises(TypeError, match="got complex128"):
            loss(y_hat, y)


@pytest.mark.parametrize("outside", [-1, 3])
def test_a_known_label_outside_of_the_classes_raises_unless_it_is_masked(outside):
    labels = np.array([0, outside])
    with pytest.raises(ValueError, match=f"got {outside}"):
        losses.cross_entropy(np.zeros((2, 3)), labels)
    np.testing.assert_allclose(losses.cross_entropy(np.zeros((2, 3)), labels, mask=np.array([1, 0])), np.log(3))


def test_a_mask_that_is_added_to_scores_raises():
    with pytest.raises(ValueError, match="got -10000"):
        losses.mean_squared_error(np.ones(2), np.zeros(2), mask=np.array([0.0, -1e4]))


def test_booleans_are_labels_of_two_classes():
    z = np.array([[0.0, 1.0], [2.0, 0.0]], np.float32)
    assert losses.cross_entropy(z, np.array([True, False])) == losses.cross_entropy(z, np.array([1, 0]))
