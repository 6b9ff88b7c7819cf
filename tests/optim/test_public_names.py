"""The public names of the package, and its table of contents."""

import importlib
import inspect
import pkgutil

import pytest

from jaxdl import optim

MODULES = sorted(module.name for module in pkgutil.iter_modules(optim.__path__))


def public_names(module_name: str) -> set[str]:
    """Name the public functions and classes that a module defines."""
    module = importlib.import_module(f"jaxdl.optim.{module_name}")
    return {name for name, value in vars(module).items() if not name.startswith("_") and defined_in(value, module)}


def defined_in(value: object, module: object) -> bool:
    return (inspect.isfunction(value) or inspect.isclass(value)) and inspect.getmodule(value) is module


@pytest.mark.parametrize("module", MODULES)
def test_a_public_name_is_reachable_from_the_package(module):
    assert module in optim.__all__ or public_names(module) <= set(optim.__all__)


def test_no_function_is_called_as_a_module():
    assert not set(MODULES) & {name for module in MODULES for name in public_names(module)}


def test_the_table_of_contents_names_every_function():
    contents = optim.__doc__.partition(">>>")[0]
    names = set(contents.replace(",", " ").replace(";", " ").replace(".", " ").replace("`", " ").split())
    assert {name for name in optim.__all__ if not name.endswith("State")} <= names
