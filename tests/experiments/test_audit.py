import json

import pytest

from experiments.audit import main, neurons
from experiments.audit.item import Item, examine
from experiments.audit.report import ITEMS
from experiments.harness import command_line
from jaxdl.nn import activations


def test_all_worked_examples_are_as_expected(tmp_path, capsys):
    written = tmp_path / "audit.json"
    assert command_line.main(["audit", "--json", str(written)]) == 0
    rows = json.loads(written.read_text())
    assert [row["name"] for row in rows] == [item.name for item in ITEMS]
    assert {row["verdict"] for row in rows} == {"PASS", "CORRECTED"}
    assert all(bool(row["reason"]) == (row["verdict"] == "CORRECTED") for row in rows)
    assert all(row["file"].endswith(".txt") and row["phrase"] for row in rows)
    output = capsys.readouterr().out
    assert "0 FAIL" in output
    assert "[\\text{" in output.replace("\n", "")  # a phrase in brackets is no markup


@pytest.mark.parametrize(
    ("item", "verdict"),
    [
        (Item("right", "0.51", "0.5108", lambda: 0.51083), "PASS"),
        (Item("misprinted", "0.61", "0.5108", lambda: 0.51083, "a slip"), "CORRECTED"),
        (Item("several", "4 9 6 7", "4 9 11 6", lambda: [[4, 9], [11, 6]], "a slip"), "CORRECTED"),
        (Item("computed wrongly", "0.51", "0.5108", lambda: 0.51093), "FAIL"),
        (Item("computed as misprinted", "0.61", "0.5108", lambda: 0.61, "a slip"), "FAIL"),
        (Item("correct, but listed as wrong", "0.51", "0.5108", lambda: 0.51083, "a slip"), "FAIL"),
        (Item("wrong, but listed as correct", "0.61", "0.5108", lambda: 0.51083), "FAIL"),
        (Item("no number", "A", "4", lambda: 4, "a slip"), "CORRECTED"),
        (Item("one number too few", "1 2", "1 2", lambda: [1]), "FAIL"),
        (Item("not a number", "1", "1", lambda: float("nan")), "FAIL"),
    ],
    ids=lambda value: value.name if isinstance(value, Item) else value,
)
def test_verdicts(item, verdict):
    assert examine(item).verdict == verdict


def test_wrong_computations_fail_the_audit(monkeypatch, capsys):
    monkeypatch.setattr(activations, "sigmoid", lambda x: 0.5 + 0.2 * x)
    assert main([], neurons.SIGMOIDS) == 1
    assert "FAIL" in capsys.readouterr().out


def test_unknown_flags_are_rejected(capsys):
    assert command_line.main(["audit", "--jsn", "x"]) == 2
    assert capsys.readouterr().err == "error: expected --json FILE, got '--jsn x'\n"
