"""Inverting embeddings: the image that a layer still knows, and the map of its embeddings.

    python -m experiments run inversion
    python -m experiments run inversion --model alexnet --weights alexnet.ckpt --layers conv1,conv3,conv5

Adam minimizes ``|h(x) - h(x0)|^2 / |h(x0)|^2`` plus the total variation of the image from grey, for the embedding ``h``
of each layer (Mahendran and Vedaldi, 2015). ``embedding`` is the remaining distance, ``pixels`` the root mean squared
error of the image. The maps show the embeddings of the deepest layer, of images by class or of tiles of two
photographs by photograph, on their principal components and by t-SNE.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from experiments.harness import configuration
from experiments.harness.errors import preparing
from experiments.harness.interpret.maps import pca, plot_embedding, t_sne
from experiments.harness.interpret.networks import Looking, Network, example_images, load_network, shown
from experiments.harness.plots import image_rows
from experiments.harness.run_folder import Run
from jaxdl import optim
from jaxdl.interpret import inversion_loss, minimize
from jaxdl.optim import schedules
from jaxdl.typing import Array


@dataclass(frozen=True)
class Config(Looking):
    """Images of given embeddings."""

    SMOKE = {"epochs": 0, "steps": 2, "layers": "conv1_1", "images": 2}

    layers: str = "conv1_1,conv2_1,conv3_1,dense1"
    """Layers, separated by commas."""
    images: int = 8
    """Number of images."""
    size: int = 64
    """Height and width of tiles of the photographs."""
    steps: int = 300
    """Steps of Adam."""
    variation: float = 1.0
    """Weight of the total variation."""

    def __post_init__(self) -> None:
        super().__post_init__()
        configuration.at_least(self, size=32)


def run(config: Config, run: Run) -> dict[str, float]:
    """Invert the embeddings of each layer, draw the images and the maps."""
    network, examples = load_network(config, run), example_images(config, run, config.size)
    places = np.linspace(0, len(examples["image"]), config.images, endpoint=False).astype(int)
    images = examples["image"][places + (len(examples["image"]) - 1 - places[-1]) // 2]
    rows, result = {"image": [shown(x) for x in images]}, {}
    for layer in config.layers.split(","):
        with preparing():
            x, distance = jax.device_get(invert(config, network, layer, images))
        rows[layer] = [shown(image) for image in x]
        result[f"embedding_{layer}"], result[f"pixels_{layer}"] = (
            float(distance),
            float(np.sqrt(np.mean((x - images) ** 2))),
        )
        run.console.print(f"{layer}: {distance:.2g} of the embedding is left")
    run.figure("inversions", image_rows(rows, size=1.3))
    embeddings = jax.jit(lambda x: network.features(layer)(x)[layer].reshape(len(x), -1))(examples["image"][:500])
    run.figure("maps", draw_maps(np.asarray(embeddings), examples["label"][:500], layer))
    return result


def invert(config: Config, network: Network, layer: str, images: np.ndarray) -> tuple[Array, Array]:
    """Return images with the embeddings of the given ones, and the remaining distance."""

    def embed(x: Array) -> Array:
        return network.features(layer)(x)[layer]

    @jax.jit
    def reconstruct(images: Array) -> tuple[Array, Array]:
        target, start = embed(images), jnp.full(images.shape, 0.5)
        optimizer = optim.adam(schedules.cosine_decay(0.05, config.steps))
        loss = inversion_loss(embed, target, variation=config.variation)
        x = minimize(loss, start, optimizer, config.steps, project=lambda x: jnp.clip(x, 0, 1)).params
        return x, inversion_loss(embed, target)(x)

    return reconstruct(images)


def draw_maps(embeddings: np.ndarray, labels: np.ndarray, layer: str) -> Figure:
    """Draw embeddings in the plane, in two ways."""
    figure, axes = plt.subplots(1, 2, figsize=(9, 4.4))
    names = [str(label) for label in range(int(labels.max()) + 1)]
    for axis, (title, points) in zip(axes, {"PCA": pca(embeddings), "t-SNE": t_sne(embeddings)}.items(), strict=True):
        plot_embedding(axis, points, labels, names)
        axis.set_title(f"{layer}, {title}", fontsize=10)
    return figure
