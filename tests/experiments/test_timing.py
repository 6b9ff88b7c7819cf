import time

from experiments.benchmarks import names
from experiments.benchmarks.timing import Case, compare


def test_a_ratio_is_ours_over_theirs():
    row = compare(Case("sleep", "sleep", lambda: time.sleep(0.004), lambda: time.sleep(0.001), goal=1.0, rounds=3))
    assert {"case", "ours", "peer", "ratio"} <= row.keys()
    assert 2 < row["ratio"] < 6
    assert row["verdict"] == "MISS"
    assert row["ours"] > row["peer"] > 0.001


def test_the_benchmarks_are_named_by_their_files():
    assert "training" in names()
    assert "timing" not in names()
