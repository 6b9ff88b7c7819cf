"""Images in folders, one folder for each class."""

from pathlib import Path
from typing import IO, Any

import numpy as np

from jaxdl.checks import shorten
from jaxdl.data.batching import split
from jaxdl.data.dataset import Dataset, as_examples, as_size
from jaxdl.data.files.downloads import require
from jaxdl.data.files.opening import open_regular

JPEG = frozenset({".jpg", ".jpeg", ".jpe", ".jif", ".jfif", ".pjpeg", ".pjp"})
SUFFIXES = JPEG | {".png", ".apng", ".bmp", ".dib", ".gif", ".webp", ".ppm", ".pgm", ".pbm", ".pnm", ".tif", ".tiff"}
UNREADABLE = frozenset({".heic", ".heif", ".avif", ".jxl", ".jp2", ".svg", ".psd", ".tga", ".ico", ".dng", ".raw"})
FORMATS = ("PNG", "JPEG", "BMP", "DIB", "GIF", "WEBP", "PPM", "TIFF")
MODES = {1: "L", 3: "RGB"}
MAX_PIXELS = 1 << 26  # more than any photograph has, and well within memory
PARTS = {
    "train": ("train", "training"),
    "validation": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing"),
}
"""The parts of a data set, and the names of their folders in any case."""


def image_folder(
    directory: str | Path,
    *,
    size: int | tuple[int, int] | None = None,
    channels: int = 3,
    held_out: float | int = 0.2,
    seed: int = 0,
) -> Dataset:
    """Read images from ``directory/CLASS/**/*``, or from ``directory/train/CLASS/**/*`` and ``test`` or ``val`` beside.

    The classes are the sorted names of the folders; images in folders within them belong to the class. Beside
    ``train`` a folder ``test`` is the test set and ``val``, ``valid``, ``validation`` or ``dev`` the validation set, or
    the test set if there is none. Hidden files and folders are left out.

    Images are turned upright as their EXIF orientation requires, transparent ones laid on white, and those of 16 bits
    reduced to 8. Of an animation the first frame is read.

    Args:
        directory: the folder of folders.
        size: height and width, or one number for both, to which images are resized; None if all have one size.
        channels: 3 (colour) or 1 (grey).
        held_out: count or fraction of the images that become the test set, if there is no folder for it.
        seed: seed of that split.

    Raises:
        FileNotFoundError: the folders do not exist, or contain no images.
        ValueError: a file is not an image, has a format that is not read, or another size; the classes of another part
            differ; or there are parts without ``train``.
        ImportError: pillow is not installed.
    """
    directory = Path(directory).expanduser()
    if channels not in MODES:
        raise ValueError(f"expected channels to be 1 (grey) or 3 (colour), got {channels}")
    size = None if size is None else as_size(size)
    folders = _parts(directory)
    root = folders.pop("train", directory)
    classes = _classes(root)
    train = _read(root, classes, size, channels)
    parts = {part: _read_part(folder, classes, root, size, channels) for part, folder in folders.items()}
    shapes = {root.name: train["image"].shape[1:3]}
    shapes |= {folders[part].name: arrays["image"].shape[1:3] for part, arrays in parts.items()}
    if len(set(shapes.values())) > 1:
        found = " and ".join(f"{shape} in {name}" for name, shape in shapes.items())
        raise ValueError(f"{directory}: expected images of one size, got {found}; give size")
    validation = parts.pop("validation", None)
    test = parts.pop("test", None)
    if test is None:
        test, validation = validation, None
    if test is None:
        train, test = split(train, held_out, seed=seed)
    return Dataset(directory.resolve().name, train, test, classes, f"images in {directory}", validation)


def _parts(directory: Path) -> dict[str, Path]:
    """Find the folders of the parts of a data set; none if the folders of the classes are directly in it."""
    inside = [path for path in directory.iterdir() if path.is_dir()] if directory.is_dir() else []
    found: dict[str, Path] = {}
    for part, names in PARTS.items():
        folders = sorted(path for path in inside if path.name.lower() in names)
        if len(folders) > 1:
            raise ValueError(f"{directory}: expected one folder for {part}, got {', '.join(p.name for p in folders)}")
        if folders:
            found[part] = folders[0]
    if "train" in found:
        return found
    nested = [path.name for path in found.values() if any(child.is_dir() for child in path.iterdir())]
    if nested:
        raise ValueError(
            f"{directory}: expected a folder train beside {', '.join(nested)}, got none; rename one of them"
        )
    return {}


def _classes(root: Path) -> tuple[str, ...]:
    if not root.is_dir():
        raise FileNotFoundError(f"expected a directory with a folder of images for each class, got {root}")
    hidden = (".", "__MACOSX")
    classes = tuple(sorted(path.name for path in root.iterdir() if path.is_dir() and not path.name.startswith(hidden)))
    if not classes:
        raise FileNotFoundError(f"expected a folder of images for each class in {root}, got none")
    return classes


def _read_part(
    folder: Path, classes: tuple[str, ...], root: Path, size: tuple[int, int] | None, channels: int
) -> dict[str, np.ndarray]:
    unknown = sorted(set(_classes(folder)) - set(classes))
    if unknown:
        raise ValueError(f"{folder}: expected the classes of {root}, got {', '.join(unknown)}")
    return _read(folder, classes, size, channels)


def _read(root: Path, classes: tuple[str, ...], size: tuple[int, int] | None, channels: int) -> dict[str, np.ndarray]:
    paths = [(path, label) for label, name in enumerate(classes) for path in _images_in(root / name)]
    images = [read_image(path, size=size, channels=channels) for path, _ in paths]
    for (path, _), image in zip(paths, images, strict=True):
        if image.shape != images[0].shape:
            raise ValueError(
                f"expected images of one size, got {images[0].shape[:2]} in {paths[0][0]} and {image.shape[:2]} in "
                f"{path}; give size"
            )
    return as_examples(np.stack(images), np.asarray([label for _, label in paths]))


def _images_in(folder: Path) -> list[Path]:
    """List the images of a class; the folder may be missing, as in a test set, but not empty."""
    visible = [path for path in folder.rglob("*") if not any(n[0] == "." for n in path.relative_to(folder).parts)]
    others = [path for path in visible if path.suffix.lower() in UNREADABLE]
    if others:
        raise ValueError(f"{min(others)}: expected an image of a format that is read, {_suffixes()}; convert it")
    paths = sorted(path for path in visible if path.suffix.lower() in SUFFIXES and not path.is_dir())
    if not paths and folder.is_dir():
        raise FileNotFoundError(f"expected images in {folder}, got no file with a suffix of {_suffixes()}")
    return paths


def _suffixes() -> str:
    return ", ".join(sorted(SUFFIXES))


def read_image(path: str | Path, *, size: int | tuple[int, int] | None = None, channels: int = 3) -> np.ndarray:
    """Read one image, uint8 ``[H, W, C]``, upright and without transparency, as `image_folder` does.

    Args:
        path: the file.
        size: height and width, or one number for both, to which it is resized; None for its own.
        channels: 3 (colour) or 1 (grey).

    Raises:
        ValueError: the file is not an image of a format that is read, or has too many pixels.
        ImportError: pillow is not installed.
    """
    size = None if size is None else as_size(size)
    pillow, operations = (require(f"PIL.{part}", "reading images") for part in ("Image", "ImageOps"))
    try:
        with open_regular(path) as file, _open_verified(file, pillow) as image:
            if image.width * image.height > MAX_PIXELS:
                raise ValueError(f"expected at most {MAX_PIXELS} pixels, got {image.width} x {image.height}")
            form = image.format
            upright = _eight_bits(operations.exif_transpose(image), form, pillow)
            upright = _opaque(upright, pillow).convert(MODES[channels])
    except Exception as error:  # a damaged file can raise anything
        raise ValueError(f"{path}: expected an image, got {shorten(error) or type(error).__name__}") from error
    if size is not None and upright.size != size[::-1]:
        upright = upright.resize(size[::-1], pillow.Resampling.BILINEAR)
    return np.asarray(upright).reshape(upright.height, upright.width, channels)


def _open_verified(file: IO[bytes], pillow: Any) -> Any:
    """Open an image; verify the checksums of a PNG, which pillow otherwise skips."""
    image = pillow.open(file, formats=FORMATS)
    if image.format != "PNG":
        return image
    image.verify()
    file.seek(0)
    return pillow.open(file, formats=FORMATS)


def _eight_bits(image: Any, form: str, pillow: Any) -> Any:
    """Reduce 16 bits of grey to 8; pillow does so for colours."""
    if image.mode.startswith("I;16") or (image.mode == "I" and form in ("PNG", "PPM")):
        values = np.round(np.asarray(image) / 257)
        if values.max(initial=0) > 255 or values.min(initial=0) < 0:
            raise ValueError(f"expected at most 16 bits per channel, got mode {image.mode} with larger values")
        return pillow.fromarray(values.astype(np.uint8))
    if image.mode.startswith(("I", "F")):
        raise ValueError(f"expected 8 or 16 bits per channel, got mode {image.mode}")
    return image


def _opaque(image: Any, pillow: Any) -> Any:
    """Lay a transparent image on white."""
    if image.mode not in ("RGBA", "LA", "PA", "La", "RGBa") and "transparency" not in image.info:
        return image
    image = image.convert("RGBA")
    return pillow.alpha_composite(pillow.new("RGBA", image.size, "white"), image)
