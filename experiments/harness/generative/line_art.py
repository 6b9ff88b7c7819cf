"""Pairs of line art and colour: OpenMoji, or shapes that are generated."""

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from experiments.harness.errors import UsageError

PALETTE = ((236, 100, 75), (246, 201, 14), (92, 158, 73), (97, 178, 228), (155, 89, 182))
"""Colours of the generated shapes: disc, triangle, square, pentagon, hexagon."""
Pairs = dict[str, np.ndarray]
"""``a`` the line art and ``b`` the colours, ``[N, side, side, 3]`` from -1 to 1."""


def draw_pairs(generator: np.random.Generator, count: int, side: int) -> Pairs:
    """Draw outlines of one to three shapes, whose kind determines the colour that fills them."""
    pairs: dict[str, list[Image.Image]] = {"a": [], "b": []}
    for _ in range(count):
        line, colour = (Image.new("RGB", (4 * side, 4 * side), "white") for _ in range(2))
        for _ in range(generator.integers(1, 4)):
            kind, radius = generator.integers(len(PALETTE)), 4 * side * generator.uniform(0.12, 0.25)
            place, turn = generator.uniform(radius, 4 * side - radius, 2), generator.uniform(0, 2 * np.pi)
            corners = 48 if kind == 0 else kind + 2
            angles = turn + 2 * np.pi * np.arange(corners) / corners
            points = [(float(x), float(y)) for x, y in place + radius * np.stack([np.cos(angles), np.sin(angles)], -1)]
            for image, fill in ((line, (255, 255, 255)), (colour, PALETTE[kind])):
                ImageDraw.Draw(image).polygon(points, fill=fill, outline=(0, 0, 0), width=side // 8)
        pairs["a"].append(line)
        pairs["b"].append(colour)
    return {name: np.stack([_shrink(image, side) for image in images]) for name, images in pairs.items()}


def read_pairs(folder: Path, side: int, groups: Sequence[str] = ()) -> Pairs:
    """Read the pairs of the package ``openmoji``: files of one name in ``black/svg`` and ``color/svg``.

    Args:
        folder: the unpacked package.
        side: of the images.
        groups: prefixes of the names to read; all if there are none.

    Raises:
        UsageError: the folder has no pairs, or ``resvg_py``, which draws them, is not installed.
    """
    try:
        import resvg_py
    except ImportError as error:
        raise UsageError("expected the package resvg_py, to draw SVG files; pip install resvg_py") from error
    folder = Path(folder).expanduser()
    names = sorted(path.name for path in (folder / "black" / "svg").glob("*.svg"))
    names = [name for name in names if (folder / "color" / "svg" / name).exists()]
    names = [name for name in names if not groups or name.startswith(tuple(groups))]
    if not names:
        raise UsageError(f"expected a folder with black/svg and color/svg, as the package openmoji has, got {folder}")
    pairs = {}
    for part, place in (("a", "black"), ("b", "color")):
        drawn = []
        for name in names:
            svg = (folder / place / "svg" / name).read_text()
            png = bytes(resvg_py.svg_to_bytes(svg_string=svg, width=2 * side, height=2 * side, background="white"))
            drawn.append(_shrink(Image.open(BytesIO(png)).convert("RGB"), side))
        pairs[part] = np.stack(drawn)
    return pairs


def _shrink(image: Image.Image, side: int) -> np.ndarray:
    image = image.resize((side, side), Image.Resampling.BOX)
    return np.asarray(image, np.float32) / 127.5 - 1
