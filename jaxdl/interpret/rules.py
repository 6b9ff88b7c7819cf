"""Gradients with another backward rule for rectified units: guided backpropagation and the deconvnet.

The rule is exchanged in the program of the function, not in the model: `modify_rectifiers` finds each rectified unit

    max(x, 0)        where(x > 0, x, 0)        where(x > 0, x, a x)        x * (x > 0)

such as ``jax.nn.relu``, ``relu6`` and ``leaky_relu``, also within jit, scan, while, cond, remat, custom_jvp and
custom_vjp. The clipping of a variance, ``max(E[x^2] - E[x]^2, 0)``, is none. Smooth units, such as elu and gelu, have
no such rule, and keep their gradient. An entered custom_jvp or custom_vjp loses its own derivative.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import Jaxpr, JaxprEqn, Literal

from jaxdl.interpret.gradients import gradient
from jaxdl.interpret.rewriting import INLINED, Path, bind, evaluate, programs, trace
from jaxdl.interpret.scores import Scores
from jaxdl.typing import Array, ArrayLike, PyTree

Rule = Callable[[Array, Array, Array], Array]
"""``(x, slope, y_bar) -> x_bar``: the backward rule of ``y = slope x``, with a slope of 1 where ``x > 0``."""


def guided_rule(x: Array, slope: Array, y_bar: Array) -> Array:
    """Return ``slope max(y_bar, 0)``: pass positive gradients through the units that are on."""
    del x
    return slope * jnp.maximum(y_bar, 0)


def deconvolution_rule(x: Array, slope: Array, y_bar: Array) -> Array:
    """Return ``max(y_bar, 0)``: rectify the gradient as the forward pass rectifies its values."""
    del x, slope
    return jnp.maximum(y_bar, 0)


def guided_backpropagation(f: Scores, x: ArrayLike) -> Array:
    """Compute the gradient of the scores with `guided_rule` in every rectified unit (Springenberg et al., 2015).

    Args:
        f: maps ``[B, ...]`` to scores ``[B]``.
        x: ``[B, ...]``.

    Returns:
        The shape of ``x``.

    Raises:
        ValueError: ``f`` has no rectified unit, or does not return one score per example.

    >>> guided_backpropagation(lambda x: jax.nn.relu(x) @ jnp.array([1.0, -1.0, 1.0]), jnp.array([[2.0, 2.0, -2.0]]))
    Array([[1., 0., 0.]], dtype=float32)
    """
    return gradient(modify_rectifiers(f, guided_rule), x)


def deconvolution(f: Scores, x: ArrayLike) -> Array:
    """Project the scores back to the input as a deconvnet does (Zeiler and Fergus, 2014).

    It is the gradient with `deconvolution_rule` in every rectified unit: convolutions are transposed, without biases on
    the way back, and max pooling returns a value to the place of its maximum, the switch.

    Args:
        f: maps ``[B, ...]`` to scores ``[B]``.
        x: ``[B, ...]``.

    Returns:
        The shape of ``x``.

    Raises:
        ValueError: ``f`` has no rectified unit, or does not return one score per example.

    >>> deconvolution(lambda x: jax.nn.relu(x) @ jnp.array([1.0, -1.0, 1.0]), jnp.array([[2.0, 2.0, -2.0]]))
    Array([[1., 0., 1.]], dtype=float32)
    """
    return gradient(modify_rectifiers(f, deconvolution_rule), x)


def modify_rectifiers(f: Callable[..., PyTree], rule: Rule) -> Callable[..., PyTree]:
    """Return the function with another backward rule in every rectified unit, and the same values.

    The result can be compiled, vectorized and differentiated in reverse mode.

    Args:
        f: a function of trees of arrays.
        rule: `guided_rule`, `deconvolution_rule`, or another.

    Raises:
        ValueError: when called, ``f`` has no rectified unit.
    """

    def modified(*args: PyTree) -> PyTree:
        closed, inputs, restore = trace(f, args)
        found: dict[Path, int] = {}
        _find(closed.jaxpr, [_Value() for _ in closed.jaxpr.invars], (), found)
        if not found:
            raise ValueError(
                "expected a function with rectified units, such as jax.nn.relu, got one without; use saliency instead"
            )
        replacements = {path: partial(_rectify, rule, operand) for path, operand in found.items()}
        return restore(evaluate(closed.jaxpr, closed.consts, inputs, replacements, {})[0])

    return modified


def _rectify(
    rule: Rule, operand: int, equation: JaxprEqn, inputs: list[Any], given: Array | None
) -> tuple[list[Any], Array | None]:
    """Apply a rectified unit, with the rule as its derivative with respect to one operand."""
    return [_with_rule(rule, inputs[operand], bind(equation, inputs)[0])], given


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _with_rule(rule: Rule, x: Array, y: Array) -> Array:
    return y


def _forward(rule: Rule, x: Array, y: Array) -> tuple[Array, tuple[Array, Array]]:
    return y, (x, y)


def _backward(rule: Rule, saved: tuple[Array, Array], y_bar: Array) -> tuple[Array, Array]:
    x, y = saved
    slope = jnp.where(x > 0, 1, jnp.where(x < 0, y / jnp.where(x < 0, x, 1), 0)).astype(y_bar.dtype)
    return rule(x, slope, y_bar), jnp.zeros_like(y)


_with_rule.defvjp(_forward, _backward)


@dataclass(eq=False)
class _Value:
    """What is known of a value; its identity is that of the value.

    ``kind`` is "zero"; "positive" or "negative" of one value, its sign as a Boolean or number; "product" of two;
    "square"; or "variance", a difference from a square.
    """

    kind: str = ""
    of: tuple["_Value", ...] = ()


def _find(jaxpr: Jaxpr, inputs: Sequence[_Value], path: Path, found: dict[Path, int]) -> list[_Value]:
    """Find the equations that are rectified units, and for each the index of its operand ``x``."""
    values: dict[Any, _Value] = dict(zip(jaxpr.invars, inputs, strict=True))

    def read(atom: Any) -> _Value:
        if isinstance(atom, Literal):
            return _Value("zero" if np.ndim(atom.val) == 0 and atom.val == 0 else "")
        return values.setdefault(atom, _Value())

    for index, equation in enumerate(jaxpr.eqns):
        here, operands = (*path, index), [read(atom) for atom in equation.invars]
        outputs = [_Value() for _ in equation.outvars]
        for number, program in enumerate(programs(equation)):
            if equation.primitive.name in INLINED:
                outputs = _find(program, operands, (*here, number), found)
            else:
                _find(program, [_Value() for _ in program.invars], (*here, number), found)
        operand, result = _operand(equation.primitive.name, operands), cast(Any, equation.outvars[0].aval)
        if operand is not None and jnp.issubdtype(result.dtype, jnp.floating):
            found[here] = operand
        elif len(outputs) == 1 and outputs[0].kind == "":
            outputs = [_describe(equation, operands) or outputs[0]]
        values |= zip(equation.outvars, outputs, strict=True)
    return [read(atom) for atom in jaxpr.outvars]


def _operand(name: str, operands: Sequence[_Value]) -> int | None:
    """Return the index of the operand that the equation rectifies, or None."""
    match name, operands:
        case ("max", [x, y]) if "zero" in (x.kind, y.kind):
            index = 1 if x.kind == "zero" else 0
            return None if operands[index].kind in ("zero", "variance") else index
        case ("mul", [x, y]):
            return next((i for i, (a, b) in enumerate([(x, y), (y, x)]) if b.kind == "positive" and a in b.of), None)
        case ("select_n", [sign, off, on]) if sign.kind in ("positive", "negative"):
            index, rest = (2, off) if sign.kind == "positive" else (1, on)
            scaled = rest.kind == "zero" or (rest.kind == "product" and operands[index] in rest.of)
            return index if operands[index] in sign.of and scaled else None
    return None


def _describe(equation: JaxprEqn, operands: Sequence[_Value]) -> _Value | None:
    """Return what is known of the result of an equation that is not a rectified unit, or None."""
    known = None
    match equation.primitive.name, operands:
        case ("name" | "copy", [x]):
            known = x
        case ("broadcast_in_dim" | "reshape" | "squeeze", [x]) if x.kind == "zero":
            known = x
        case ("convert_element_type", [x]) if x.kind in ("zero", "positive"):
            known = x
        case ("gt" | "ge" | "lt" | "le" as name, [x, y]) if "zero" in (x.kind, y.kind):
            greater = (name in ("gt", "ge")) == (y.kind == "zero")
            known = _Value("positive" if greater else "negative", (x if y.kind == "zero" else y,))
        case ("square", _):
            known = _Value("square")
        case ("integer_pow", _) if equation.params["y"] == 2:
            known = _Value("square")
        case ("mul", [x, y]):
            known = _Value("square" if x is y else "product", (x, y))
        case ("sub", [_, y]) if y.kind == "square":
            known = _Value("variance")
    return known
