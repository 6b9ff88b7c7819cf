"""Tasks of autoencoding: their losses from their parts, masked rows, resumption, and several devices."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl import data, generative, models, optim, tasks, train, tree
from jaxdl.train import parallel
from tests.variables import draw

KEY = jax.random.key(5)
SHAPE = (4, 4, 1)
TASKS = {
    "denoising": lambda: tasks.autoencoding(models.ConvAutoencoder((2, 2)), corrupt=generative.masking_noise),
    "penalties": lambda: tasks.autoencoding(
        models.TiedAutoencoder(SHAPE, (3,), code_activation="sigmoid"),
        likelihood=generative.gaussian_log_likelihood,
        penalties=[generative.sparse(0.1), generative.contractive(0.1)],
    ),
    "variational": lambda: tasks.variational_autoencoding(models.VAE(SHAPE, (5,), 2), KEY, beta=2.0, least_nats=0.1),
    "importance": lambda: tasks.importance_weighted_autoencoding(models.VAE(SHAPE, (5,), 2), KEY, samples=3),
    "categorical": lambda: tasks.categorical_autoencoding(models.CategoricalVAE(SHAPE, (5,), 2, 3)),
    "quantized": lambda: tasks.quantized_autoencoding(models.VQVAE((3, 2), 4)),
}


def examples(count):
    return {"image": np.random.default_rng(0).uniform(size=(count, *SHAPE)).astype(np.float32)}


@functools.cache
def start(name):
    task, optimizer = TASKS[name](), optim.adam(0.01)
    variables = draw(task.init, jax.random.key(0), examples(8))
    state = train.TrainState.create(variables, optimizer, jax.random.key(1))
    return task, train.make_step(task.loss, optimizer), jax.device_get(state.replace(key=None)), state.key


@pytest.mark.parametrize("name", TASKS)
def test_every_task_learns_in_every_parameter_and_masked_rows_do_not_count(name):
    task, _, state, key = start(name)
    batch = examples(4)

    @jax.jit
    def run(params, batch):
        (value, (_, metrics)), gradient = jax.value_and_grad(
            lambda p: task.loss({"params": p}, batch, key), has_aux=True
        )(params)
        return value, gradient, metrics, {k: m.value for k, m in task.measure({"params": params}, batch).items()}

    mask = np.array([1.0, 1.0, 0.0, 1.0], np.float32)
    other = {"image": np.where(mask[:, None, None, None] != 0, batch["image"], 0.5), "mask": mask}
    first, second = run(state.params, {**batch, "mask": mask}), run(state.params, other)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), first, second)
    value, gradient, _, measured = first
    assert np.isfinite(value)
    assert all(np.isfinite(number) for number in measured.values())
    leaves = [leaf for path, leaf in tree.flatten(gradient).items() if path != "codebook"]  # some are nowhere nearest
    assert all(np.any(leaf != 0) for leaf in leaves)
    if name == "penalties":  # which draws no noise
        kept = run(state.params, {"image": batch["image"][mask != 0]})
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), first, kept)


def test_training_resumes_bit_for_bit_and_is_the_same_on_eight_devices():
    _, step, saved, key = start("variational")
    state = saved.replace(key=key)
    loader = data.Loader(examples(40), 8, seed=1)
    run = lambda state, **options: train.fit(step, jax.tree.map(jnp.copy, state), loader, **options)[0]  # noqa: E731
    whole = run(state, epochs=2)
    half = jax.device_get(run(state, epochs=1).replace(key=None)).replace(key=key)
    resumed = run(half, epochs=2)
    leaves = lambda state: jax.tree.leaves(jax.device_get(state.replace(key=None)))  # noqa: E731
    for ours, theirs in zip(leaves(resumed), leaves(whole), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    mesh = parallel.make_mesh({"data": 8})
    spread, _ = train.fit(step, parallel.on_mesh(jax.tree.map(jnp.copy, state), mesh), loader, epochs=2, mesh=mesh)
    for ours, theirs in zip(leaves(spread), leaves(whole), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-5)


def test_the_variational_loss_is_the_weighted_sum_of_its_parts():
    model = models.VAE(SHAPE, (5,), 2)
    batch = examples(6)
    variables = draw(model.init, jax.random.key(0), batch["image"])
    settings = ((1.0, 0.0), (3.0, 0.0), (1.0, 50.0))

    @jax.jit
    def run(variables, batch):
        found = {}
        for beta, least in settings:
            task = tasks.variational_autoencoding(model, KEY, beta=beta, least_nats=least)
            value, (_, parts) = task.loss(variables, batch, jax.random.key(2))
            found[beta, least] = value, parts["reconstruction"], parts["kl"]
        task = tasks.variational_autoencoding(model, jax.random.key(2))
        return found, task.measure(variables, batch)["loss"].value

    losses, measured = jax.device_get(run(variables, batch))
    value, reconstruction, kl = losses[1.0, 0.0]
    assert value == pytest.approx(reconstruction + kl)
    assert losses[3.0, 0.0][0] == pytest.approx(reconstruction + 3 * kl)
    assert losses[1.0, 50.0][0] == pytest.approx(reconstruction + 2 * 50)
    assert measured == pytest.approx(value, rel=1e-5)
    with pytest.raises(ValueError, match="'image'"):
        tasks.variational_autoencoding(model, KEY).loss(variables, {"images": batch["image"]}, KEY)
