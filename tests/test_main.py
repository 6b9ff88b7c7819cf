import importlib.metadata
import tomllib
from pathlib import Path

import pytest

import jaxdl
from jaxdl import doctor, models
from jaxdl.__main__ import main


def test_the_doctor_finds_missing_and_old_packages(capsys, monkeypatch):
    assert main(["doctor"]) == 0
    output = capsys.readouterr().out
    assert all(word in output for word in ("devices", "jax", "compilation cache"))
    version = importlib.metadata.version
    versions = {"flax": None, "jax": "0.9.1"}

    def changed(package):
        if versions.get(package, "") is None:
            raise importlib.metadata.PackageNotFoundError
        return versions.get(package) or version(package)

    monkeypatch.setattr(importlib.metadata, "version", changed)
    assert main(["doctor"]) == 1
    wrong = {finding.subject: finding.fix for finding in doctor.examine() if finding.verdict == "wrong"}
    assert wrong == {"flax": "python -m pip install flax", "jax": "python -m pip install -U jax"}


def test_list_models_by_pattern(capsys):
    assert main(["models"]) == 0
    rows = [line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines()]
    assert rows == [[name, models.description(name)] for name in models.list()]
    assert main(["models", "lenet*"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["lenet5", "lenet5_original"]


def test_inspect_shows_a_model_layer_by_layer(capsys, monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    assert main(["inspect", "lenet5"]) == 0
    output = capsys.readouterr().out
    assert "Total Parameters: 61,706" in output
    assert "float32[1,28,28,6]" in output
    assert "flops" in output


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [(["inspect", "lenet"], "lenet5"), (["docter"], "got 'docter'"), (["inspect"], "got 'inspect'")],
)
def test_an_error_is_one_line(arguments, expected, capsys):
    assert main(arguments) == 2
    output = capsys.readouterr().err
    assert expected in output
    assert output.count("\n") == 1


def test_usage_without_a_command(capsys):
    assert main([]) == 0
    assert "inspect NAME" in capsys.readouterr().out


def test_the_version_is_that_of_the_package_and_stated_once(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"jaxdl {jaxdl.__version__}\n"
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())
    assert project["project"]["dynamic"] == ["version"]
    assert "version" not in project["project"]
    assert project["tool"]["hatch"]["version"]["path"] == "jaxdl/__init__.py"
