import dataclasses
import json
import sys
from pathlib import Path

import pytest

from experiments.harness import catalogue, command_line
from experiments.harness.command_line import main


def fails(capsys, *arguments):
    """Run an invalid command; return its error of one line."""
    assert main(list(arguments)) == 2
    printed = capsys.readouterr()
    assert printed.err.count("\n") == 1
    assert "Traceback" not in printed.err + printed.out
    return printed.err


def test_list_prints_every_experiment_and_preset(capsys):
    assert main(["list"]) == 0
    listed = capsys.readouterr().out
    assert "lenet_digits" in catalogue.names()
    assert all(name in listed for name in catalogue.names())


@pytest.mark.parametrize(("preset", "model", "goal"), [("lenet_digits", "lenet5", 0.98), ("mlp_digits", "mlp", 0.95)])
def test_presets_change_settings_and_goal(preset, model, goal):
    experiment = catalogue.load(preset)
    assert (experiment.default.model, experiment.goal) == (model, {"accuracy": goal})
    assert not experiment.default.standardize
    assert catalogue.load("image_classification").default.standardize


def test_a_table_of_results_says_where_goals_are_not_of_its_settings():
    default = catalogue.load("xor").default
    assert command_line.changed_settings(dataclasses.replace(default, seed=default.seed + 1), default) == []
    changed = command_line.changed_settings(dataclasses.replace(default, learning_rate=7.0), default)
    assert changed == ["learning_rate"]
    for name, expected in (("lenet_mnist", []), ("translation", ["data_dir"])):  # the place of data, and other data
        default = catalogue.load(name).default
        assert command_line.changed_settings(dataclasses.replace(default, data_dir=Path("own")), default) == expected
    result, goal = {"accuracy": 1.0}, {"accuracy": 0.9}
    assert "not for this learning_rate" in command_line.result_table("xor", result, goal, changed).caption
    assert command_line.result_table("xor", result, goal).caption is None
    assert command_line.result_table("xor", result, {}, changed).caption is None


def test_flags_keep_their_values_under_smoke_settings():
    default = catalogue.load("xor").default
    assert default.smoke() == dataclasses.replace(default, **default.SMOKE)
    assert default.smoke().learning_rate == default.learning_rate


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["runn"], "'runn': did you mean 'run'"),
        (["run"], "expected the name of an experiment"),
        (["run", "lenet_digit"], "'lenet_digit': did you mean 'lenet_digits'"),
        (["run", "lenet_digits", "--epoch=3"], "'--epoch': did you mean '--epochs'"),
        (["run", "lenet_digits", "--optimizer.learning-rat", "1"], "did you mean '--optimizer.learning-rate'"),
        (["run", "lenet_digits", "--epochs", "many"], "--epochs"),
        (["run", "lenet_digits", "--epochs", "0"], "--epochs: expected > 0, got 0"),
        (["run", "lenet_digits", "--epochs", "nan"], "--epochs: expected > 0, got nan"),
        (["run", "lenet_digits", "--batch-size", "-1"], "--batch-size: expected >= 1, got -1"),
        (["run", "lenet_digits", "--batch-size", "100000"], "100000"),
        (["run", "deconvnet", "--examples", "-1"], "--examples: expected >= 1, got -1"),
        (["run", "plain_vs_residual", "--widths", "0"], "--widths: expected >= 1, got (0,)"),
        (["run", "gradient_clipping", "--rates", "0"], "--rates: expected > 0, got (0.0,)"),
        (["run", "lenet_digits", "--out", "nul\0l"], "embedded null byte"),
        (["run", "lenet_digits", "--seed", "-3"], "--seed: expected >= 0, got -3"),
        (["run", "lenet_digits", "--optimizer.learning-rate", "-1"], "--optimizer.learning-rate: expected > 0"),
        (["run", "lenet_digits", "--optimizer.name", "adem"], "did you mean 'adam'"),
        (["run", "lenet_digits", "--model", "lenet6"], "'lenet6': did you mean 'lenet5'"),
        (["run", "lenet_digits", "--data", "digit"], "'digit': did you mean 'digits'"),
        (["run", "lenet_digits", "--accumulate", "3"], "--accumulate: expected a divisor of --batch-size, got 3"),
        (["run", "lenet_digits", "--resume"], "expected --out DIR with --resume"),
        (["run", "lenet_digits", "--coordinator", "here:1"], "expected --out DIR with --coordinator"),
        (["run", "lenet_digits", "--coordinator", "here:1", "--out", "x"], "got ('here:1', None, None)"),
        (["run", "lenet_digits", "--processes", "2"], "got (None, 2, None)"),
        (["show"], "got 0 arguments"),
        (["show", "no/such/folder"], "got no/such/folder"),
        (["bench", "trainin"], "'trainin': did you mean 'training'"),
        (["bench", "training", "--jsn", "x"], "got '--jsn x'"),
        (["list", "everything"], "got 'everything'"),
        (["claims", "--smok"], "got '--smok'"),
    ],
)
def test_usage_errors_are_one_line_and_write_nothing(arguments, expected, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert expected in fails(capsys, *arguments)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", catalogue.names())
def test_smoke_run_of_every_experiment(name, capsys, tmp_path, monkeypatch):
    assert f"python -m experiments run {name}" in catalogue.header(name)
    monkeypatch.setattr(sys, "argv", ["experiments", "run", name, "--smoke"])
    assert main(["run", name, "--smoke", "--out", str(tmp_path / "run")]) == 0
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert manifest["status"] == "finished"
    assert manifest["smoke"]
    assert manifest["result"]
    assert all(isinstance(value, int | float | str | bool) for value in manifest["result"].values())
    assert manifest["pictures"]
    assert all((tmp_path / "run" / picture).stat().st_size > 1000 for picture in manifest["pictures"])
    assert json.loads((tmp_path / "run" / "config.json").read_text())["experiment"] == name
    assert main(["show", str(tmp_path / "run")]) == 0
    assert "finished" in capsys.readouterr().out


def test_run_folders_are_not_overwritten(capsys, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.txt").write_text("ten years of work")
    assert "is not empty" in fails(capsys, "run", "lenet_digits", "--smoke", "--out", str(tmp_path / "run"))
    assert "nothing to resume" in fails(capsys, "run", "lenet_digits", "--resume", "--out", str(tmp_path / "run"))
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["thesis.txt"]
