import json

import numpy as np
import pytest
from scipy import stats

from experiments.harness import catalogue
from experiments.harness.claims import interval, judge, with_interval
from experiments.harness.command_line import main


def test_interval_is_students():
    samples = np.random.default_rng(0).normal(size=20)
    mean, low, high = interval(samples)
    expected = stats.ttest_1samp(samples, 0).confidence_interval(0.95)
    assert (low, high) == pytest.approx((expected.low, expected.high))
    assert mean == pytest.approx(samples.mean())


@pytest.mark.parametrize(
    ("samples", "verdict"),
    [
        ([1.0, 1.1, 0.9, 1.2], "reproduced"),
        ([1.0, -1.1, 0.9, -1.2], "not reproduced"),
        ([-1.0, -1.1, -0.9], "not reproduced"),
        ([5.0], "not reproduced"),
        ([1.0, np.nan, 1.0], "not reproduced"),
    ],
)
def test_a_claim_is_reproduced_if_the_whole_interval_is_above(samples, verdict):
    assert judge(1, "a is larger than b", "a - b", samples).verdict == verdict


@pytest.mark.parametrize(("true", "verdict"), [(0, "not reproduced"), (7, "not reproduced"), (8, "reproduced")])
def test_the_interval_of_a_share_is_clopper_pearson(true, verdict):
    claim = judge(1, "most runs do", "share of runs", np.arange(8) < true, above=0.5)
    low, high = claim.interval
    assert claim.value == true / 8
    assert high == 1 if true == 8 else stats.binom.cdf(true, 8, high) == pytest.approx(1 / 40)
    assert low == 0 if true == 0 else stats.binom.sf(true - 1, 8, low) == pytest.approx(1 / 40)
    assert claim.verdict == verdict


@pytest.mark.parametrize("within", [(0.0, 1.0), (-1.0, 1.0), (0.0, np.inf)])
def test_no_interval_has_impossible_values(within):
    samples = np.array([0.1, 0.9])  # Student's interval is from -4.6 to 5.6
    peer = stats.ttest_1samp(samples, 0).confidence_interval(0.95)
    low, high = max(peer.low, within[0]), min(peer.high, within[1])
    found = with_interval("share", samples, within)
    assert found == {"share": 0.5, "share_low": pytest.approx(low), "share_high": pytest.approx(high)}
    assert judge(1, "a claim", "a share", samples, within=within).interval == pytest.approx((low, high))


def test_the_command_writes_all_claims(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(catalogue, "names", lambda: ["symmetry_breaking"])
    file = tmp_path / "claims.json"
    assert main(["claims", "--smoke", "--json", str(file), "--out", str(tmp_path / "runs")]) == 0
    rows = json.loads(file.read_text())
    assert rows
    for row in rows:
        assert row["claim"] == 6
        assert row["experiment"] == "symmetry_breaking"
        assert row["smoke"]
        assert row["verdict"] in {"reproduced", "not reproduced"}
        assert len(row["interval"]) == 2
    assert "smoke" in capsys.readouterr().out


def test_unwritable_files_are_rejected_first(tmp_path, capsys):
    assert main(["claims", "--json", str(tmp_path / "nowhere" / "claims.json")]) == 2
    assert "there is no folder" in capsys.readouterr().err
