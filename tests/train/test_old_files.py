"""Checkpoints and weights that version 0.1.0 wrote, read with the present code."""

import json
import shutil
from pathlib import Path

import jax
import numpy as np
import optax
import pytest
from flax import linen as nn

from jaxdl import data, optim, tasks, train, tree
from jaxdl.nn.noise import Dropout
from jaxdl.nn.normalization import BatchNorm
from jaxdl.train.checkpointing import snapshot

FIXTURES = Path(__file__).parents[1] / "fixtures"
EXPECTED = json.loads((FIXTURES / "training" / "expected.json").read_text())
CONFIG = {"model": "network", "retain_probability": 0.75}


class Network(nn.Module):
    """A network whose state has batch statistics and whose step draws a dropout mask."""

    @nn.compact
    def __call__(self, x, train=False):
        x = BatchNorm(name="norm")(nn.Dense(8, use_bias=False, name="hidden")(x), train=train)
        return nn.Dense(3, name="output")(Dropout(0.25, name="dropout")(nn.relu(x), train=train))


@pytest.fixture(scope="module")
def run():
    """The task, the step, the state before the first step and the loader of the run."""
    generator = np.random.default_rng(0)
    images = generator.normal(size=(40, 5)).astype(np.float32)
    loader = data.Loader({"image": images, "label": generator.integers(3, size=40).astype(np.int32)}, 8, seed=1)
    schedule = optim.schedules.warmup(optim.schedules.cosine_decay(0.1, 20), 5)
    optimizer = optax.chain(optim.clip_by_global_norm(1.0), optim.adam(schedule))
    task = tasks.classification(Network())
    state = train.TrainState.create(task.init(jax.random.key(0), loader.batch(0)), optimizer, jax.random.key(1))
    return task, train.make_step(task.loss, optimizer), state, loader


@pytest.fixture(scope="module")
def restored(run):
    return train.Checkpoints(FIXTURES / "training" / "checkpoints", config=CONFIG).restore(run[2])


def test_restore_every_leaf_of_an_old_checkpoint(restored):
    leaves = tree.flatten(restored.replace(key=jax.random.key_data(restored.key)))
    sums = {name: np.abs(np.asarray(leaf, np.float64)).sum() for name, leaf in leaves.items()}
    assert sums == pytest.approx(EXPECTED["sums"], rel=1e-12)


def test_continue_an_old_run_with_its_numbers(run, restored):
    task, step, _, loader = run
    checkpoints = train.Checkpoints(FIXTURES / "training" / "checkpoints", config=CONFIG)
    assert checkpoints.position() == EXPECTED["position"]
    loader.restore(checkpoints.position())
    state = jax.tree.map(jax.numpy.copy, restored)
    _, rows = train.fit(step, state, loader, epochs=3, report_every=1)
    for name, values in EXPECTED["continued"].items():
        assert [row[f"train/{name}"] for row in rows] == pytest.approx(values, rel=1e-4), name


def test_load_old_weights_and_evaluate_them(run, restored):
    task, _, state, loader = run
    variables = train.weights.load(FIXTURES / "training" / "weights.safetensors", state.variables)
    jax.tree.map(np.testing.assert_array_equal, variables, restored.variables)
    measured = train.make_evaluation(task.measure, loader.arrays)(variables)
    assert measured == pytest.approx(EXPECTED["evaluation"], rel=1e-5)


@pytest.mark.parametrize(("name", "step"), [("mlp_digits", 2), ("word_lm", 9)])
def test_old_run_folders_are_undamaged(name, step, tmp_path):
    folder = shutil.copytree(FIXTURES / "runs" / name, tmp_path / name)
    config = json.loads((folder / "config.json").read_text())
    size = tree.size(train.weights.load(folder / "weights.safetensors")["params"])
    assert size == json.loads((folder / "manifest.json").read_text())["result"]["parameters"]
    manifest = snapshot.read_manifest(folder / "checkpoints" / f"{step:08d}")
    snapshot.verify_files(folder / "checkpoints" / f"{step:08d}", manifest)
    assert manifest["config"].items() <= config.items()
