"""Jupyter notebooks of the pages that run code: ``downloads/NAME.ipynb`` for every page in MyST's notebook format."""

import re
from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

DOCS = Path(__file__).parent
TARGET = DOCS / "downloads"
CELL = re.compile(r"^```\{code-cell\}[^\n]*\n(?::[^\n]*\n)*\n?(.*?)^```$", re.M | re.S)


def write(substitutions: dict[str, str]) -> None:
    """Write the notebooks, and leave those alone that have not changed."""
    TARGET.mkdir(exist_ok=True)
    for page in sorted([*DOCS.glob("*.md"), *DOCS.glob("*/*.md")]):
        text = page.read_text()
        if text.startswith("---\nfile_format: mystnb"):
            path, content = TARGET / f"{page.stem}.ipynb", nbformat.writes(convert(text, substitutions))
            if not path.exists() or path.read_text() != content:
                path.write_text(content)


def convert(text: str, substitutions: dict[str, str]) -> nbformat.NotebookNode:
    """Return a page as a notebook: its code cells, and Markdown that Jupyter shows without MyST.

    >>> page = "---\\nfile_format: mystnb\\n---\\n# A\\n\\n```{code-cell} python\\n1 + 1\\n```\\n"
    >>> [cell.source for cell in convert(page, {}).cells]
    ['# A', '1 + 1']
    """
    body = text.split("---\n", maxsplit=2)[2]
    cells = []
    for place, part in enumerate(CELL.split(body)):
        source = part.strip() if place % 2 else plain(part, substitutions)
        if source:
            make = new_code_cell if place % 2 else new_markdown_cell
            cells.append(make(source, id=f"cell-{place}"))
    return new_notebook(cells=cells, metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}})


def plain(text: str, substitutions: dict[str, str]) -> str:
    """Return Markdown without roles, directives and links inside the site."""
    text = re.sub(r"\{\{ (\w+) \}\}", lambda found: substitutions.get(found[1], ""), text)
    text = re.sub(r"^\{download\}.*\n", "", text, flags=re.M)
    text = re.sub(
        r"^```\{figure\}[^\n]*\n(?::[^\n]*\n)*\n(.*?)^```$", r"*Figure on the site:* \1", text, flags=re.M | re.S
    )
    text = re.sub(r"^:{3,}\{grid-item-card\} (.+)\n", r"- \1\n", text, flags=re.M)
    text = re.sub(r"^:(?:::|[\w-]+:).*\n", "", text, flags=re.M)  # other fences and options of directives
    text = re.sub(r"\[([^\]]*)\]\{\.[^}]*\}", r"*\1*", text)
    text = re.sub(r"\[\]\((?:\.\./)*([\w/]+)\.md\)", r"`\1`", text)
    text = re.sub(r"\[([^\]]+)\]\((?:[./]*[\w/]+\.md)?(?:#[\w-]+)?\)", r"\1", text)
    return text.strip()
