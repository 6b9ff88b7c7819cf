"""Which experiments there are: every file of this folder whose name has no leading underscore."""

import ast
import importlib
from pathlib import Path
from types import ModuleType

from experiments.harness.errors import unknown

FOLDER = Path(__file__).parents[1]


def names() -> list[str]:
    """Name every experiment."""
    return sorted(path.stem for path in FOLDER.glob("*.py") if not path.stem.startswith("_"))


def source(name: str) -> str:
    """Read an experiment's file, without importing it."""
    return (FOLDER / f"{name}.py").read_text()


def header(name: str) -> str:
    """Read what an experiment says of itself."""
    return ast.get_docstring(ast.parse(source(name))) or ""


def load(name: str) -> ModuleType:
    """Import an experiment: a module with ``Config``, a frozen dataclass, and ``run(config, run) -> result``.

    It may also have ``GOAL``, the least (or, for a name that ends in ``loss`` or ``error``, the largest) result that it
    must reach, and ``CLAIMS``, the numbers of the claims that it tests and passes to ``run.claim``.
    """
    if name not in names():
        raise unknown("experiment", name, names())
    return importlib.import_module(f"experiments.{name}")
