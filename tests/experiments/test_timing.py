from experiments.benchmarks import names, timing
from experiments.benchmarks.timing import Case, compare


def test_the_ratio_is_ours_over_theirs(monkeypatch):
    monkeypatch.setattr(timing, "_time", lambda work, repeats: work())
    row = compare(Case("work", "peer", lambda: 0.4, lambda: 0.1, goal=1.0, rounds=3))
    assert {"case", "ours", "peer", "ratio"} <= row.keys()
    assert row["ratio"] == 4
    assert (row["ours"], row["peer"]) == (0.4, 0.1)
    assert row["verdict"] == "MISS"
    assert row["stable"]
    assert compare(Case("work", "peer", lambda: 0.1, lambda: 0.4, goal=0.3, rounds=2))["verdict"] == "PASS"


def test_benchmarks_are_named_by_their_files():
    assert "training" in names()
    assert not {"peers", "timing"} & set(names())
