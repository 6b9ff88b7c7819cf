"""The public surface: every public name is an attribute of its package and has a place in the API reference."""

import importlib
import inspect
import subprocess
import sys
from operator import attrgetter
from pathlib import Path

import pytest

import jaxdl

sys.path.insert(0, str(Path(__file__).parents[1] / "docs"))
import reference

MODULES = reference.modules()
PACKAGES = [name for name in MODULES if reference.is_package(name)]
PAGES = reference.pages()
FILES = [name for name in MODULES if name not in PACKAGES]


def test_import_starts_neither_jax_nor_flax():
    code = "import jaxdl, sys; print(sorted({'jax', 'flax', 'optax', 'numpy'} & sys.modules.keys()))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_every_part_is_an_attribute_after_import_jaxdl():
    code = """
import jaxdl
print(*jaxdl.__all__)
jaxdl.nn.LayerNorm, jaxdl.train.parallel.make_mesh, jaxdl.models.create, jaxdl.data.load, jaxdl.losses.huber
assert set(jaxdl.__all__) <= set(dir(jaxdl))
try:
    jaxdl.layers
except AttributeError as error:
    print(error)
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    names, error = run.stdout.splitlines()
    top = {name.split(".")[1] for name in MODULES}
    assert set(names.split()) == top
    assert "layers" in error


@pytest.mark.parametrize("name", MODULES)
def test_every_module_is_reached_by_attributes(name):
    assert attrgetter(name.removeprefix("jaxdl."))(jaxdl) is importlib.import_module(name)


@pytest.mark.parametrize("name", [name for name in FILES if name.count(".") > 1])
def test_a_package_exports_the_public_names_of_its_modules(name):
    module = importlib.import_module(name)
    package = importlib.import_module(name.rpartition(".")[0])
    listed = set(package.__all__)
    if name.rpartition(".")[2] in listed:
        assert getattr(package, name.rpartition(".")[2]) is module
        return
    names = reference.public_names(module)
    missing = [member for member in names if member not in listed]
    assert not missing, f"add {missing} to {package.__name__}.__all__, or list the module there as a namespace"
    assert all(getattr(package, member) is getattr(module, member) for member in names)


def test_nn_exports_every_layer_cell_and_function():
    missing = []
    for name in [package for package in PACKAGES if package.startswith("jaxdl.nn.")]:
        package = importlib.import_module(name)
        members = [member for member in package.__all__ if not inspect.ismodule(getattr(package, member))]
        missing += [f"{name}.{member}" for member in members if member not in jaxdl.nn.__all__]
    assert not missing, f"add to jaxdl.nn: {missing}"


@pytest.mark.parametrize("name", PACKAGES)
def test_all_is_sorted_true_and_complete(name):
    package = importlib.import_module(name)
    assert len(package.__all__) == len(set(package.__all__))
    assert [member for member in package.__all__ if not hasattr(package, member)] == []


@pytest.mark.parametrize("name", FILES)
def test_no_function_has_the_name_of_its_module(name):
    assert name.rpartition(".")[2] not in reference.public_names(importlib.import_module(name))


@pytest.mark.parametrize("name", MODULES)
def test_every_public_name_has_a_docstring_and_a_place_in_the_reference(name):
    module = importlib.import_module(name)
    assert module.__doc__
    if reference.is_package(name):
        assert f".. automodule:: {name}\n" in PAGES[name]
        return
    page = PAGES[name if name.count(".") == 1 else name.rpartition(".")[0]]
    for member in reference.public_names(module):
        assert f":: {name}.{member}\n" in page
        assert getattr(module, member).__doc__, f"{name}.{member} has no docstring"


def test_the_package_is_typed():
    assert (Path(jaxdl.__file__).parent / "py.typed").exists()
