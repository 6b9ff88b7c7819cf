import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from experiments import stress
from experiments.stress import attack, damage, kills, report, victim
from experiments.stress.attack import Attack, Tally, Trial, anything, judge, nothing
from jaxdl import train


def test_the_short_stress_test_passes(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    assert stress.main(["--short"]) == 0
    printed = capsys.readouterr().out
    assert all(kind in printed for kind in report.INPUTS)
    assert printed.count("PASS") >= len(report.KINDS)
    assert "FAIL" not in printed


@pytest.mark.parametrize("verdict", attack.VERDICTS)
def test_what_gets_through_is_reported_and_exits_with_1(capsys, monkeypatch, verdict):
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.setattr(report, "trials", lambda *_: iter([("archives", verdict, "tar, damage 3")]))
    bad = verdict in attack.BAD
    assert stress.main(["--only", "archives"]) == bad
    printed = capsys.readouterr().out
    assert ("FAIL" in printed) == bad
    assert ("tar, damage 3" in printed) == bad


def raises(error):
    raise error


@pytest.mark.parametrize(
    ("call", "is_right", "verdict"),
    [
        (lambda: 3, anything, "accepted"),
        (lambda: 3, nothing, "accepted wrong"),
        (partial(raises, ValueError("file: got 3")), nothing, "clear error"),
        (partial(raises, train.DamagedError("file: got 3")), nothing, "clear error"),
        (partial(raises, ValueError("got 3")), nothing, "raw exception"),  # names nothing
        (partial(raises, ValueError("file" * 2000)), nothing, "raw exception"),
        (partial(raises, KeyError("file")), nothing, "raw exception"),
        (partial(raises, UnicodeDecodeError("file", b"", 0, 1, "")), nothing, "raw exception"),
        (partial(raises, SystemExit("file")), nothing, "raw exception"),
        (partial(time.sleep, 5), anything, "hang"),
        (partial(bytearray, attack.MEMORY * 8), anything, "raw exception"),
    ],
)
def test_verdicts(call, is_right, verdict):
    assert judge(Trial("x", call, is_right, "file", limit=0.1))[0] == verdict


def test_a_checksummed_file_with_other_content_must_not_be_accepted(tmp_path):
    generator, original = np.random.default_rng(0), b"some content"
    for checksummed, expected in ((True, {"accepted wrong"}), (False, {"accepted"})):
        attacked = Attack("x", original, Path.read_bytes, checksummed)
        trials = attack.damaged([attacked], 20, tmp_path, generator)
        assert {judge(trial)[0] for trial in trials} - {"accepted"} == expected - {"accepted"}
    with pytest.raises(FileNotFoundError):  # the undamaged file has to be accepted
        next(attack.damaged([Attack("x", original, lambda path: raises(FileNotFoundError()))], 1, tmp_path, generator))


def test_differences_compare_bits(tmp_path):
    for name, value in (("a", 0.0), ("b", -0.0)):
        (tmp_path / name).mkdir()
        np.savez(tmp_path / name / victim.FINAL, w=np.float32([value]), n=np.int32(1))
    assert victim.differences(tmp_path / "a", tmp_path / "b") == ["w"]
    assert victim.differences(tmp_path / "a", tmp_path / "a") == []


def test_accepted_damage_is_counted(tmp_path, monkeypatch):
    reference = tmp_path / "reference"
    reference.mkdir()
    _, state, _ = victim.make_run()
    victim.checkpoints_of(reference).save(state)
    train.weights.save(reference / victim.WEIGHTS, state.variables)
    generator = np.random.default_rng(0)
    assert [verdict for verdict, _ in damage.verdicts(reference, damage.cut, 5, generator)] == ["clear error"] * 5
    monkeypatch.setattr(train.Checkpoints, "restore", lambda self, like: like)
    monkeypatch.setattr(train.weights, "load", lambda path, like: like)
    found = list(damage.verdicts(reference, damage.flip, 5, generator))
    assert [verdict for verdict, _ in found] == ["accepted wrong"] * 5
    assert all(problem.endswith("was accepted") for _, problem in found)


def test_runs_have_the_verdicts_of_the_other_attacks():
    problems = {
        "": "raw exception",
        "differ: w": "accepted wrong",
        "hangs for 120 s": "hang",
        "status 1": "raw exception",
    }
    assert {problem: kills.Outcome(False, problem=problem).verdict for problem in problems} == problems
    tally = Tally()
    for outcome in (kills.Outcome(True), kills.Outcome(False, problem="differ: w")):
        tally.add(outcome.verdict, outcome.problem)
    assert (tally.tried, tally.bad, tally.problems) == (2, 1, ["accepted wrong: differ: w"])


@pytest.mark.parametrize("arguments", [["--long"], ["--short", "--full"], ["--only", "nothing"]])
def test_unknown_flags_are_rejected(arguments):
    with pytest.raises(SystemExit):
        stress.main(arguments)
