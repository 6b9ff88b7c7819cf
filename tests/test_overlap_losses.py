"""Losses of overlap against keras and a loop; ignored pixels and absent classes."""

import os

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl import losses

os.environ.setdefault("KERAS_BACKEND", "jax")  # read when keras is imported first
OVERLAP = (losses.dice, losses.generalized_dice, losses.jaccard)


@pytest.fixture
def example():
    """Logits, labels without the last class in the second image, and soft labels."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, (2, 4, 5)) % np.array([3, 2])[:, None, None]
    return 2 * rng.normal(size=(2, 4, 5, 3)), labels, rng.dirichlet(np.ones(3), (2, 4, 5))


@pytest.mark.usefixtures("float64")
def test_dice_and_jaccard_equal_keras_with_gradients(example):
    keras = pytest.importorskip("keras", reason="parity with keras")
    if keras.backend.backend() != "jax":
        pytest.skip("keras runs on another backend here")
    z, hard, soft = example

    def ours(z, y):
        return losses.dice(z, y, smooth=0.0) + 2 * losses.jaccard(z, y, smooth=0.0)

    def theirs(z, y):
        p = jax.nn.softmax(z)
        overlap = keras.losses.dice(y, p, axis=(1, 2)), keras.losses.tversky(y, p, alpha=1.0, beta=1.0, axis=(1, 2))
        return jnp.mean(overlap[0]) + 2 * jnp.mean(overlap[1])

    @jax.jit
    def both(z, hard, soft):
        one_hot = jax.nn.one_hot(hard, 3)
        return (
            [jax.value_and_grad(ours)(z, y) for y in (hard, soft)],
            [jax.value_and_grad(theirs)(z, y) for y in (one_hot, soft)],
        )

    with jax.numpy_rank_promotion("allow"):  # inside of keras
        mine, expected = both(z, hard, soft)
    # keras adds 1e-7 to denominators, here of at least 4
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-7, atol=1e-9), mine, expected)


@pytest.mark.usefixtures("float64")
def test_generalized_dice_is_the_papers_formula(example):
    z, labels, _ = example
    p = np.exp(z) / np.exp(z).sum(-1, keepdims=True)
    expected = []
    for image in range(2):
        present = [k for k in range(3) if (labels[image] == k).any()]
        v = {k: 1 / (labels[image] == k).sum() ** 2 for k in present}
        v |= {k: max(v.values()) for k in range(3) if k not in v}
        above = sum(v[k] * p[image][labels[image] == k][:, k].sum() for k in range(3))
        below = sum(v[k] * (p[image][..., k].sum() + (labels[image] == k).sum()) for k in range(3))
        expected.append(1 - 2 * above / below)
    run = jax.jit(lambda z, y: losses.generalized_dice(z, y, reduction="none"))
    np.testing.assert_allclose(run(z, labels), expected, rtol=1e-12)


@pytest.mark.usefixtures("float64")
def test_ignored_pixels_and_rows_have_no_influence(example):
    z, labels, soft = example
    mask = np.random.default_rng(1).integers(0, 2, (2, 4, 5))
    hidden = mask[..., None] == 0

    @jax.jit
    def run(z, y, mask):
        return [jax.value_and_grad(lambda z, loss=loss: loss(z, y, mask=mask))(z) for loss in OVERLAP]

    for kept, y, other in (
        (z, labels, np.where(mask == 0, 255, labels)),
        (z, soft, np.where(hidden, np.nan, soft)),
    ):
        expected, results = run(kept, y, mask), run(np.where(hidden, np.nan, kept), other, mask)
        jax.tree.map(np.testing.assert_array_equal, results, expected)
        assert all(not gradient[hidden[..., 0]].any() for _, gradient in results)
    rows = run(
        np.concatenate([z, np.full_like(z[:1], np.nan)]), np.concatenate([labels, labels[:1]]), np.array([1, 1, 0])
    )
    alone = run(z, labels, np.array([1, 1]))
    for (value, gradient), (expected, slope) in zip(rows, alone, strict=True):
        np.testing.assert_allclose(value, expected, rtol=1e-12)
        np.testing.assert_allclose(gradient, np.concatenate([slope, 0 * slope[:1]]), rtol=1e-12)
    cut = run(z[:1, :2], labels[:1, :2], np.ones(1))
    half = run(z[:1], labels[:1], np.repeat([1, 0], 2)[None])
    np.testing.assert_allclose([value for value, _ in half], [value for value, _ in cut], rtol=1e-12)


def test_absent_classes_and_images_without_pixels():
    z = np.full((1, 4, 3), -200.0, np.float32)
    z[..., 0] = 200
    none, one = np.zeros((1, 4), int), np.ones((1, 4), int)

    @jax.jit
    def run(z, labels, mask):
        return [
            jax.value_and_grad(lambda z: losses.dice(z, labels, smooth=0.0, mask=mask))(z),
            jax.value_and_grad(lambda z: losses.jaccard(z, labels, smooth=0.0, mask=mask))(z),
            jax.value_and_grad(lambda z: losses.generalized_dice(z, labels, mask=mask))(z),
        ]

    right, wrong, empty = run(z, none, np.ones(1)), run(z, one, np.ones(1)), run(z, none, np.zeros(1))
    assert [value.item() for value, _ in right] == [0, 0, 0]
    np.testing.assert_allclose([value for value, _ in wrong], [2 / 3, 2 / 3, 1], rtol=1e-6)  # the third class is right
    assert [value.item() for value, _ in empty] == [0, 0, 0]
    assert all(np.isfinite(gradient).all() for _, gradient in (*right, *wrong, *empty))
    assert all(np.isnan(value) for value, _ in run(z, one + 2, np.ones(1)))


@pytest.mark.parametrize("loss", OVERLAP)
def test_half_precision_is_widened_and_errors_have_the_shape(loss, example):
    z, labels, _ = example
    assert jax.eval_shape(loss, z.astype(jnp.bfloat16), labels.astype(np.uint8)).dtype == jnp.float32
    with pytest.raises(ValueError, match=r"got int\d+ of shape \(4, 5\)"):
        loss(z, labels[0])
    with pytest.raises(ValueError, match=r"\(20, 3\)"):
        loss(z[0].reshape(20, 3), labels[0].reshape(20))
    with pytest.raises(ValueError, match="got 255"):
        loss(z, np.full((2, 4, 5), 255))
