"""Several processes, on one host or many, that train as one.

Every process runs the same program. It first calls `initialize`; from then on ``jax.devices()`` are those of all
processes together, a mesh spans them, and each process reads its own rows of every batch:

    distributed.initialize("10.0.0.1:9000", processes=4, process=i)
    mesh = parallel.make_mesh({"data": len(jax.devices())})
    loader = data.Loader(arrays, batch_size, seed=seed, **parallel.process_share(mesh))
    state, history = train.fit(step, state, loader, epochs=10, mesh=mesh)

CPUs speak to each other through Gloo, GPUs through NCCL, TPUs through their own links; nothing has to be chosen.
"""

import logging
import re
import socket
import threading
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils

from jaxdl.typing import PyTree

log = logging.getLogger(__name__)


def initialize(
    coordinator: str | None = None,
    *,
    processes: int | None = None,
    process: int | None = None,
    start_timeout: int = 300,
    heartbeat_timeout: int = 30,
    shutdown_timeout: int = 30,
) -> None:
    """Meet the other processes; to be called once in each, before anything else uses JAX.

    On a TPU pod, under Slurm and under Open MPI the arguments are found by themselves. A process that dies ends the
    others: they are told by the coordinator, at the latest after ``heartbeat_timeout``, say which it was and stop. One
    that ends by an exception is waited for ``shutdown_timeout`` long. JAX's own defaults are 100 and 300 seconds.

    Args:
        coordinator: ``"host:port"`` of process 0, where it listens and the others call.
        processes: how many there are.
        process: the number of this one, from 0.
        start_timeout: seconds in which all have to start.
        heartbeat_timeout: seconds of silence after which a process counts as dead.
        shutdown_timeout: seconds in which all have to end.

    Raises:
        ValueError: arguments that cannot be, or only some of the three.
        ConnectionError: process 0 cannot listen at the address, or cannot be reached there in time.
        RuntimeError: JAX is in use already.
    """
    if jax.distributed.is_initialized():
        raise RuntimeError("this process has already met the others: call initialize once")
    address = _checked(coordinator, processes, process)
    if address is not None:
        _check_unreachable(address, process, start_timeout)
    # JAX gives up by ending the process, with words that do not say what was waited for.
    said = f"{processes} processes were to meet at {coordinator}, some have not come: start each with its own number"
    complaint = threading.Timer(max(0.0, start_timeout - 1.0), log.error, [said])
    complaint.daemon = True
    complaint.start()
    try:
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
            raise RuntimeError("JAX is in use already: call initialize before anything else uses JAX") from error
        raise
    finally:
        complaint.cancel()


def from_flags(coordinator: str | None = None, processes: int | None = None, process: int | None = None) -> int:
    """Meet the processes that ``--coordinator HOST:PORT --processes N --process I`` name; return how many there are.

    With ``--coordinator auto`` everything is found: on a TPU pod, under Slurm and under Open MPI. Without flags there
    is one process, and nothing is done. Errors as in `initialize`.

    >>> from_flags()
    1
    """
    if coordinator == "auto":
        if (processes, process) != (None, None):
            raise ValueError("--coordinator auto finds --processes and --process: leave them out")
        initialize()
        return jax.process_count()
    if (coordinator, processes, process) == (None, None, None):
        return 1
    if None in (coordinator, processes, process):
        raise ValueError("--coordinator HOST:PORT, --processes N and --process I go together: give all three or none")
    initialize(coordinator, processes=processes, process=process)
    return processes


def collect(state: PyTree) -> PyTree:
    """Bring a state, wherever its parts lie, whole into the memory of every process: NumPy arrays, and random keys.

    Every process must call it.
    """

    def one(leaf: Any) -> Any:
        if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            return jax.random.wrap_key_data(one(jax.random.key_data(leaf)), impl=jax.random.key_impl(leaf))
        # An array of this process alone would be joined with those of the others.
        mine = getattr(leaf, "is_fully_addressable", True) or leaf.is_fully_replicated
        return np.asarray(leaf if mine else multihost_utils.process_allgather(leaf, tiled=True))

    return jax.tree.map(one, state)


def _checked(coordinator: str | None, processes: int | None, process: int | None) -> tuple[str, int] | None:
    """Take an address apart, or return None where everything is left to be found."""
    given = (coordinator, processes, process)
    if all(argument is None for argument in given):
        return None
    if any(argument is None for argument in given):
        raise ValueError(f"give coordinator, processes and process together or none of them, got {given}")
    if processes < 1 or not 0 <= process < processes:
        raise ValueError(f"expected process in 0 .. processes - 1, got process {process} of {processes}")
    address = re.fullmatch(r"(\[[\da-fA-F:]+\]|[\w.-]+):(\d{1,5})", coordinator)
    if address is None or not 0 < int(address[2]) < 2**16:
        raise ValueError(f"expected a coordinator like '10.0.0.1:9000', got {coordinator!r}")
    return address[1].strip("[]"), int(address[2])


def _check_unreachable(address: tuple[str, int], process: int, timeout: float) -> None:
    """See that process 0 can listen, and that it can be called from the others."""
    named = f"{address[0]}:{address[1]}"
    if process == 0:
        family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        with socket.socket(family) as server:
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                server.bind(("", address[1]))
            except OSError as error:
                raise ConnectionError(f"process 0 cannot listen at port {address[1]}: {error.strerror}") from error
        return
    deadline, reason = time.monotonic() + timeout, ""
    while time.monotonic() < deadline:
        try:
            socket.create_connection(address, timeout=max(0.1, deadline - time.monotonic())).close()
        except OSError as error:
            reason = error.strerror or str(error)
            time.sleep(0.1)
        else:
            return
    raise ConnectionError(
        f"process {process} cannot reach process 0 at {named} after {timeout} s ({reason}): is it running there, "
        "and is the port open?"
    )
