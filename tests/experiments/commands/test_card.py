"""The model card of a run, and the measures of fairness behind one."""

import json

import numpy as np
import pytest

from experiments.deployment import fairness
from experiments.harness.command_line import main


def test_the_card_of_decisions_about_groups(tmp_path):
    pytest.importorskip("fairlearn", reason="fairness by fairlearn")
    folder = tmp_path / "run"
    assert main(["run", "fairness", "--smoke", "--out", str(folder)]) == 0
    assert main(["card", str(folder)]) == 0
    card = (folder / "CARD.md").read_text()
    manifest = json.loads((folder / "manifest.json").read_text())
    assert "A smoke run" in card
    for rule in fairness.RULES:
        assert f"## Groups: {rule}" in card
        mean, low, high = manifest["documentation"]["groups"][rule]["selection_rate_1"]
        assert f"| selection_rate_1 | {mean:.3f} | {low:.3f} | {high:.3f} |" in card
    assert all(f"- {limit}" in card for limit in fairness.LIMITS)
    assert "400 applications" in card
    assert "![roc.png](roc.png)" in card


def test_the_card_of_an_old_manifest(tmp_path, capsys):
    claim = {"statement": "a | b", "measure": "gain", "value": 0.5, "interval": [0.25, 0.75], "seeds": 8}
    manifest = {
        "experiment": "gone",
        "status": "running",
        "result": {"loss": 0.25},
        "claims": [claim | {"verdict": "?"}],
    }
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    (tmp_path / "config.json").write_text('{"text": "a|b"}')
    assert main(["card", str(tmp_path), "--out", str(tmp_path / "mine.md")]) == 0
    card = (tmp_path / "mine.md").read_text()
    assert "not finished: running" in card
    assert "| loss | 0.25 |" in card
    assert "| text | a\\|b |" in card
    assert "a | b: gain 0.5 [0.25, 0.75], 8 runs: ?." in card
    assert main(["card", str(tmp_path / "nowhere")]) == 2
    assert main(["card", str(tmp_path), "extra"]) == 2
    assert main(["card", str(tmp_path), "--out", str(tmp_path / "no" / "card.md")]) == 2
    assert "extra" in capsys.readouterr().err


@pytest.mark.parametrize("rule", fairness.RULES)
def test_thresholds_keep_what_their_rule_says(rule):
    pytest.importorskip("fairlearn", reason="fairness by fairlearn")
    random = np.random.default_rng(0)
    group = random.integers(0, 2, 4000)
    label = (random.random(4000) < 0.5 + 0.3 * group).astype(np.int32)
    p = np.clip(0.3 * label + 0.3 * group + 0.4 * random.random(4000), 0, 1)
    decided = fairness.choose(rule, p, label, group, seed=0)(p, group)
    measured = fairness.measure(label, decided, group)
    rates = [[np.mean(decided[(group == g) & (label == y)]) for y in (0, 1)] for g in (0, 1)]
    assert measured["odds_difference"] == pytest.approx(np.abs(np.subtract(*rates)).max())
    approved = [np.mean(decided[group == g]) for g in (0, 1)]
    assert measured["parity_difference"] == pytest.approx(abs(approved[0] - approved[1]))
    assert measured["balanced_accuracy"] == pytest.approx(fairness.balanced_accuracy(label, decided))
    kept = {"demographic parity": "parity_difference", "equalized odds": "odds_difference"}
    if rule in kept:
        assert measured[kept[rule]] < 0.05
    else:
        assert measured["parity_difference"] > 0.2
