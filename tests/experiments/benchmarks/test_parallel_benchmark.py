from experiments.benchmarks import parallel
from experiments.benchmarks.timing import compare


def test_the_parallel_benchmark_reports_time_share_and_bytes(monkeypatch):
    monkeypatch.setattr(parallel, "COUNTS", (8,))
    (row,) = map(compare, parallel.cases(smoke=True))
    assert row["case"] == "step on 8 devices"
    assert row["ours"] > 0
    assert 0 <= row["communication_share"] < 1
    (gradient,) = row["collectives"]["replicated"]
    assert gradient["kind"] == "all-reduce"
    parameters = 784 * 8 + 8 + 8 * 8 + 8 + 8 * 10 + 10
    assert 0 <= gradient["bytes"] - 4 * parameters < 100
    assert {found["kind"] for found in row["collectives"]["fully sharded"]} >= {"all-gather"}
