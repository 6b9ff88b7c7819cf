"""Run alike blocks by one scan over stacked variables, compiled once for any number of blocks.

Where a model has the modules ``NAME_block1``, ``NAME_block2`` .. ``NAME_blockN``, and all but the first are alike, the
same model with its blocks scanned has ``NAME_block1`` and ``NAME_blocks``, whose leaves have a leading dimension
``[N - 1]``. `stack_blocks` and `unstack_blocks` turn the variables of one form into those of the other.

Both forms take ``remat``, which trades computation for memory (Chen et al., "Training deep nets with sublinear memory
cost", 2016), see `rematerialize`.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen
from jax.ad_checkpoint import checkpoint_name

from jaxdl import tree
from jaxdl.checks import shorten
from jaxdl.typing import Array, PyTree

Remat = str | Sequence[str] | Callable[..., Any]
"""What the backward pass of a block finds in memory, see `rematerialize`."""


def rematerialize(step: Callable[..., Any], remat: Remat, *, scanned: bool = False) -> Callable[..., Any]:
    """Make a step that keeps less for its backward pass, and computes the rest again there.

    Args:
        step: ``step(module, *arrays)``, a function of a linen module.
        remat: "none" to keep all that the gradient needs; "block" to keep the arguments alone; a list of names to keep
            also the arrays that the step tags with one of them, by ``jax.ad_checkpoint.checkpoint_name``; or a policy
            of ``jax.checkpoint_policies``.
        scanned: whether the step is the body of a scan, which needs no barrier against common subexpressions.

    Raises:
        ValueError: ``remat`` is none of these.

    >>> rematerialize(len, "none") is len
    True
    """
    if remat == "none":
        return step
    if callable(remat):
        policy = remat
    elif remat == "block":
        policy = None
    elif isinstance(remat, list | tuple) and all(isinstance(name, str) for name in remat):
        policy = jax.checkpoint_policies.save_only_these_names(*remat)
    else:
        raise ValueError(
            f"expected remat to be 'none', 'block', names in a list, or a policy, got {shorten(repr(remat))}"
        )
    return linen.remat(step, policy=policy, prevent_cse=not scanned)


def scan_modules(
    module: linen.Module,
    length: int,
    x: Array,
    step: Callable[[linen.Module, Array], tuple[Array, PyTree]],
    *,
    remat: Remat = "none",
) -> tuple[Array, PyTree]:
    """Apply ``step(module, x) -> (y, kept)`` ``length`` times, each time with its own slice of the module's variables.

    Call it in the ``@linen.compact`` method that creates the module. The results are tagged with its name.

    Args:
        module: of which every variable has a leading dimension ``[length]``.
        length: number of steps.
        x: the argument of the first step.
        step: see above.
        remat: see `rematerialize`.

    Returns:
        The last ``y``, and the stacked ``kept``, ``[length, ...]``.
    """

    step = rematerialize(step, remat, scanned=True)

    def body(module: linen.Module, x: Array, _: None) -> tuple[Array, PyTree]:
        y, kept = step(module, x)
        return checkpoint_name(y, str(module.name)), kept

    # Every collection is stacked, and every block has random numbers of its own.
    return linen.scan(body, variable_axes={True: 0}, split_rngs={True: True}, length=length)(module, x, None)


def scan_blocks(
    block: linen.Module, length: int, x: Array, train: bool, *, outputs: bool = False, remat: Remat = "none"
) -> tuple[Array, list[Array]]:
    """Apply a block ``length`` times, each time with its own slice of the block's variables.

    Call it in the ``@linen.compact`` method that creates the block.

    Args:
        block: called as ``block(x, train)``; returns the shape and dtype of ``x``.
        length: number of blocks.
        x: ``[B, ...]``.
        train: passed to the block.
        outputs: whether to keep the output of every block.
        remat: see `rematerialize`.

    Returns:
        The output of the last block, and a list of the outputs of all, empty if ``outputs`` is False.
    """

    def step(block: linen.Module, x: Array) -> tuple[Array, Array | None]:
        y = block(x, train)
        return y, y if outputs else None

    y, kept = scan_modules(block, length, x, step, remat=remat)
    return y, [] if kept is None else [kept[i] for i in range(length)]


def stack_blocks(variables: PyTree) -> PyTree:
    """Stack the variables of every ``NAME_block2 .. NAME_blockN`` as ``NAME_blocks``.

    Args:
        variables: of a model, or any pytree with dicts of the same names, such as gradients and optimizer states.

    Raises:
        ValueError: a number between 2 and N is missing, or the blocks differ.

    >>> one, two = (jnp.full(3, value) for value in (1.0, 2.0))
    >>> stacked = stack_blocks({"a_block1": {"w": one}, "a_block2": {"w": one}, "a_block3": {"w": two}})
    >>> jax.tree.map(jnp.shape, stacked)
    {'a_block1': {'w': (3,)}, 'a_blocks': {'w': (2, 3)}}
    """
    return _map_dicts(_stack, variables)


def unstack_blocks(variables: PyTree) -> PyTree:
    """Undo `stack_blocks`.

    Raises:
        ValueError: the leading dimensions of the leaves differ.

    >>> jax.tree.map(float, unstack_blocks({"a_blocks": {"w": jnp.array([1.0, 2.0])}}))
    {'a_block2': {'w': 1.0}, 'a_block3': {'w': 2.0}}
    """
    return _map_dicts(_unstack, variables)


def _map_dicts(function: Callable[[dict[str, PyTree]], dict[str, PyTree]], variables: PyTree) -> PyTree:
    """Apply a function to every dict of a pytree, the innermost first."""

    def convert(node: PyTree) -> PyTree:
        if not isinstance(node, Mapping):
            return node
        return function({name: _map_dicts(function, child) for name, child in node.items()})

    return jax.tree.map(convert, variables, is_leaf=lambda node: isinstance(node, Mapping))


def _stack(modules: dict[str, PyTree]) -> dict[str, PyTree]:
    stacked: dict[str, PyTree] = {}
    blocks: dict[str, dict[int, PyTree]] = {}
    for name, module in modules.items():
        found = re.fullmatch(r"(.+)_block(\d+)", name)
        if found and int(found[2]) > 1:
            blocks.setdefault(found[1], {})[int(found[2])] = module
        else:
            stacked[name] = module
    for name, numbered in blocks.items():
        numbers = sorted(numbered)
        if numbers != list(range(2, len(numbers) + 2)):
            raise ValueError(f"expected blocks {name}_block2, {name}_block3, ... without gaps, got {numbers}")
        each = [numbered[number] for number in numbers]
        shapes = {str(jax.tree.map(jnp.shape, block)) for block in each}
        if len(shapes) > 1:
            raise ValueError(f"expected blocks {name}_block2, ... of equal shapes, got {shapes}")
        stacked[f"{name}_blocks"] = tree.stack(each)
    return stacked


def _unstack(modules: dict[str, PyTree]) -> dict[str, PyTree]:
    unstacked: dict[str, PyTree] = {}
    for name, module in modules.items():
        found = re.fullmatch(r"(.+)_blocks", name)
        if not found:
            unstacked[name] = module
            continue
        lengths = sorted({length for leaf in jax.tree.leaves(module) for length in jnp.shape(leaf)[:1] or (0,)})
        if len(lengths) != 1 or lengths == [0]:
            raise ValueError(f"expected leaves of {name} with one leading dimension, got {lengths}")
        for i in range(lengths[0]):
            unstacked[f"{found[1]}_block{i + 2}"] = tree.take(module, i)
    return unstacked
