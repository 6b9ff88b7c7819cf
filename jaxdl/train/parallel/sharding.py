"""Rules of sharding: over which axis of a mesh each parameter is cut."""

import math
import re
from collections.abc import Callable, Sequence

from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxdl import tree
from jaxdl.train.parallel.mesh import DATA, data_devices, write_mesh
from jaxdl.typing import Array, PyTree

Rule = Callable[[str, tuple[int, ...], Mesh], PartitionSpec]
"""``rule(path, shape, mesh)`` says over which mesh axis each dimension of a parameter is cut."""


def replicated(path: str, shape: tuple[int, ...], mesh: Mesh) -> PartitionSpec:
    """Rule: every device holds the whole parameter."""
    del path, shape, mesh
    return PartitionSpec()


def fully_sharded(path: str, shape: tuple[int, ...], mesh: Mesh, *, minimum_size: int = 0) -> PartitionSpec:
    """Rule: cut the largest dimension that the ``"data"`` devices divide; where there is none, replicate.

    Each device keeps a share of the parameters and of the optimizer's state, gathers a layer when it needs it, and
    receives the sum of its share of the gradient (Rajbhandari et al., "ZeRO", 2020; fully sharded data parallel).

    Args:
        path: the parameter's.
        shape: the parameter's.
        mesh: with an axis ``"data"``.
        minimum_size: parameters with fewer numbers are replicated (``functools.partial`` sets it).
    """
    del path
    count = data_devices(mesh)
    divisible = [(size, -i) for i, size in enumerate(shape) if size % count == 0 and size > 0]
    if count == 1 or not divisible or math.prod(shape) < minimum_size:
        return PartitionSpec()
    cut = -max(divisible)[1]
    return PartitionSpec(*(DATA if i == cut else None for i in range(cut + 1)))


def by_path(rules: Sequence[tuple[str, PartitionSpec]], otherwise: Rule = replicated) -> Rule:
    """Make the rule that gives a parameter the ``PartitionSpec`` of the first pattern that is found in its path.

    Tensor parallelism in pairs of layers needs one sum a pair (Shoeybi et al., "Megatron-LM", 2019): the first
    kernel is cut by its outputs, the second by its inputs.

    >>> from jaxdl.train.parallel.mesh import make_mesh
    >>> cut = by_path([("up/kernel$", PartitionSpec(None, "model")), ("down/kernel$", PartitionSpec("model"))])
    >>> cut("block/up/kernel", (64, 256), make_mesh({"model": 1}))
    P(None, 'model')
    """
    searches = [(re.compile(pattern).search, spec) for pattern, spec in rules]

    def rule(path: str, shape: tuple[int, ...], mesh: Mesh) -> PartitionSpec:
        found = (spec for search, spec in searches if search(path))
        spec = next(found, None)
        return otherwise(path, shape, mesh) if spec is None else spec

    return rule


def shardings(state: PyTree, mesh: Mesh, rule: Rule = replicated) -> PyTree:
    """Say where every leaf of a state lies: a tree of ``NamedSharding``.

    ``rule`` is asked for every leaf of ``state.params``. A leaf elsewhere whose path ends with a parameter's and that
    has its shape - a moment of the optimizer, an average of the parameters - lies as the parameter does; all others are
    replicated. In a state without ``params`` the rule is asked for every leaf.

    The leaves may be shapes only. So a state that is too large for one device is born where it belongs:
    ``jax.jit(make, out_shardings=shardings(jax.eval_shape(make), mesh, rule))()``.

    Raises:
        ValueError: the rule names an axis that the mesh does not have, more dimensions than there are, or a dimension
            that the axis does not divide.
    """
    params = tree.flatten(getattr(state, "params", {}))
    specs = {path: _checked(path, leaf.shape, rule(path, leaf.shape, mesh), mesh) for path, leaf in params.items()}

    def place_of(path: str, leaf: Array) -> NamedSharding:
        if not params:
            return NamedSharding(mesh, _checked(path, leaf.shape, rule(path, leaf.shape, mesh), mesh))
        parts = path.split("/")
        endings = ("/".join(parts[i:]) for i in range(len(parts)))
        owner = next((end for end in endings if end in params and params[end].shape == leaf.shape), None)
        return NamedSharding(mesh, PartitionSpec() if owner is None else specs[owner])

    return tree.map_with_path(place_of, state)


def _checked(path: str, shape: tuple[int, ...], spec: PartitionSpec, mesh: Mesh) -> PartitionSpec:
    """Refuse what the mesh cannot do."""
    if len(spec) > len(shape):
        raise ValueError(f"{path} has {len(shape)} dimensions, {spec} cuts {len(spec)}")
    for size, entry in zip(shape, spec, strict=False):
        names = () if entry is None else (entry,) if isinstance(entry, str) else entry
        unknown = [name for name in names if name not in mesh.shape]
        if unknown:
            raise ValueError(f"{spec} for {path} names {unknown}, the mesh has {write_mesh(mesh.shape)}")
        count = math.prod(mesh.shape[name] for name in names)
        if size % count:
            raise ValueError(f"{path} {list(shape)}: {count} devices of {names} do not divide a dimension of {size}")
    return spec
