import numpy as np
import pytest

from experiments import stress
from experiments.stress import damage, report, victim
from experiments.stress.kills import Outcome
from jaxdl import train


def test_the_short_stress_test_passes(capsys):
    assert stress.main(["--short"]) == 0
    printed = capsys.readouterr().out
    assert printed.count("PASS") == 7
    assert "FAIL" not in printed


def test_a_failed_trial_is_reported_and_exits_with_1(capsys, monkeypatch):
    class Careless:
        seconds, reference = 1.0, None

        def __init__(self, folder, seed):
            pass

    monkeypatch.setattr(report, "Laboratory", Careless)
    monkeypatch.setattr(victim, "parts_compared", lambda reference: {"params": 6})
    lost = report.Row("killed", 2, 1, 0.5, ["differ: params/w"])
    monkeypatch.setattr(report, "stress", lambda laboratory, amount: [lost])
    assert stress.main([]) == 1
    printed = capsys.readouterr().out
    assert "FAIL" in printed
    assert "differ: params/w" in printed


def test_differences_compare_bits(tmp_path):
    for name, value in (("a", 0.0), ("b", -0.0)):
        (tmp_path / name).mkdir()
        np.savez(tmp_path / name / victim.FINAL, w=np.float32([value]), n=np.int32(1))
    assert victim.differences(tmp_path / "a", tmp_path / "b") == ["w"]
    assert victim.differences(tmp_path / "a", tmp_path / "a") == []
    assert victim.parts_compared(tmp_path / "a") == {"w": 1, "n": 1}


def test_accepted_damage_is_counted(tmp_path, monkeypatch):
    reference = tmp_path / "reference"
    reference.mkdir()
    _, state, _ = victim.make_run()
    victim.checkpoints_of(reference).save(state)
    train.weights.save(reference / victim.WEIGHTS, state.variables)
    generator = np.random.default_rng(0)
    assert damage.count_rejected(reference, damage.cut, 5, generator) == damage.Count(5, 5, [])
    monkeypatch.setattr(train.Checkpoints, "restore", lambda self, like: like)
    monkeypatch.setattr(train.weights, "load", lambda path, like: like)
    count = damage.count_rejected(reference, damage.flip, 5, generator)
    assert (count.tried, count.rejected) == (5, 0)
    assert all(problem.endswith("was accepted") for problem in count.problems)
    outcome = report._row("x", [Outcome(True), Outcome(False, problem="differ: w")], 1.0)
    assert (outcome.tried, outcome.good, outcome.problems) == (2, 1, ["differ: w"])


def test_unknown_flags_are_rejected():
    with pytest.raises(SystemExit):
        stress.main(["--long"])
