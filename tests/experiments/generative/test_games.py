"""What the experiments on two players measure, their data and their pictures while they learn."""

from types import SimpleNamespace

import numpy as np
import pytest

from experiments.generative.cycle_gan import mutual_information
from experiments.harness.errors import UsageError
from experiments.harness.generative import games, line_art
from experiments.harness.generative.snapshots import Snapshots


def test_a_mode_is_covered_by_a_fifth_of_its_share():
    centres = np.asarray(games.ring_centres())
    # Of 80 points the share of a mode is 10: seven modes have theirs, the eighth a single one, and nine are far away.
    x = np.concatenate([np.repeat(centres[:7], 10, axis=0), centres[7:], np.zeros((9, 2))]).astype(np.float32)
    found = games.coverage(x)
    assert found["modes"] == 7
    assert found["near"] == pytest.approx(71 / 80)


def test_mutual_information_is_that_of_the_modes():
    assert mutual_information(np.eye(8)) == pytest.approx(3)
    assert mutual_information(np.ones((8, 8))) == pytest.approx(0)
    assert mutual_information(np.repeat(np.eye(4), 2, axis=0)) == pytest.approx(2)


def test_pairs_have_the_same_outlines():
    pairs = line_art.draw_pairs(np.random.default_rng(0), 3, 32)
    assert pairs["a"].shape == pairs["b"].shape == (3, 32, 32, 3)
    assert -1 <= pairs["b"].min() < pairs["b"].max() <= 1
    np.testing.assert_allclose(pairs["a"][..., 0], pairs["a"][..., 2], atol=1e-6)
    assert np.abs(pairs["b"][..., 0] - pairs["b"][..., 2]).max() > 0.5
    assert (pairs["b"] <= pairs["a"] + 1e-6).all()  # the same black lines, on white and on colours
    black = pairs["a"] == -1
    assert black.any()
    assert (pairs["b"][black] == -1).all()


def test_a_folder_without_pairs_is_an_error(tmp_path):
    with pytest.raises(UsageError, match=r"resvg_py|black/svg"):
        line_art.read_pairs(tmp_path, 16)


def test_snapshots_are_taken_in_every_part_of_a_run_and_read_again(tmp_path):
    run = SimpleNamespace(directory=tmp_path)
    snapshots = Snapshots(run, lambda variables: variables["x"], count=3)
    for step in range(2, 13, 2):
        state = SimpleNamespace(variables={"x": np.full((1, 2, 2, 1), step, np.float32)})
        snapshots(SimpleNamespace(step=step, steps=2, total=12, state=state))
    found = Snapshots(run, lambda variables: variables, count=3).read()
    assert {step: images.max() for step, images in found.items()} == {4: 4, 8: 8, 12: 12}
