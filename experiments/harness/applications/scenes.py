"""Generated scenes of two coloured shapes, with a caption for each, and captioned stamps."""

import re
from pathlib import Path
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from flax import linen

from experiments.harness.dense.stamps import draw_shapes
from experiments.harness.errors import UsageError, preparing
from jaxdl.data.files.opening import read_plain_text
from jaxdl.nn.convolution import Conv, max_pool
from jaxdl.typing import Array

COLOURS = {
    "red": (0.9, 0.15, 0.1),
    "green": (0.1, 0.7, 0.2),
    "blue": (0.15, 0.3, 0.95),
    "yellow": (0.95, 0.85, 0.1),
    "purple": (0.6, 0.15, 0.75),
    "white": (0.97, 0.97, 0.97),
}
SIDE, OBJECT = 32, 13
"""Height and width of a picture, and of an object in it."""


class Captioned(NamedTuple):
    """Pictures with captions.

    Attributes:
        images: ``[N, H, W, 3]``, from 0 to 1.
        captions: the words of every caption.
        places: the pixels of the objects in the order of the caption, ``[N, objects, H, W]`` Booleans; None if unknown.
    """

    images: np.ndarray
    captions: list[list[str]]
    places: np.ndarray | None


def draw_scenes(seed: int, count: int) -> Captioned:
    """Draw two different objects on grey noise, each a shape in a colour, and say which is left of or above which.

    The first object of a caption is the left one where they are further apart in the horizontal, else the upper one.
    """
    generator = np.random.default_rng(seed)
    shapes = draw_shapes(generator, 16)
    images = generator.normal(0.35, 0.05, (count, SIDE, SIDE, 1)).repeat(3, axis=-1).astype(np.float32)
    captions, places = [], np.zeros((count, 2, SIDE, SIDE), bool)
    for number in range(count):
        corners = _corners(generator)
        horizontal, vertical = np.abs(corners[0] - corners[1])[::-1]
        axis, word = (1, ["left", "of"]) if horizontal > vertical else (0, ["above"])
        corners = corners[np.argsort(corners[:, axis], kind="stable")]
        names: list[list[str]] = []
        for each, (y, x) in enumerate(corners):
            colour, shape = generator.choice(list(COLOURS)), generator.integers(len(shapes.classes))
            while [colour, shapes.classes[shape]] in names:
                shape = generator.integers(len(shapes.classes))
            names.append([str(colour), shapes.classes[shape]])
            stamp = shapes.train[shape][generator.integers(len(shapes.train[shape]))]
            alpha = _shrink(stamp[..., 3])
            place = np.s_[number, y : y + OBJECT, x : x + OBJECT]
            images[place] = alpha[..., None] * COLOURS[colour] + (1 - alpha[..., None]) * images[place]
            places[number, each, y : y + OBJECT, x : x + OBJECT] = alpha > 0.5
        captions.append(["a", *names[0], *word, "a", *names[1]])
    return Captioned(np.clip(images, 0, 1), captions, places)


def read_captioned_stamps(folder: Path, language: str) -> Captioned:
    """Read the PNG files of a folder that have a caption in a text file of the same name, as Tux Paint's stamps do.

    The first line of the text is the caption in English, a line ``fr.utf8=...`` that in French.

    Raises:
        UsageError: there are no 10 captioned pictures.
    """
    from PIL import Image

    images, captions = [], []
    with preparing():
        for path in sorted(folder.expanduser().rglob("*.png")):
            text = path.with_suffix(".txt")
            if not text.is_file():
                continue
            lines = read_plain_text(text).splitlines()
            translations = dict(line.split("=", 1) for line in lines[1:] if "=" in line)
            caption = lines[0] if language == "en" else translations.get(f"{language}.utf8", "")
            words = re.findall(r"\w+", caption.lower())
            if words:
                with Image.open(path) as picture:
                    picture.thumbnail((SIDE, SIDE))
                    ground = Image.new("RGBA", (SIDE, SIDE), "white")
                    ground.alpha_composite(
                        picture.convert("RGBA"), ((SIDE - picture.width) // 2, (SIDE - picture.height) // 2)
                    )
                images.append(np.asarray(ground.convert("RGB"), np.float32) / 255)
                captions.append(words)
    if len(images) < 10:
        raise UsageError(f"{folder}: expected at least 10 PNG files with captions in {language}, got {len(images)}")
    return Captioned(np.stack(images), captions, None)


class GridNetwork(linen.Module):
    """Three convolutions with batch norms and two poolings: ``[B, H, W, C]`` to ``[B, H / 4, W / 4, channels]``.

    Two planes of coordinates, from -1 to 1, are beside the channels of the second layer: attention is blind to places.
    """

    channels: int = 48

    @linen.compact
    def __call__(self, x: Array, train: bool = False) -> Array:
        """Compute features of an image."""
        for number, width in enumerate((self.channels // 3, 2 * self.channels // 3, self.channels)):
            x = Conv(width, (3, 3), padding=1, use_bias=False)(x)
            x = linen.relu(linen.BatchNorm(use_running_average=not train, momentum=0.9)(x))
            if number < 2:
                x = max_pool(x, (2, 2))
            if number == 0:
                x = _with_places(x)
        return x


def _with_places(x: Array) -> Array:
    rows, columns = np.meshgrid(*(np.linspace(-1, 1, size) for size in x.shape[1:3]), indexing="ij")
    places = np.broadcast_to(np.stack([rows, columns], axis=-1), (*x.shape[:3], 2)).astype(np.float32)
    return jnp.concatenate([x, places.astype(x.dtype)], axis=-1)


def _corners(generator: np.random.Generator) -> np.ndarray:
    """Draw the upper left corners of two objects that do not touch, and are further apart in one direction."""
    while True:
        corners = generator.integers(0, SIDE - OBJECT + 1, (2, 2))
        distances = np.abs(corners[0] - corners[1])
        if distances.max() >= OBJECT and abs(int(distances[0]) - int(distances[1])) >= 3:
            return corners


def _shrink(alpha: np.ndarray) -> np.ndarray:
    from PIL import Image

    picture = Image.fromarray(np.round(255 * alpha).astype(np.uint8))
    return np.asarray(picture.resize((OBJECT, OBJECT), Image.Resampling.BILINEAR), np.float32) / 255
