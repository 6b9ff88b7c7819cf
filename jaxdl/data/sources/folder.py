"""Images in folders, one folder a class."""

from pathlib import Path

import numpy as np

from jaxdl.data.batching import split
from jaxdl.data.dataset import Dataset, as_size, examples
from jaxdl.data.files.download import require

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".ppm", ".pgm", ".pnm", ".tif", ".tiff"})
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "PPM", "TIFF")
MODES = {1: "L", 3: "RGB"}
MOST_PIXELS = 1 << 26  # larger than any photograph, smaller than what would exhaust the memory


def image_folder(
    directory: str | Path,
    *,
    size: int | tuple[int, int] | None = None,
    channels: int = 3,
    held_out: float | int = 0.2,
    seed: int = 0,
) -> Dataset:
    """Read images from ``directory/CLASS/*``, or from ``directory/train/CLASS/*`` and ``directory/test/CLASS/*``.

    The classes are the names of the folders, sorted. Without a folder ``test``, ``held_out`` (a count or a fraction)
    of the images of each class are split off by ``seed``. ``size``, an edge or (height, width), scales the images;
    without it all must have one size. ``channels`` is 3 (colour) or 1 (grey).

    Raises FileNotFoundError if there are no such folders, ValueError with the file's name for what is no image or
    has another size; ImportError without pillow.
    """
    directory = Path(directory).expanduser()
    if channels not in MODES:
        raise ValueError(f"channels must be 1 (grey) or 3 (colour), got {channels}")
    size = None if size is None else as_size(size)
    parted = (directory / "train").is_dir()
    root = directory / "train" if parted else directory
    classes = _classes(root)
    train = _read(root, classes, size, channels)
    if parted and (directory / "test").is_dir():
        unknown = sorted(set(_classes(directory / "test")) - set(classes))
        if unknown:
            raise ValueError(f"{directory / 'test'}: classes that {root} does not have: {', '.join(unknown)}")
        test = _read(directory / "test", classes, size, channels)
        shapes = [part["image"].shape[1:3] for part in (train, test)]
        if shapes[0] != shapes[1]:
            raise ValueError(f"{directory}: train is {shapes[0]}, test is {shapes[1]}: give size= to scale them all")
    else:
        train, test = split(train, held_out, seed=seed)
    return Dataset(directory.resolve().name, train, test, classes, f"images in {directory}")


def _classes(root: Path) -> tuple[str, ...]:
    if not root.is_dir():
        raise FileNotFoundError(f"no directory {root}: expected one with a folder of images for each class")
    classes = tuple(sorted(path.name for path in root.iterdir() if path.is_dir() and not path.name.startswith(".")))
    if not classes:
        raise FileNotFoundError(f"{root} has no folders: expected one folder of images for each class")
    return classes


def _read(root: Path, classes: tuple[str, ...], size: tuple[int, int] | None, channels: int) -> dict[str, np.ndarray]:
    paths = [(path, label) for label, name in enumerate(classes) for path in _images_in(root / name)]
    images = [_image(path, size, channels) for path, _ in paths]
    for (path, _), image in zip(paths, images, strict=True):
        if image.shape != images[0].shape:
            raise ValueError(
                f"{path} is {image.shape[:2]}, but {paths[0][0]} is {images[0].shape[:2]}: give size= to scale them all"
            )
    return examples(np.stack(images), np.asarray([label for _, label in paths]))


def _images_in(folder: Path) -> list[Path]:
    """List the images of a class, which a test may lack but its folder may not."""
    paths = sorted(path for path in folder.glob("*") if path.suffix.lower() in SUFFIXES and path.name[0] != ".")
    if not paths and folder.is_dir():
        raise FileNotFoundError(f"{folder} has no images: expected files that end in {', '.join(sorted(SUFFIXES))}")
    return paths


def _image(path: Path, size: tuple[int, int] | None, channels: int) -> np.ndarray:
    """Read an image, uint8 ``[H, W, C]``, upright as its camera noted."""
    pillow, operations = (require(f"PIL.{part}", "reading images") for part in ("Image", "ImageOps"))
    try:
        with pillow.open(path, formats=FORMATS) as image:
            if image.width * image.height > MOST_PIXELS:
                raise ValueError(f"{image.width} x {image.height} pixels, and {MOST_PIXELS} are allowed")
            if image.mode.startswith(("I", "F")):
                raise ValueError(f"mode {image.mode}: expected 8 bits a channel")
            upright = operations.exif_transpose(image).convert(MODES[channels])
    except (OSError, ValueError, SyntaxError, pillow.DecompressionBombError) as error:  # damage comes as any of these
        raise ValueError(f"{path}: not an image that can be read: {error}") from error
    if size is not None and upright.size != size[::-1]:
        upright = upright.resize(size[::-1], pillow.Resampling.BILINEAR)
    return np.asarray(upright).reshape(upright.height, upright.width, channels)
