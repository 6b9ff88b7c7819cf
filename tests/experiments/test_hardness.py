"""Run folders and flags under attack: bad numbers, kills before the start, two processes, edited files."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from experiments.harness import catalogue, run_folder
from experiments.harness.command_line import main
from experiments.harness.configuration import parse
from experiments.harness.errors import UsageError
from experiments.harness.run_folder import Run, read_manifest

TRAINED = [name for name in catalogue.names() if hasattr(catalogue.load(name).default, "learning_rate")]


@pytest.mark.parametrize(
    ("name", "flag", "value"),
    [
        ("lenet_digits", "--epochs", "1e300"),
        ("lenet_digits", "--seed", str(2**32)),
        ("xor", "--seed", str(2**63)),
        ("sentiment", "--epochs", "inf"),
        ("date_translation", "--epochs", "inf"),
        ("char_rnn", "--min-count", "0"),
        ("char_gpt", "--min-count", "0"),
        ("char_rnn", "--hidden-size", str(2**31)),
        ("lenet_digits", "--optimizer.weight-decay", "nan"),
        ("lenet_digits", "--start-timeout", "0"),
        *((name, "--learning-rate", value) for name in TRAINED for value in ("inf", "nan")),
    ],
)
def test_impossible_numbers_are_refused_by_their_flag(name, flag, value):
    with pytest.raises(UsageError, match=rf"{flag}: expected .*got ({re.escape(str(float(value)))}|{value})"):
        parse(name, catalogue.load(name).default, [flag, value])


def test_an_abbreviated_flag_is_recognized():
    with pytest.raises(UsageError, match="did you mean '--learning-rate'"):
        parse("xor", catalogue.load("xor").default, ["--lr", "1"])


def fails(capsys, *arguments):
    assert main(list(arguments)) == 2
    printed = capsys.readouterr()
    assert "Traceback" not in printed.err + printed.out
    return printed.err


def test_errors_before_the_start_leave_nothing(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "File name too long" in fails(capsys, "run", "xor", "--smoke", "--out", "x" * 300)
    assert "expected" in fails(capsys, "run", "char_rnn", "--characters", "10", "--out", "short")
    assert list(tmp_path.iterdir()) == []


def begun(folder, *, resume=False):
    run = Run("constant", {"seed": 0}, folder)
    run.resume = resume
    return run


@pytest.mark.parametrize(
    "left", [[], ["config.json.partial"], ["config.json"], ["config.json", "manifest.json.partial"]]
)
@pytest.mark.parametrize("resume", [False, True])
def test_a_run_killed_before_its_manifest_starts_again(tmp_path, left, resume):
    first = begun(tmp_path / "run")
    first.begin()
    first.release()
    for path in (tmp_path / "run").iterdir():
        if path.name not in left and path.name != ".lock":
            path.unlink()
    for name in left:
        if name.endswith(".partial"):
            (tmp_path / "run" / name).write_text('{"exper')
    again = begun(tmp_path / "run", resume=resume)
    again.begin()
    assert read_manifest(tmp_path / "run")["status"] == "running"


def test_a_resumed_run_without_checkpoints_says_so(tmp_path, capsys):
    begun(tmp_path / "run").begin()
    begun(tmp_path / "run", resume=True).begin()
    assert "the run starts over" in " ".join(capsys.readouterr().out.split())


HOLD = """
import sys, time
from pathlib import Path
from experiments.harness.run_folder import lock
held = lock(Path(sys.argv[1]))
print("held", flush=True)
time.sleep(600)
"""


def test_a_folder_in_use_is_refused_until_its_process_ends(tmp_path):
    first = begun(tmp_path / "run")
    first.begin()
    first.release()
    other = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path / "run")], stdout=subprocess.PIPE, text=True)
    try:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(UsageError, match=f"is used by process {other.pid} on "):
            begun(tmp_path / "run", resume=True).begin()
    finally:
        other.kill()
        other.communicate()
    begun(tmp_path / "run", resume=True).begin()


STARTED = {"experiment": "a", "status": "running", "result": {}}
EDITS = {
    "no json": "not json",
    "bytes": b"\xff\xfe\x00",
    "a list": "[]",
    "deep": "[" * 100_000,
    "no fields": "{}",
    "fields of other types": json.dumps({"experiment": 1, "status": [], "result": "x", "parts": 3}),
    "parts of other types": json.dumps({**STARTED, "parts": [1]}),
    "times of other types": json.dumps({**STARTED, "parts": [{"started": "2026-01-01", "wall_seconds": "x"}]}),
}


@pytest.mark.parametrize("content", EDITS.values(), ids=EDITS)
def test_an_edited_manifest_is_no_obstacle_to_resuming_and_a_clear_error_to_show(tmp_path, capsys, content):
    first = begun(tmp_path / "run")
    first.begin()
    first.release()
    manifest = tmp_path / "run" / "manifest.json"
    (manifest.write_bytes if isinstance(content, bytes) else manifest.write_text)(content)
    assert main(["show", str(tmp_path / "run")]) in (0, 2)
    assert "Traceback" not in capsys.readouterr().err
    begun(tmp_path / "run", resume=True).begin()
    assert read_manifest(tmp_path / "run")["status"] == "running"


@pytest.mark.parametrize("content", ["not json", b"\xff\xfe\x00", "[]", "{}", "[" * 100_000])
def test_an_edited_configuration_is_a_clear_error(tmp_path, content):
    first = begun(tmp_path / "run")
    first.begin()
    first.release()
    config = tmp_path / "run" / "config.json"
    (config.write_bytes if isinstance(content, bytes) else config.write_text)(content)
    with pytest.raises(UsageError, match=r"config\.json is damaged|other settings"):
        begun(tmp_path / "run", resume=True).begin()


def test_the_first_error_of_a_run_on_a_full_disk_is_the_one_shown(tmp_path, capsys, monkeypatch):
    experiment = catalogue.load("xor")

    def fail(config, run):
        (run.directory / "weights.safetensors").write_text("learned")
        monkeypatch.setattr(run_folder, "write_json", full)
        raise OSError(28, "No space left on device", "first")

    def full(path, content):
        raise OSError(28, "No space left on device", "second")

    monkeypatch.setattr(catalogue, "load", lambda name: experiment._replace(run=fail))
    assert main(["run", "xor", "--smoke", "--out", str(tmp_path / "run")]) == 1
    error = capsys.readouterr().err
    assert "first" in error
    assert "second" not in error
    assert Path(tmp_path / "run").exists()
