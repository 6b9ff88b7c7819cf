"""Tiles that overlap and are mirrored at the edges have no seams; tiles that do not overlap do.

    python -m experiments run tile_prediction

A U-Net without padding learns drawn nuclei in a few hundred steps. An image of several tiles is then predicted in three
ways: whole, continued by mirroring; by tiles that overlap by two margins, as in Ronneberger et al. (2015); and by tiles
side by side, each continued by mirroring on its own. The difference from the whole image is the mean of the absolute
difference of probabilities, by the distance of the pixels to the nearest seam. Overlapping tiles need the memory of one
tile, but compute 2.8 times the pixels.
"""

from dataclasses import dataclass

import numpy as np

from experiments.dense import drawings
from experiments.harness.configuration import Config as Base
from experiments.harness.configuration import require
from experiments.harness.dense import cells
from experiments.harness.run_folder import Run
from jaxdl import data, models, optim, tasks, train
from jaxdl.optim.schedules import cosine_decay

GOAL = {"difference_overlapping_error": 1e-4}


@dataclass(frozen=True)
class Config(Base):
    """Seams of three ways to predict a large image."""

    SMOKE = {"patches": 2, "steps": 1, "batch_size": 2, "widths": (2, 2), "tile": 32, "tiles": 2}
    LEAST = {"tiles": 2}

    patches: int = 128
    """Patches for training."""
    steps: int = 250
    """Updates."""
    batch_size: int = 8
    widths: tuple[int, ...] = (8, 16, 32)
    """Channels of the scales."""
    tile: int = 100
    """Height and width of a tile, its margins included."""
    tiles: int = 4
    """Tiles in a row and in a column of the large image."""

    def __post_init__(self) -> None:
        super().__post_init__()
        margin = models.UNet(2, self.widths).margin
        unit = 2 ** (len(self.widths) - 1)
        fits = self.tile > 2 * margin and (self.tile - 2 * margin) % unit == 0
        require(fits, "tile", f"twice the margin {margin} and a multiple of {unit}", self.tile)


def run(config: Config, run: Run) -> dict[str, float]:
    """Train, predict in three ways, measure the seams."""
    model = models.UNet(2, config.widths, dropout_rate=0.0)
    step = config.tile - 2 * model.margin
    side = config.tiles * step
    large, *examples = cells.read_images(config.seed, None, 8, max(side, 32)).train
    image, labels = large["image"], large["instances"] > 0
    predict = cells.Predictor(model, train_network(config, model, examples), config.tile)
    whole = cells.Predictor(model, predict.variables, side + 2 * model.margin)(image)
    overlapping = predict(image)
    separate = np.block(
        [[predict(image[i : i + step, j : j + step]) for j in range(0, side, step)] for i in range(0, side, step)]
    )
    ways = {"overlapping": overlapping, "side by side": separate}
    distance = distances_to_seams(side, step)
    profiles = {
        name: np.bincount(distance.ravel(), np.abs(result - whole).ravel()) / np.bincount(distance.ravel())
        for name, result in ways.items()
    }
    pictures = {"image": image[..., 0], "whole": whole, **ways}
    run.figure("seams", drawings.draw_seams(pictures, profiles, 1e-9))
    near = distance < 5
    accuracy = {
        f"accuracy_at_seams_{name.replace(' ', '_')}": float(((result > 0.5) == labels)[near].mean())
        for name, result in {"whole": whole, **ways}.items()
    }
    return {
        "difference_overlapping_error": float(np.abs(overlapping - whole).max()),
        "difference_side_by_side_at_seams": float(np.abs(separate - whole)[near].mean()),
        "difference_side_by_side_elsewhere": float(np.abs(separate - whole)[~near].mean()),
        **accuracy,
    }


def train_network(config: Config, model: models.UNet, examples: list[cells.Example]) -> dict:
    """Train on patches of the size of a tile; return the variables."""
    task = tasks.segmentation(model)
    loader = data.Loader(cells.cut_patches(examples, config.patches, config.tile, config.seed), config.batch_size)
    optimizer = optim.adam(cosine_decay(3e-3, config.steps))
    state = train.start(task, optimizer, loader, config.seed)
    epochs = config.steps / loader.steps_per_epoch
    state, _ = train.fit(
        train.make_step(task.loss, optimizer), state, loader, epochs=epochs, hooks=[train.StopAtNonfinite()]
    )
    return state.variables


def distances_to_seams(side: int, step: int) -> np.ndarray:
    """Return the number of pixels between each pixel and the nearest seam, ``[side, side]``.

    >>> distances_to_seams(4, 2)[0].tolist()
    [1, 0, 0, 1]
    """
    places = np.arange(side)
    before, after = places % step, step - 1 - places % step
    line = np.minimum(np.where(places < step, side, before), np.where(places >= side - step, side, after))
    return np.minimum(line[:, None], line[None])
