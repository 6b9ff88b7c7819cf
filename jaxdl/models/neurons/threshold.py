"""The threshold neuron of McCulloch and Pitts (1943), with inhibitory inputs."""

import jax.numpy as jnp

from jaxdl.arrays import to_floating
from jaxdl.nn.activations import step
from jaxdl.typing import Array, ArrayLike


def mcculloch_pitts(x: ArrayLike, threshold: ArrayLike, inhibitory: ArrayLike | None = None) -> Array:
    """Fire, ``y = 1``, iff no inhibitory input is on and ``sum_i x_i >= theta`` over the others.

    The gates are choices of threshold and inhibitory inputs (McCulloch and Pitts, 1943):

    ======================  =============  ==========
    gate of n inputs        threshold      inhibitory
    ======================  =============  ==========
    AND                     n              none
    OR                      1              none
    NOT, NOR                0              all
    always on               0              none
    ======================  =============  ==========

    Args:
        x: inputs of 0 and 1, ``[..., n]``.
        threshold: ``theta``, a number.
        inhibitory: which inputs veto, Booleans ``[n]``; None for no vetoes.

    Returns:
        ``y`` of 0 and 1, ``[...]``.

    Raises:
        ValueError: ``inhibitory`` does not have one entry for every input.

    >>> inputs = jnp.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    >>> mcculloch_pitts(inputs, threshold=2).tolist(), mcculloch_pitts(inputs, threshold=1).tolist()
    ([0.0, 0.0, 0.0, 1.0], [0.0, 1.0, 1.0, 1.0])
    """
    x = to_floating(x)
    vetoes = jnp.zeros(x.shape[-1], bool) if inhibitory is None else jnp.asarray(inhibitory, bool)
    if vetoes.shape != x.shape[-1:]:
        raise ValueError(f"expected inhibitory of shape {x.shape[-1:]}, one entry for each input, got {vetoes.shape}")
    vetoes = jnp.expand_dims(vetoes, tuple(range(x.ndim - 1)))
    inhibited = jnp.any((x != 0) & vetoes, axis=-1)
    total = jnp.sum(jnp.where(vetoes, 0, x), axis=-1)
    return jnp.where(inhibited, 0, step(total - jnp.asarray(threshold, total.dtype)))
