"""Networks to look into, and the figures of what they do."""

import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from matplotlib import pyplot as plt

from experiments.harness.errors import UsageError
from experiments.harness.interpret import maps
from experiments.harness.interpret.networks import Looking, Network, load_network, photograph
from experiments.harness.run_folder import Run
from jaxdl import interpret, models

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(("name", "first", "last"), [("vgg16", "conv1_1", "conv5_3"), ("alexnet", "conv1", "conv5")])
def test_weights_of_lpips_are_read_in_order(name, first, last, tmp_path):
    model = models.create(name, num_classes=None)
    shapes = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 64, 64, 3)))["params"]
    # Their file: convolutions by number, and a layer on each of five outputs.
    names = [path for path in shapes if path.startswith("conv")]
    nets = {
        f"Conv_{i}": {part: np.full(leaf.shape, i, np.float32) for part, leaf in shapes[path].items()}
        for i, path in enumerate(names)
    }
    lin = {"NetLinLayer_0": {"Conv_0": {"kernel": np.ones((1, 1, 4, 1), np.float32)}}}
    path = tmp_path / "net.ckpt"
    path.write_bytes(pickle.dumps({"Net_0": nets, **lin}))
    network = load_network(Looking(model=name, weights=path), Run("maximize", {}))
    params = network.variables["params"]
    assert params[first]["kernel"].max() == 0
    assert params[last]["bias"].min() == len(names) - 1
    assert jax.tree.map(jnp.shape, params) == jax.tree.map(jnp.shape, shapes)


def test_a_layer_of_another_size_is_rejected(tmp_path):
    path = tmp_path / "net.ckpt"
    path.write_bytes(pickle.dumps({"Net_0": {"Conv_0": {"kernel": np.ones((2, 2, 3, 4)), "bias": np.ones(4)}}}))
    with pytest.raises(UsageError, match=r"got .*\(2, 2, 3, 4\)"):
        load_network(Looking(model="alexnet", weights=path), Run("maximize", {}))


def test_receptive_fields_follow_the_layers():
    for model in ("vgg16", "alexnet"):
        net = models.create(model, num_classes=None)
        shapes = jax.eval_shape(net.init, jax.random.key(0), jnp.zeros((1, 64, 64, 3)))
        network = Network(net, shapes, 3)
        size = {"vgg16": ("conv3_3", 40), "alexnet": ("conv5", 163)}[model]
        start, stop = interpret.receptive_interval(network.layers_until(size[0]), 0)
        assert stop - start == size[1]


def test_photographs_have_the_rows_and_channels_that_are_asked_for():
    assert photograph("china", 32, 1).shape == (1, 32, 48, 1)
    image = photograph("flower", 40, 3)
    assert image.shape == (1, 40, 60, 3)
    assert 0 <= image.min() < image.max() <= 1


def test_figures():
    labels, scores = np.array([0, 1, 1, 0, 1]), np.array([0.1, 0.9, 0.4, 0.5, 0.8])
    _, axis = plt.subplots()
    maps.plot_roc(axis, {"score": scores}, labels)
    assert axis.get_legend_handles_labels()[1] == ["score, area 0.833"]
    vectors = RNG.normal(size=(12, 5)) * [9, 1, 1, 1, 1]
    points = maps.pca(vectors)
    assert np.isclose(abs(np.corrcoef(points[:, 0], vectors[:, 0])[0, 1]), 1, atol=0.01)
    assert abs(np.corrcoef(points.T)[0, 1]) < 1e-9
    assert maps.t_sne(vectors).shape == (12, 2)
    _, axis = plt.subplots()
    maps.plot_embedding(axis, points, np.arange(12) % 3, ("a", "b", "c"))
    assert [text.get_text() for text in axis.texts] == ["a", "b", "c"]
    images = RNG.uniform(size=(2, 6, 6, 3))
    figure = maps.attribution_grid(images, {"gradient": images - 0.5, "zero": np.zeros((2, 6, 6))})
    assert len(figure.axes) == 6
    plt.close("all")
