"""The API reference: a page for every package and top-level module of jaxdl, with every public name on it.

``conf.py`` writes the pages before Sphinx reads them; `tests/test_public.py` asks `pages` whether a name is missing.
"""

import ast
import importlib
import inspect
import pkgutil
from pathlib import Path
from types import ModuleType

import jaxdl

SKIPPED = {"jaxdl.__main__"}


def modules() -> list[str]:
    """Return the dotted names of all public modules and packages, in alphabetical order."""
    found = (found.name for found in pkgutil.walk_packages(jaxdl.__path__, "jaxdl."))
    return sorted(name for name in found if name not in SKIPPED and "._" not in name)


def public_names(module: ModuleType) -> list[str]:
    """Return the public functions and classes that a module defines, in the order of the file."""
    path = Path(inspect.getsourcefile(module) or "")
    kinds = (ast.FunctionDef, ast.ClassDef)
    names = [node.name for node in ast.parse(path.read_text()).body if isinstance(node, kinds)]
    return [name for name in dict.fromkeys(names) if not name.startswith("_")]  # an overload repeats a name


def is_package(name: str) -> bool:
    """Return whether a dotted name is that of a package."""
    return hasattr(importlib.import_module(name), "__path__")


def pages() -> dict[str, str]:
    """Return the reStructuredText of every page by the dotted name of its package or top-level module."""
    texts: dict[str, list[str]] = {}
    for name in modules():
        page = name if is_package(name) or name.count(".") == 1 else name.rpartition(".")[0]
        lines = texts.setdefault(page, [])
        title, mark = (name, "=") if name == page else (name.rpartition(".")[2], "-")
        lines += [title, mark * len(title), "", f".. automodule:: {name}", "   :no-members:", ""]
        if is_package(name):
            continue
        module = importlib.import_module(name)
        for member in public_names(module):
            lines += _entry(f"{name}.{member}", getattr(module, member))
    return {page: "\n".join(lines) for page, lines in texts.items()}


def _entry(name: str, member: object) -> list[str]:
    """Return the directive for a function or a class; the fields of a named tuple are in its docstring."""
    if not inspect.isclass(member):
        return [f".. autofunction:: {name}", ""]
    fields = getattr(member, "_fields", ())
    exclude = [f"   :exclude-members: {', '.join(fields)}"] if fields else []
    return [f".. autoclass:: {name}", "   :members:", *exclude, ""]


def write(folder: Path) -> None:
    """Write the pages, and leave those alone that have not changed."""
    folder.mkdir(exist_ok=True)
    texts = pages()
    for old in folder.iterdir():
        if old.name.removesuffix(".rst") not in texts:
            old.unlink()
    for page, text in texts.items():
        path = folder / f"{page}.rst"
        if not path.exists() or path.read_text() != text:
            path.write_text(text)
