"""The layout of the parameters and activations of one block at a time.

The compiler chooses where it gathers sharded parameters. Of stacked blocks in a scan it may gather all before the first
runs. Here every block gathers its own where it runs, forward and backward, and its gradient is summed into the shards.
"""

import functools
import re
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxdl import tree
from jaxdl.train.parallel.mesh import DATA, automatic
from jaxdl.train.parallel.sharding import Rule, fully_sharded
from jaxdl.typing import Array, PyTree

BLOCK = re.compile(r"_block(s|\d+)$")
"""The names of the blocks of a stack, see `jaxdl.models.scanning`; those of ``NAME_blocks`` are stacked."""
LOSSES = "token_losses"
"""The method of language models whose loop over the vocabulary's logits needs the output matrix in every pass."""


def gather_by_block(
    loss: Callable[..., Any], mesh: Mesh, rule: Rule = fully_sharded, *, activations: PartitionSpec | None = None
) -> Callable[..., Any]:
    """Make a loss whose models gather the parameters of one block at a time from the ``"data"`` devices.

    In the program there is an all-gather of a block forward, one backward, and one sum of its gradient, of which each
    device keeps its shard (a reduce-scatter where the compiler has one). Give the model ``remat="block"``, or the
    gathered parameters of all blocks are kept for the backward pass. With ``make_step(..., precision="bfloat16")``
    parameters are gathered in 16 bits. What a language model has outside of its blocks, such as the matrix of its
    outputs, is gathered once.

    Args:
        loss: of a task; it may be a function of any arguments that applies linen modules.
        mesh: the devices.
        rule: the layout of the parameters, as in `place`.
        activations: the layout of the input and the output of every block, by default ``PartitionSpec("data")``;
            ``PartitionSpec("data", "model")`` shards the positions of ``[B, T, D]`` between layers that are tensor
            parallel: sequence parallelism (Korthikanti et al., 2023), where their sums become reduce-scatters.

    Returns:
        A function with the arguments and attributes of ``loss``.
    """
    mesh = automatic(mesh)

    @functools.wraps(loss, updated=())
    def gathering(*args: Any, **kwargs: Any) -> Any:
        with linen.intercept_methods(functools.partial(_in_block, mesh, rule, activations, [])):
            return loss(*args, **kwargs)

    if hasattr(loss, "count"):
        gathering.count = loss.count  # pyright: ignore[reportAttributeAccessIssue]
    return gathering


def _in_block(
    mesh: Mesh,
    rule: Rule,
    activations: PartitionSpec | None,
    running: list[str],
    function: Callable[..., Any],
    args: tuple,
    kwargs: Mapping[str, Any],
    context: linen.module.InterceptorContext,
) -> Any:
    """Call a method; if it is a block's, or a model's losses, with gathered parameters.

    ``running`` are the modules that have them; those of blocks in a model are left to the blocks.
    """
    module, path, method = context.module, "/".join(context.module.path), context.method_name
    is_block = bool(BLOCK.search(path)) and method == "__call__"
    if not (is_block or method == LOSSES) or path in running or module.is_initializing():
        return function(*args, **kwargs)

    def gather(variables: Mapping[str, PyTree]) -> Mapping[str, PyTree]:
        return tree.map_with_path(gather_leaf, variables)

    def gather_leaf(name: str, leaf: Array) -> Array:
        if not is_block and any(map(BLOCK.search, name.split("/"))):
            return leaf
        return _gathered(mesh, rule, name, path, leaf, is_block and path.endswith("s"))

    def call(module: linen.Module, *args: Any) -> Any:
        return getattr(module, method)(*args, **kwargs)

    lay_out = functools.partial(_constrain_first, mesh, activations)
    running.append(path)
    try:
        return lay_out(linen.map_variables(call, "params", trans_in_fn=gather)(module, *lay_out(args)))
    finally:
        running.remove(path)


def _gathered(mesh: Mesh, rule: Rule, name: str, path: str, leaf: Array, stacked: bool) -> Array:
    """Gather a parameter; of stacked ones the rule has the shape of all, whose number does not change its layout."""
    name = name.removeprefix("params/")
    spec = rule(f"{path}/{name}".lstrip("/"), (1, *leaf.shape) if stacked else leaf.shape, mesh)
    if stacked:
        spec = PartitionSpec(*spec[1:])
    whole = PartitionSpec(*(_without_data(entry) for entry in spec))
    return leaf if whole == spec else _gather(NamedSharding(mesh, spec), NamedSharding(mesh, whole), leaf)


def _without_data(entry: str | tuple[str, ...] | None) -> str | tuple[str, ...] | None:
    if not isinstance(entry, tuple):
        return None if entry == DATA else entry
    return tuple(axis for axis in entry if axis != DATA) or None


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _gather(sharded: NamedSharding, whole: NamedSharding, x: Array) -> Array:
    """Return ``x`` whole; its gradient is summed into shards."""
    del sharded
    return jax.lax.with_sharding_constraint(x, whole)


def _gather_forward(sharded: NamedSharding, whole: NamedSharding, x: Array) -> tuple[Array, None]:
    return _gather(sharded, whole, x), None


def _gather_backward(sharded: NamedSharding, whole: NamedSharding, residual: None, g: Array) -> tuple[Array]:
    del residual
    # First whole, or the compiler would divide the product for it by features, and gather the activations of all rows.
    return (jax.lax.with_sharding_constraint(jax.lax.with_sharding_constraint(g, whole), sharded),)


_gather.defvjp(_gather_forward, _gather_backward)


def _constrain_first(mesh: Mesh, spec: PartitionSpec | None, values: Any) -> Any:
    """Lay out an array, or the first of a tuple: by default its rows, if the ``"data"`` devices divide them.

    Without it the compiler lays activations out as the parameters, by features, and gathers all rows at every product.
    """
    if isinstance(values, tuple):
        return (*(_constrain_first(mesh, spec, value) for value in values[:1]), *values[1:])
    if spec is None and (not jnp.ndim(values) or len(values) % mesh.shape.get(DATA, len(values) + 1)):
        return values
    return jax.lax.with_sharding_constraint(values, NamedSharding(mesh, spec or PartitionSpec(DATA)))
