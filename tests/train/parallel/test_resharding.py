"""Checkpoints resumed on other devices."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl import train
from jaxdl.train import parallel
from tests.train.small import TENSOR_PARALLEL, assert_close, make_run

LAYOUTS = {
    "1": (None, None),
    "8": ({"data": 8}, parallel.replicated),
    "8 fully sharded": ({"data": 8}, parallel.fully_sharded),
    "2x4": ({"data": 2, "model": 4}, TENSOR_PARALLEL),
}


def place_copy(state, layout):
    """Place a copy of a state in a layout; return it with its mesh."""
    axes, rule = LAYOUTS[layout]
    if axes is None:
        return jax.tree.map(jnp.copy, state), None
    mesh = parallel.make_mesh(axes)
    return parallel.place(state, mesh, rule), mesh


@functools.cache
def saved(layout, folder):
    """Train one epoch in a layout and save; return the checkpoints."""
    _, step, state, loader = make_run()
    placed, mesh = place_copy(state, layout)
    trained, _ = train.fit(step, placed, loader, epochs=1, mesh=mesh)
    checkpoints = train.Checkpoints(folder / layout, config={})
    checkpoints.save(trained)
    return checkpoints


@functools.cache
def uninterrupted():
    _, step, state, loader = make_run()
    return train.fit(step, jax.tree.map(jnp.copy, state), loader, epochs=2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("checkpoints")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("8", "1"),
        ("8", "2x4"),
        ("1", "8"),
        ("1", "2x4"),
        ("2x4", "1"),
        ("2x4", "8 fully sharded"),
        ("8 fully sharded", "1"),
        ("8 fully sharded", "2x4"),
    ],
)
def test_resume_a_checkpoint_on_other_devices(before, after, folder):
    _, step, state, loader = make_run()
    like, mesh = place_copy(state, after)
    restored = saved(before, folder).restore(like)
    assert int(restored.step) == loader.steps_per_epoch
    jax.tree.map(lambda leaf, target: np.testing.assert_equal(leaf.sharding, target.sharding), restored, like)
    continued, history = train.fit(step, restored, loader, epochs=2, mesh=mesh)
    expected, expected_history = uninterrupted()
    assert_close(continued, expected)
    assert history[-1]["train/loss"] == pytest.approx(expected_history[-1]["train/loss"], abs=1e-6)
