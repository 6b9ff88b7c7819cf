import json
import sys

import pytest

from experiments.harness import catalogue
from experiments.harness.command_line import main


def fails(capsys, *arguments):
    """Run a command that must be refused; return its one line."""
    assert main(list(arguments)) == 2
    said = capsys.readouterr()
    assert said.err.count("\n") == 1
    assert "Traceback" not in said.err + said.out
    return said.err


def test_the_list_names_every_experiment_with_a_line(capsys):
    assert main(["list"]) == 0
    listed = capsys.readouterr().out
    assert "lenet_digits" in catalogue.names()
    assert all(name in listed for name in catalogue.names())


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["runn"], "unknown command 'runn': did you mean 'run'"),
        (["run"], "run needs the name of an experiment"),
        (["run", "lenet_digit"], "unknown experiment 'lenet_digit': did you mean 'lenet_digits'"),
        (["run", "lenet_digits", "--epoch", "3"], "unknown flag '--epoch': did you mean '--epochs'"),
        (["run", "lenet_digits", "--epoch=3"], "unknown flag '--epoch': did you mean '--epochs'"),
        (["run", "lenet_digits", "--optimizer.learning-rat", "1"], "did you mean '--optimizer.learning-rate'"),
        (["run", "lenet_digits", "--epochs", "many"], "--epochs"),
        (["run", "lenet_digits", "--epochs", "0"], "--epochs: expected > 0, got 0"),
        (["run", "lenet_digits", "--epochs", "nan"], "--epochs: expected > 0, got nan"),
        (["run", "lenet_digits", "--batch-size", "-1"], "--batch-size: expected >= 1, got -1"),
        (["run", "lenet_digits", "--batch-size", "100000"], "100000"),
        (["run", "lenet_digits", "--seed", "-3"], "--seed: expected >= 0, got -3"),
        (["run", "lenet_digits", "--optimizer.learning-rate", "-1"], "--optimizer.learning-rate: expected > 0"),
        (["run", "lenet_digits", "--optimizer.name", "adem"], "did you mean 'adam'"),
        (["run", "lenet_digits", "--model", "lenet6"], "unknown model 'lenet6': did you mean 'lenet5'"),
        (["run", "lenet_digits", "--data", "digit"], "unknown data set 'digit': did you mean 'digits'"),
        (["run", "lenet_digits", "--accumulate", "3"], "--accumulate: expected a divisor of --batch-size, got 3"),
        (["run", "lenet_digits", "--resume"], "--resume needs --out DIR"),
        (["run", "lenet_digits", "--coordinator", "here:1"], "--coordinator needs --out DIR, the same folder in every"),
        (["run", "lenet_digits", "--coordinator", "here:1", "--out", "x"], "--process I go together: give all three"),
        (["run", "lenet_digits", "--processes", "2"], "go together"),
        (["show"], "show needs the path of one run folder"),
        (["show", "no/such/folder"], "no/such/folder is no run folder"),
        (["bench", "trainin"], "unknown benchmark 'trainin': did you mean 'training'"),
        (["bench", "training", "--jsn", "x"], "bench takes --only TEXT and --json FILE"),
        (["list", "everything"], "expected nothing more, got 'everything'"),
        (["claims", "--smok"], "claims takes --smoke"),
    ],
)
def test_a_mistake_is_refused_in_one_line_before_anything_is_written(
    arguments, expected, capsys, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    assert expected in fails(capsys, *arguments)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", catalogue.names())
def test_every_experiment_says_its_command_and_smokes(name, capsys, tmp_path, monkeypatch):
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


def test_a_run_folder_is_never_overwritten(capsys, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.txt").write_text("ten years of work")
    assert "is not empty" in fails(capsys, "run", "lenet_digits", "--smoke", "--out", str(tmp_path / "run"))
    assert "nothing to resume" in fails(capsys, "run", "lenet_digits", "--resume", "--out", str(tmp_path / "run"))
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["thesis.txt"]
