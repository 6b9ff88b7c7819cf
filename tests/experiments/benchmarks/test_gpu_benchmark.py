"""The benchmark of one GPU, at tiny sizes on the CPU, and the process around each row."""

import json

import pytest

from experiments.benchmarks import gpu, gpu_rows
from experiments.harness.errors import UsageError


def test_without_a_gpu_it_says_so(monkeypatch):
    monkeypatch.setattr(gpu, "card", lambda: None)
    with pytest.raises(UsageError, match="no GPU"):
        gpu.main([])
    with pytest.raises(UsageError, match="got gpt3"):
        gpu.main(["--only", "gpt3", "--smoke"])


@pytest.mark.parametrize("name", ["attention", "adam"])
def test_a_row_measures_both_sides(name):
    found = list(gpu_rows.FUNCTIONS[name](smoke=True))
    assert found
    for line in found:
        assert json.loads(json.dumps(line, default=float))["ours"] > 0
        assert line["theirs"] is None or line["ratio"] == line["ours"] / line["theirs"]
        assert line["reached"] > 0


def test_every_row_has_a_function():
    assert {function for function, _ in gpu.ROWS.values()} == gpu_rows.FUNCTIONS.keys()


def test_a_row_that_fails_is_a_line_and_the_next_one_runs(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(gpu, "ROWS", {"broken": ("no_such_row", 60), "also": ("no_such_row", 0.05)})
    path = tmp_path / "rows.jsonl"
    assert gpu.main(["--smoke", "--json", str(path)]) == 1
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    errors = {line["row"]: line["error"] for line in lines if "error" in line}
    assert "KeyError: 'no_such_row'" in errors["broken"]
    assert "ended after 0 s" in errors["also"]
    assert "ERROR" in capsys.readouterr().out


def test_verdicts():
    case = gpu_rows.judged({"case": "a", "ours": 2.0, "theirs": 1.0}, 1.0)
    assert (case["ratio"], case["verdict"]) == (2.0, "MISS")
    assert gpu_rows.reached(5.0, "images/s", 4.0, keep=case)["verdict"] == "MISS"
    assert gpu_rows.reached(5.0, "images/s", 4.0)["verdict"] == "PASS"
    assert gpu_rows.close("b", [1.0, 2.0], [1.0, 2.1], 0.01)["verdict"] == "MISS"
