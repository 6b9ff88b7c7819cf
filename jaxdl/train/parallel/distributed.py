"""Training in several processes, on one host or many.

Every process runs the same program and first calls `initialize`. Then ``jax.devices()`` lists the devices of all
processes, a mesh spans them, and each process reads its own rows of every batch::

    distributed.initialize("10.0.0.1:9000", processes=4, process=i)
    mesh = parallel.make_mesh({"data": len(jax.devices())})
    loader = data.Loader(arrays, batch_size, seed=seed, **parallel.process_share(mesh))
    state, history = train.fit(step, state, loader, epochs=10, mesh=mesh)

CPUs communicate through Gloo, GPUs through NCCL, TPUs through their own links, without further settings.
"""

import logging
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

from jaxdl.train.leaves import is_key
from jaxdl.typing import PyTree

log = logging.getLogger(__name__)
WAIT_SECONDS = 15.0
"""Seconds between the messages of a process that waits for others to start."""


def initialize(
    coordinator: str | None = None,
    *,
    processes: int | None = None,
    process: int | None = None,
    start_timeout: int = 300,
    heartbeat_timeout: int = 30,
    shutdown_timeout: int = 30,
) -> None:
    """Connect this process with the others, once and before anything else uses JAX.

    On a TPU pod, under Slurm and under Open MPI the arguments are detected. If a process dies the others end too, at
    the latest after ``heartbeat_timeout``, with a message of the coordinator that names it. If a process ends with an
    exception the others wait for ``shutdown_timeout``. The defaults of JAX are 100 and 300 seconds.

    Args:
        coordinator: ``"host:port"`` of process 0.
        processes: number of processes.
        process: the number of this process, from 0.
        start_timeout: seconds in which all processes must start.
        heartbeat_timeout: seconds without a heartbeat after which a process counts as dead.
        shutdown_timeout: seconds in which all processes must end.

    Raises:
        ValueError: an argument is invalid, or only some of the first three are given.
        ConnectionError: process 0 cannot listen at the address, or is not reachable there in time.
        RuntimeError: JAX is in use already.
    """
    if jax.distributed.is_initialized():
        raise RuntimeError("expected one call of initialize, got another; call it once")
    given, address = (coordinator, processes, process), None
    if coordinator is not None and processes is not None and process is not None:
        address = _check_address(coordinator, processes, process)
        if process == 0:
            _check_can_listen(*address)
    elif any(argument is not None for argument in given):
        raise ValueError(f"expected coordinator, processes and process together or none of them, got {given}")
    try:
        with _log_waiting(coordinator, processes, start_timeout):
            if address is not None and process:
                _check_reachable(*address, process, start_timeout)
            jax.distributed.initialize(
                coordinator,
                processes,
                process,
                initialization_timeout=start_timeout,
                heartbeat_timeout_seconds=heartbeat_timeout,
                shutdown_timeout_seconds=shutdown_timeout,
            )
    except RuntimeError as error:
        if "before any JAX" in str(error):
            raise RuntimeError(
                "expected an unused JAX, got one in use; call initialize before anything else"
            ) from error
        raise


@contextmanager
def _log_waiting(coordinator: str | None, processes: int | None, start_timeout: float) -> Iterator[None]:
    """Log for whom this process waits, every few seconds and just before JAX ends it without naming that."""
    done = threading.Event()
    what = f"{processes or 'all'} processes at {coordinator or 'the detected address'}"

    def report() -> None:
        started = time.monotonic()
        while not done.wait(min(WAIT_SECONDS, max(0.0, started + start_timeout - 1.0 - time.monotonic()))):
            waited = time.monotonic() - started
            if waited >= start_timeout - 1.0:
                log.error("expected %s, got fewer; start each with its own number", what)
                return
            log.warning("waiting for %s, since %.0f of %.0f s", what, waited, start_timeout)

    thread = threading.Thread(target=report, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()


def initialize_from_flags(
    coordinator: str | None = None,
    processes: int | None = None,
    process: int | None = None,
    *,
    start_timeout: int = 300,
) -> int:
    """Connect the processes of ``--coordinator HOST:PORT --processes N --process I``; return their number.

    With ``--coordinator auto`` the other two are detected: on a TPU pod, under Slurm and under Open MPI. Without flags
    there is one process, and nothing to connect. Errors as in `initialize`.

    >>> initialize_from_flags()
    1
    """
    if coordinator == "auto":
        if (processes, process) != (None, None):
            raise ValueError(
                f"expected --coordinator auto alone, got --processes {processes}, --process {process}; omit them"
            )
        initialize(start_timeout=start_timeout)
        return jax.process_count()
    given = (coordinator, processes, process)
    if given == (None, None, None):
        return 1
    if coordinator is None or processes is None or process is None:
        raise ValueError(f"expected --coordinator, --processes and --process together, got {given}; give all or none")
    initialize(coordinator, processes=processes, process=process, start_timeout=start_timeout)
    return processes


def collect(state: PyTree) -> PyTree:
    """Gather a state, however sharded, in the memory of every process: NumPy arrays, and random keys.

    Every process must call it.
    """

    def collect_leaf(leaf: Any) -> Any:
        if is_key(leaf):
            return jax.random.wrap_key_data(collect_leaf(jax.random.key_data(leaf)), impl=jax.random.key_impl(leaf))
        # process_allgather would concatenate arrays that every process holds completely.
        is_complete = getattr(leaf, "is_fully_addressable", True) or leaf.is_fully_replicated
        return np.asarray(leaf if is_complete else multihost_utils.process_allgather(leaf, tiled=True))

    return jax.tree.map(collect_leaf, state)


def _check_address(coordinator: str, processes: int, process: int) -> tuple[str, int]:
    """Check the arguments of a run and parse its address."""
    if processes < 1 or not 0 <= process < processes:
        raise ValueError(f"expected process in 0 .. processes - 1, got process {process} of {processes}")
    address = re.fullmatch(r"(\[[\da-fA-F:]+\]|[\w.-]+):(\d{1,5})", coordinator)
    if address is None or not 0 < int(address[2]) < 2**16:
        raise ValueError(f"expected a coordinator like '10.0.0.1:9000', got {coordinator!r}")
    return address[1].strip("[]"), int(address[2])


def _check_can_listen(host: str, port: int) -> None:
    """Check that process 0 can listen at its port."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            server.bind(("", port))
        except OSError as error:
            raise ConnectionError(
                f"expected a free port for process 0, got {port}: {error.strerror}; give another one"
            ) from error


def _check_reachable(host: str, port: int, process: int, timeout: float) -> None:
    """Check that another process can connect to process 0, and wait until it can."""
    deadline, reason = time.monotonic() + timeout, ""
    while time.monotonic() < deadline:
        try:
            socket.create_connection((host, port), timeout=max(0.1, deadline - time.monotonic())).close()
        except OSError as error:
            reason = error.strerror or str(error)
            time.sleep(0.1)
        else:
            return
    raise ConnectionError(
        f"expected process 0 at {host}:{port}, got no connection from process {process} in {timeout} s ({reason}); "
        "start it there and open the port"
    )
