"""The number of arithmetic operations of a program, by formula, with loops multiplied out."""

import math
import re
from collections.abc import Callable
from typing import Any

import jax
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn


def count_operations(function: Callable[..., Any], *args: Any, platform: str = "tpu") -> float:
    """Count the multiplications and additions of the matrix products and convolutions in ``function(*args)``.

    A product ``[M, K] [K, N]`` has ``2 M K N``, a convolution ``2`` for each output, kernel element and input channel.
    A scan multiplies those of its body by its length, a while loop by the number in its ``jax.named_scope("steps=N")``;
    the branches of a cond count as the largest. Other operations, which move more bytes than they compute, count
    nothing. What is rematerialized counts each time.

    Args:
        function: is traced, not run.
        args: its arguments, arrays or ``jax.ShapeDtypeStruct``.
        platform: on which the program would run: some functions have a form for each.

    Raises:
        ValueError: a while loop without such a name has products.

    >>> x, w = jax.ShapeDtypeStruct((4, 8), "float32"), jax.ShapeDtypeStruct((8, 2), "float32")
    >>> count_operations(lambda x, w: x @ w, x, w)
    128.0
    """
    return _count(jax.make_jaxpr(function)(*args).jaxpr, platform)


def _count(jaxpr: Jaxpr, platform: str) -> float:
    return float(sum(_count_equation(equation, platform) for equation in jaxpr.eqns))


def _count_equation(equation: JaxprEqn, platform: str) -> float:
    name, params = equation.primitive.name, equation.params
    if name in _FORMULAS:
        return _FORMULAS[name](equation)
    programs = _programs(equation)
    if name == "cond" and (platforms := params.get("branches_platforms")):
        chosen = next((i for i, names in enumerate(platforms) if names and platform in names), len(platforms) - 1)
        return _count(programs[chosen], platform)
    inner = [_count(program, platform) for program in programs]
    if name == "cond":
        return max(inner)
    if name == "while" and sum(inner):
        steps = re.findall(r"\bsteps=([\d.e+]+)", str(equation.source_info.name_stack))
        if not steps:
            raise ValueError(
                "expected products in loops of known length, got some in a while loop; use jax.lax.scan, or write the "
                'loop within jax.named_scope("steps=N")'
            )
        return sum(inner) * float(steps[-1])
    return sum(inner) * _times(name, params)


def _times(name: str, params: dict[str, Any]) -> int:
    """Return how often the program of an equation runs, on all devices together."""
    match name:
        case "scan":
            return params["length"]
        case "shard_map":
            # The name of the parameter differs between versions of JAX.
            axes = next(params[key] for key in ("newly_manual_axes", "manual_axes") if key in params)
            return math.prod(params["mesh"].shape[axis] for axis in axes)
        case "pallas_call":
            return math.prod(params["grid_mapping"].grid)
    return 1


def _programs(equation: JaxprEqn) -> list[Jaxpr]:
    """List the programs that an equation runs; a custom derivative is that of the equation's own program."""
    found = []
    for value in equation.params.values():
        for part in value if isinstance(value, tuple) else (value,):
            if isinstance(part, ClosedJaxpr):
                found.append(part.jaxpr)
            elif isinstance(part, Jaxpr):
                found.append(part)
    return found


def _product(equation: JaxprEqn) -> float:
    """Count ``2 K`` for each element of the product."""
    (contracted, _), _ = equation.params["dimension_numbers"]
    left: Any = equation.invars[0].aval
    result: Any = equation.outvars[0].aval
    return 2.0 * math.prod(result.shape) * math.prod(left.shape[axis] for axis in contracted)


def _convolution(equation: JaxprEqn) -> float:
    """Count ``2 F C / groups`` for each output, but not the zeros between dilated inputs."""
    kernel: Any = equation.invars[1].aval
    result: Any = equation.outvars[0].aval
    features = equation.params["dimension_numbers"].rhs_spec[0]
    taps = math.prod(kernel.shape) / kernel.shape[features]
    return 2.0 * math.prod(result.shape) * taps / math.prod(equation.params["lhs_dilation"])


_FORMULAS = {"dot_general": _product, "conv_general_dilated": _convolution}
