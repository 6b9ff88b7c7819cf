"""Make the gallery page from run folders: ``python docs/make_gallery.py RUN [RUN ...]``.

Each run's section shows its command, its result and its pictures, which are copied, made smaller, beside the page. The
sections of other experiments stay as they are.
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
    """Add a run to the gallery, or replace its experiment's section."""
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
        seen = f"{claim['measure']} {claim['value']:.3g} [{low:.3g}, {high:.3g}]"
        lines.append(f"- {claim['statement']}: {seen}: {claim['verdict']}.")
    lines += [""] + [f"![{picture}](_static/gallery/{name}/{picture})" for picture in manifest["pictures"]]
    (folder / "section.md").write_text("\n".join(lines) + "\n")


def write_page() -> None:
    """Join the sections into the page."""
    sections = [path.read_text() for path in sorted(PICTURES.glob("*/section.md"))]
    (DOCS / "gallery.md").write_text("# Gallery\n\nWhat the experiments draw.\n\n" + "\n".join(sections))


if __name__ == "__main__":
    for run in sys.argv[1:]:
        add(Path(run))
    write_page()
