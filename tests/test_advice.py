"""Advice installs from the checkout: the name jaxdl on the public index belongs to another package."""

import re
import tomllib
from pathlib import Path

import pytest

from jaxdl import doctor
from jaxdl.__main__ import main

ROOT = Path(__file__).parents[1]
FOLDERS = ("jaxdl", "experiments", "docs")
FILES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "pyproject.toml", ROOT / ".ci" / "run"]
FILES += [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*")) if path.suffix in {".py", ".md"}]


def foreign(text):
    """List the phrases that install the public package of our import name."""
    return re.findall(r"pip3? install[^\n`]*?[\s'\"]jaxdl\b(?!-research)[^\n]*|['\"]jaxdl\[.*?\]", text)


@pytest.mark.parametrize("advice", ["pip install jaxdl", "pip install -U 'jaxdl[parity]'", 'x = "jaxdl[test]"'])
def test_foreign_advice_is_found(advice):
    assert foreign(advice)
    assert not foreign(advice.replace("jaxdl", "jaxdl-research"))


def test_no_file_gives_foreign_advice():
    assert {str(path.relative_to(ROOT)): foreign(path.read_text()) for path in FILES if foreign(path.read_text())} == {}


def test_the_distribution_has_a_name_of_its_own_and_its_extras_exist():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["name"] == "jaxdl-research"
    extras = project["optional-dependencies"]
    used = {
        extra for needs in extras.values() for need in needs for extra in re.findall(r"jaxdl-research\[(\w+)\]", need)
    }
    assert used == {"experiments", "test"}
    assert used | doctor.OPTIONAL.keys() <= extras.keys()


def test_the_doctor_prints_the_extra(capsys, monkeypatch):
    monkeypatch.setattr(
        doctor, "examine", lambda: [doctor.Finding("extra parity", "missing: torch", "note", "'.[parity]'")]
    )
    main(["doctor"])
    assert "'.[parity]'" in capsys.readouterr().out
