"""Sharding rules: the mesh axis of each dimension of a parameter."""

import math
import re
from collections.abc import Callable, Sequence

from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxdl import tree
from jaxdl.train.parallel.mesh import DATA, automatic, data_devices, format_mesh
from jaxdl.typing import Array, PyTree

Rule = Callable[[str, tuple[int, ...], Mesh], PartitionSpec]
"""``rule(path, shape, mesh)`` returns the mesh axes over which the dimensions of a parameter are sharded."""


def replicated(path: str, shape: tuple[int, ...], mesh: Mesh) -> PartitionSpec:
    """Replicate every parameter on all devices."""
    del path, shape, mesh
    return PartitionSpec()


def fully_sharded(path: str, shape: tuple[int, ...], mesh: Mesh, *, min_size: int = 0) -> PartitionSpec:
    """Shard the largest dimension that the ``"data"`` devices divide; replicate if there is none.

    Each device stores a share of the parameters and of the optimizer's state, gathers a layer when it needs it, and
    receives the sum of its share of the gradient (Rajbhandari et al., "ZeRO", 2020; fully sharded data parallel).

    Args:
        path: path of the parameter.
        shape: shape of the parameter.
        mesh: a mesh with an axis ``"data"``.
        min_size: parameters with fewer elements are replicated (set it with ``functools.partial``).
    """
    del path
    count = data_devices(mesh)
    divisible = [(size, -i) for i, size in enumerate(shape) if size % count == 0 and size > 0]
    if count == 1 or not divisible or math.prod(shape) < min_size:
        return PartitionSpec()
    axis = -max(divisible)[1]
    return PartitionSpec(*(DATA if i == axis else None for i in range(axis + 1)))


def by_path(rules: Sequence[tuple[str, PartitionSpec]], otherwise: Rule = replicated) -> Rule:
    """Make a rule from patterns: a parameter has the ``PartitionSpec`` of the first pattern found in its path.

    Tensor parallelism in pairs of layers needs one sum a pair (Shoeybi et al., "Megatron-LM", 2019): the first kernel
    is sharded along its outputs, the second along its inputs.

    >>> from jaxdl.train.parallel.mesh import make_mesh
    >>> rule = by_path([("up/kernel$", PartitionSpec(None, "model")), ("down/kernel$", PartitionSpec("model"))])
    >>> rule("block/up/kernel", (64, 256), make_mesh({"model": 1}))
    P(None, 'model')
    """
    searches = [(re.compile(pattern).search, spec) for pattern, spec in rules]

    def rule(path: str, shape: tuple[int, ...], mesh: Mesh) -> PartitionSpec:
        spec = next((spec for search, spec in searches if search(path)), None)
        return otherwise(path, shape, mesh) if spec is None else spec

    return rule


_COLUMNS = re.compile(r"attention/(query|key|value|query_key_value)/(kernel|bias)$|(^|/)(dense1|gate)/(kernel|bias)$")
_ROWS = re.compile(r"attention/output/kernel$|(^|/)dense2/kernel$|(^|/)embedding/embedding$")


def tensor_parallel(
    path: str, shape: tuple[int, ...], mesh: Mesh, *, axis: str = "model", otherwise: Rule = replicated
) -> PartitionSpec:
    """Shard the layers of a transformer's blocks, and the vocabulary of its embedding (Shoeybi et al., 2019).

    In each pair of layers the first is sharded along its outputs, which are heads of attention or units of the MLP, and
    the second along its inputs, so that a block sums its activations twice. Every device holds a part of the
    vocabulary, computes the logits of that part, and looks up the tokens in it.

    Args:
        path: path of the parameter.
        shape: shape of the parameter; of stacked blocks with their number first.
        mesh: a mesh with ``axis``.
        axis: the axis of the mesh.
        otherwise: the rule of all other parameters, and of those that the devices do not divide: the vocabulary of
            GPT-2, 50,257, is odd.
    """
    place = -1 if _COLUMNS.search(path) else -2 if _ROWS.search(path) else None
    if place is None or shape[place] % mesh.shape[axis]:
        return otherwise(path, shape, mesh)
    dimension = place % len(shape)
    return PartitionSpec(*(axis if i == dimension else None for i in range(dimension + 1)))


def shardings(state: PyTree, mesh: Mesh, rule: Rule = replicated) -> PyTree:
    """Return the layout of a state on a mesh: a tree of ``NamedSharding``.

    ``rule`` applies to every leaf of ``state.params``. Another leaf with the shape of a parameter and a path that ends
    with the parameter's, such as a moment of the optimizer or an average of the parameters, has the parameter's
    sharding; all other leaves are replicated. In a state without ``params`` the rule applies to every leaf.

    The leaves may be ``jax.ShapeDtypeStruct``. So a state too large for one device can be made sharded:
    ``jax.jit(make, out_shardings=shardings(jax.eval_shape(make), mesh, rule))()``.

    Raises:
        ValueError: the rule names an unknown axis, too many dimensions, or a dimension that its axis does not divide.
    """
    mesh = automatic(mesh)
    params = tree.flatten(getattr(state, "params", {}))

    def checked_spec(path: str, leaf: Array) -> PartitionSpec:
        spec = rule(path, leaf.shape, mesh)
        _check_spec(path, leaf.shape, spec, mesh)
        return spec

    specs = {path: checked_spec(path, leaf) for path, leaf in params.items()}

    def sharding_of(path: str, leaf: Array) -> NamedSharding:
        if not params:
            return NamedSharding(mesh, checked_spec(path, leaf))
        parts = path.split("/")
        endings = ("/".join(parts[i:]) for i in range(len(parts)))
        owner = next((end for end in endings if end in params and params[end].shape == leaf.shape), None)
        return NamedSharding(mesh, PartitionSpec() if owner is None else specs[owner])

    return tree.map_with_path(sharding_of, state)


def _check_spec(path: str, shape: tuple[int, ...], spec: PartitionSpec, mesh: Mesh) -> None:
    """Check that the mesh can shard a leaf as the spec says."""
    if len(spec) > len(shape):
        raise ValueError(f"expected at most {len(shape)} dimensions in the spec of {path}, got {spec}")
    for size, entry in zip(shape, spec, strict=False):
        names = () if entry is None else (entry,) if isinstance(entry, str) else entry
        unknown = [name for name in names if name not in mesh.shape]
        if unknown:
            raise ValueError(f"expected axes of the mesh {format_mesh(mesh.shape)} for {path}, got {unknown}")
        count = math.prod(mesh.shape[name] for name in names)
        if size % count:
            raise ValueError(
                f"expected dimensions of {path} divisible by the {count} devices of {names}, got {list(shape)}"
            )
