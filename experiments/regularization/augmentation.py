"""Every augmentation on a photograph and on digits, and their throughput.

    python -m experiments run augmentation

Each row is one function of `jaxdl.data.augmentation`, each column another random key; the last row is a composition, as
in training. Digits are not reflected, which would change their labels. The throughput is that of the composition under
`jax.jit` on batches of 256 images of CIFAR-10's size.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import jax
import numpy as np

from experiments.harness import configuration
from experiments.harness.run_folder import Run
from experiments.regularization import drawings
from jaxdl import data
from jaxdl.data import augmentation
from jaxdl.typing import Array, Key

COLUMNS = 6
CHANGES = ("shift", "flip", "rotate", "scale", "crop", "blur", "noise", "cutout", "elastic", "composed")
Change = Callable[[Key, Array], Array]


@dataclass(frozen=True)
class Config(configuration.Config):
    """Figures of augmentations."""

    SMOKE = {"batch_size": 6, "pictures": ("photograph",), "shown": ("composed",), "shrink": 13}

    batch_size: int = 256
    """Images in a batch whose throughput is measured."""
    repeats: int = 10
    """Batches whose throughput is measured."""
    pictures: tuple[Literal["photograph", "digits"], ...] = ("photograph", "digits")
    """Images to draw."""
    shown: tuple[str, ...] = CHANGES
    """Augmentations to draw."""
    shrink: int = 3
    """Edge of the blocks of pixels over which the photograph is averaged."""


def run(config: Config, run: Run) -> dict[str, float]:
    """Draw the augmentations and measure the throughput."""
    key = jax.random.key(config.seed)
    for name in config.pictures:
        images = photograph(config.shrink) if name == "photograph" else digits()
        made = changes(images.shape[1], config.shown, flip=name != "digits")
        apply = jax.jit(lambda key, images, made=made: [change(key, images) for change in made.values()])
        run.figure(name, drawings.draw_augmented(images, dict(zip(made, apply(key, images), strict=True))))
    batch = np.random.default_rng(config.seed).uniform(size=(config.batch_size, 32, 32, 3)).astype(np.float32)
    return {"images_per_second": images_per_second(key, jax.jit(composed(32)), batch, config.repeats)}


def changes(size: int, shown: Sequence[str] = CHANGES, *, flip: bool = True) -> dict[str, Change]:
    """Return the augmentations for images of this size."""
    made: dict[str, Change] = {
        "shift": partial(augmentation.shift, down=size // 8, right=size // 8),
        "flip": augmentation.flip,
        "rotate": partial(augmentation.rotate, degrees=30),
        "scale": partial(augmentation.scale, factor=(0.7, 1.4), mode="reflect"),
        "crop": partial(augmentation.crop, height=2 * size // 3, width=2 * size // 3),
        "blur": partial(augmentation.blur, sigma=(0.0, size / 30)),
        "noise": augmentation.noise,
        "cutout": partial(augmentation.cutout, size=size // 3),
        "elastic": partial(augmentation.elastic, strength=size**2 / 26, sigma=size / 8),
        "composed": composed(size, flip),
    }
    return {name: change for name, change in made.items() if name in shown and (flip or name != "flip")}


def composed(size: int, flip: bool = True) -> Change:
    """Compose a flip, a crop of the padded image, a small rotation, a cutout and noise."""
    augment = augmentation.compose(
        *([augmentation.flip] if flip else []),
        partial(augmentation.crop, height=size, width=size, padding=size // 8, mode="reflect"),
        partial(augmentation.rotate, degrees=10, mode="reflect"),
        partial(augmentation.cutout, size=size // 4, fill=0.5),
        partial(augmentation.noise, std=0.03),
    )
    return lambda key, images: augment(key, {"image": images})["image"]


def photograph(shrink: int) -> np.ndarray:
    """Return a square of scikit-learn's photograph of a flower, averaged over blocks of pixels."""
    from sklearn.datasets import load_sample_image

    image = load_sample_image("flower.jpg")[:424, 100:524].astype(np.float32) / 255
    side = 424 // shrink
    blocks = image[: side * shrink, : side * shrink].reshape(side, shrink, side, shrink, 3)
    return np.repeat(blocks.mean((1, 3))[None], COLUMNS, axis=0)


def digits() -> np.ndarray:
    """Return copies of one digit, one per column."""
    return np.repeat(data.digits(size=28).train["image"][2:3], COLUMNS, axis=0)


def images_per_second(key: Key, change: Change, images: np.ndarray, repeats: int) -> float:
    """Measure the throughput of a compiled augmentation, after a first call."""
    jax.block_until_ready(change(key, images))
    started = time.perf_counter()
    for number in range(repeats):
        jax.block_until_ready(change(jax.random.fold_in(key, number), images))
    return repeats * len(images) / (time.perf_counter() - started)
