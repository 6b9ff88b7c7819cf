"""Run folders of version 0.1.0, with the former names of experiments' settings, are shown and resumed."""

import functools
import json
import shutil
from pathlib import Path

import pytest

from experiments.harness import catalogue
from experiments.harness.command_line import main
from experiments.harness.configuration import as_dict, parse
from experiments.harness.errors import UsageError
from experiments.harness.migration import upgrade
from experiments.harness.run_folder import Run
from experiments.sequences import word_lm

FIXTURES = Path(__file__).parents[1] / "fixtures" / "runs"


@pytest.fixture(params=["mlp_digits", "word_lm"])
def old_run(request, tmp_path):
    """A copy of an old run folder, which a resume changes, and its name."""
    return shutil.copytree(FIXTURES / request.param, tmp_path / request.param), request.param


def test_old_runs_are_shown(old_run, capsys):
    directory, name = old_run
    assert main(["show", str(directory)]) == 0
    shown = capsys.readouterr().out
    assert name in shown
    assert "weights.safetensors" in shown


def test_settings_of_old_runs_are_those_of_the_present_defaults(old_run):
    directory, name = old_run
    default = catalogue.load(name).default
    settings = json.loads((directory / "config.json").read_text())
    assert upgrade(settings, default) == {**as_dict(default), "experiment": name, "smoke": True}


def test_an_old_run_resumes_from_its_checkpoint(tmp_path):
    directory = shutil.copytree(FIXTURES / "mlp_digits", tmp_path / "run")
    before = json.loads((directory / "manifest.json").read_text())
    config = (directory / "config.json").read_bytes()
    assert main(["run", "mlp_digits", "--smoke", "--resume", "--out", str(directory)]) == 0
    after = json.loads((directory / "manifest.json").read_text())
    assert after["result"] == pytest.approx(before["result"], rel=1e-5)
    assert len(after["parts"]) == 2
    assert (directory / "config.json").read_bytes() == config


@pytest.mark.parametrize(("flags", "same"), [([], True), (["--dropout-rate", "0.5"], False)])
def test_a_renamed_setting_must_keep_its_value(tmp_path, flags, same):
    directory = shutil.copytree(FIXTURES / "word_lm", tmp_path / "run")
    config, _ = parse("word_lm", word_lm.Config(), flags)
    run = Run("word_lm", as_dict(config), directory, smoke=True)
    run.resume, run.upgrade = True, functools.partial(upgrade, default=word_lm.Config())
    if same:
        run.begin()
        assert run.identity["retain_probability"] == 0.7  # as in the checkpoints
    else:
        with pytest.raises(UsageError, match=r"dropout_rate was 0\.3, is 0\.5"):
            run.begin()
