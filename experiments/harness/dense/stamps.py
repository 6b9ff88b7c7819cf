"""Stamps with transparency on photographs: pictures in which boxes, classes and masks of all objects are known."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from experiments.harness.configuration import Config, require
from experiments.harness.errors import UsageError, preparing
from experiments.harness.interpret.networks import photograph
from jaxdl.data.objects import mask_boxes

SHAPES = ("disc", "ring", "square", "triangle", "star")
SIDE = 64
"""Height and width of a stamp before it is placed."""
LEAST_VISIBLE = 0.3
"""The share of an object that later ones have to leave visible."""


@dataclass(frozen=True)
class Stamped(Config):
    """Pictures of stamps."""

    SMOKE = {"epochs": 1.0, "examples": 8, "tested": 4, "side": 64, "batch_size": 4}
    POSITIVE = ("epochs",)

    data_dir: Path | None = None
    """Folder of stamps, transparent PNG files in a folder for each class; None for generated shapes."""
    epochs: float = 20.0
    """Passes over the training pictures."""
    examples: int = 800
    """Pictures of the training."""
    tested: int = 200
    """Pictures of the test, of stamps that no picture of the training has."""
    objects: int = 4
    """Largest number of objects in a picture; from one on, all numbers are equally frequent."""
    side: int = 96
    """Height and width of a picture."""
    batch_size: int = 16
    """Pictures in an update."""
    learning_rate: float = 2e-3
    """Largest learning rate of the schedule."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.side >= 32 and self.side % 32 == 0, "side", "a multiple of 32", self.side)


@dataclass(frozen=True)
class Stamps:
    """Stamps, ``[SIDE, SIDE, 4]`` from 0 to 1, of each class."""

    classes: tuple[str, ...]
    train: tuple[list[np.ndarray], ...]
    test: tuple[list[np.ndarray], ...]


def make_pictures(config: Stamped) -> tuple[tuple[str, ...], dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Return the classes, and the pictures of the training and of the test, see `compose`."""
    generator = np.random.default_rng(config.seed)
    stamps = draw_shapes(generator) if config.data_dir is None else read_stamps(config.data_dir, generator)
    grounds = [photograph(name, 320, 3)[0] for name in ("china", "flower")]
    train, test = (
        compose(generator, part, grounds, count, config.side, config.objects)
        for part, count in ((stamps.train, config.examples), (stamps.test, config.tested))
    )
    return stamps.classes, train, test


def compose(
    generator: np.random.Generator,
    stamps: Sequence[Sequence[np.ndarray]],
    grounds: Sequence[np.ndarray],
    count: int,
    side: int,
    objects: int,
) -> dict[str, np.ndarray]:
    """Place stamps at random, one upon the other, on random cuts of photographs.

    Returns:
        ``image`` ``[count, side, side, 3]``, from 0 to 1; ``boxes`` ``[count, objects, 4]`` around what is visible,
        ``masks`` ``[count, objects, side, side]``, ``label`` and ``box_mask`` ``[count, objects]``.
    """
    pictures = {
        "image": np.zeros((count, side, side, 3), np.float32),
        "masks": np.zeros((count, objects, side, side), bool),
        "label": np.zeros((count, objects), np.int32),
    }
    whole = np.ones((count, objects))
    for number in range(count):
        ground = grounds[generator.integers(len(grounds))]
        v, u = (generator.integers(0, size - side + 1) for size in ground.shape[:2])
        image, masks = 0.7 * ground[v : v + side, u : u + side], pictures["masks"][number]
        for each in range(generator.integers(1, objects + 1)):
            label = generator.integers(len(stamps))
            stamp = stamps[label][generator.integers(len(stamps[label]))]
            stamp = _resized(stamp, int(generator.uniform(0.2, 0.55) * side))
            height, width = stamp.shape[:2]
            y, x = (generator.integers(0, side - size + 1) for size in (height, width))
            place = np.s_[y : y + height, x : x + width]
            alpha = stamp[..., 3:]
            image[place] = alpha * stamp[..., :3] + (1 - alpha) * image[place]
            masks[:each, y : y + height, x : x + width] &= alpha[..., 0] <= 0.5
            masks[(each, *place)] = alpha[..., 0] > 0.5
            pictures["label"][number, each], whole[number, each] = label, max(masks[each].sum(), 1)
        pictures["image"][number] = image
    visible = pictures["masks"].sum(axis=(-2, -1)) >= LEAST_VISIBLE * whole
    visible &= pictures["masks"].any(axis=(-2, -1))
    return {**pictures, "boxes": mask_boxes(pictures["masks"]), "box_mask": visible.astype(np.float32)}


def draw_shapes(generator: np.random.Generator, count: int = 40) -> Stamps:
    """Draw shapes in random colours and orientations, with soft edges and a gradient of brightness."""
    rows, columns = (np.indices((SIDE, SIDE)) + 0.5) / SIDE * 2 - 1
    drawn: list[list[np.ndarray]] = []
    for shape in SHAPES:
        drawn.append([])
        for _ in range(count):
            turn = generator.uniform(0, 2 * np.pi)
            x, y = np.cos(turn) * columns + np.sin(turn) * rows, np.cos(turn) * rows - np.sin(turn) * columns
            angle, radius = np.arctan2(y, x), np.hypot(x, y)
            inside = {
                "disc": 0.95 - radius,
                "ring": 0.25 - np.abs(radius - 0.7),
                "square": 0.67 - np.maximum(np.abs(x), np.abs(y)),
                "triangle": 0.48 - radius * np.cos((angle % (2 * np.pi / 3)) - np.pi / 3),
                "star": 0.62 + 0.32 * np.cos(5 * angle) - radius,
            }[shape]
            colour = generator.uniform(0.1, 1, 3) * (0.85 + 0.15 * rows[..., None])
            drawn[-1].append(_cut(np.concatenate([colour, np.clip(inside[..., None] * SIDE / 4, 0, 1)], axis=-1)))
    held = count // 4
    return Stamps(SHAPES, tuple(each[held:] for each in drawn), tuple(each[:held] for each in drawn))


def read_stamps(folder: Path, generator: np.random.Generator, least: int = 8) -> Stamps:
    """Read transparent PNG files of every folder with enough of them, a quarter for the test.

    The folder may be that of the unpacked Debian package ``tuxpaint-stamps-default``.

    Raises:
        UsageError: there are no two folders with enough stamps.
    """
    from PIL import Image

    inner = folder / "usr" / "share" / "tuxpaint" / "stamps"
    root = inner if inner.is_dir() else folder
    with preparing():
        folders = sorted(path for path in root.iterdir() if path.is_dir())
        found: dict[str, list[np.ndarray]] = {}
        for each in folders:
            stamps = []
            for path in sorted(each.rglob("*.png")):
                with Image.open(path) as picture:
                    if picture.mode not in ("RGBA", "LA", "P") or picture.width * picture.height > 1 << 24:
                        continue
                    picture = picture.convert("RGBA")  # noqa: PLW2901
                    picture.thumbnail((SIDE, SIDE))
                    stamp = np.asarray(picture, np.float32) / 255
                if 0.1 < (stamp[..., 3] > 0.5).mean() < 0.98:  # else it has no outline
                    stamps.append(_cut(stamp))
            if len(stamps) >= least:
                found[each.name] = stamps
    if len(found) < 2:
        raise UsageError(
            f"{root}: expected two folders or more of at least {least} transparent PNG files, got {len(found)}"
        )
    train, test = [], []
    for stamps in found.values():
        order, held = generator.permutation(len(stamps)), len(stamps) // 4
        test.append([stamps[i] for i in order[:held]])
        train.append([stamps[i] for i in order[held:]])
    return Stamps(tuple(found), tuple(train), tuple(test))


def _cut(stamp: np.ndarray) -> np.ndarray:
    """Cut away what is transparent around a stamp."""
    x1, y1, x2, y2 = mask_boxes(stamp[..., 3] > 0.5).astype(int)
    return stamp[y1:y2, x1:x2].astype(np.float32)


def _resized(stamp: np.ndarray, side: int) -> np.ndarray:
    """Resize a stamp so that its larger side has a length."""
    from PIL import Image

    factor = side / max(stamp.shape[:2])
    size = tuple(max(1, round(length * factor)) for length in stamp.shape[1::-1])
    picture = Image.fromarray(np.round(255 * stamp).astype(np.uint8), "RGBA")
    return np.asarray(picture.resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0), np.float32) / 255
