import dataclasses
import json
import os
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from matplotlib.figure import Figure

from experiments.harness.command_line import main
from experiments.harness.run_folder import Run, read_manifest
from experiments.harness.training import train_task
from jaxdl import data, metrics, optim, tasks, train
from jaxdl.train.parallel import consistency
from tests.processes import environment

ROOT = Path(__file__).parents[2]
FLAGS = ["run", "mlp_digits", "--epochs", "3", "--batch-size", "120", "--optimizer.schedule", "constant"]


def run(directory, *flags, status=0):
    """Run the small network and return its manifest."""
    assert main([*FLAGS, "--out", str(directory), *flags]) == status
    return json.loads((directory / "manifest.json").read_text())


@pytest.fixture(autouse=True)
def coarse_figures(monkeypatch):
    """Draw figures coarsely, as smoke runs do; only those of the undisturbed run are as users see them."""
    save = Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda figure, path, **options: save(figure, path, dpi=30))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    directory = tmp_path_factory.mktemp("runs") / "undisturbed"
    return directory, run(directory)


def test_files_of_a_run_folder(undisturbed):
    directory, manifest = undisturbed
    files = {path.name for path in directory.iterdir()}
    assert files >= {"config.json", "metrics.jsonl", "manifest.json", "weights.safetensors", "checkpoints"}
    assert files >= {"curves.png", "confusion.png", "mistakes.png"}
    assert manifest["result"].keys() >= {"accuracy", "loss"}
    assert manifest["seed"] == 0
    assert manifest["versions"]["jax"] == jax.__version__
    assert manifest["wall_seconds"] > 0
    rows = [json.loads(line) for line in (directory / "metrics.jsonl").read_text().splitlines()]
    assert rows[-1]["evaluation/accuracy"] == manifest["result"]["accuracy"]
    assert rows[-1].keys() >= {"train/loss", "train/learning_rate", "train/gradient_norm", "train/update_norm"}
    weights = train.weights.load(directory / "weights.safetensors")
    assert sum(leaf.size for leaf in jax.tree.leaves(weights)) == manifest["result"]["parameters"]


def test_equal_seeds_give_equal_bits(undisturbed, tmp_path):
    directory, manifest = undisturbed
    assert run(tmp_path / "again")["result"] == manifest["result"]
    first = (directory / "weights.safetensors").read_bytes()
    assert (tmp_path / "again" / "weights.safetensors").read_bytes() == first
    other = run(tmp_path / "other", "--seed", "1")["result"]
    assert other["loss"] != manifest["result"]["loss"]


def test_an_interrupted_run_resumes_exactly(undisturbed, tmp_path, monkeypatch):
    directory, manifest = undisturbed
    interrupted_at = []

    class Interruption(train.checkpointing.Interruption):
        def __call__(self, report):
            if report.epoch >= 1:
                self.signal = "SIGTERM"
                interrupted_at.append(report.step)
            return None if self.signal is None else train.STOP

    with monkeypatch.context() as patch:
        patch.setattr(train.checkpointing.interrupt, "Interruption", Interruption)
        stopped = run(tmp_path / "run")
    assert stopped["status"] == "interrupted"
    assert stopped["wall_seconds"] == stopped["parts"][0]["wall_seconds"] > 0
    resumed = run(tmp_path / "run", "--resume")
    assert interrupted_at == [11]
    assert resumed["status"] == "finished"
    assert resumed["result"] == manifest["result"]
    for name in ("weights.safetensors",):
        assert (tmp_path / "run" / name).read_bytes() == (directory / name).read_bytes()
    first, second = resumed["parts"]
    assert [first] == stopped["parts"]
    for name in ("wall_seconds", "compile_seconds", "step_seconds"):
        assert resumed[name] == pytest.approx(first[name] + second[name], abs=0.011)
    assert resumed["started"] == first["started"] <= second["started"]
    steps = [json.loads(line)["step"] for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert steps == [11, 22, 33]


def test_a_killed_part_lasts_until_its_last_log(tmp_path):
    killed, resumed = (Run("mlp_digits", {"seed": 0}, tmp_path / "run") for _ in range(2))
    killed.begin()
    assert read_manifest(tmp_path / "run")["status"] == "running"
    (tmp_path / "run" / "metrics.jsonl").write_text("")
    os.utime(tmp_path / "run" / "metrics.jsonl", (killed.started + 60, killed.started + 60))
    resumed.resume = True
    resumed.begin()
    with (tmp_path / "run" / "metrics.jsonl").open("a") as log:
        log.write("{}\n")  # now the part that goes on writes it
    os.utime(tmp_path / "run" / "metrics.jsonl", (killed.started + 600, killed.started + 600))
    resumed.write_manifest("finished", {})
    manifest = read_manifest(tmp_path / "run")
    first, second = manifest["parts"]
    assert first["wall_seconds"] == pytest.approx(60, abs=1)  # the manifest tells whole seconds of its start
    assert manifest["wall_seconds"] == pytest.approx(first["wall_seconds"] + second["wall_seconds"], abs=0.011)


@pytest.mark.parametrize("status", ["running", "interrupted"])
def test_a_finished_run_keeps_its_result_until_it_finishes_again(tmp_path, status):
    runs = [Run("mlp_digits", {"seed": 0}, tmp_path / "run") for _ in range(3)]
    runs[0].begin()
    runs[0].pictures.append("curves.png")
    runs[0].document(use="digits")
    runs[0].write_manifest("finished", {"accuracy": 0.9})
    for run in runs[1:]:  # cut off twice
        run.resume = True
        run.begin()
        if status == "interrupted":
            run.write_manifest(status)
    manifest = read_manifest(tmp_path / "run")
    assert manifest["status"] == status
    assert manifest["result"] == {"accuracy": 0.9}
    assert manifest["pictures"] == ["curves.png"]
    assert manifest["documentation"] == {"use": "digits"}
    runs[2].write_manifest("finished", {"accuracy": 0.8})
    assert read_manifest(tmp_path / "run")["result"] == {"accuracy": 0.8}
    assert read_manifest(tmp_path / "run")["pictures"] == []


def test_runs_started_in_the_same_second_have_different_folders(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    runs = [Run("mlp_digits", {"seed": seed}) for seed in range(8)]
    for run in runs:
        run.directory = runs[0].directory  # the clock may have gone on meanwhile
    stem = runs[0].directory.name
    with ThreadPoolExecutor(len(runs)) as pool:
        list(pool.map(Run.begin, runs))
    assert sorted(run.directory.name for run in runs) == [stem, *(f"{stem}-{number}" for number in range(2, 9))]
    for run in runs:
        assert json.loads((run.directory / "config.json").read_text())["seed"] == run.config["seed"]


def test_patience_survives_a_resume(tmp_path, monkeypatch):
    flags = ["--patience", "1", "--optimizer.learning-rate", "0.3", "--epochs", "8"]
    whole = run(tmp_path / "whole", *flags)
    rows = [json.loads(line) for line in (tmp_path / "whole" / "metrics.jsonl").read_text().splitlines()]
    assert len(rows) < 8
    best = min(rows, key=lambda row: row["evaluation/loss"])
    assert whole["result"]["step"] == best["step"] < rows[-1]["step"]
    assert run(tmp_path / "whole", *flags, "--resume")["result"] == whole["result"]


def test_a_run_resumes_with_its_own_settings_only(undisturbed, tmp_path, capsys):
    directory, manifest = undisturbed
    before = (directory / "config.json").read_text()
    assert main([*FLAGS, "--out", str(directory), "--resume", "--seed", "5"]) == 2
    assert "seed was 0, is 5" in capsys.readouterr().err
    assert main(["run", "lenet_digits", "--out", str(directory), "--resume"]) == 2
    assert "experiment was 'mlp_digits'" in capsys.readouterr().err
    assert (directory / "config.json").read_text() == before
    assert json.loads((directory / "manifest.json").read_text()) == manifest


def test_a_rejected_resume_changes_nothing(undisturbed, capsys):
    directory, manifest = undisturbed
    assert main([*FLAGS, "--out", str(directory), "--resume", "--devices", "7"]) == 2
    assert json.loads((directory / "manifest.json").read_text()) == manifest


@pytest.fixture
def other_process(monkeypatch):
    """Simulate a second process that differs in one value."""

    def differ(name, value):
        def all_gather_text(text):
            output = json.loads(text)
            return [text, json.dumps({**output, name: json.dumps(value)} if name in output else output)]

        monkeypatch.setattr(consistency, "all_gather_text", all_gather_text)

    return differ


def test_processes_with_different_settings_are_rejected_first(tmp_path, capsys, other_process):
    for name, value, message in [
        ("seed", 1, "seed is 0 in process 0, 1 in process 1"),
        ("--resume", True, "--resume is false in process 0, true in process 1"),
    ]:
        other_process(name, value)
        assert main([*FLAGS, "--out", str(tmp_path / "run")]) == 2
        assert message in capsys.readouterr().err
        assert not (tmp_path / "run").exists()


def test_a_process_without_the_checkpoints_is_rejected(undisturbed, capsys, other_process):
    directory, manifest = undisturbed
    log = (directory / "metrics.jsonl").read_text()
    other_process("the first step", 0)
    assert main([*FLAGS, "--out", str(directory), "--resume"]) == 2
    assert "the first step is 33 in process 0, 0 in process 1" in capsys.readouterr().err
    assert json.loads((directory / "manifest.json").read_text()) == manifest
    assert (directory / "metrics.jsonl").read_text() == log


@pytest.mark.parametrize(
    ("hook", "method", "patience", "last"),
    [(train.MetricsFile, "__call__", None, 29), (train.SaveEvery, "finish", 1, 14)],
    ids=["at the last report", "after it"],
)
def test_a_signal_after_the_last_step_is_no_interruption(tmp_path, monkeypatch, hook, method, patience, last):
    def measure(variables, batch):
        return {"loss": metrics.mean((variables["params"]["w"] - batch["x"]) ** 2, batch["mask"])}

    def loss(variables, batch, key):
        return jnp.mean((variables["params"]["w"] - batch["x"]) ** 2), ({}, {})

    def kill(self, report):
        original(self, report)
        if report.step == last and not killed:
            killed.append(last)
            os.kill(os.getpid(), signal.SIGTERM)

    original, killed = getattr(hook, method), []
    monkeypatch.setattr(hook, method, kill)
    constant = tasks.Task(lambda key, batch: {"params": {"w": jnp.zeros(())}}, loss, measure)
    loader = data.Loader({"x": np.ones(14, np.float32)}, 2)
    begun = Run("constant", {"seed": 0}, tmp_path / "run")
    begun.begin()
    # In floating point 29/7 epochs of 7 steps are more than 29 steps.
    state, result = train_task(
        begun, constant, loader, optim.sgd(0.0), {"x": np.ones(2)}, epochs=29 / 7, patience=patience
    )
    assert result["loss"] == 1.0
    assert json.loads((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()[-1])["step"] == last
    assert killed == [last]


def test_a_resume_with_other_data_is_rejected(tmp_path, capsys, monkeypatch):
    whole = data.load("digits")
    run(tmp_path / "run", "--epochs", "1")
    shorter = dataclasses.replace(whole, train={name: rows[:-120] for name, rows in whole.train.items()})
    monkeypatch.setattr(data, "load", lambda *_, **__: shorter)
    assert main([*FLAGS, "--epochs", "1", "--out", str(tmp_path / "run"), "--resume"]) == 2
    error = capsys.readouterr().err
    assert "1437" in error
    assert "1317" in error


def test_runs_without_git(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert run(tmp_path / "run", "--smoke")["git_commit"] is None


def test_several_devices_give_the_same_result(undisturbed, tmp_path):
    _, manifest = undisturbed
    several = run(tmp_path / "run", "--mesh", "data=4,model=2")
    assert several["mesh"] == {"data": 4, "model": 2}
    assert several["result"]["loss"] == pytest.approx(manifest["result"]["loss"], rel=1e-4)


def test_two_processes_give_the_same_result(undisturbed, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        flags = ["--coordinator", f"127.0.0.1:{free.getsockname()[1]}", "--processes", "2", "--devices", "4"]
    command = [sys.executable, "-m", "experiments", *FLAGS, "--out", str(tmp_path / "run"), *flags, "--process"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "env": environment(), "cwd": ROOT}
    processes = [subprocess.Popen([*command, str(i)], **pipes) for i in range(2)]
    try:
        output = [process.communicate(timeout=300)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0, 0], "\n".join(output)
    folders = tmp_path / "run", tmp_path / "run-process-1"
    first, second = (read_manifest(folder) for folder in folders)
    assert first["result"] == second["result"]
    assert first["result"]["loss"] == pytest.approx(undisturbed[1]["result"]["loss"], rel=1e-4)
    assert (first["processes"], first["mesh"], len(first["devices"])) == (2, {"data": 4}, 4)
    assert len({(folder / "weights.safetensors").read_bytes() for folder in folders}) == 1
    assert [(folder / "checkpoints").exists() for folder in folders] == [True, False]
    assert "run folder" in output[0]
    assert "run folder" not in output[1]


def test_a_diverging_run_stops_and_reports_the_step(tmp_path, capsys):
    flags = ["--optimizer.name", "sgd", "--optimizer.learning-rate", "1e30"]
    assert main([*FLAGS, "--out", str(tmp_path / "run"), *flags]) == 1
    output = capsys.readouterr().err
    assert "step" in output
    assert "Traceback" not in output
    skipped = run(tmp_path / "skipped", *flags, "--skip-nonfinite")
    assert skipped["result"]["skipped"] >= 30
    assert np.isfinite(skipped["result"]["loss"])


def test_a_batch_not_divisible_by_the_devices_is_rejected(tmp_path, capsys):
    assert main([*FLAGS, "--out", str(tmp_path / "run"), "--devices", "7"]) == 2
    assert "120" in (output := capsys.readouterr().err)
    assert "7 devices" in output
    assert not (tmp_path / "run").exists()


def test_missing_data_is_named(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("JAXDL_DATA", str(tmp_path))
    arguments = ["run", "lenet_mnist", "--data-dir", str(tmp_path / "nothing"), "--out", str(tmp_path / "run")]
    monkeypatch.setattr("pooch.retrieve", lambda *_, **__: (_ for _ in ()).throw(OSError("no network")))
    assert main(arguments) == 2
    assert "train-images-idx3-ubyte" in capsys.readouterr().err
