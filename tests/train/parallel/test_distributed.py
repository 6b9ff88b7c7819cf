import json
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
from tests.processes import environment
from tests.train.small import make_run, numbers, train_ten

ROOT = Path(__file__).parents[3]


def run_two_processes(folder):
    """Run two processes of four devices; one kills itself. Return outputs, exit codes and the other's survival."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "tests.train.parallel.distributed_process"]
    processes = [
        subprocess.Popen(
            [*command, str(i), str(port), str(folder)],
            cwd=ROOT,
            env=environment(),
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        for i in range(2)
    ]
    try:
        outputs = [processes[1].communicate(timeout=240)[0]]
        died = time.monotonic()
        outputs.insert(0, processes[0].communicate(timeout=60)[0])
        survived = time.monotonic() - died
    finally:
        for process in processes:
            process.kill()
    return outputs, [process.returncode for process in processes], survived


def test_two_processes_train_as_one_and_end_together(tmp_path):
    # One test, so that the processes start once.
    outputs, codes, survived = run_two_processes(tmp_path)
    assert all("trained" in text for text in outputs), "\n".join(outputs)
    check_inputs_that_differ_raise_in_both(outputs)
    check_two_processes_of_four_devices_equal_one_of_eight(tmp_path, outputs)
    check_checkpoints_are_restored_in_both_and_in_one(tmp_path, outputs)
    check_a_signal_to_one_stops_all_after_the_same_step(outputs)
    check_a_dead_process_ends_the_other_with_a_message(outputs, codes, survived)


def check_inputs_that_differ_raise_in_both(outputs):
    errors = [json.loads(text.split("errors: ")[1].splitlines()[0]) for text in outputs]
    assert errors[0] == errors[1]
    placed, on_mesh, arrays, steps = errors[0]
    assert "step is 0 in process 0, 1 in process 1" in placed
    for message in (placed, on_mesh):
        kernel = re.search(
            r"up/kernel is float32\[8, 16\] of digest (\w+) in process 0, .*? (\w+) in process 1", message
        )
        assert kernel[1] != kernel[2]
    assert "x is int64[8] of digest" in arrays
    assert "last step is 5 in process 0, 10 in process 1; start all with the same" in steps


def check_two_processes_of_four_devices_equal_one_of_eight(folder, outputs):
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
    for text in outputs:
        assert json.loads(text.split("trained: ")[1].splitlines()[0]) == pytest.approx(expected, abs=1e-6)


def check_checkpoints_are_restored_in_both_and_in_one(folder, outputs):
    assert all("restored: True" in text for text in outputs), "\n".join(outputs)
    restored = train.Checkpoints(folder / "checkpoints", config={}).restore(make_run()[2])
    expected = np.load(folder / "sharded0.npz")
    for leaf, value in tree.flatten(numbers(restored)).items():
        np.testing.assert_array_equal(value, expected[leaf], err_msg=leaf)


def check_a_signal_to_one_stops_all_after_the_same_step(outputs):
    # To process 0 the first later signal is the one that stopped the run, the second a new one.
    assert [json.loads(text.split("stopped: ")[1].splitlines()[0]) for text in outputs] == [[3, "SIGTERM", 0, 1]] * 2


def check_a_dead_process_ends_the_other_with_a_message(outputs, codes, survived):
    assert codes[1] == -signal.SIGKILL
    assert codes[0] not in (0, None)
    assert "Terminating process because the JAX distributed service detected fatal errors" in outputs[0]
    assert "another task died" in outputs[0]
    assert survived < 30


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"coordinator": "127.0.0.1:9000"}, r"got \('127.0.0.1:9000', None, None\)"),
        ({"coordinator": "127.0.0.1:9000", "processes": 2, "process": 2}, "process 2 of 2"),
        ({"coordinator": "127.0.0.1:9000", "processes": 0, "process": 0}, "process 0 of 0"),
        ({"coordinator": "127.0.0.1", "processes": 2, "process": 0}, "got '127.0.0.1'"),
        ({"coordinator": "host:99999", "processes": 2, "process": 0}, "got 'host:99999'"),
    ],
)
def test_initialize_rejects_invalid_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        distributed.initialize(arguments.pop("coordinator"), **arguments)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"coordinator": "127.0.0.1:9000"}, r"got \('127.0.0.1:9000', None, None\)"),
        ({"processes": 2}, r"got \(None, 2, None\)"),
        ({"coordinator": "auto", "process": 0}, "got --processes None, --process 0"),
        ({"coordinator": "here", "processes": 2, "process": 0}, "got 'here'"),
    ],
)
def test_initialize_rejects_invalid_flags(flags, message):
    with pytest.raises(ValueError, match=message):
        distributed.initialize_from_flags(**flags)


def test_an_unreachable_address_raises_in_time():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(ConnectionError, match="no connection from process 1 in 1 s"):
            distributed.initialize(address, processes=2, process=1, start_timeout=1)
        taken.listen()
        with pytest.raises(ConnectionError, match=r"got \d+: Address already in use"):
            distributed.initialize(address, processes=2, process=0, start_timeout=1)


def test_initialize_raises_if_jax_is_in_use():
    jax.devices()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(RuntimeError, match="got one in use"):
        distributed.initialize(address, processes=1, process=0)


def test_a_hook_of_the_first_process_receives_the_collected_state_on_request():
    _, step, state, loader = make_run()
    reports, states = [], []
    hooks = [
        train.OnFirstProcess(lambda report: reports.append((report.step, report.state)) or True),
        train.OnFirstProcess(lambda report: states.append(report.state), state=True),
    ]
    trained, _ = train.fit(step, state, loader, epochs=2, mesh=parallel.make_mesh({"data": 8}), hooks=hooks)
    assert reports == [(5, None), (10, None)]
    np.testing.assert_array_equal(states[-1].params["up"]["kernel"], trained.params["up"]["kernel"])


def test_collect_in_one_process_returns_numpy_arrays():
    _, _, state, _ = make_run()
    placed = parallel.place(state, parallel.make_mesh({"data": 8}), parallel.fully_sharded)
    collected = distributed.collect(placed)
    assert isinstance(collected.params["up"]["kernel"], np.ndarray)
    np.testing.assert_array_equal(collected.params["up"]["kernel"], state.params["up"]["kernel"])
    assert collected.key == state.key
