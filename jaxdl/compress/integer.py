"""Whole models in integers: kernels of few bits and inputs of eight, for any linen module, from outside.

The layers are ``flax.linen.Dense`` and ``jaxdl.nn.Conv``, wherever they are in a model, but not in the blocks of a
scanned one. Everything else, norms and activations for instance, is computed with real numbers.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen

from jaxdl import tree
from jaxdl.arrays import expand_leading, widen_floating
from jaxdl.checks import did_you_mean
from jaxdl.compress.quantization import (
    Quantized,
    affine_scale,
    dequantize,
    fake_quantize,
    quantize,
    quantized_convolve,
    quantized_linear,
    symmetric_scale,
)
from jaxdl.nn.convolution.convolution import Conv, convolve
from jaxdl.nn.dense import linear
from jaxdl.typing import Array, ArrayLike, PyTree

LAYERS = (linen.Dense, Conv)
COLLECTION = "quantization"
"""The collection of the scales and zero points of the layers' inputs."""

Ranges = dict[str, tuple[Array, Array]]


def calibrate(model: linen.Module, variables: PyTree, x: ArrayLike, **options: Any) -> Ranges:
    """Return the least and the largest input of every layer, by its path, over a batch of typical inputs.

    Args:
        model: a module.
        variables: of the model.
        x: its input, as many examples as represent the data.
        **options: of the model, such as ``train=False``.

    Raises:
        ValueError: there are no examples, or the model has no layer that can be quantized.

    >>> from jaxdl import models
    >>> model = models.MLP(hidden_sizes=(), num_classes=2)
    >>> variables = {"params": {"output": {"kernel": jnp.ones((3, 2)), "bias": jnp.zeros(2)}}}
    >>> [each.item() for each in calibrate(model, variables, jnp.array([[0.0, -1.0, 2.0]]))["output"]]
    [-1.0, 2.0]
    """

    if not jnp.size(x):
        raise ValueError(f"expected typical inputs, got none, an array {jnp.shape(x)}")

    @jax.jit
    def measure(variables: PyTree, x: Array) -> Ranges:
        found: Ranges = {}

        def observe(module: linen.Module, x: Array) -> None:
            path, x = "/".join(module.path), widen_floating(x)
            low, high = found.get(path, (jnp.inf, -jnp.inf))
            found[path] = jnp.minimum(low, jnp.min(x, initial=jnp.inf)), jnp.maximum(high, jnp.max(x, initial=-jnp.inf))

        with linen.intercept_methods(partial(_intercept, before=observe)):
            model.apply(variables, x, **options)
        return found

    found = measure(variables, jnp.asarray(x))
    if not found:
        raise ValueError(f"expected a model with Dense or Conv layers, got {type(model).__name__} without one")
    return found


def quantize_variables(variables: Mapping[str, PyTree], ranges: Ranges, *, bits: int = 8) -> dict[str, PyTree]:
    """Quantize the kernels of all layers with a range: a scale for each output channel, and no zero point.

    Their leaves become `Quantized`, and the collection ``"quantization"`` has scale and zero point of their inputs,
    which have eight bits.

    Args:
        variables: of the model.
        ranges: of the inputs of the layers, as `calibrate` returns them.
        bits: of the kernels, 2 to 8.

    Raises:
        ValueError: a path of the ranges has no kernel, or ``bits`` is not from 2 to 8.

    >>> variables = {"params": {"output": {"kernel": jnp.array([[127.0, 1.0], [-3.0, 254.0]])}}}
    >>> quantized = quantize_variables(variables, {"output": (0.0, 255.0)})
    >>> quantized["params"]["output"]["kernel"].values.tolist()
    [[127, 0], [-3, 127]]
    """
    inputs: dict[str, PyTree] = {}
    for path, (low, high) in ranges.items():
        place = inputs
        for name in filter(None, path.split("/")):
            place = place.setdefault(name, {})
        place["scale"], place["zero_point"] = affine_scale(low, high)
    kernels = {"/".join(filter(None, (path, "kernel"))) for path in ranges}
    known = tree.flatten(variables["params"])
    for path in kernels - known.keys():
        raise ValueError(f"expected ranges of layers with a kernel, got {path!r}; {did_you_mean(path, known)}")

    def convert(path: str, leaf: Array) -> Any:
        return quantize(leaf, symmetric_scale(leaf, bits=bits, axis=-1), bits=bits) if path in kernels else leaf

    return {**variables, "params": tree.map_with_path(convert, variables["params"]), COLLECTION: inputs}


def dequantize_variables(variables: Mapping[str, PyTree]) -> dict[str, PyTree]:
    """Return variables of the model itself, whose kernels are the real numbers that the integers represent.

    >>> kernel = Quantized(jnp.array([[2]], jnp.int8), jnp.float32(0.5))
    >>> dequantize_variables({"params": {"output": {"kernel": kernel}}, "quantization": {}})
    {'params': {'output': {'kernel': Array([[1.]], dtype=float32)}}}
    """
    whole = {name: collection for name, collection in variables.items() if name != COLLECTION}
    return jax.tree.map(lambda leaf: dequantize(leaf) if _is_quantized(leaf) else leaf, whole, is_leaf=_is_quantized)


def apply_integer(model: linen.Module, variables: PyTree, x: ArrayLike, **options: Any) -> Any:
    """Apply a model with products of int8 in the quantized layers.

    Args:
        model: a module.
        variables: from `quantize_variables`.
        x: its input.
        **options: of the model.

    >>> from jaxdl import models
    >>> model = models.MLP(hidden_sizes=(), num_classes=1)
    >>> variables = {"params": {"output": {"kernel": jnp.full((3, 1), 0.5), "bias": jnp.ones(1)}}}
    >>> x = jnp.array([[0.0, -1.0, 4.1]])
    >>> quantized = quantize_variables(variables, calibrate(model, variables, x))
    >>> [round(apply(model, quantized, x).item(), 4) for apply in (apply_integer, apply_simulated)]
    [2.55, 2.55]
    """
    return _apply(model, variables, x, _integer_layer, options)


def apply_simulated(model: linen.Module, variables: PyTree, x: ArrayLike, **options: Any) -> Any:
    """Apply a model with the numbers of `apply_integer` in floating point: equal to it but for rounding errors."""
    return _apply(model, variables, x, _simulated_layer, options)


def size_in_bytes(variables: PyTree, *, bits: int = 8) -> int:
    """Return the bytes of all arrays; the values of quantized ones count as packed, ``bits`` bits each.

    >>> size_in_bytes({"kernel": Quantized(jnp.zeros((4, 2), jnp.int8), jnp.ones(2)), "bias": jnp.zeros(2)}, bits=4)
    20
    """
    total = 0
    for leaf in jax.tree.leaves(variables, is_leaf=_is_quantized):
        if _is_quantized(leaf):
            total += -(-np.size(leaf.values) * bits // 8) + np.size(leaf.scale) * jnp.result_type(leaf.scale).itemsize
        else:
            total += np.size(leaf) * jnp.result_type(leaf).itemsize
    return int(total)


def _apply(
    model: linen.Module, variables: PyTree, x: ArrayLike, compute: Callable[..., Array], options: dict[str, Any]
) -> Any:
    def replace(module: linen.Module, x: Array) -> Array | None:
        kernel = module.get_variable("params", "kernel")
        if not _is_quantized(kernel):
            return None
        scale, zero_point = (module.get_variable(COLLECTION, name) for name in ("scale", "zero_point"))
        return compute(module, x, kernel, (scale, zero_point), module.get_variable("params", "bias"))

    with linen.intercept_methods(partial(_intercept, before=replace)):
        return model.apply(variables, x, **options)


def _intercept(
    next_function: Callable[..., Any], arguments: tuple, keywords: dict, context: Any, *, before: Callable[..., Any]
) -> Any:
    """Call ``before(layer, x)`` at every layer, and the layer itself where that returns None."""
    if context.method_name != "__call__" or not isinstance(context.module, LAYERS):
        return next_function(*arguments, **keywords)
    found = before(context.module, *arguments, **keywords)
    return next_function(*arguments, **keywords) if found is None else found


def _integer_layer(module: Any, x: Array, kernel: Quantized, of_input: Any, bias: Array | None) -> Array:
    inputs = quantize(x, *of_input)
    if isinstance(module, linen.Dense):
        return quantized_linear(inputs, kernel, bias)
    leading = x.shape[: x.ndim - kernel.values.ndim + 1]
    flat = inputs._replace(values=inputs.values.reshape(-1, *x.shape[len(leading) :]))
    y = quantized_convolve(flat, kernel, bias, **_window(module))
    return y.reshape(*leading, *y.shape[1:])


def _simulated_layer(module: Any, x: Array, kernel: Quantized, of_input: Any, bias: Array | None) -> Array:
    inputs, weights = fake_quantize(x, *of_input), dequantize(kernel)
    if isinstance(module, linen.Dense):
        return linear(inputs, weights, bias)
    y = convolve(inputs, weights, **_window(module))
    return y if bias is None else y + expand_leading(bias, y.ndim)


def _window(module: Conv) -> dict[str, Any]:
    return {name: getattr(module, name) for name in ("stride", "padding", "dilation", "groups")}


def _is_quantized(leaf: Any) -> bool:
    return isinstance(leaf, Quantized)
