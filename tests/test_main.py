import importlib.metadata

import pytest

from jaxdl import doctor, models
from jaxdl.__main__ import main


def test_the_doctor_reads_and_mends(capsys, monkeypatch):
    assert main(["doctor"]) == 0
    said = capsys.readouterr().out
    assert all(word in said for word in ("devices", "jax", "compilation cache"))
    version = importlib.metadata.version
    versions = {"flax": None, "jax": "0.9.1"}

    def changed(package):
        if versions.get(package, "") is None:
            raise importlib.metadata.PackageNotFoundError
        return versions.get(package) or version(package)

    monkeypatch.setattr(importlib.metadata, "version", changed)
    assert main(["doctor"]) == 1
    wrong = {finding.subject: finding.mend for finding in doctor.examine() if finding.verdict == "wrong"}
    assert wrong == {"flax": "python -m pip install flax", "jax": "python -m pip install -U jax"}


def test_models_are_listed_by_pattern(capsys):
    assert main(["models"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == [*models.list()]
    assert main(["models", "lenet*"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["lenet5", "lenet5_original"]


def test_a_model_is_shown_layer_by_layer(capsys):
    assert main(["inspect", "lenet5"]) == 0
    said = capsys.readouterr().out
    assert "Total Parameters: 61,706" in said
    assert "float32[1,28,28,6]" in said
    assert "flops" in said


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["inspect", "lenet"], "'lenet5'"),
        (["docter"], "cannot read 'docter'"),
        (["inspect"], "cannot read"),
    ],
)
def test_a_mistake_is_told_in_one_line(arguments, expected, capsys):
    assert main(arguments) == 2
    said = capsys.readouterr().err
    assert expected in said
    assert said.count("\n") == 1


def test_without_a_command_the_usage_is_shown(capsys):
    assert main([]) == 0
    assert "inspect NAME" in capsys.readouterr().out
