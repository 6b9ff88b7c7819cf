"""Export of a trained model as one portable, compiled program with its variables."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import export as jax_export

from jaxdl.checks import is_integer
from jaxdl.data.files.downloads import require
from jaxdl.train.leaves import check_alive
from jaxdl.typing import PyTree

PLATFORMS = ("cpu", "cuda", "tpu")


def export(
    apply: Callable[[PyTree, Any], PyTree],
    variables: PyTree,
    shapes: PyTree,
    *,
    dtype: Any = jnp.float32,
    platforms: Sequence[str] = PLATFORMS,
) -> bytes:
    """Export ``x -> apply(variables, x)`` as serialized StableHLO, for any number of rows and several platforms.

    ``jax.export.deserialize(program).call(x)`` runs it in any process with JAX, without the code of the model. JAX
    reads programs of its earlier versions for six months. The variables are constants of the program.

    Args:
        apply: a pure function of the variables and a batch, such as
            ``lambda variables, x: model.apply(variables, x, train=False)``.
        variables: of the model, or a state with an attribute ``variables``.
        shapes: the form of ``x``: a shape with the batch first, ``(None, 32, 32, 3)``, a ``jax.ShapeDtypeStruct`` or an
            array; or a dict of these. The first dimension is the batch, of any size whatever stands there.
        dtype: of the inputs that are given by a shape.
        platforms: on which the program runs.

    Raises:
        ValueError: a shape has no dimension.
        TypeError: a part of ``shapes`` is no shape.

    Source: https://docs.jax.dev/en/latest/export/export.html

    >>> program = export(lambda variables, x: x @ variables["w"], {"w": jnp.ones((3, 1))}, (None, 3))
    >>> jax_export.deserialize(program).call(jnp.ones((2, 3))).tolist()
    [[3.0], [3.0]]
    """
    variables = getattr(variables, "variables", variables)
    check_alive(variables)
    scope = jax_export.SymbolicScope()
    specs = _specs(shapes, jnp.dtype(dtype), scope)
    require("flatbuffers", "exporting a program", "test")
    constants = jax.device_get(variables)
    function = jax.jit(lambda x: apply(constants, x))
    return bytes(jax_export.export(function, platforms=tuple(platforms))(specs).serialize())


def _specs(shapes: PyTree, dtype: Any, scope: jax_export.SymbolicScope) -> PyTree:
    """Return the forms of the inputs, their first dimension symbolic."""
    if isinstance(shapes, Mapping):
        return {name: _specs(shape, dtype, scope) for name, shape in shapes.items()}
    if hasattr(shapes, "shape") and hasattr(shapes, "dtype"):
        return _symbolic(tuple(shapes.shape), shapes.dtype, scope)
    if isinstance(shapes, str):
        shapes = tuple(part.strip() for part in shapes.strip("()").split(",") if part.strip())
    is_sequence = isinstance(shapes, tuple | list)
    if is_sequence and shapes and not all(size is None or is_integer(size) or isinstance(size, str) for size in shapes):
        return type(shapes)(_specs(shape, dtype, scope) for shape in shapes)
    if not is_sequence:
        raise TypeError(f"expected a shape such as (None, 32, 32, 3), got {shapes!r:.100}")
    return _symbolic(tuple(shapes), dtype, scope)


def _symbolic(shape: tuple[Any, ...], dtype: Any, scope: jax_export.SymbolicScope) -> jax.ShapeDtypeStruct:
    if not shape:
        raise ValueError(f"expected a shape with the batch first, got {shape}; write (None, ...)")
    sizes = ["_" if size is None else str(size) for size in shape[1:]]
    if "_" in sizes:
        raise ValueError(f"expected sizes or names after the batch, got {shape}; give each unknown size a name, 'time'")
    text = ", ".join(["batch", *sizes]) + ("," if len(shape) == 1 else "")
    return jax.ShapeDtypeStruct(jax_export.symbolic_shape(text, scope=scope), dtype)
