"""Greedy layer-wise pre-training: each layer learns to reconstruct the output of the layer below it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax.numpy as jnp

from jaxdl.checks import check_positive_integer
from jaxdl.nn.activations import Activation, get_activation
from jaxdl.nn.dense import linear
from jaxdl.typing import Array, ArrayLike

Layer = Mapping[str, Array]
"""A dense layer, ``{"kernel": [N, M], "bias": [M]}``."""


def pretrain_layers(
    fit_layer: Callable[[int, int, Array], Layer], x: ArrayLike, sizes: Sequence[int], activation: str | Activation
) -> list[Layer]:
    """Train the layers of a network one after the other, without labels (Bengio et al., 2007)::

        h_0 = x,    h_k = g(h_(k-1) W_k + b_k),    W_k and b_k from an autoencoder of h_(k-1)

    Args:
        fit_layer: ``fit_layer(k, size, h)`` trains an autoencoder of the rows of ``h [N, D]`` with a code of ``size``
            units, and returns its encoder, ``{"kernel": [D, size], "bias": [size]}``; ``k`` counts from 1.
        x: examples ``[N, ...]``, flattened first.
        sizes: units of the layers.
        activation: ``g``.

    Returns:
        The layers; with a new output they initialize a network that is trained with labels, see `merge_layers`.

    >>> layers = pretrain_layers(lambda k, size, h: {"kernel": jnp.eye(3, size), "bias": jnp.ones(size)},
    ...     jnp.zeros((5, 3)), (2, 2), "relu")
    Traceback (most recent call last):
    ...
    ValueError: expected a kernel (2, 2) and a bias (2,) of layer 2, got (3, 2) and (2,); fit an autoencoder of h
    """
    x, g = jnp.asarray(x), get_activation(activation)
    h, layers = x.reshape(x.shape[0], -1), []
    for number, size in enumerate(sizes, 1):
        check_positive_integer(f"sizes[{number - 1}]", size)
        layer = fit_layer(number, size, h)
        kernel, bias = jnp.asarray(layer["kernel"]), jnp.asarray(layer["bias"])
        if kernel.shape != (h.shape[1], size) or bias.shape != (size,):
            raise ValueError(
                f"expected a kernel {(h.shape[1], size)} and a bias {(size,)} of layer {number}, got {kernel.shape} "
                f"and {bias.shape}; fit an autoencoder of h"
            )
        layers.append({"kernel": kernel, "bias": bias})
        h = g(linear(h, kernel, bias))
    return layers


def merge_layers(params: Mapping[str, Any], layers: Sequence[Layer], prefix: str = "hidden") -> dict[str, Any]:
    """Replace the layers ``hidden1``, ``hidden2``, ... of a network's parameters, an `MLP`'s for instance.

    Raises:
        ValueError: the network has no such layer, or its shapes differ.

    >>> params = {"hidden1": {"kernel": jnp.zeros((3, 2)), "bias": jnp.zeros(2)}, "output": {}}
    >>> merged = merge_layers(params, [{"kernel": jnp.ones((3, 2)), "bias": jnp.ones(2)}])
    >>> sorted(merged), merged["hidden1"]["bias"].tolist()
    (['hidden1', 'output'], [1.0, 1.0])
    """
    merged = dict(params)
    for number, layer in enumerate(layers, 1):
        name = f"{prefix}{number}"
        expected = {leaf: jnp.shape(value) for leaf, value in merged.get(name, {}).items()}
        got = {leaf: jnp.shape(value) for leaf, value in layer.items()}
        if expected != got:
            raise ValueError(f"expected the shapes {expected} of {name!r}, got {got}; pre-train with the same sizes")
        merged[name] = dict(layer)
    return merged
