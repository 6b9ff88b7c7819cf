"""A training step on 1, 2, 4 and 8 devices: its time, the share of communication, and the collectives.

The share compares the step with the same step without its sums over the devices, whose parameters drift apart. Where
there are no eight accelerators the CPU counts as eight devices, which share its cores: then the times say what
communication and dispatch cost here, not how training scales; the bytes are those of any machine.
"""

import contextlib
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import jax
import numpy as np

from experiments.benchmarks.timing import Case
from jaxdl import data, models, optim, tasks, train
from jaxdl.train import parallel
from jaxdl.train.parallel import explicit
from jaxdl.train.parallel.communication import list_collectives

COUNTS = (1, 2, 4, 8)
WITHOUT = "without communication"


def titles() -> list[str]:
    """Name the cases."""
    return [title_of(count) for count in COUNTS]


def title_of(count: int) -> str:
    """Name the case of a number of devices."""
    return f"step on {count} device{'s' * (count > 1)}"


def cases(smoke: bool = False) -> Iterator[Case]:
    """Yield the step for every number of devices, ``ours`` with its communication and ``theirs`` without.

    A row also says which share communication has, and by layout which collectives the compiler makes.

    Args:
        smoke: a tiny network, measured in one round.
    """
    for count in counts():
        mesh = parallel.make_mesh({"data": count})
        details, rounds = partial(communication, mesh=mesh, smoke=smoke), 1 if smoke else 7
        yield Case(title_of(count), WITHOUT, *written_out(mesh, smoke), rounds=rounds, details=details)


def communication(row: dict[str, Any], *, mesh: jax.sharding.Mesh, smoke: bool) -> dict[str, Any]:
    """Return the share of communication in a measured step, and its collectives."""
    layouts = {"replicated": parallel.replicated, "fully sharded": parallel.fully_sharded}
    return {
        "communication_share": max(0.0, 1 - 1 / row["ratio"]),
        "collectives": {name: said_by(mesh, rule, smoke) for name, rule in layouts.items()},
    }


def counts() -> list[int]:
    """Simulate eight devices if JAX is not initialized, and return the available numbers of devices."""
    with contextlib.suppress(RuntimeError):
        parallel.simulate_devices(COUNTS[-1])
    return [count for count in COUNTS if count <= len(jax.devices())]


def problem(smoke: bool, axis_name: str | None = None) -> tuple[train.TrainState, Callable, dict[str, np.ndarray]]:
    """Return a state, its step and a batch: 1.2 million parameters and 512 images of MNIST's size."""
    rows, width = (16, 8) if smoke else (512, 768)
    generator = np.random.default_rng(0)
    arrays = {
        "image": generator.normal(size=(rows, 28, 28, 1)).astype(np.float32),
        "label": generator.integers(0, 10, rows).astype(np.int32),
    }
    batch = data.Loader(arrays, rows).batch(0)
    task, optimizer = tasks.classification(models.create("mlp", hidden_sizes=(width, width))), optim.momentum(0.1, 0.9)
    state = train.TrainState.create(task.init(jax.random.key(0), batch), optimizer, jax.random.key(1))
    return state, train.make_step(task.loss, optimizer, axis_name=axis_name), batch


def written_out(mesh: jax.sharding.Mesh, smoke: bool) -> list[Callable[[], object]]:
    """Make the step of ``shard_map``, with and without the sums over the devices."""
    calls = []
    for axis_name in (parallel.DATA, None):
        state, step, batch = problem(smoke, axis_name)
        inputs = parallel.place(state, mesh), parallel.place_batch(batch, mesh)
        mapped = explicit.with_shard_map(step, mesh, check=axis_name is not None)  # without the sums the states differ
        compiled = jax.jit(mapped).lower(*inputs).compile()
        calls.append(partial(wait_for, compiled, *inputs))
    return calls


def wait_for(compiled: Callable, *inputs: Any) -> None:
    """Call a compiled step and block until it is done."""
    jax.block_until_ready(compiled(*inputs))


def said_by(mesh: jax.sharding.Mesh, rule: parallel.Rule, smoke: bool) -> list[dict[str, Any]]:
    """Return the collectives that the compiler inserts into the ordinary step."""
    state, step, batch = problem(smoke)
    inputs = parallel.place(state, mesh, rule), parallel.place_batch(batch, mesh)
    return [found._asdict() for found in list_collectives(jax.jit(step).lower(*inputs).compile())]
