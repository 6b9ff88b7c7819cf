"""Training on many devices and in many processes.

- ``mesh``: devices in a grid with named axes, from code or from flags.
- ``sharding``: rules for the layout of parameters.
- ``gathering``: the parameters and activations of one block at a time.
- ``placement``: states, batches and data sets on the devices.
- ``explicit``: the step under ``jax.shard_map`` and ``jax.pmap``.
- ``distributed``: several processes, on one host or many.
- ``consistency``: checks that all processes train the same.
- ``communication``, ``executed``: the collectives in a compiled program, and in one call of it, loops multiplied out.
- ``operations``: the number of arithmetic operations of a program.
- ``aot``: compilation for TPUs that are not there. ``scaling``: prediction of a step on many chips.
"""

from jaxdl.train.parallel import aot, consistency, distributed, explicit, scaling
from jaxdl.train.parallel.communication import (
    Collective,
    add_up,
    all_reduce_seconds,
    list_collectives,
    parse_collectives,
)
from jaxdl.train.parallel.executed import executed_collectives, parse_executed_collectives
from jaxdl.train.parallel.gathering import gather_by_block
from jaxdl.train.parallel.mesh import (
    DATA,
    automatic,
    data_devices,
    format_mesh,
    make_mesh,
    mesh_from_flags,
    parse_mesh,
    process_share,
    simulate_devices,
)
from jaxdl.train.parallel.operations import count_operations
from jaxdl.train.parallel.placement import (
    PaddedLoader,
    check_divisible,
    gather_batch,
    on_mesh,
    place,
    place_arrays,
    place_batch,
    replicate,
    shard_batch,
)
from jaxdl.train.parallel.sharding import Rule, by_path, fully_sharded, replicated, shardings, tensor_parallel

__all__ = [
    "DATA",
    "Collective",
    "PaddedLoader",
    "Rule",
    "add_up",
    "all_reduce_seconds",
    "aot",
    "automatic",
    "by_path",
    "check_divisible",
    "consistency",
    "count_operations",
    "data_devices",
    "distributed",
    "executed_collectives",
    "explicit",
    "format_mesh",
    "fully_sharded",
    "gather_batch",
    "gather_by_block",
    "list_collectives",
    "make_mesh",
    "mesh_from_flags",
    "on_mesh",
    "parse_collectives",
    "parse_executed_collectives",
    "parse_mesh",
    "place",
    "place_arrays",
    "place_batch",
    "process_share",
    "replicate",
    "replicated",
    "scaling",
    "shard_batch",
    "shardings",
    "simulate_devices",
    "tensor_parallel",
]
