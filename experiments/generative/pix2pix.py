"""pix2pix colours line art: a U-Net and a discriminator of patches learn from pairs.

    python -m experiments run pix2pix
    python -m experiments run pix2pix --data-dir FOLDER

The pairs are outlines of shapes and the shapes in the colours of their kinds, or those of the npm package ``openmoji``
in its unpacked folder, line art and colour (``pip install resvg_py`` draws them). ``l1_error`` is the mean absolute
error on held-out pairs, colours from -1 to 1, of which the line art itself has ``l1_of_line_art``; ``sharpness`` is the
mean difference of neighbouring pixels relative to that of the true images.
"""

from dataclasses import dataclass
from pathlib import Path

import jax
import numpy as np

from experiments.harness import configuration
from experiments.harness.configuration import require
from experiments.harness.errors import preparing
from experiments.harness.generative import line_art, plots
from experiments.harness.generative.snapshots import Snapshots
from experiments.harness.run_folder import Run
from experiments.harness.training import train_game
from jaxdl import data, models, optim, tasks
from jaxdl.typing import Array, PyTree

GOAL = {"l1_error": 0.1, "error_of_line_art_removed": 0.5, "sharpness": 0.8}


@dataclass(frozen=True)
class Config(configuration.Config):
    """A small pix2pix."""

    SMOKE = {"epochs": 1.0, "examples": 4, "tested": 2, "batch_size": 2, "side": 32, "width": 2}
    POSITIVE = ("epochs",)

    data_dir: Path | None = None
    """Folder of the npm package openmoji; None for generated shapes."""
    epochs: float = 40.0
    """Passes over the pairs."""
    examples: int = 600
    """Pairs of the training, at most."""
    tested: int = 100
    """Held-out pairs."""
    batch_size: int = 8
    """Pairs in an update."""
    side: int = 64
    """Height and width of the images."""
    width: int = 16
    """Channels of the largest layers."""
    learning_rate: float = 5e-4
    """Rate of Adam, whose first decay is 0.5."""
    l1_weight: float = 100.0
    """Weight of the mean absolute error."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.side % 32 == 0, "side", "a multiple of 32", self.side)


def run(config: Config, run: Run) -> dict[str, float]:
    """Make the pairs, train both players, translate, measure, draw."""
    random = np.random.default_rng(config.seed)
    pairs = make_pairs(config, random)
    train_pairs = {name: images[config.tested :] for name, images in pairs.items()}
    test_pairs = {name: images[: config.tested] for name, images in pairs.items()}
    with preparing():
        loader = data.Loader(train_pairs, config.batch_size, seed=config.seed, **run.share)
    widths = tuple(config.width * factor for factor in (1, 2, 4, 4, 4))
    generator = models.Pix2PixGenerator(3, widths)
    game = tasks.pix2pix(generator, models.PatchDiscriminator(widths[:3]), l1_weight=config.l1_weight)
    optimizers = {player: optim.adam(config.learning_rate, b1=0.5) for player in game.losses}

    def translate(variables: PyTree, images: Array) -> Array:
        return generator.apply(tasks.player_variables(variables, "generator"), images)  # pyright: ignore

    shown = test_pairs["a"][:12]
    snapshots = Snapshots(run, lambda variables: translate(variables, shown))
    state, result = train_game(run, game, loader, optimizers, epochs=config.epochs, hooks=[snapshots])
    found = np.asarray(jax.jit(translate)(state.variables, test_pairs["a"]))
    rows = {"line art": shown, **snapshots.read(), "truth": test_pairs["b"][:12]}
    run.figure("progress", plots.draw_progress(rows))
    columns = {"line art": test_pairs["a"], "pix2pix": found, "truth": test_pairs["b"]}
    run.figure("translations", plots.draw_translations(columns))
    return {**measure(found, test_pairs), **result}


def make_pairs(config: Config, random: np.random.Generator) -> line_art.Pairs:
    """Draw or read the pairs, in random order."""
    count = config.examples + config.tested
    if config.data_dir is None:
        return line_art.draw_pairs(random, count, config.side)
    pairs = line_art.read_pairs(config.data_dir, config.side)
    order = random.permutation(len(pairs["a"]))[:count]
    require(len(order) > config.tested, "tested", f"below the number of pairs, {len(order)}", config.tested)
    return {name: images[order] for name, images in pairs.items()}


def measure(found: np.ndarray, pairs: line_art.Pairs) -> dict[str, float]:
    """Compare the translated images with the true ones."""
    error, of_lines = (float(np.abs(images - pairs["b"]).mean()) for images in (found, pairs["a"]))
    return {
        "l1_error": error,
        "l1_of_line_art": of_lines,
        "error_of_line_art_removed": 1 - error / of_lines,
        "sharpness": slope(found) / slope(pairs["b"]),
    }


def slope(images: np.ndarray) -> float:
    """Return the mean absolute difference of neighbouring pixels."""
    return float(sum(np.abs(np.diff(images, axis=axis)).mean() for axis in (1, 2)) / 2)
