import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest

from jaxdl import train, tree
from jaxdl.train import parallel
from jaxdl.train.parallel import distributed
from tests.train.small import make_run, numbers, train_ten

ROOT = Path(__file__).parents[2]


def run_two_processes(folder):
    """Run two processes of four devices, one of which kills itself in the end: what they said, and how they ended."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    cache = {"JAX_COMPILATION_CACHE_DIR": jax.config.jax_compilation_cache_dir}
    environment = {**os.environ, **cache, "XLA_FLAGS": "--xla_backend_optimization_level=0"}
    command = [sys.executable, "-m", "tests.train.parallel.distributed_process"]
    processes = [
        subprocess.Popen(
            [*command, str(i), str(port), str(folder)],
            cwd=ROOT,
            env=environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        for i in range(2)
    ]
    try:
        said = [processes[1].communicate(timeout=240)[0]]
        died = time.monotonic()
        said.insert(0, processes[0].communicate(timeout=60)[0])
        outlived = time.monotonic() - died
    finally:
        for process in processes:
            process.kill()
    return said, [process.returncode for process in processes], outlived


def test_two_processes_train_as_one_and_end_together(tmp_path):
    # One test for all of it: the processes are started once.
    said, codes, outlived = run_two_processes(tmp_path)
    assert all("trained" in text for text in said), "\n".join(said)
    what_the_processes_do_not_share_is_refused_in_both(said)
    two_processes_of_four_devices_equal_one_of_eight(tmp_path, said)
    what_they_saved_goes_on_in_both_and_in_one(tmp_path, said)
    a_signal_to_one_stops_all_after_the_same_step(said)
    the_one_that_dies_ends_the_other_with_a_message(said, codes, outlived)


def what_the_processes_do_not_share_is_refused_in_both(said):
    told = [json.loads(text.split("refused: ")[1].splitlines()[0]) for text in said]
    assert told[0] == told[1]
    placed, settled, arrays, steps = told[0]
    assert "step is 0 in process 0, 1 in process 1" in placed
    for message in (placed, settled):
        kernel = re.search(
            r"up/kernel is float32\[8, 16\] of digest (\w+) in process 0, .*? (\w+) in process 1", message
        )
        assert kernel[1] != kernel[2]
    assert "x is int64[8] of digest" in arrays
    assert "last step is 3 in process 0, 6 in process 1: start all with the same" in steps


def two_processes_of_four_devices_equal_one_of_eight(folder, said):
    task, step, state, loader = make_run()
    one, history = train_ten(step, state, loader, mesh=parallel.make_mesh({"data": 8}))
    for name in ("replicated", "sharded"):
        first, second = (dict(np.load(folder / f"{name}{i}.npz")) for i in range(2))
        assert first.keys() == second.keys()
        for leaf in first:
            np.testing.assert_array_equal(first[leaf], second[leaf], err_msg=leaf)
        for leaf, value in tree.flatten(numbers(one)).items():
            np.testing.assert_allclose(first[leaf], value, rtol=0, atol=1e-6, err_msg=leaf)
        assert float(first["loss"]) == pytest.approx(history[-1]["train/loss"], abs=1e-6)
    expected = train.make_evaluation(task.measure, loader.arrays)(one.variables)
    for text in said:
        assert json.loads(text.split("trained: ")[1].splitlines()[0]) == pytest.approx(expected, abs=1e-6)


def what_they_saved_goes_on_in_both_and_in_one(folder, said):
    assert all("restored: True" in text for text in said), "\n".join(said)
    restored = train.Checkpoints(folder / "checkpoints", config={}).restore(make_run()[2])
    expected = np.load(folder / "sharded0.npz")
    for leaf, value in tree.flatten(numbers(restored)).items():
        np.testing.assert_array_equal(value, expected[leaf], err_msg=leaf)


def a_signal_to_one_stops_all_after_the_same_step(said):
    # Process 0 has not heard of it yet: the first signal that comes later is that one, the second is a new one.
    assert [json.loads(text.split("stopped: ")[1].splitlines()[0]) for text in said] == [[3, "SIGTERM", 0, 1]] * 2


def the_one_that_dies_ends_the_other_with_a_message(said, codes, outlived):
    assert codes[1] == -signal.SIGKILL
    assert codes[0] not in (0, None)
    assert "Terminating process because the JAX distributed service detected fatal errors" in said[0]
    assert "another task died" in said[0]
    assert outlived < 30


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"coordinator": "127.0.0.1:9000"}, "together or none"),
        ({"coordinator": "127.0.0.1:9000", "processes": 2, "process": 2}, "process 2 of 2"),
        ({"coordinator": "127.0.0.1:9000", "processes": 0, "process": 0}, "process 0 of 0"),
        ({"coordinator": "127.0.0.1", "processes": 2, "process": 0}, "like '10.0.0.1:9000', got '127.0.0.1'"),
        ({"coordinator": "host:99999", "processes": 2, "process": 0}, "like '10.0.0.1:9000'"),
    ],
)
def test_arguments_that_cannot_be_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        distributed.initialize(arguments.pop("coordinator"), **arguments)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"coordinator": "127.0.0.1:9000"}, "--process I go together: give all three or none"),
        ({"processes": 2}, "go together"),
        ({"coordinator": "auto", "process": 0}, "--coordinator auto finds --processes and --process: leave them out"),
        ({"coordinator": "here", "processes": 2, "process": 0}, "like '10.0.0.1:9000', got 'here'"),
    ],
)
def test_flags_that_cannot_be_are_refused(flags, message):
    with pytest.raises(ValueError, match=message):
        distributed.from_flags(**flags)


def test_an_address_that_does_not_serve_is_refused_in_time():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(ConnectionError, match=r"process 1 cannot reach process 0 at .* after 1 s .*running there"):
            distributed.initialize(address, processes=2, process=1, start_timeout=1)
        taken.listen()
        with pytest.raises(ConnectionError, match=r"process 0 cannot listen at port \d+: Address already in use"):
            distributed.initialize(address, processes=2, process=0, start_timeout=1)


def test_initialising_after_jax_is_in_use_is_refused():
    jax.devices()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(RuntimeError, match="JAX is in use already: call initialize before"):
        distributed.initialize(address, processes=1, process=0)


def test_a_hook_of_the_first_process_is_given_the_whole_state_where_it_wants_it():
    _, step, state, loader = make_run()
    told, states = [], []
    hooks = [
        train.OnFirstProcess(lambda report: told.append((report.step, report.state)) or True),
        train.OnFirstProcess(lambda report: states.append(report.state), state=True),
    ]
    trained, _ = train.fit(step, state, loader, epochs=2, mesh=parallel.make_mesh({"data": 8}), hooks=hooks)
    assert told == [(3, None), (6, None)]
    np.testing.assert_array_equal(states[-1].params["up"]["kernel"], trained.params["up"]["kernel"])


def test_collecting_in_one_process_gives_the_state_as_numpy():
    _, _, state, _ = make_run()
    placed = parallel.place(state, parallel.make_mesh({"data": 8}), parallel.fully_sharded)
    whole = distributed.collect(placed)
    assert isinstance(whole.params["up"]["kernel"], np.ndarray)
    np.testing.assert_array_equal(whole.params["up"]["kernel"], state.params["up"]["kernel"])
    assert whole.key == state.key
