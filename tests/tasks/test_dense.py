"""Segmentation: ignored pixels, labels larger than results, and tiles against the whole image."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen
from scipy import ndimage

from jaxdl import data, losses, metrics, tasks
from jaxdl.data import augmentation
from jaxdl.models import UNet

MODEL = UNet(3, (2, 2), dropout_rate=0.0)


def make_batch(rng):
    image = rng.normal(size=(3, 20, 20, 1)).astype(np.float32)
    return {"image": image, "label": rng.integers(0, 3, (3, 20, 20)), "mask": rng.integers(0, 2, (3, 20, 20))}


@pytest.fixture(scope="module")
def variables():
    return jax.jit(MODEL.init)(jax.random.key(0), jnp.zeros((1, 20, 20, 1)))


def test_ignored_pixels_and_rows_change_neither_loss_nor_gradient(variables):
    task = tasks.segmentation(MODEL)
    batch = make_batch(np.random.default_rng(0))
    run = jax.jit(lambda batch: jax.value_and_grad(lambda v: task.loss(v, batch, jax.random.key(1))[0])(variables))
    others = {**batch, "label": np.where(batch["mask"] != 0, batch["label"], (batch["label"] + 1) % 3)}
    jax.tree.map(np.testing.assert_array_equal, run(batch), run(others))
    rows = {**batch, "mask": np.array([1.0, 1.0, 0.0])}
    two = {name: value[:2] for name, value in batch.items() if name != "mask"}
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), run(rows), run(two))
    measured = jax.jit(task.measure)(variables, batch)
    logits = MODEL.apply(variables, batch["image"])
    inside, cut = batch["mask"][:, 8:12, 8:12] != 0, batch["label"][:, 8:12, 8:12]
    assert measured["accuracy"].value == pytest.approx((logits.argmax(-1) == cut)[inside].mean())
    np.testing.assert_allclose(measured["loss"].value, run(batch)[0], rtol=1e-5)


class TwoHeads(linen.Module):
    """Logits at every pixel, and those of an auxiliary head."""

    auxiliary = {"early": 0.3}  # noqa: RUF012

    @linen.compact
    def __call__(self, x, train=False, return_intermediates=False):
        logits = linen.Dense(3, name="output")(x)
        return (logits, {"early": linen.Dense(3, name="early")(x)}) if return_intermediates else logits


def test_overlap_losses_and_auxiliary_heads_are_learned_and_ignored_labels_are_not():
    model, rng = TwoHeads(), np.random.default_rng(3)
    batch = {"image": rng.normal(size=(2, 4, 5, 2)).astype(np.float32), "mask": rng.integers(0, 2, (2, 4, 5))}
    batch |= {"label": np.where(batch["mask"], rng.integers(0, 3, (2, 4, 5)), 255)}
    task = tasks.segmentation(model, loss=losses.dice)
    variables = {
        "params": {name: {"kernel": rng.normal(size=(2, 3)), "bias": np.zeros(3)} for name in ("output", "early")}
    }

    @jax.jit
    def run(variables, batch):
        mask, labels = batch["mask"], tasks.masked_labels(batch["label"], batch["mask"])
        logits, out = model.apply(variables, batch["image"], return_intermediates=True)
        expected = losses.dice(logits, labels, mask=mask) + 0.3 * losses.dice(out["early"], labels, mask=mask)
        matrix = metrics.confusion_matrix(metrics.predict(logits), batch["label"], 3, mask=mask)
        value, _ = task.loss(variables, batch, jax.random.key(1))
        return value, expected, task.measure(variables, batch)["mean_iou"].value, metrics.mean_iou(matrix)

    value, expected, measured, mean_iou = run(variables, batch)
    np.testing.assert_allclose(value, expected, rtol=1e-6)
    np.testing.assert_allclose(measured, mean_iou, rtol=1e-6)


def test_images_labels_and_masks_are_augmented_alike():
    rng = np.random.default_rng(4)
    batch = {"image": rng.normal(size=(2, 5, 6, 1)).astype(np.float32), "label": rng.integers(0, 3, (2, 5, 6))}
    batch |= {"mask": rng.integers(0, 2, (2, 5, 6))}
    batch["label"][batch["mask"] == 0] = 255
    functions = [partial(augmentation.flip, probability=1.0), partial(augmentation.shift, down=(1, 1), right=0)]
    made = jax.jit(data.augment_pixels(*functions, num_classes=3))(jax.random.key(0), batch)
    moved = {name: np.zeros_like(array) for name, array in batch.items()}
    for name, array in batch.items():
        moved[name][:, 1:] = np.where(array == 255, 0, array)[:, :-1, ::-1]
        np.testing.assert_allclose(made[name], moved[name], atol=1e-6, err_msg=name)
    rows = data.augment_pixels(num_classes=3)(jax.random.key(0), {**batch, "mask": np.array([1, 0])})
    assert rows["mask"].sum(axis=(1, 2)).tolist() == [30, 0]


@pytest.mark.parametrize(("shape", "batch_size"), [((23, 31), 1), ((9, 50), 4)])
def test_tiles_have_no_seams(variables, shape, batch_size):
    image = np.random.default_rng(1).normal(size=(*shape, 1)).astype(np.float32)
    apply = jax.jit(lambda x: MODEL.apply(variables, x))
    tiled = tasks.predict_tiles(apply, image, tile=20, margin=MODEL.margin, batch_size=batch_size)
    assert tiled.shape == (*shape, 3)
    size = [24 * 2, 28 * 2]
    padded = np.pad(image, [(8, size[0] - shape[0] - 8), (8, size[1] + 10 - shape[1] - 8), (0, 0)], mode="reflect")
    whole = MODEL.apply(variables, padded[None])[0, : shape[0], : shape[1]]
    np.testing.assert_allclose(tiled, whole, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("image", "tile", "margin"), [((4, 4), 20, 8), ((4, 4, 1), 16, 8), ((0, 4, 1), 20, 8), ((4, 4, 1), 20, 7)]
)
def test_tiles_that_cannot_be_are_refused(variables, image, tile, margin):
    with pytest.raises(ValueError, match=rf"margin {margin}|, 4, 4, 3\)"):
        tasks.predict_tiles(lambda x: MODEL.apply(variables, x), np.zeros(image, np.float32), tile, margin)


def test_border_weights_are_the_papers_formula():
    rng = np.random.default_rng(2)
    instances = ndimage.label(rng.random((12, 15)) > 0.7)[0].astype(np.uint16)
    weights = data.border_weights(instances, w0=7.0, sigma=2.0)
    rows, columns = np.indices(instances.shape)
    share = (instances == 0).mean()
    for i, j in np.ndindex(instances.shape):
        distances = [
            np.sqrt((rows - i) ** 2 + (columns - j) ** 2)[instances == number].min()
            for number in range(1, instances.max() + 1)
        ]
        d1, d2 = sorted(distances)[:2]
        gap = 7 * np.exp(-((d1 + d2) ** 2) / 8) if instances[i, j] == 0 else 0
        expected = (0.5 / share if instances[i, j] == 0 else 0.5 / (1 - share)) + gap
        assert weights[i, j] == pytest.approx(expected, rel=1e-6)
    assert (data.border_weights(np.eye(3, dtype=bool), balance=False) == 1).all()
    assert (data.border_weights(np.zeros((2, 2), int)) == 1).all()
    with pytest.raises(TypeError, match="float64"):
        data.border_weights(np.zeros((2, 2)))
    with pytest.raises(ValueError, match=r"\(1, 2, 2\)"):
        data.border_weights(np.zeros((1, 2, 2), int))


def test_touching_objects_are_separated():
    rng = np.random.default_rng(3)
    instances = rng.integers(0, 4, (9, 11)).astype(np.uint16) // 2 * 3
    separated = data.separate_touching(instances)
    assert separated.dtype == np.uint16
    for i, j in np.ndindex(instances.shape):
        around = instances[max(i - 1, 0) : i + 2, max(j - 1, 0) : j + 2]
        touches = set(around.ravel().tolist()) - {0, instances[i, j]}
        assert separated[i, j] == (0 if touches else instances[i, j])
    two = np.repeat([[1] * 5 + [2] * 5], 4, axis=0)
    assert ndimage.label(data.separate_touching(two))[1] == 2
    assert data.separate_touching(np.zeros((0, 3), int)).shape == (0, 3)
    with pytest.raises(TypeError, match="float64"):
        data.separate_touching(np.zeros((2, 2)))
    with pytest.raises(ValueError, match="got -1"):
        data.separate_touching(np.array([[0, -1]]))


@pytest.mark.parametrize("dtype", [np.int32, np.uint8])
def test_augmentation_does_not_make_a_class_of_a_label_that_is_none(dtype):
    label, image = np.array([[[0, 1, 255]]], dtype), np.ones((1, 1, 3, 1), np.float32)
    augment = data.augment_pixels(num_classes=2)
    made = augment(jax.random.key(0), {"image": image, "label": label})
    assert made["label"].tolist() == [[[0, 1, 255 if dtype == np.uint8 else -1]]]
    made = augment(jax.random.key(0), {"image": image, "label": label, "mask": np.array([[[1.0, 1, 0]]])})
    assert made["label"].tolist() == [[[0, 1, 0]]]
