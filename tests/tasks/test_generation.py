"""Tasks of generative models: masks, evaluation, training under fit, resumption, several devices."""

import math
from functools import cache

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen

from jaxdl import data, generative, models, optim, tasks, train
from jaxdl.train import parallel

LEVELS = 4
KEY = jax.random.key(7)
SCHEDULE = generative.cosine_schedule(20)


class Denoiser(linen.Module):
    """A linear network of the image, the time and the class."""

    @linen.compact
    def __call__(self, x, t, labels, train=False):
        seen = [x.reshape(len(x), -1), jnp.sin(t)[:, None], jax.nn.one_hot(labels, 4)]
        return linen.Dense(16)(jnp.concatenate(seen, axis=1)).reshape(x.shape)


TASKS = {
    "pixels": lambda: tasks.autoregressive_pixels(
        models.PixelCNN(LEVELS, num_layers=1, hidden_size=4, num_labels=3), conditional=True
    ),
    "flow": lambda: tasks.normalizing_flow(models.Glow(1, 1, 4), levels=LEVELS, key=KEY),
    "diffusion": lambda: tasks.denoising_diffusion(Denoiser(), SCHEDULE, key=KEY, no_label=3, drop_rate=0.5),
}


def arrays(name, size=16):
    rng = np.random.default_rng(0)
    image = rng.integers(0, LEVELS, (size, 4, 4, 1)).astype(np.int32)
    image = image[..., 0] if name == "pixels" else image
    image = (2 * image / (LEVELS - 1) - 1).astype(np.float32) if name == "diffusion" else image
    return {"image": image, "label": rng.integers(0, 3, size).astype(np.int32)}


@cache
def prepared(name):
    """Return the task, the step, a state with all parameters off their first zeros, and the loader."""
    task, optimizer, loader = TASKS[name](), optim.adam(0.01), data.Loader(arrays(name), 8, seed=1)

    @jax.jit
    def create(batch):
        state = train.TrainState.create(task.init(jax.random.key(0), batch), optimizer, jax.random.key(1))
        leaves, treedef = jax.tree.flatten(state.params)
        shifted = [leaf + 0.1 * jnp.cos(jnp.arange(leaf.size)).reshape(leaf.shape) for leaf in leaves]
        return state.replace(params=jax.tree.unflatten(treedef, shifted))

    return task, train.make_step(task.loss, optimizer), create(loader.batch(0)), loader


def fit(name, epochs, state=None, **options):
    _, step, start, loader = prepared(name)
    return train.fit(step, jax.tree.map(jnp.copy, state or start), loader, epochs=epochs, **options)


@pytest.mark.parametrize("name", TASKS)
def test_masked_rows_have_no_influence_and_every_parameter_a_gradient(name):
    task, _, state, _ = prepared(name)
    batch = arrays(name, 3)
    masked = {**batch, "mask": np.array([1, 1, 0])}
    changed = {key: np.concatenate([value[:2], 0 * value[2:]]) for key, value in batch.items()} | {
        "mask": masked["mask"]
    }

    @jax.jit
    def run(variables, batch):
        (value, (_, parts)), gradient = jax.value_and_grad(lambda v: task.loss(v, batch, KEY), has_aux=True)(variables)
        return value, parts, gradient, {key: mean.value for key, mean in task.measure(variables, batch).items()}

    found = run(state.variables, masked)
    chex.assert_trees_all_equal(found, run(state.variables, changed))
    assert np.isfinite(found[0])
    assert all(np.any(leaf != 0) for leaf in jax.tree.leaves(found[2]["params"]))
    for values in (found[1], found[3]):
        if "bits_per_dimension" in values:
            loss = values.get("loss", found[0])
            np.testing.assert_allclose(values["bits_per_dimension"], loss / math.log(2), rtol=1e-5)


@pytest.mark.parametrize("name", TASKS)
def test_training_learns_and_resumes_bit_for_bit(name):
    whole, history = fit(name, 4, report_every=4)
    half, _ = fit(name, 2, report_every=4)
    resumed, _ = fit(name, 4, half, report_every=4)
    chex.assert_trees_all_equal(*(jax.device_get(each.replace(key=None)) for each in (whole, resumed)))
    assert int(whole.step) == 8
    assert np.isfinite(history[-1]["train/loss"])


def test_eight_devices_train_as_one():
    alone, _ = fit("diffusion", 1)
    together, _ = fit("diffusion", 1, mesh=parallel.make_mesh({"data": 8}))
    chex.assert_trees_all_close(*(jax.device_get(each.params) for each in (alone, together)), rtol=0, atol=1e-5)


def test_the_loss_of_a_flow_is_its_density_of_the_levels():
    task, _, state, _ = prepared("flow")
    batch, model = arrays("flow", 5), models.Glow(1, 1, 4)

    @jax.jit
    def run(variables):
        x = generative.dequantize(KEY, batch["image"], LEVELS)
        y, log_det = generative.to_logits(x)
        likelihood = generative.flow_log_likelihood(*model.apply(variables, y)) + log_det
        bits = generative.bits_per_dimension(likelihood, 16, LEVELS)
        return jnp.mean(bits), task.measure(variables, batch)["bits_per_dimension"].value

    np.testing.assert_allclose(*run(state.variables), rtol=1e-5)


def test_the_right_share_of_labels_is_dropped_in_training_alone():
    def table(shift):
        """Make a network that returns its label, for noise of zero."""

        class Network:
            @staticmethod
            def apply(variables, x, *, t, labels, train, mutable=False, rngs=None):
                output = x * 0 + (labels == shift)[:, None]
                return (output, {}) if train else output

        return Network()

    schedule = generative.make_schedule([1e-6])
    batch = {"image": np.zeros((2000, 1), np.float32), "label": np.full(2000, 1)}
    options = {"key": KEY, "parametrization": generative.X0, "no_label": 3, "drop_rate": 0.25}
    for label, share in ((3, 0.25), (1, 0.75)):
        task = tasks.denoising_diffusion(table(label), schedule, **options)
        np.testing.assert_allclose(task.loss({}, batch, KEY)[0], share, atol=0.03)
    assert task.measure({}, batch)["loss"].value == 1


@pytest.mark.parametrize(("name", "batch", "got"), [("pixels", {"image": 0}, "label"), ("flow", {"imag": 0}, "image")])
def test_missing_arrays_raise(name, batch, got):
    with pytest.raises(ValueError, match=got):
        TASKS[name]().loss({}, batch, KEY)


def test_an_invalid_share_of_dropped_labels_raises():
    with pytest.raises(ValueError, match=r"got 1\.5"):
        tasks.denoising_diffusion(Denoiser(), SCHEDULE, key=KEY, drop_rate=1.5)


class Best:
    """The best field for standard normal examples: velocity or, times the deviation, score."""

    def __init__(self, field):
        self.field = field

    def apply(self, variables, x, *, t, train, mutable=False, rngs=None):
        y = variables["params"]["w"] * self.field(x, t[:, None])
        return (y, {}) if train else y


STDS = np.array([2.0, 0.5])
FIELDS = {
    # E |x - e - v|^2 = 2 - cov(x - e, x_t)^2 / var(x_t), and the mean of 2 - (2t - 1)^2 / (t^2 + (1 - t)^2) is pi / 2.
    "flow": (
        lambda: tasks.flow_matching(
            Best(lambda x, t: x * (2e-3 * t - 1) / (1e-6 * t**2 + (1 - 1e-3 * t) ** 2)), key=KEY, inputs="x"
        ),
        np.pi / 2,
    ),
    # E (s score(x + s e) + e)^2 = 1 / (1 + s^2)
    "score": (
        lambda: tasks.score_matching(
            Best(lambda x, i: -x * jnp.asarray(STDS)[i] / (1 + jnp.asarray(STDS)[i] ** 2)), STDS, key=KEY, inputs="x"
        ),
        np.mean(1 / (1 + STDS**2)),
    ),
}


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("name", FIELDS)
def test_the_best_field_has_the_least_loss_and_masked_rows_have_none(name):
    make, least = FIELDS[name]
    task = make()
    x = np.random.default_rng(0).normal(size=(40_000, 2))
    mask = np.ones(len(x)).astype(np.float32)
    x[-100:], mask[-100:] = 1e3, 0

    @jax.jit
    def run(x, mask):
        batch = {"x": x, "mask": mask}

        def loss(w):
            return task.loss({"params": {"w": w}}, batch, jax.random.key(1))[0]

        return *jax.value_and_grad(loss)(jnp.ones(())), task.measure({"params": {"w": jnp.ones(())}}, batch)[
            "loss"
        ].value

    value, slope, measured = run(x, mask)
    np.testing.assert_allclose([value, measured], least, rtol=0.02)
    np.testing.assert_allclose(slope, 0, atol=0.03)


def test_invalid_deviations_and_scales_raise():
    with pytest.raises(ValueError, match="stds"):
        tasks.score_matching(Denoiser(), [1.0, 0.0], key=KEY)
    with pytest.raises(ValueError, match="got 0"):
        tasks.flow_matching(Denoiser(), key=KEY, time_scale=0)
