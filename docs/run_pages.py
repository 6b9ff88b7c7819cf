"""Run the code cells of pages: ``python -m docs.run_pages PAGE [PAGE ...]``, each page as one program.

The site runs the pages of the course while it is built; this is for those that it only shows, and for a page that is
being written.
"""

import os
import sys
import time
from pathlib import Path

from docs.notebooks import CELL


def run(page: Path) -> None:
    """Run the cells of a page, in order and in one namespace."""
    names = {"__name__": page.stem}
    for cell in CELL.findall(page.read_text()):
        exec(compile(cell, str(page), "exec"), names)


if __name__ == "__main__":
    os.environ.setdefault("MPLBACKEND", "Agg")
    for name in sys.argv[1:]:
        start = time.process_time()
        sys.stdout.write(f"{name}\n")
        run(Path(name))
        sys.stdout.write(f"{time.process_time() - start:.1f} s of processor time\n")
