"""The catalogue of experiments: a folder a chapter, a file an experiment."""

import ast
import importlib
from pathlib import Path
from types import ModuleType

from experiments.harness.errors import unknown

FOLDER = Path(__file__).parents[1]
CHAPTERS = ("neurons", "optimization", "regularization", "vision", "sequences", "attention")
"""The chapters, in the order in which they are read."""


def chapters() -> dict[str, list[str]]:
    """Return the names of the experiments of each chapter."""
    return {chapter: sorted(path.stem for path in _files(chapter)) for chapter in CHAPTERS}


def names() -> list[str]:
    """Return the names of all experiments."""
    return sorted(name for members in chapters().values() for name in members)


def chapter_of(name: str) -> str:
    """Return the chapter of an experiment.

    Raises:
        UsageError: there is no such experiment; the nearest is named.
    """
    for chapter, members in chapters().items():
        if name in members:
            return chapter
    raise unknown("experiment", name, names())


def source(name: str) -> str:
    """Read an experiment's file, without importing it."""
    return (FOLDER / chapter_of(name) / f"{name}.py").read_text()


def header(name: str) -> str:
    """Read the docstring of an experiment, without importing it."""
    return ast.get_docstring(ast.parse(source(name))) or ""


def title(chapter: str) -> str:
    """Read the title of a chapter, the docstring of its package."""
    return ast.get_docstring(ast.parse((FOLDER / chapter / "__init__.py").read_text())) or ""


def load(name: str) -> ModuleType:
    """Import an experiment: a module with ``Config``, a frozen dataclass, and ``run(config, run) -> result``.

    It may also have ``GOAL``, the least (or, for a name that ends in ``loss`` or ``error``, the largest) result that it
    must reach, and ``CLAIMS``, the numbers of the claims that it tests and passes to ``run.claim``.
    """
    return importlib.import_module(f"experiments.{chapter_of(name)}.{name}")


def _files(chapter: str) -> list[Path]:
    return [path for path in (FOLDER / chapter).glob("*.py") if not path.stem.startswith("_")]
