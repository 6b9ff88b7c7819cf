"""Evaluation of a jaxpr with some of its equations replaced, wherever they are nested.

An equation is addressed by a path: its index among the equations of the function, and for each program within it, such
as the body of a scan, the index of that program and of the equation therein. Programs without a replaced equation run
unchanged, with their own compilation and derivatives; programs with one are entered.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Literal, Var

from jaxdl.typing import Array, PyTree

Path = tuple[int, ...]
"""Indices of equations and programs, alternating, from the outermost equation inwards."""

Arrays = Mapping[Path, Array]
"""Arrays that enter or leave an equation from outside of its function, by path."""

INLINED = ("jit", "pjit", "closed_call", "core_call", "custom_jvp_call", "custom_vjp_call")
"""Primitives whose program is evaluated in their place; an entered one loses its own derivative."""


Replacement = Callable[[JaxprEqn, list[Any], Array | None], tuple[list[Any], Array | None]]
"""``(equation, inputs, given) -> (outputs, taken)``, called in the place of an equation.

``given`` is the array given from outside, if there is one; ``taken``, unless None, is returned to the outside.
"""

Replacements = Mapping[Path, Replacement]


def trace(f: Callable[..., PyTree], args: Sequence[PyTree]) -> tuple[ClosedJaxpr, list[Any], Callable[..., PyTree]]:
    """Trace ``f(*args)``; return the jaxpr, its inputs, and a function that restores the tree of its outputs."""
    closed, shapes = jax.make_jaxpr(f, return_shape=True)(*args)
    structure, leaves = jax.tree.structure(shapes), jax.tree.leaves(args)
    inputs = [
        leaf if isinstance(leaf, jax.Array) else jnp.asarray(leaf, aval.dtype)
        for leaf, aval in zip(leaves, closed.in_avals, strict=True)
    ]
    return closed, inputs, lambda outputs: jax.tree.unflatten(structure, outputs)


def bind(equation: JaxprEqn, inputs: Sequence[Any]) -> list[Any]:
    """Apply the primitive of an equation, and return its outputs."""
    outputs = equation.primitive.bind(*inputs, **equation.primitive.get_bind_params(equation.params))
    return list(outputs) if equation.primitive.multiple_results else [outputs]


def programs(equation: JaxprEqn) -> Iterator[Jaxpr]:
    """Iterate over the programs within an equation, in the order of its parameters."""
    for value in equation.params.values():
        for part in value if isinstance(value, tuple) else (value,):
            if isinstance(part, ClosedJaxpr):
                yield part.jaxpr
            elif isinstance(part, Jaxpr):
                yield part


def evaluate(
    jaxpr: Jaxpr,
    constants: Sequence[Any],
    inputs: Sequence[Any],
    replacements: Replacements,
    given: Arrays,
    path: Path = (),
) -> tuple[list[Any], dict[Path, Array]]:
    """Evaluate a jaxpr with the equations at some paths replaced.

    Args:
        jaxpr: the program.
        constants: the values of its constants.
        inputs: the values of its arguments.
        replacements: by path.
        given: arrays for the replacements, by path, with a leading dimension of steps for each scan around.
        path: of the program itself.

    Returns:
        The outputs, and the arrays that the replacements took, by path, stacked like ``given``.

    Raises:
        ValueError: a path enters a while loop from which an array is taken, or a primitive that cannot be entered.
    """
    values: dict[Var, Any] = dict(zip(jaxpr.constvars, constants, strict=True))
    values |= zip(jaxpr.invars, inputs, strict=True)

    def read(variable: Any) -> Any:
        return variable.val if isinstance(variable, Literal) else values[variable]

    taken: dict[Path, Array] = {}
    for index, equation in enumerate(jaxpr.eqns):
        here, arguments = (*path, index), [read(variable) for variable in equation.invars]
        with equation.ctx.manager:
            if here in replacements:
                outputs, array = replacements[here](equation, arguments, given.get(here))
                taken |= {} if array is None else {here: array}
            elif _under(replacements, here):
                outputs, arrays = _enter(equation, arguments, replacements, _under(given, here), here)
                taken |= arrays
            else:
                outputs = bind(equation, arguments)
        values |= zip(equation.outvars, outputs, strict=True)
    return [read(variable) for variable in jaxpr.outvars], taken


def _under(paths: Mapping[Path, Any], path: Path) -> dict[Path, Any]:
    """Select the entries below a path."""
    return {key: value for key, value in paths.items() if key[: len(path)] == path}


def _enter(
    equation: JaxprEqn, inputs: list[Any], replacements: Replacements, given: Arrays, path: Path
) -> tuple[list[Any], dict[Path, Array]]:
    """Evaluate an equation that has replaced equations within."""
    name, params = equation.primitive.name, equation.params

    def program(number: int, constants: Sequence[Any] = ()) -> Callable[..., Any]:
        jaxpr = list(programs(equation))[number]
        return lambda inputs, given: evaluate(jaxpr, constants, inputs, replacements, given, (*path, number))

    if name in INLINED:
        return program(0, (params.get("jaxpr") or params["call_jaxpr"]).consts)(inputs, given)
    if name in ("remat2", "remat", "checkpoint"):
        return jax.checkpoint(program(0), prevent_cse=params["prevent_cse"], policy=params["policy"])(inputs, given)
    if name == "scan":
        return _scan(equation, program(0, params["jaxpr"].consts), inputs, given)
    if name == "cond":
        branches = [program(number, branch.consts) for number, branch in enumerate(params["branches"])]
        return _cond(branches, inputs, given)
    if name == "while":
        # The order of the two programs is that of the parameters, which is JAX's to choose.
        numbers = {id(jaxpr): number for number, jaxpr in enumerate(programs(equation))}
        bodies = [params[key] for key in ("cond_jaxpr", "body_jaxpr")]
        return _while(equation, [program(numbers[id(body.jaxpr)], body.consts) for body in bodies], inputs, given)
    raise ValueError(f"expected operations outside of {name!r}, got one within; move it out of there")


def _scan(equation: JaxprEqn, body: Callable[..., Any], inputs: list[Any], given: Arrays) -> tuple[Any, Any]:
    """Evaluate a scan: inputs are constants, carry and elements, outputs are carry and stacked results.

    The parameters that count them differ between versions of JAX; elements and results have a dimension less within.
    """
    params, (inside,) = equation.params, programs(equation)
    count = len(equation.outvars) - _sliced(equation.outvars, inside.outvars)
    last = len(inputs) - _sliced(equation.invars, inside.invars)
    constants, carry, elements = inputs[: last - count], inputs[last - count : last], inputs[last:]

    def step(carry: list[Any], slices: tuple[list[Any], Arrays]) -> tuple[list[Any], Any]:
        elements, given = slices
        outputs, taken = body([*constants, *carry, *elements], given)
        return outputs[:count], (outputs[count:], taken)

    options = {key: params[key] for key in ("length", "reverse", "unroll")}
    carry, (outputs, taken) = jax.lax.scan(step, carry, (elements, given), **options)
    return [*carry, *outputs], taken


def _sliced(outside: Sequence[Any], inside: Sequence[Any]) -> int:
    """Count the variables that have a dimension less inside of a loop."""
    return sum(len(a.aval.shape) > len(b.aval.shape) for a, b in zip(outside, inside, strict=True))


def _cond(branches: Sequence[Callable[..., Any]], inputs: list[Any], given: Arrays) -> tuple[Any, Any]:
    index, arguments = inputs[0], inputs[1:]
    shapes: dict[Path, Any] = {}
    for branch in branches:
        shapes |= jax.eval_shape(branch, arguments, given)[1]

    def complete(branch: Callable[..., Any]) -> Callable[..., Any]:
        def run(inputs: list[Any], given: Arrays) -> tuple[list[Any], dict[Path, Array]]:
            outputs, taken = branch(inputs, given)
            return outputs, {path: jnp.zeros(s.shape, s.dtype) for path, s in shapes.items()} | taken

        return run

    return jax.lax.switch(index, [complete(branch) for branch in branches], arguments, given)


def _while(
    equation: JaxprEqn, bodies: Sequence[Callable[..., Any]], inputs: list[Any], given: Arrays
) -> tuple[list[Any], dict[Path, Array]]:
    """Evaluate a while loop: inputs are constants of its condition, constants of its body, and the carry."""
    second = len(inputs) - len(equation.outvars)
    first = len(equation.params["cond_jaxpr"].in_avals) - len(equation.outvars)
    constants = inputs[:first], inputs[first:second]

    def run(number: int, carry: list[Any]) -> list[Any]:
        outputs, taken = bodies[number]([*constants[number], *carry], given)
        if given or taken:
            raise ValueError("expected a name outside of while loops, got one within, whose steps cannot be counted")
        return outputs

    carry = jax.lax.while_loop(lambda carry: run(0, carry)[0], lambda carry: run(1, carry), inputs[second:])
    return carry, {}
