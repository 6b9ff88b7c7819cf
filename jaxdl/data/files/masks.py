"""Masks in PNG files: indices of a palette, or numbers of objects of 8 or 16 bits."""

from pathlib import Path

import numpy as np

from jaxdl.data.files.downloads import require
from jaxdl.data.files.opening import open_regular, shorten

MAX_PIXELS = 1 << 26


def read_mask(path: str | Path, size: tuple[int, int] | None = None) -> np.ndarray:
    """Read the classes or the numbers of the objects of every pixel, int32 ``[H, W]``.

    A palette gives its indices, not its colours; grey gives its values, of 1, 8 or 16 bits.

    Args:
        path: a PNG file.
        size: the height and width that the mask must have; None for any.

    Raises:
        ValueError: the file is no PNG, holds colours, or has another size or too many pixels.
        ImportError: pillow is not installed.
    """
    pillow = require("PIL.Image", "reading masks")
    try:
        with open_regular(path) as file, pillow.open(file, formats=("PNG",)) as image:
            if image.width * image.height > MAX_PIXELS:
                raise ValueError(f"expected at most {MAX_PIXELS} pixels, got {image.width} x {image.height}")
            if image.mode not in ("P", "L", "1", "I", "I;16", "I;16B"):
                raise ValueError(f"expected a palette or grey of 8 or 16 bits, got mode {image.mode}")
            mask = np.asarray(image).astype(np.int32)
    except FileNotFoundError:
        raise
    except Exception as error:  # a damaged file can raise anything
        raise ValueError(f"{path}: expected a mask, got {shorten(error) or type(error).__name__}") from error
    if size is not None and mask.shape != tuple(size):
        raise ValueError(f"{path}: expected a mask of the size of its image, {tuple(size)}, got {mask.shape}")
    return mask
