"""Runs that go on, are compared, swept, configured by files, and used without their data."""

import json

import numpy as np
import pytest

from experiments.harness import joint, predicting
from experiments.harness.command_line import main
from jaxdl import data, pretrained

FLAGS = ["run", "image_classification", "--model", "mlp", "--smoke"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Run a sweep over two seeds in float16, by the same command line twice."""
    parent = tmp_path_factory.mktemp("runs") / "sweep"
    command = [*FLAGS, "--set", "seed=0,1", "--precision", "float16", "--out", str(parent), "--resume"]
    statuses = [main(command) for _ in range(2)]
    assert statuses == [0, 0]
    return [parent / f"seed={seed}" for seed in (0, 1)]


def test_a_sweep_resumes_by_the_same_command_line(runs):
    for seed, folder in enumerate(runs):
        manifest = json.loads((folder / "manifest.json").read_text())
        assert (manifest["status"], manifest["seed"], len(manifest["parts"])) == ("finished", seed, 2)
        assert manifest["result"]["skipped"] == 0
        rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
        assert [row["step"] for row in rows] == [2]
        assert rows[0]["train/loss_scale"] == 2**16
        assert json.loads((folder / "config.json").read_text())["precision"] == "float16"


def test_compare_prints_results_and_differences_and_draws_curves(runs, tmp_path, capsys):
    assert main(["compare", *map(str, runs), "--out", str(tmp_path / "curves.png")]) == 0
    lines = capsys.readouterr().out
    assert "accuracy" in lines
    assert "seed" in lines
    assert (tmp_path / "curves.png").stat().st_size > 1000


def test_predict_uses_a_run_alone(runs, tmp_path, capsys):
    pillow = pytest.importorskip("PIL.Image", reason="pillow is not installed")
    image = data.load("digits").test["image"][0]
    path = tmp_path / "digit.png"
    pillow.fromarray(np.rint(255 * image[..., 0]).astype(np.uint8)).save(path)
    probabilities = predicting.predict(runs[0], [str(path)])
    assert probabilities.shape == (1, 10)
    assert probabilities.sum() == pytest.approx(1, rel=1e-5)
    assert main(["predict", str(runs[0]), str(path)]) == 0
    shown = capsys.readouterr().out
    assert f"{probabilities.max():.4f}" in shown
    description = json.loads((runs[0] / "model.json").read_text())
    assert description["classes"] == list("0123456789")
    mean, std = data.statistics(data.load("digits").train["image"])
    np.testing.assert_allclose([description["mean"], description["std"]], [mean, std], rtol=1e-6)


def test_a_saved_configuration_is_read(runs, tmp_path):
    out = tmp_path / "again"
    assert main([*FLAGS, "--config", str(runs[1] / "config.json"), "--out", str(out)]) == 0
    again, saved = (json.loads((path / "config.json").read_text()) for path in (out, runs[1]))
    del saved["precision"]
    assert again == saved


def test_learning_rates_are_trained_together_as_one_after_the_other(tmp_path, monkeypatch):
    calls, rates = [], ["0.02", "0.002"]
    together = joint.train_together
    monkeypatch.setattr(joint, "train_together", lambda *args, **options: calls.append(1) or together(*args, **options))
    command = [*FLAGS, "--set", f"optimizer.learning-rate={','.join(rates)}", "--out", str(tmp_path), "--resume"]
    assert [main(command) for _ in range(2)] == [0, 0]  # the second finds both finished
    assert calls == [1]
    for rate in rates:
        folder, alone = tmp_path / f"optimizer.learning-rate={rate}", tmp_path / rate
        assert main([*FLAGS, "--optimizer.learning-rate", rate, "--out", str(alone)]) == 0
        results = [json.loads((path / "manifest.json").read_text())["result"] for path in (folder, alone)]
        assert results[0] == pytest.approx(results[1], rel=1e-5)
        weights = [pretrained.read(path / "weights.safetensors") for path in (folder, alone)]
        for name, leaf in weights[0].items():
            np.testing.assert_allclose(leaf, weights[1][name], rtol=1e-4, atol=1e-7, err_msg=name)
        logs = [json.loads((path / "metrics.jsonl").read_text()) for path in (folder, alone)]
        assert logs[0].keys() == logs[1].keys()
        for name in ("step", "train/loss", "train/learning_rate", "evaluation/loss"):
            assert logs[0][name] == pytest.approx(logs[1][name], rel=1e-5), name


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([*FLAGS, "--set", "seed"], "got 'seed'"),
        ([*FLAGS, "--set", "sed=1,2"], "--sed"),
        ([*FLAGS, "--set", "seed=-1"], "got -1"),
        ([*FLAGS, "--config", "none.json"], "none.json"),
        ([*FLAGS, "--precision", "float8"], "float8"),
        (["compare", "one"], "got 1"),
        (["predict", "one"], "got 1"),
        (["predict", "one", "photo.jpg"], "got one"),
    ],
)
def test_usage_errors_are_one_line_and_write_nothing(arguments, expected, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert expected in error
    assert error.count("\n") == 1
    assert not list(tmp_path.iterdir())
