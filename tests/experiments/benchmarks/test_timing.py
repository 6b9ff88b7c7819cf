import importlib

import pytest

from experiments.benchmarks import measure, names, timing
from experiments.benchmarks.timing import Case, compare
from experiments.harness.errors import UsageError


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


@pytest.mark.parametrize("name", names())
def test_a_part_of_no_case_is_an_error_before_anything_is_measured(name, monkeypatch):
    benchmark = importlib.import_module(f"experiments.benchmarks.{name}")
    monkeypatch.setattr(benchmark, "cases", lambda: pytest.fail("measured"))
    titles = benchmark.titles()
    assert titles
    assert len(set(titles)) == len(titles)
    with pytest.raises(UsageError, match="'zzz'"):
        measure(name, "zzz")
