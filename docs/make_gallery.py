"""Make the gallery page from run folders: ``python docs/make_gallery.py RUN [RUN ...]``.

Each run's section shows its command, its result and its pictures, which are copied and reduced. The sections of other
experiments stay. Notes on an experiment, which are written by hand, are in ``notes.md`` beside its section.
"""

import json
import sys
from pathlib import Path

from PIL import Image

DOCS = Path(__file__).parent
PICTURES = DOCS / "_static" / "gallery"
WIDTH = 900
COLOURS = 64


def add(directory: Path) -> None:
    """Add the section of a run, or replace that of its experiment."""
    manifest = json.loads((directory / "manifest.json").read_text())
    name = manifest["experiment"]
    folder = PICTURES / name
    folder.mkdir(parents=True, exist_ok=True)
    for picture in manifest["pictures"]:
        image = Image.open(directory / picture).convert("RGB")
        image.thumbnail((WIDTH, 10 * WIDTH))
        image.quantize(COLOURS).save(folder / picture, optimize=True)
    result = ", ".join(
        f"{key} {value:.4g}" for key, value in manifest["result"].items() if isinstance(value, int | float)
    )
    lines = [f"## {name}", "", f"    python -m experiments run {name}", "", f"Result: {result}.", ""]
    for claim in manifest["claims"]:
        low, high = claim["interval"]
        measured = f"{claim['measure']} {claim['value']:.3g} [{low:.3g}, {high:.3g}]"
        lines.append(f"- {claim['statement']}: {measured}: {claim['verdict']}.")
    lines += [""] + [f"![{picture}](_static/gallery/{name}/{picture})" for picture in manifest["pictures"]]
    (folder / "section.md").write_text("\n".join(lines) + "\n")


def section(folder: Path) -> str:
    """Return the section of an experiment, with its notes."""
    notes = folder / "notes.md"
    return (folder / "section.md").read_text() + (f"\n{notes.read_text()}" if notes.exists() else "")


def write_page() -> None:
    """Join the sections into the page."""
    sections = [section(path.parent) for path in sorted(PICTURES.glob("*/section.md"))]
    (DOCS / "gallery.md").write_text("# Gallery\n\nThe figures and results of the experiments.\n\n" + "\n".join(sections))


if __name__ == "__main__":
    for run in sys.argv[1:]:
        add(Path(run))
    write_page()
