"""DeepDream: photographs that show what the layers of a network respond to.

    python -m experiments run deep_dream
    python -m experiments run deep_dream --model vgg16 --weights vgg16.ckpt --layers conv3_2,conv4_2,conv5_1

Gradient ascent on the mean square of a layer's activations, from a small version of the photograph to the full size,
each size starting from the details of the one before, with random shifts (Mordvintsev et al., 2015). ``gain`` is the
factor by which the mean square grew.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp

from experiments.harness import configuration
from experiments.harness.errors import preparing
from experiments.harness.interpret.networks import Looking, Network, load_network, photograph, shown
from experiments.harness.plots import image_rows
from experiments.harness.run_folder import Run
from jaxdl.interpret import deep_dream
from jaxdl.typing import Array


@dataclass(frozen=True)
class Config(Looking):
    """What layers respond to, written into a photograph."""

    SMOKE = {"epochs": 0, "rows": 32, "octaves": 1, "steps": 1, "layers": "conv1_1"}

    image: Path | None = None
    """Photograph; by default that of a flower."""
    rows: int = 256
    """Rows of the photograph."""
    layers: str = "conv1_1,conv2_1,conv3_1"
    """Layers, separated by commas."""
    octaves: int = 4
    """Number of sizes."""
    steps: int = 12
    """Steps at every size."""
    step_size: float = 0.02
    """Mean change of a pixel in a step."""

    def __post_init__(self) -> None:
        super().__post_init__()
        configuration.at_least(self, rows=32)
        configuration.positive(self, "step_size")


def run(config: Config, run: Run) -> dict[str, float]:
    """Dream with every layer."""
    network = load_network(config, run)
    image = photograph(config.image or "flower", config.rows, network.channels)
    dreams, gains = {"photograph": image}, {}
    for layer in config.layers.split(","):
        with preparing():
            dream, gains[layer] = jax.device_get(jax.jit(partial(dream_of, config, network, layer))(image))
        run.console.print(f"{layer}: mean square times {gains[layer]:.1f}")
        dreams[layer] = dream
    rows = [shown(x[0]) for x in dreams.values()]
    run.figure("dreams", image_rows({"": rows}, tuple(dreams), size=config.rows / 55))
    return {f"gain_{layer}": float(gain) for layer, gain in gains.items()}


def dream_of(config: Config, network: Network, layer: str, image: Array) -> tuple[Array, Array]:
    """Return the dream of a layer and the factor by which the mean square grew."""

    def activations(x: Array) -> Array:
        return network.features(layer)(x)[layer]

    key, sizes = jax.random.key(config.seed), {"octaves": config.octaves, "steps": config.steps}
    dream = deep_dream(activations, image, key, step_size=config.step_size, **sizes)
    return dream, jnp.mean(activations(dream) ** 2) / jnp.mean(activations(image) ** 2)
