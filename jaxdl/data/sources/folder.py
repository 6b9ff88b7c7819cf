"""Images in folders, one folder for each class."""

from pathlib import Path

import numpy as np

from jaxdl.data.batching import split
from jaxdl.data.dataset import Dataset, as_examples, as_size
from jaxdl.data.files.downloads import require

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".ppm", ".pgm", ".pnm", ".tif", ".tiff"})
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "PPM", "TIFF")
MODES = {1: "L", 3: "RGB"}
MAX_PIXELS = 1 << 26  # more than any photograph has, and well within memory


def image_folder(
    directory: str | Path,
    *,
    size: int | tuple[int, int] | None = None,
    channels: int = 3,
    held_out: float | int = 0.2,
    seed: int = 0,
) -> Dataset:
    """Read images from ``directory/CLASS/*``, or from ``directory/train/CLASS/*`` and ``directory/test/CLASS/*``.

    The classes are the sorted names of the folders.

    Args:
        directory: the folder of folders.
        size: height and width, or one number for both, to which images are resized; None if all have one size.
        channels: 3 (colour) or 1 (grey).
        held_out: count or fraction of the images that become the test set, if there is no folder ``test``.
        seed: seed of that split.

    Raises:
        FileNotFoundError: the folders do not exist, or contain no images.
        ValueError: a file is not an image or has another size, or the classes of the test set differ.
        ImportError: pillow is not installed.
    """
    directory = Path(directory).expanduser()
    if channels not in MODES:
        raise ValueError(f"expected channels to be 1 (grey) or 3 (colour), got {channels}")
    size = None if size is None else as_size(size)
    has_train = (directory / "train").is_dir()
    root = directory / "train" if has_train else directory
    classes = _classes(root)
    train = _read(root, classes, size, channels)
    if has_train and (directory / "test").is_dir():
        unknown = sorted(set(_classes(directory / "test")) - set(classes))
        if unknown:
            raise ValueError(f"{directory / 'test'}: expected the classes of {root}, got {', '.join(unknown)}")
        test = _read(directory / "test", classes, size, channels)
        shapes = [part["image"].shape[1:3] for part in (train, test)]
        if shapes[0] != shapes[1]:
            raise ValueError(
                f"{directory}: expected images of one size, got {shapes[0]} in train and {shapes[1]} in test; give size"
            )
    else:
        train, test = split(train, held_out, seed=seed)
    return Dataset(directory.resolve().name, train, test, classes, f"images in {directory}")


def _classes(root: Path) -> tuple[str, ...]:
    if not root.is_dir():
        raise FileNotFoundError(f"expected a directory with a folder of images for each class, got {root}")
    classes = tuple(sorted(path.name for path in root.iterdir() if path.is_dir() and not path.name.startswith(".")))
    if not classes:
        raise FileNotFoundError(f"expected a folder of images for each class in {root}, got none")
    return classes


def _read(root: Path, classes: tuple[str, ...], size: tuple[int, int] | None, channels: int) -> dict[str, np.ndarray]:
    paths = [(path, label) for label, name in enumerate(classes) for path in _images_in(root / name)]
    images = [_image(path, size, channels) for path, _ in paths]
    for (path, _), image in zip(paths, images, strict=True):
        if image.shape != images[0].shape:
            raise ValueError(
                f"expected images of one size, got {images[0].shape[:2]} in {paths[0][0]} and {image.shape[:2]} in "
                f"{path}; give size"
            )
    return as_examples(np.stack(images), np.asarray([label for _, label in paths]))


def _images_in(folder: Path) -> list[Path]:
    """List the images of a class; the folder may be missing, as in a test set, but not empty."""
    paths = sorted(path for path in folder.glob("*") if path.suffix.lower() in SUFFIXES and path.name[0] != ".")
    if not paths and folder.is_dir():
        raise FileNotFoundError(
            f"expected images in {folder}, got no file with a suffix of {', '.join(sorted(SUFFIXES))}"
        )
    return paths


def _image(path: Path, size: tuple[int, int] | None, channels: int) -> np.ndarray:
    """Read an image, uint8 ``[H, W, C]``, rotated as its EXIF orientation requires."""
    pillow, operations = (require(f"PIL.{part}", "reading images") for part in ("Image", "ImageOps"))
    try:
        with pillow.open(path, formats=FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise ValueError(f"expected at most {MAX_PIXELS} pixels, got {image.width} x {image.height}")
            if image.mode.startswith(("I", "F")):
                raise ValueError(f"expected 8 bits per channel, got mode {image.mode}")
            upright = operations.exif_transpose(image).convert(MODES[channels])
    except (OSError, ValueError, SyntaxError, pillow.DecompressionBombError) as error:  # of damaged files
        raise ValueError(f"{path}: expected an image, got {error}") from error
    if size is not None and upright.size != size[::-1]:
        upright = upright.resize(size[::-1], pillow.Resampling.BILINEAR)
    return np.asarray(upright).reshape(upright.height, upright.width, channels)
