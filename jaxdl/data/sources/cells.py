"""Microscopic images of cell nuclei with a number for each nucleus: drawn, or read from files."""

import io
import zipfile
from pathlib import Path
from typing import IO, Any

import numpy as np
from scipy import ndimage

from jaxdl.data.files.downloads import require
from jaxdl.data.files.opening import open_regular, shorten

SUFFIXES = (".tif", ".tiff", ".png")
MAX_PIXELS = 1 << 26
SAMPLE = ("img2d.tif", "mask2d.tif")
"""The files of the sample in the Python package stardist."""


def draw_nuclei(
    seed: int | np.random.Generator, count: int, *, size: int = 128, nuclei: int = 24
) -> dict[str, np.ndarray]:
    """Draw bright ellipses of different brightness on a dark noisy ground, about half of them touching another.

    The semi-axes are 5 to 11 pixels. An ellipse of which less than 60 % would be visible is left out; the later of two
    that overlap ends where the earlier begins.

    Args:
        seed: seed, or generator from which the random numbers are drawn.
        count: number of images.
        size: height and width.
        nuclei: ellipses tried in each image.

    Returns:
        ``{"image": float32 [N, H, W, 1] in [0, 1], "instances": int32 [N, H, W]}``, 0 for the ground.

    >>> cells = draw_nuclei(0, 2, size=64, nuclei=8)
    >>> cells["image"].shape, int(cells["instances"].min())
    ((2, 64, 64, 1), 0)
    """
    random = np.random.default_rng(seed)
    images, instances = [], []
    rows, columns = np.indices((size, size))
    for _ in range(count):
        labels, brightness = np.zeros((size, size), np.int32), np.full((size, size), 0.1)
        centres: list[np.ndarray] = []
        for _ in range(nuclei):
            axes, angle = random.uniform(5, 11, 2), random.uniform(0, np.pi)
            centre, light = random.uniform(0, size, 2), random.uniform(0.35, 0.9)
            direction = random.uniform(0, 2 * np.pi)
            if centres and random.uniform() < 0.5:  # beside another
                neighbour = centres[random.integers(len(centres))]
                centre = neighbour + 15 * np.array([np.sin(direction), np.cos(direction)])
            down, right = rows - centre[0], columns - centre[1]
            along, across = np.cos(angle) * down + np.sin(angle) * right, np.cos(angle) * right - np.sin(angle) * down
            inside = (along / axes[0]) ** 2 + (across / axes[1]) ** 2 < 1
            visible = inside & (labels == 0)
            if visible.sum() < 0.6 * np.pi * axes.prod():
                continue
            centres.append(centre)
            labels[visible], brightness[visible] = len(centres), light
        blurred = ndimage.gaussian_filter(brightness, 1.0) + random.normal(0, 0.05, labels.shape)
        images.append(np.clip(blurred, 0, 1)[..., None])
        instances.append(labels)
    return {"image": np.array(images, np.float32), "instances": np.array(instances, np.int32)}


def read_nuclei(path: str | Path) -> list[dict[str, np.ndarray]]:
    """Read images and their instances, from one of:

    - a folder with ``images/NAME`` and ``masks/NAME`` of equal names, TIFF or PNG, as the data of StarDist (Schmidt et
      al., 2018) are published;
    - the wheel of the Python package ``stardist``, or a folder that it was unpacked to, with a sample of 512 x 512
      pixels (``pip download --no-deps stardist``).

    The brightness of each image is scaled so that its percentiles 1 and 99.8 become 0 and 1.

    Returns:
        ``{"image": float32 [H, W, 1], "instances": int32 [H, W]}`` for every image.

    Raises:
        FileNotFoundError: there are no such files.
        ValueError: a file is not an image, or an image and its mask differ in size.
        ImportError: pillow is not installed.
    """
    path = Path(path).expanduser()
    if path.is_file():
        return [_example(*_members(path))]
    pairs = [(file, path / "masks" / file.name) for file in sorted((path / "images").glob("*"))]
    pairs = [pair for pair in pairs if pair[0].suffix.lower() in SUFFIXES and not pair[0].name.startswith(".")]
    if not pairs:
        pairs = [(file, file.with_name(SAMPLE[1])) for file in sorted(path.rglob(SAMPLE[0]))]
    if not pairs:
        raise FileNotFoundError(
            f"expected {path} to be the wheel of stardist, or a folder with images/ and masks/, got neither"
        )
    found = []
    for file, mask in pairs:
        with open_regular(file) as image, open_regular(mask) as instances:
            found.append(_example((file.name, image), (mask.name, instances)))
    return found


def read_grey(name: str, file: IO[bytes]) -> np.ndarray:
    """Read an image of one channel, or the mean of the channels, as ``[H, W]`` of its own numbers.

    Raises:
        ValueError: the file is not an image, or too large.
        ImportError: pillow is not installed.
    """
    pillow = require("PIL.Image", "reading images")
    try:
        with pillow.open(file) as image:
            if image.width * image.height > MAX_PIXELS:
                raise ValueError(f"expected at most {MAX_PIXELS} pixels, got {image.width} x {image.height}")
            pixels = np.asarray(image if image.mode != "P" else image.convert("RGB"))
    except Exception as error:  # a damaged file can raise anything
        raise ValueError(f"{name}: expected an image, got {shorten(error) or type(error).__name__}") from error
    return pixels if pixels.ndim == 2 else pixels[..., :3].mean(axis=-1)


def scale_brightness(image: np.ndarray) -> np.ndarray:
    """Scale an image ``[H, W]`` so that its percentiles 1 and 99.8 become 0 and 1, float32 ``[H, W, 1]``.

    >>> scale_brightness(np.array([[3, 3], [5, 5]], np.uint16)).ravel().tolist()
    [0.0, 0.0, 1.0, 1.0]
    """
    low, high = np.percentile(image, (1, 99.8))
    return ((image - low) / max(high - low, 1e-6)).astype(np.float32)[..., None]


def _members(wheel: Path) -> list[tuple[str, IO[bytes]]]:
    """Read the sample from a wheel."""
    try:
        with open_regular(wheel) as file, zipfile.ZipFile(file) as archive:
            names = [next(info for info in archive.infolist() if Path(info.filename).name == name) for name in SAMPLE]
            if any(info.file_size > 4 * MAX_PIXELS for info in names):
                raise ValueError(f"expected at most {4 * MAX_PIXELS} bytes in {SAMPLE}")
            return [(info.filename, io.BytesIO(archive.read(info))) for info in names]
    except (zipfile.BadZipFile, StopIteration) as error:
        raise ValueError(f"{wheel}: expected the wheel of stardist, with {' and '.join(SAMPLE)}") from error


def _example(image: tuple[str, Any], mask: tuple[str, Any]) -> dict[str, np.ndarray]:
    pixels, instances = read_grey(*image), read_grey(*mask)
    if pixels.shape != instances.shape:
        raise ValueError(f"expected an image and a mask of one size, got {pixels.shape} and {instances.shape}")
    return {"image": scale_brightness(pixels), "instances": instances.astype(np.int32)}
