"""`init_model` returns the values of the model's own init, without running its network; masked rows do not count."""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl import data, models, optim, tasks, train
from jaxdl.models.layers import ConvNorm
from jaxdl.models.scanning import scan_blocks
from jaxdl.models.transformers.gpt import GPT
from jaxdl.nn import normalization
from jaxdl.nn.normalization import BatchNorm
from jaxdl.tasks.task import init_model


class Small(nn.Module):
    """A convolution, and a dense layer on its spatial means."""

    @nn.compact
    def __call__(self, x, train=False):
        """Compute the logits."""
        x = nn.Dropout(0.5, deterministic=not train)(ConvNorm(4, (3, 3), name="first")(x, train))
        return nn.Dense(3, kernel_init=nn.initializers.orthogonal(), name="output")(jnp.mean(x, axis=(1, 2)))


def test_initialization_matches_init_without_running_the_network(key):
    model, x = Small(), np.zeros((2, 8, 8, 3), np.int64)

    @jax.jit
    def both(key):
        params, dropout = jax.random.split(key)
        expected = model.init({"params": params, "dropout": dropout}, jnp.zeros(x.shape), train=True)
        return init_model(model, key, x.astype(np.float32)), expected

    ours, expected = both(key)
    assert jax.tree.structure(ours) == jax.tree.structure(dict(expected))
    jax.tree.map(np.testing.assert_array_equal, ours, dict(expected))
    assert multiplies(model, jnp.zeros(x.shape)) == [True, False]


def multiplies(model, x):
    """Whether a model's own init and ours contain matrix products."""
    programs = (lambda key: model.init(key, x), lambda key: init_model(model, key, x))
    return ["dot_general" in str(jax.make_jaxpr(program)(jax.random.key(0))) for program in programs]


def test_initialization_supports_vmap_over_keys(key):
    x, keys = jnp.zeros((1, 4, 4, 2)), jax.random.split(key, 2)
    init = jax.jit(lambda key: init_model(ConvNorm(4, (3, 3)), key, x))
    many, one = jax.device_get((jax.jit(jax.vmap(init))(keys), init(keys[1])))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a[1], b, rtol=1e-6), many, one)


def test_initialization_of_scanned_blocks_matches_init(key):
    model, x = (
        GPT(vocab_size=5, context_length=4, d_model=4, num_layers=3, num_heads=1, scan_blocks=True),
        np.zeros((2, 3), np.int32),
    )
    ours = init_model(model, key, x)
    rngs = dict(zip(("params", "dropout"), jax.random.split(key), strict=True))
    expected = jax.jit(partial(model.init, train=True))(rngs, x)
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-6), ours, expected)
    assert multiplies(model, x) == [True, False]


class Normalized(nn.Module):
    """A dense layer, a batch norm, blocks scanned with one each, and a dense layer."""

    @nn.compact
    def __call__(self, x, train=False):
        """Compute the logits."""
        x = BatchNorm(name="norm")(nn.Dense(4, name="input")(x), train)
        x, _ = scan_blocks(NormalizedBlock(name="blocks"), 2, x, train)
        return nn.Dense(3, name="output")(x)


class NormalizedBlock(nn.Module):
    """A residual branch of a dense layer and a batch norm."""

    @nn.compact
    def __call__(self, x, train=False):
        """Map ``[B, 4]`` to the same shape."""
        return x + jnp.tanh(BatchNorm(name="norm")(nn.Dense(4, name="dense")(x), train))


def examples(count):
    rng = np.random.default_rng(0)
    return {"image": rng.normal(size=(count, 2)).astype(np.float32), "label": rng.integers(0, 3, count)}


def test_rows_that_fill_a_batch_count_in_no_batch_norm(key):
    arrays, optimizer, rows = examples(9), optim.momentum(0.1), 8
    task = tasks.classification(Normalized())
    step = train.make_step(task.loss, optimizer)
    start = train.TrainState.create(task.init(key, arrays), optimizer, key)
    ragged, run = start, jax.jit(step)
    for begin in (0, rows, 0, rows):
        ragged, _ = run(ragged, {name: array[begin : begin + rows] for name, array in arrays.items()})
    padded = data.Loader(arrays, rows, shuffle=False, drop_remainder=False)
    for loader in (padded, train.parallel.PaddedLoader(padded, 6)):
        for scan in (True, False):
            state, _ = train.fit(step, jax.tree.map(jnp.copy, start), loader, epochs=2, scan=scan)
            expected, got = (jax.tree.leaves((s.params, s.collections)) for s in (ragged, state))
            for ours, theirs in zip(got, expected, strict=True):
                np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "model",
    [
        models.ResNet(depths=(1, 2), widths=(4, 8), stem="cifar", scan_blocks=True),
        models.PreActivationResNet(depths=(1,), widths=(4,), stem="cifar", block="bottleneck"),
        models.DenseNet(growth_rate=2, depths=(1, 1), stem="cifar"),
        models.GoogLeNet(width=0.1, modules=("inception4a",)),
        models.InceptionV3(width=0.1, modules=("mixed6a",)),
        models.VGG(depths=(1,), widths=(4,), hidden_sizes=(4,), batch_norm=True),
        models.Xception(width=0.1, middle_blocks=0),
    ],
    ids=lambda model: type(model).__name__,
)
def test_every_batch_norm_of_every_family_gets_the_mask(model, monkeypatch):
    masks = []

    def recorded(x, *args, mask=None, **options):
        masks.append(mask)
        return batch_norm(x, *args, mask=mask, **options)

    batch_norm = normalization.batch_norm
    monkeypatch.setattr(normalization, "batch_norm", recorded)
    size = 80 if isinstance(model, models.InceptionV3) else 32
    batch = {"image": jnp.zeros((2, size, size, 3)), "label": jnp.zeros(2, int), "mask": jnp.array([1.0, 0.0])}
    task = tasks.classification(model)
    variables = jax.eval_shape(task.init, jax.random.key(0), batch)
    masks.clear()
    jax.eval_shape(task.loss, variables, batch, jax.random.key(0))
    assert masks
    assert all(mask is not None for mask in masks)


def test_rows_that_fill_up_a_batch_may_hold_anything(key):
    batch = examples(5) | {"mask": np.float32([1, 1, 1, 0, 0])}
    task = tasks.classification(Normalized())
    variables = task.init(key, batch)

    @jax.jit
    def results(image):
        return jax.value_and_grad(
            lambda params: task.loss({**variables, "params": params}, batch | {"image": image}, key), has_aux=True
        )(variables["params"])

    spoiled = np.where(batch["mask"][:, None] != 0, batch["image"], np.float32(np.nan))
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-6), results(batch["image"]), results(spoiled))
