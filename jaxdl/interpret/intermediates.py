"""Named intermediates of any JAX function: list, read and replace them.

An intermediate has a name where the function tags it, ``h = jax.ad_checkpoint.checkpoint_name(h, "hidden")``. The
models of this library tag what they return with ``return_intermediates=True``; modules of flax.nnx, equinox and haiku
can tag as well, and policies of rematerialization select by the same names.

A name that is tagged several times is numbered in the order of execution: ``hidden[0]``, ``hidden[1]``. Within a scan,
which has one array per step, it is that of all steps, ``[T, ...]``. In a branch of a conditional that is not taken, it
is 0. Within a while loop, whose steps are not known in advance, it can be neither read nor replaced.

>>> from jax.ad_checkpoint import checkpoint_name
>>> def f(x):
...     return checkpoint_name(2 * x, "double") + 1
>>> names(f, 3.0)
('double',)
>>> y, layers = read(f, "double")(3.0)
>>> float(y), float(layers["double"])
(7.0, 6.0)
>>> float(replace(f, "double")(10.0, 3.0)), float(jax.grad(replace(f, "double"))(10.0, 3.0))
(11.0, 1.0)
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.extend.core import Jaxpr, JaxprEqn

from jaxdl.checks import did_you_mean, shorten
from jaxdl.interpret.rewriting import Path, evaluate, programs, trace
from jaxdl.typing import Array, ArrayLike, PyTree


class _Place(NamedTuple):
    """Where a name is tagged, and with which shape and dtype."""

    path: Path
    shape: tuple[int, ...]
    dtype: Any
    in_while: bool


def names(f: Callable[..., PyTree], *args: PyTree) -> tuple[str, ...]:
    """List the named intermediates of ``f(*args)`` in the order of execution.

    Args:
        f: a function of arrays; it is traced, not run.
        *args: trees of arrays, or of ``jax.ShapeDtypeStruct``.
    """
    return tuple(name for name, place in _places(jax.make_jaxpr(f)(*args).jaxpr).items() if not place.in_while)


def read(f: Callable[..., PyTree], *layers: str) -> Callable[..., tuple[PyTree, dict[str, Array]]]:
    """Return a function of the same arguments that returns ``(f(*args), {layer: intermediate})``.

    It can be differentiated, vectorized and compiled as ``f`` can.

    Args:
        f: a function of trees of arrays.
        *layers: names of intermediates.

    Raises:
        ValueError: when called, ``f`` has no intermediate of such a name.
    """

    def reading(*args: PyTree) -> tuple[PyTree, dict[str, Array]]:
        closed, inputs, restore = trace(f, args)
        paths = {layer: _find(closed.jaxpr, layer).path for layer in layers}
        outputs, taken = evaluate(closed.jaxpr, closed.consts, inputs, dict.fromkeys(paths.values(), _take), {})
        return restore(outputs), {layer: taken[path] for layer, path in paths.items()}

    return reading


def replace(f: Callable[..., PyTree], layer: str) -> Callable[..., PyTree]:
    """Return a function ``g(value, *args)`` that computes ``f(*args)`` with an intermediate replaced by ``value``.

    It can be differentiated with respect to the value, and vectorized and compiled as ``f`` can.

    Args:
        f: a function of trees of arrays.
        layer: the name of the intermediate.

    Raises:
        ValueError: when called, ``f`` has no intermediate of that name, or one of another shape than the value's.
    """

    def replaced(value: ArrayLike, *args: PyTree) -> PyTree:
        closed, inputs, restore = trace(f, args)
        place = _find(closed.jaxpr, layer)
        if jnp.shape(value) != place.shape:
            raise ValueError(f"expected a value for {layer!r} of shape {place.shape}, got {jnp.shape(value)}")
        given = {place.path: jnp.asarray(value, place.dtype)}
        outputs, _ = evaluate(closed.jaxpr, closed.consts, inputs, {place.path: _put}, given)
        return restore(outputs)

    return replaced


def _take(equation: JaxprEqn, inputs: list[Any], given: Array | None) -> tuple[list[Any], Array]:
    """Return the tagged array to the outside."""
    del equation, given
    return inputs, inputs[0]


def _put(equation: JaxprEqn, inputs: list[Any], given: Array | None) -> tuple[list[Any], None]:
    """Use the given array in the place of the tagged one."""
    del equation, inputs
    return [given], None


def _find(jaxpr: Jaxpr, layer: str) -> _Place:
    places = _places(jaxpr)
    if layer not in places:
        known = did_you_mean(layer, places) if places else "tag one with jax.ad_checkpoint.checkpoint_name(x, name)"
        raise ValueError(f"expected the name of an intermediate, got {shorten(repr(layer))}; {known}")
    if places[layer].in_while:
        raise ValueError(f"expected an intermediate outside of while loops, got {layer!r}; loop with jax.lax.scan")
    return places[layer]


def _places(jaxpr: Jaxpr) -> dict[str, _Place]:
    """Find all tags, with their names numbered where they are not unique."""
    found = list(_tags(jaxpr))
    all_names = [name for name, _ in found]
    counts: dict[str, int] = {}
    places = {}
    for name, place in found:
        number = counts[name] = counts.get(name, -1) + 1
        places[f"{name}[{number}]" if all_names.count(name) > 1 else name] = place
    return places


def _tags(
    jaxpr: Jaxpr, path: Path = (), steps: tuple[int, ...] = (), in_while: bool = False
) -> Iterator[tuple[str, _Place]]:
    for index, equation in enumerate(jaxpr.eqns):
        here, kind = (*path, index), equation.primitive.name
        if kind == "name":
            array: Any = equation.outvars[0].aval
            yield equation.params["name"], _Place(here, (*steps, *array.shape), array.dtype, in_while)
        inner = (*steps, equation.params["length"]) if kind == "scan" else steps
        for number, program in enumerate(programs(equation)):
            yield from _tags(program, (*here, number), inner, in_while or kind == "while")
