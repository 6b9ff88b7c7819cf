"""Add runs to the gallery: ``python -m docs.make_gallery RUN [RUN ...]``.

The figures of a run and its record (``run.json``: command, seed, time, versions, results, goals, claims) are copied to
``docs/_static/gallery/NAME``, in place of those of an earlier run. ``notes.md`` beside them is written by hand, as are
labels and captions in ``docs/gallery.toml``. The pages are made of these whenever the site is built, see
`docs.gallery_pages`.
"""

import io
import json
import re
import sys
from itertools import product
from pathlib import Path
from typing import Any

from PIL import Image

from experiments.harness import catalogue

PICTURES = Path(__file__).parent / "_static" / "gallery"
WIDTHS = (1500, 1350, 1200, 1050, 900)
"""Widths of a stored figure in pixels, from the preferred one to the narrowest; its own is tried after the first."""
LARGEST = 500 * 2**10
"""Largest file of a figure in bytes, unless the narrowest figure with a palette has more."""
COLOURS = 256
"""Colours of a palette; a figure of at most as many is stored with one, without loss."""


def add(directory: Path) -> None:
    """Add a run, or replace that of its experiment."""
    manifest = json.loads((directory / "manifest.json").read_text())
    folder = PICTURES / manifest["experiment"]
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.png"):
        old.unlink()
    for picture in manifest["pictures"]:
        copy_picture(directory / picture, folder / picture)
    (folder / "run.json").write_text(json.dumps(record(manifest), indent=1) + "\n")


def copy_picture(source: Path, target: Path) -> None:
    """Copy a figure onto a white ground, narrower or with few colours if its file would exceed `LARGEST`."""
    image = Image.open(source).convert("RGBA")
    ground = Image.new("RGBA", image.size, "white")
    image = Image.alpha_composite(ground, image).convert("RGB")
    # Flat areas with sharp edges have a smaller file at their own width than reduced.
    widths = dict.fromkeys(min(width, image.width) for width in (WIDTHS[0], image.width, *WIDTHS[1:]))
    content = b""
    for with_palette, width in product((False, True), widths):
        content = encode(image, width, with_palette=with_palette)
        if len(content) <= LARGEST:
            break
    target.write_bytes(content)


def encode(image: Image.Image, width: int, *, with_palette: bool) -> bytes:
    """Return a figure of at most a width as PNG; at most `COLOURS` colours have a palette, without loss."""
    image = image.copy()
    image.thumbnail((width, 10 * width), Image.Resampling.LANCZOS)
    if with_palette or image.getcolors(COLOURS) is not None:
        image = image.convert("P", palette=Image.Palette.ADAPTIVE, dither=Image.Dither.NONE, colors=COLOURS)
    file = io.BytesIO()
    image.save(file, "PNG", optimize=True)
    return file.getvalue()


def record(manifest: dict[str, Any]) -> dict[str, Any]:
    """Return the part of a manifest that the gallery shows."""
    result = {name: value for name, value in manifest["result"].items() if isinstance(value, int | float)}
    return {
        "experiment": manifest["experiment"],
        "command": command(manifest),
        "seed": manifest["seed"],
        "date": manifest["started"][:10],
        "wall_seconds": manifest["wall_seconds"],
        "git_commit": manifest["git_commit"],
        "versions": manifest["versions"],
        "devices": manifest["devices"],
        "result": result,
        "goal": catalogue.load(manifest["experiment"]).goal,
        "claims": manifest["claims"],
        "pictures": manifest["pictures"],
    }


def command(manifest: dict[str, Any]) -> str:
    """Return the command of a run without its folder and whether it was resumed, and its files by their names alone."""
    text = re.sub(r" --out \S+| --resume", "", manifest["command"])
    return re.sub(r"(?<=[ =])/\S*/(?=\S)", "", text)


if __name__ == "__main__":
    for run in sys.argv[1:]:
        add(Path(run))
