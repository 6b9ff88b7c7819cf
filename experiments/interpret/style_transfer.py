r"""Neural style: the content of one image in the style of another (Gatys et al., 2016).

    python -m experiments run style_transfer --model vgg16 --weights vgg16.ckpt --content FILE --style FILE \
        --style-weight 1e9 --content-layers conv4_2 --style-layers conv1_1,conv2_1,conv3_1,conv4_1

The image starts as the content image. Its loss is the distance of one layer's features to those of the content, plus
the distance of the Gram matrices of several layers to those of the style, plus total variation; Adam and L-BFGS with a
line search minimize it with as many steps. By default both images are scikit-learn's photographs and the network is
that of the digits, in grey, which has a style of strokes.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
import optax
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from experiments.harness import configuration
from experiments.harness.errors import preparing
from experiments.harness.figures import COLOURS
from experiments.harness.interpret.networks import Looking, load_network, photograph, shown
from experiments.harness.plots import image_rows
from experiments.harness.run_folder import Run
from jaxdl import optim
from jaxdl.interpret import minimize, neural_style

PICTURES = 4


@dataclass(frozen=True)
class Config(Looking):
    """The content of one image in the style of another."""

    SMOKE = {
        "optimizers": ("Adam",),
        "epochs": 0,
        "rows": 32,
        "steps": 4,
        "style_layers": "conv1_1",
        "content_layers": "conv1_1",
    }

    content: Path | None = None
    """Image of the content; by default a photograph of a temple."""
    style: Path | None = None
    """Image of the style; by default a photograph of a flower."""
    rows: int = 192
    """Rows of both images."""
    optimizers: tuple[Literal["Adam", "L-BFGS"], ...] = ("Adam", "L-BFGS")
    """Optimizers to compare."""
    steps: int = 200
    """Steps of every optimizer."""
    content_layers: str = "conv3_1"
    """Layers of the content, separated by commas."""
    style_layers: str = "conv1_1,conv2_1,conv3_1"
    """Layers of the style, separated by commas."""
    style_weight: float = 3e6
    """Weight of the style, relative to the content."""
    variation_weight: float = 1.0
    """Weight of the total variation."""

    def __post_init__(self) -> None:
        super().__post_init__()
        configuration.at_least(self, rows=32, steps=PICTURES)
        configuration.positive(self, "style_weight")


def run(config: Config, run: Run) -> dict[str, float]:
    """Minimize the loss by each optimizer, with pictures along the way."""
    network = load_network(config, run)
    content, style = (
        photograph(given or default, config.rows, network.channels)
        for given, default in ((config.content, "china"), (config.style, "flower"))
    )
    of_content, of_style = config.content_layers.split(","), config.style_layers.split(",")
    with preparing():
        loss = neural_style(
            network.features(*{*of_content, *of_style}),
            content,
            style,
            content_layers=of_content,
            style_layers=of_style,
            style_weight=config.style_weight,
            variation_weight=config.variation_weight,
        )
    rows, losses = {}, {}
    for name in config.optimizers:
        optimizer = optim.adam(0.02) if name == "Adam" else optax.lbfgs()
        pictures, found = [content], None
        advance = jax.jit(partial(minimize, loss, optimizer=optimizer, steps=config.steps // PICTURES, project=to_unit))
        curve = []
        for part in range(1, PICTURES + 1):
            found = advance(pictures[-1], state=found and found.state)
            pictures.append(np.asarray(found.params))
            curve.append(np.asarray(found.losses))
            run.console.print(f"{name}: loss {curve[-1][-1]:.4g} at step {part * len(curve[-1])}")
        rows[name], losses[name] = [shown(x[0]) for x in (content, style, *pictures[1:])], np.concatenate(curve)
    steps = [f"step {part * (config.steps // PICTURES)}" for part in range(1, PICTURES + 1)]
    run.figure("pictures", image_rows(rows, ["content", "style", *steps], size=config.rows / 60))
    run.figure("losses", draw(losses))
    return {f"{name}_loss".replace("-", "_"): float(curve[-1] / curve[0]) for name, curve in losses.items()}


def to_unit(x: jax.Array) -> jax.Array:
    """Clip to the range of pixels."""
    return jnp.clip(x, 0, 1)


def draw(losses: dict[str, np.ndarray]) -> Figure:
    """Draw the loss over the steps of both optimizers."""
    figure, axis = plt.subplots(figsize=(5, 3.2))
    for (name, values), colour in zip(losses.items(), COLOURS, strict=False):
        axis.plot(values, color=colour, label=name)
    axis.set(xlabel="step", ylabel="loss", yscale="log", title="Neural style")
    axis.legend(frameon=False)
    return figure
