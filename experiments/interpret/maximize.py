"""Images that excite a network most: made from a zero image, and found in a data set.

    python -m experiments run maximize
    python -m experiments run maximize --model vgg16 --weights vgg16.ckpt --size 128 --layer conv4_2

Units are the classes of the digit network, or the first channels of ``--layer``, averaged over the positions. "line
search" climbs in the pixels with an L2 penalty and never lowers the objective; "pixels" is Adam with L2 and total
variation; "Fourier" is Adam on Fourier coefficients under a sigmoid; "jittered" shifts the image in every step. The
patches are those of the digits, or of tiles of two photographs, where channels of the layer are largest.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from experiments.harness import configuration
from experiments.harness.figures import COLOURS
from experiments.harness.interpret.networks import Looking, Network, example_images, load_network, shown
from experiments.harness.plots import image_rows
from experiments.harness.run_folder import Run
from jaxdl import optim
from jaxdl.interpret import (
    Synthesis,
    cut_patches,
    fourier_image,
    jitter,
    maximal_patches,
    maximize,
    maximize_by_line_search,
    total_variation,
)
from jaxdl.typing import Array

METHODS = ("line search", "pixels", "Fourier", "jittered")


@dataclass(frozen=True)
class Config(Looking):
    """Images that excite units, and their patches in a data set."""

    SMOKE = {"epochs": 0, "steps": 2, "methods": ("jittered",), "units": 2, "layer": "conv1_1"}

    layer: str = "conv3_1"
    """Layer of the channels."""
    methods: tuple[str, ...] = METHODS
    """Methods of maximization."""
    units: int = 10
    """Number of units."""
    size: int = 32
    """Height and width of the images."""
    steps: int = 128
    """Steps of every method."""
    penalty: float = 0.1
    """Weight of the squares of the pixels and of their differences."""

    def __post_init__(self) -> None:
        super().__post_init__()
        known = set(self.methods) <= set(METHODS)
        configuration.require(known, "methods", f"some of {', '.join(METHODS)}", self.methods)
        configuration.at_least(self, size=16)


def run(config: Config, run: Run) -> dict[str, float]:
    """Maximize by four methods, cut patches, draw."""
    network = load_network(config, run)
    found, images = maximize_units(config, network)
    unit = "class" if config.model == "digits" else f"{config.layer}, channel"
    titles = [f"{unit} {number}" for number in range(config.units)]
    run.figure("maximal", image_rows({name: list(map(shown, x)) for name, x in images.items()}, titles, size=1.4))
    run.figure("scores", draw_scores(found))
    run.figure("patches", draw_patches(config, network, example_images(config, run, 64)["image"]))
    return {f"objective_{name.replace(' ', '_')}": float(-result.losses[-1]) for name, result in found.items()}


def unit_score(config: Config, network: Network) -> Callable[[Array], Array]:
    """Return the score of image ``b`` by unit ``b``."""
    if config.model == "digits":
        return lambda x: jnp.diagonal(network(x))
    return lambda x: jnp.diagonal(network.features(config.layer)(x)[config.layer].mean(axis=(1, 2)))


def maximize_units(config: Config, network: Network) -> tuple[dict[str, Synthesis], dict[str, np.ndarray]]:
    """Maximize all units by every method; return the results and the images."""
    score, size = unit_score(config, network), config.size
    zeros = jnp.zeros((config.units, size, size, network.channels))
    spectrum = jnp.zeros((config.units, size, size // 2 + 1, network.channels, 2))

    def colour(z: Array) -> Array:
        return jax.nn.sigmoid(fourier_image(z, size))

    def l2(x: Array) -> Array:
        return config.penalty * jnp.sum(x**2)

    def smooth(x: Array) -> Array:
        return l2(x) + config.penalty * jnp.sum(total_variation(x))

    by_adam = partial(maximize, score, steps=config.steps)
    fourier = partial(by_adam, spectrum, optim.adam(0.05), decode=colour, penalty=smooth)
    shift = partial(jitter, pixels=max(1, size // 16))
    methods: dict[str, Callable[[], Synthesis]] = {
        "line search": lambda: maximize_by_line_search(score, zeros, config.steps, penalty=l2),
        "pixels": lambda: by_adam(zeros, optim.adam(0.02), penalty=smooth, project=lambda x: jnp.clip(x, 0, 1)),
        "Fourier": fourier,
        "jittered": lambda: fourier(transform=shift, key=jax.random.key(config.seed)),
    }
    found, images = {}, {}
    for name in config.methods:
        found[name] = jax.device_get(jax.jit(methods[name])())
        images[name] = colour(found[name].params) if found[name].params.ndim == 5 else found[name].params
    if "line search" in images:  # of any range
        x = images["line search"]
        low, high = (extreme(x, axis=(1, 2, 3), keepdims=True) for extreme in (np.min, np.max))
        images["line search"] = (x - low) / np.maximum(high - low, 1e-9)
    return found, images


def draw_patches(config: Config, network: Network, images: np.ndarray) -> Figure:
    """Draw the nine patches where each channel is largest."""
    features = network.features(config.layer)
    found = maximal_patches(lambda x: features(x)[config.layer][..., : config.units], images, 9)
    patches = cut_patches(images, found, network.layers_until(config.layer), fill=0.5)
    rows = {f"channel {unit}": [shown(patch) for patch in patches[:, unit]] for unit in range(patches.shape[1])}
    titles = [f"{config.layer}, place {place}" for place in range(1, 1 + len(patches))]
    return image_rows(rows, titles, size=1.1)


def draw_scores(found: dict[str, Synthesis]) -> Figure:
    """Draw the objective over the steps."""
    figure, axis = plt.subplots(figsize=(6, 3.4))
    for (name, result), colour in zip(found.items(), COLOURS, strict=False):
        axis.plot(-result.losses, color=colour, label=name)
    axis.set(xlabel="step", ylabel="sum of scores less penalty", title="Climbing from a zero image")
    axis.legend(frameon=False)
    return figure
