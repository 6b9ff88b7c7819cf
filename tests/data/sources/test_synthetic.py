"""Synthetic tasks: the geometry of each, and dependence on the key alone."""

import jax
import numpy as np
import pytest

from jaxdl.data.sources import synthetic

TASKS = {
    "linearly_separable": synthetic.linearly_separable,
    "xor": synthetic.xor,
    "two_moons": synthetic.two_moons,
    "spirals": synthetic.spirals,
    "blobs": synthetic.blobs,
    "sine": synthetic.sine,
}


WITHOUT_NOISE = {"linearly_separable", "blobs"}


def draw(task, key, count, **options):
    """Draw a task in one compiled program, which is faster than one operation at a time."""
    return tuple(np.asarray(each) for each in jax.jit(lambda key: task(key, count, **options))(key))


@pytest.mark.parametrize("name", TASKS)
def test_tasks_depend_on_their_key_alone_under_vmap(name, key):
    make = jax.jit(jax.vmap(lambda key: TASKS[name](key, 24, **({} if name in WITHOUT_NOISE else {"noise": 0.1}))))
    keys = jax.random.split(key, 3)
    x, y = (np.asarray(each) for each in make(keys))
    again = make(keys[::-1])
    assert x.dtype == np.float32
    assert x.shape[:2] == (3, 24)
    np.testing.assert_array_equal(x[::-1], again[0])
    np.testing.assert_array_equal(y[::-1], again[1])
    assert not np.allclose(x[0], x[1])
    if name == "sine":
        assert y.shape == x.shape == (3, 24, 1)
    else:
        assert y.dtype == np.int32
        counts = np.bincount(y[0])
        assert counts.max() - counts.min() <= 1
        np.testing.assert_array_equal(y[0], y[1])


@pytest.mark.parametrize("num_features", [2, 5])
def test_separable_points_are_separated_by_the_margin(num_features, key):
    x, y = draw(synthetic.linearly_separable, key, 200, num_features=num_features, margin=0.3)
    optimize = pytest.importorskip("scipy.optimize", reason="scipy finds the maximum margin")
    # The maximum margin through the origin: minimize |w|^2 with sign * (w . x) >= 1; its margin is 1 / |w|.
    sign = 2.0 * y - 1
    result = optimize.minimize(
        lambda w: w @ w,
        (x * sign[:, None]).mean(axis=0) * 10,
        jac=lambda w: 2 * w,
        constraints={"type": "ineq", "fun": lambda w: sign * (x @ w) - 1, "jac": lambda _: sign[:, None] * x},
        method="SLSQP",
    )
    assert result.success
    assert 0.3 - 1e-4 <= 1 / np.linalg.norm(result.x) < 0.45


def test_a_perceptron_stops_within_the_bound_of_Novikoff(key):
    x, y = draw(synthetic.linearly_separable, key, 60, margin=0.1)
    sign, weights, mistakes = 2 * y - 1, np.zeros(2), 0
    while (wrong := np.flatnonzero(sign * (x @ weights) <= 0)).size:
        weights += sign[wrong[0]] * x[wrong[0]]
        mistakes += 1
        assert mistakes <= (x**2).sum(axis=1).max() / 0.1**2


def test_xor_has_its_labels_and_noise(key):
    x, y = draw(synthetic.xor, key, 4000, noise=0.1)
    corner = np.round(x).astype(int)
    assert (corner[:, 0] ^ corner[:, 1] == y).mean() > 0.999
    assert abs((x - corner).std() - 0.1) < 0.005


def test_moons_lie_on_their_circles(key):
    x, y = draw(synthetic.two_moons, key, 100, noise=0.0)
    center = np.where(y[:, None] == 0, [[0.0, 0.0]], [[1.0, 0.5]])
    np.testing.assert_allclose(np.linalg.norm(x - center, axis=1), 1, atol=1e-6)
    assert (x[y == 0, 1] >= -1e-6).all()
    assert (x[y == 1, 1] <= 0.5 + 1e-6).all()


def test_moons_agree_with_scikit_learn(key):
    datasets = pytest.importorskip("sklearn.datasets", reason="scikit-learn draws moons")
    theirs, label = datasets.make_moons(400, noise=None)
    x, y = draw(synthetic.two_moons, key, 400, noise=0.0)
    for part in (0, 1):
        distance = np.linalg.norm(x[y == part][:, None] - theirs[label == part][None], axis=-1).min(axis=1)
        assert distance.max() < np.pi / 199 / 2 * 1.01  # half the step between their points


def test_spirals_have_the_given_turns(key):
    x, y = draw(synthetic.spirals, key, 300, num_classes=3, turns=2.0, noise=0.0)
    radius = np.linalg.norm(x, axis=1)
    expected = 2 * np.pi * (2.0 * radius + y / 3)
    np.testing.assert_allclose(x[:, 0], radius * np.cos(expected), atol=1e-5)
    np.testing.assert_allclose(x[:, 1], radius * np.sin(expected), atol=1e-5)
    assert radius.max() <= 1


def test_blobs_lie_around_their_centres(key):
    centers = np.array([[0.0, 5.0, 0.0], [9.0, 0.0, 1.0]], np.float32)
    x, y = draw(synthetic.blobs, key, 4000, num_classes=2, num_features=3, spread=0.5, centers=centers)
    offset = x - np.asarray(centers)[y]
    assert abs(offset.std() - 0.5) < 0.02
    assert abs(offset.mean(axis=0)).max() < 0.04
    with pytest.raises(ValueError, match=r"got \[2, 3\]"):
        synthetic.blobs(key, 10, centers=centers)


def test_sine_is_drawn_from_its_interval(key):
    x, y = draw(synthetic.sine, key, 2000, noise=0.2, low=-1.0, high=2.0)
    assert x.min() >= -1
    assert x.max() < 2
    assert abs((y - np.sin(x)).std() - 0.2) < 0.02
