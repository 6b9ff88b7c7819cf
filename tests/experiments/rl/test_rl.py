"""Exact values of tic-tac-toe, the search, and what the experiments of reinforcement learning measure."""

import sys

import jax
import numpy as np
import pytest

from experiments.benchmarks import rl as benchmark
from experiments.harness.errors import UsageError
from experiments.harness.rl import planning, reinforcement
from jaxdl.rl import environments


def test_exact_values_win_block_and_know_the_number_of_boards():
    table = planning.solve()
    assert len(table) == 4520  # of 5,478 boards that can be reached 958 are over
    assert table[(1, 1, 0, -1, -1, 0, 0, 0, 0)][2] == 1
    assert max(table[(-1, -1, 0, 0, 1, 0, 0, 0, 0)], key=table[(-1, -1, 0, 0, 1, 0, 0, 0, 0)].get) == 2
    assert not planning.is_best(table, [(-1, -1, 0, 0, 1, 0, 0, 0, 0)], np.array([8]))[0]
    # A move on a taken field is not best.
    assert not planning.is_best(table, [(1, 1, 0, -1, -1, 0, 0, 0, 0)], np.array([0]))[0]


def find_move(fields):
    pytest.importorskip("mctx", reason="search by mctx")
    boards = planning.as_boards([fields])
    moves, weights = jax.jit(planning.search, static_argnums=2)(jax.random.key(0), boards, 100)
    taken = ~np.asarray(environments.legal_actions(boards))
    assert (np.asarray(weights)[taken] == 0).all()
    return int(moves[0])


def test_the_search_wins():
    assert find_move((1, 1, 0, -1, -1, 0, 0, 0, 0)) == 2


def test_the_search_blocks():
    assert find_move((-1, -1, 0, 0, 1, 0, 0, 0, 0)) == 2


def test_a_missing_package_is_an_error_of_usage(monkeypatch):
    monkeypatch.setitem(sys.modules, "mctx", None)
    with pytest.raises(UsageError, match="mctx"):
        planning.import_mctx()


def test_curves_and_summaries_are_of_seeds():
    rows = [{"step": 10, "train/return": [1.0, 2.0]}, {"step": 20, "train/return": [3.0, 4.0]}]
    frames, values = reinforcement.curve(rows, "return", 5)
    assert frames.tolist() == [50, 100]
    assert values.tolist() == [[1, 3], [2, 4]]
    found = reinforcement.summary(np.array([[1.0, 3.0], [4.0, 4.0]]))
    assert (found["return"], found["return_worst_seed"]) == (3, 2)
    assert found["return_deviation"] == pytest.approx(np.sqrt(2))


def test_all_seeds_act_with_their_own_parameters():
    def apply(variables, x):
        return x * variables["params"]["sign"]

    act = reinforcement.act_greedily(apply, {"sign": np.array([1.0, -1.0])})
    x = np.array([[0.0, 1.0], [1.0, 0.0]] * 2, np.float32)
    assert act(x).tolist() == [1, 0, 0, 1]


def test_the_agents_of_the_benchmark_learn_alike(monkeypatch):
    pytest.importorskip("torch", reason="benchmark against torch")
    monkeypatch.setattr(benchmark, "CAPACITY", 32)
    monkeypatch.setattr(benchmark, "UPDATES", 1)
    model, agent = benchmark.make_agent()
    state = jax.jit(lambda key: benchmark.start(model, agent, key))(jax.random.key(0))
    theirs = benchmark.TorchAgent(state.params)
    benchmark.check_equal(agent, state, theirs)
    theirs.run()
    assert theirs.frames == 32 + 10
    assert benchmark.speeds(8, {"ours": 0.01, "peer": 0.1}) == {
        "frames_per_second_ours": 8_000,
        "frames_per_second_peer": 800,
    }


def test_a_missing_gymnasium_is_an_error_of_usage(monkeypatch):
    monkeypatch.setitem(sys.modules, "gymnasium", None)
    with pytest.raises(UsageError, match="gymnasium"):
        reinforcement.play_cart_pole(lambda x: x, 1, 1, 0)
