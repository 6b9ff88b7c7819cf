"""Make the gallery page from run folders: ``python -m docs.make_gallery RUN [RUN ...]``.

The section of a run, ``section.md``, has its command, its result and its figures, which are copied and reduced;
those of other experiments stay. The page adds the method, from the docstring of the experiment, and ``notes.md``, which
is written by hand.
"""

import json
import re
import sys
from pathlib import Path
from typing import Any

from PIL import Image

from experiments.harness import catalogue

DOCS = Path(__file__).parent
PICTURES = DOCS / "_static" / "gallery"
WIDTH = 900


def add(directory: Path) -> None:
    """Add the section of a run, or replace that of its experiment."""
    manifest = json.loads((directory / "manifest.json").read_text())
    name = manifest["experiment"]
    folder = PICTURES / name
    folder.mkdir(parents=True, exist_ok=True)
    for picture in manifest["pictures"]:
        image = Image.open(directory / picture).convert("RGB")
        image.thumbnail((WIDTH, 10 * WIDTH))
        image.save(folder / picture, optimize=True)
    result = ", ".join(
        f"{key} {value:.4g}" for key, value in manifest["result"].items() if isinstance(value, int | float)
    )
    lines = [f"## {name}", "", f"    {command(manifest)}", "", f"Result: {result}.", ""]
    for claim in manifest["claims"]:
        low, high = claim["interval"]
        measured = f"{claim['measure']} {claim['value']:.3g} [{low:.3g}, {high:.3g}]"
        lines.append(f"- {claim['statement']}: {measured}: {claim['verdict']}.")
    lines += [""] + [f"![{picture}](_static/gallery/{name}/{picture})" for picture in manifest["pictures"]]
    (folder / "section.md").write_text("\n".join(lines) + "\n")


def command(manifest: dict[str, Any]) -> str:
    """Return the command of a run without its folder, and its files by their names alone."""
    text = re.sub(r" --out \S+", "", manifest["command"])
    return re.sub(r"(?<=[ =])/\S*/(?=\S)", "", text)


def method(name: str) -> str:
    """Return the method of an experiment, from the docstring of its module."""
    title, *paragraphs = catalogue.header(name).split("\n\n")
    text = "\n\n".join(part for part in paragraphs if not part.startswith("    python"))
    return f"{title}\n\n{text}\n".replace("``", "`")


def section(folder: Path) -> str:
    """Return the section of an experiment: its method, result, figures and notes."""
    heading, command, rest = (folder / "section.md").read_text().split("\n\n", maxsplit=2)
    notes = (folder / "notes.md").read_text()
    return f"{heading}\n\n{command}\n\n{method(folder.name)}\n{rest}\n{notes}".strip()


def write_page() -> None:
    """Join the sections into the page."""
    sections = [section(path.parent) for path in sorted(PICTURES.glob("*/section.md"))]
    heading = "# Gallery\n\nThe figures and results of the experiments."
    (DOCS / "gallery.md").write_text("\n\n".join([heading, *sections]) + "\n")


if __name__ == "__main__":
    for run in sys.argv[1:]:
        add(Path(run))
    write_page()
