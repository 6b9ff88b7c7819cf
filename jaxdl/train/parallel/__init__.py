"""Many devices: meshes, sharding, placement, data parallelism, several processes."""

from jaxdl.train.parallel import consistency, distributed, explicit
from jaxdl.train.parallel.communication import Collective, all_reduce_seconds, collectives, in_text
from jaxdl.train.parallel.mesh import (
    DATA,
    data_devices,
    from_flags,
    make_mesh,
    parse_mesh,
    process_share,
    simulate_devices,
    write_mesh,
)
from jaxdl.train.parallel.placement import (
    PaddedLoader,
    check_divisible,
    gathered,
    on_mesh,
    place,
    place_arrays,
    place_batch,
    spread,
)
from jaxdl.train.parallel.sharding import Rule, by_path, fully_sharded, replicated, shardings

__all__ = [
    "DATA",
    "Collective",
    "PaddedLoader",
    "Rule",
    "all_reduce_seconds",
    "by_path",
    "check_divisible",
    "collectives",
    "consistency",
    "data_devices",
    "distributed",
    "explicit",
    "from_flags",
    "fully_sharded",
    "gathered",
    "in_text",
    "make_mesh",
    "on_mesh",
    "parse_mesh",
    "place",
    "place_arrays",
    "place_batch",
    "process_share",
    "replicated",
    "shardings",
    "simulate_devices",
    "spread",
    "write_mesh",
]
